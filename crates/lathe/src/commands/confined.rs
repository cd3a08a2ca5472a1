use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::commands::onnx_worker::link;
use crate::confinement::ConfinementArgs;
use crate::exit::Outcome;

/// Become a program that answers for a model, and may no more than that; `lathe serve` starts it, nobody else.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    confinement: ConfinementArgs,
    /// The program, with what it is started with.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Returns where the program cannot be started, once who asked for it is told.
pub fn execute(args: Args) -> anyhow::Result<Outcome> {
    let (program, arguments) = args.command.split_first().expect("clap takes no call without it");
    let what = match args.confinement.apply() {
        Ok(()) => {
            let error = Command::new(program).args(arguments).exec();
            format!("`{}` cannot be started: {error}", program.display())
        }
        Err(error) => format!("{error:#}"),
    };
    lathe_serving::tell_failure(what, &mut link()?)?;
    Ok(Outcome::Done)
}
