//! Signals and child processes.

use std::future::IntoFuture;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

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

/// Answers until asked to stop, then takes no more requests and lets those under way end.
pub async fn serve_until_stopped(
    listener: tokio::net::TcpListener,
    router: axum::Router,
    mut signals: StopSignals,
) -> anyhow::Result<()> {
    use axum::serve::ListenerExt as _;
    let listener = listener.tap_io(|stream| {
        // Answers are written whole; a platform that cannot say so only answers later.
        let _ = stream.set_nodelay(true);
    });
    let (asked, stop) = tokio::sync::oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(async {
        // The sender is only dropped with this whole function.
        let _ = stop.await;
    });
    let serve = serve.into_future();
    tokio::pin!(serve);
    tokio::select! {
        ended = &mut serve => return ended.context("the server stopped"),
        () = signals.heard() => {}
    }
    let _ = asked.send(());
    match tokio::time::timeout(GRACE, serve).await {
        Ok(ended) => ended.context("the server stopped"),
        Err(_) => Ok(()),
    }
}

/// Ctrl-C and the request to terminate. From when this is made, neither ends the process by itself: so it is made before
/// anybody is told that the server is ready.
pub struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    /// Within a runtime.
    pub fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let of_kind = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self {
            interrupt: of_kind(SignalKind::interrupt())?,
            terminate: of_kind(SignalKind::terminate())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
