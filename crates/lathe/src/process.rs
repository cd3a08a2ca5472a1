//! Signals and child processes.

use std::path::Path;
use std::process::{Command, Stdio};

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

/// Resolves on Ctrl-C and on a request to terminate.
pub async fn stop_requested() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
