use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Outcome;

/// Print what lets a shell complete commands and options.
///
/// Examples:
///   lathe completion -s bash > ~/.local/share/bash-completion/completions/lathe
///   lathe completion -s zsh > "${fpath[1]}/_lathe"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell.
    #[arg(short, long, value_enum, default_value_t = Shell::Bash)]
    shell: Shell,
}

/// Prints it.
pub fn execute(args: &Args) -> anyhow::Result<Outcome> {
    clap_complete::generate(args.shell, &mut Cli::command(), "lathe", &mut std::io::stdout());
    Ok(Outcome::Done)
}
