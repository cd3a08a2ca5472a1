use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, anyhow};

use crate::confinement::ConfinementArgs;
use crate::exit::Outcome;

/// What answers for one ONNX model in a process of its own; `lathe serve` starts it, nobody else.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    confinement: ConfinementArgs,
    /// What to answer for.
    settings: Option<String>,
    /// Say how this library was built, and end.
    #[arg(long, conflicts_with = "settings")]
    build_of: Option<PathBuf>,
}

/// Answers over the socket that is its standard input, until that closes.
pub fn execute(args: Args) -> anyhow::Result<Outcome> {
    let confined = args.confinement.apply();
    if let Some(library) = args.build_of {
        confined?;
        let build = lathe_serving::onnxruntime_build(&library).map_err(|what| anyhow!(what))?;
        println!("{build}");
        return Ok(Outcome::Done);
    }
    let settings = args.settings.context("it is not said what to answer for")?;
    let mut link = link()?;
    match confined {
        Ok(()) => lathe_serving::answer_over(&settings, &mut link),
        Err(error) => lathe_serving::tell_failure(format!("{error:#}"), &mut link),
    }
    .context("the server is gone")?;
    Ok(Outcome::Done)
}

/// The way to the server: standard input.
pub fn link() -> anyhow::Result<UnixStream> {
    Ok(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}
