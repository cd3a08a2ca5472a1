use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::exit::Outcome;

/// What answers for one ONNX model in a process of its own; `lathe serve` starts it, nobody else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to answer for.
    settings: Option<String>,
    /// The address space that it may take, in bytes.
    #[arg(long)]
    memory: Option<u64>,
    /// Say how this library was built, and end.
    #[arg(long, conflicts_with = "settings")]
    build_of: Option<PathBuf>,
}

/// Answers over the socket that is its standard input, until that closes.
pub fn execute(args: Args) -> anyhow::Result<Outcome> {
    let limit = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Core, limit(0)).context("core files cannot be turned off")?;
    if let Some(library) = args.build_of {
        let build = lathe_serving::onnxruntime_build(&library).map_err(|what| anyhow!(what))?;
        println!("{build}");
        return Ok(Outcome::Done);
    }
    // No model outlives the server, busy as it may be.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("the end of the server cannot be heard")?;
    if let Some(bytes) = args.memory {
        setrlimit(Resource::As, limit(bytes)).context("the memory cannot be limited")?;
    }
    let settings = args.settings.context("it is not said what to answer for")?;
    let mut link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    lathe_serving::answer_over(&settings, &mut link).context("the server is gone")?;
    Ok(Outcome::Done)
}
