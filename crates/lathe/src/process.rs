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

/// Requests under way get this long to end; feeds that never end by themselves are cut then.
const GRACE: Duration = Duration::from_secs(3);

/// Answers until asked to stop, then takes no more requests and lets those under way end.
pub async fn serve_until_stopped(listener: tokio::net::TcpListener, router: axum::Router) -> anyhow::Result<()> {
    let (asked, stop) = tokio::sync::oneshot::channel::<()>();
    let serve = axum::serve(listener, router).with_graceful_shutdown(async {
        // The sender is only dropped with this whole function.
        let _ = stop.await;
    });
    let serve = serve.into_future();
    tokio::pin!(serve);
    tokio::select! {
        ended = &mut serve => return ended.context("the server stopped"),
        heard = stop_requested() => heard.context("signals cannot be heard")?,
    }
    let _ = asked.send(());
    match tokio::time::timeout(GRACE, serve).await {
        Ok(ended) => ended.context("the server stopped"),
        Err(_) => Ok(()),
    }
}

/// Resolves on Ctrl-C and on a request to terminate.
async fn stop_requested() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
