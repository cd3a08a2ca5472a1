//! Signals and child processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lathe_server::connections::{self, Patience, Tls};
use tokio::sync::watch;

/// Lets `lathe … | head` end quietly instead of panicking on a closed pipe.
pub fn restore_sigpipe() {
    sigpipe::reset();
}

/// Runs a program to its end and returns what it printed; a failure carries what it complained of.
pub fn output_of(
    program: impl AsRef<std::ffi::OsStr>,
    args: &[&str],
    folder: &Path,
) -> anyhow::Result<String> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start `{}`", program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{} {}` failed: {}",
            program.display(),
            args.join(" "),
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Asks a child process to end when this is dropped, so that it can end its own children. (Killing it outright would
/// leave them running.)
pub struct EndOnDrop(Option<rustix::process::Pid>);

impl EndOnDrop {
    /// Of the child with this id, which must not have been waited for.
    pub fn new(id: u32) -> Self {
        Self(i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw))
    }

    /// The child has ended: its id may be somebody else's by now.
    pub fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended by itself; then there is nobody to ask.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

/// Requests under way get this long to end; feeds that never end by themselves are cut then.
const GRACE: Duration = Duration::from_secs(3);

/// Hears that the process is asked to end, from the moment it is made: a request to terminate that comes while a server
/// starts is not lost, nor does it break off answers.
#[derive(Clone)]
pub struct Stop {
    asked: watch::Receiver<bool>,
    awaited: Arc<AtomicBool>,
}

impl Stop {
    /// Begins to listen for Ctrl-C and requests to terminate. While nothing is served yet they end the process at once.
    pub fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
        let (ask, asked) = watch::channel(false);
        let awaited = Arc::new(AtomicBool::new(false));
        let somebody_waits = awaited.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !somebody_waits.load(Ordering::SeqCst) {
                // The thread that starts may wait for a database; nothing was acknowledged yet.
                std::process::exit(0);
            }
            ask.send_replace(true);
        });
        Ok(Self { asked, awaited })
    }

    async fn requested(mut self) {
        self.awaited.store(true, Ordering::SeqCst);
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers until asked to stop, then takes no more requests and lets those under way end.
pub async fn serve_until_stopped(
    listener: tokio::net::TcpListener,
    router: axum::Router,
    tls: Option<Tls>,
    stop: Stop,
) {
    let (asked, ended) = tokio::sync::oneshot::channel::<()>();
    let serve = connections::serve(listener, router, Patience::default(), tls, async {
        // The sender is only dropped with this whole function.
        let _ = ended.await;
    });
    tokio::pin!(serve);
    tokio::select! {
        () = &mut serve => return,
        () = stop.requested() => {}
    }
    let _ = asked.send(());
    // Whoever has not ended by then is cut off.
    let _ = tokio::time::timeout(GRACE, serve).await;
}
