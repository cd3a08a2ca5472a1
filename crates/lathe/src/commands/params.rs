use super::Call;
use super::values::{self, DiffArgs, TableStyle};
use crate::exit::Outcome;
use crate::revisions::Commits;

/// Show parameters, or what changed in them.
///
/// Examples:
///   lathe params show                  of the files as they are
///   lathe params diff                  since the last commit
///   lathe params diff main --deps      only those that a stage depends on
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    style: TableStyle,
    /// Only those that a stage depends on.
    #[arg(long, global = true)]
    deps: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the values of every file of parameters, or of those that are named.
    ///
    /// Examples:
    ///   lathe params show
    ///   lathe params show conf/model.yaml --all-branches
    #[command(verbatim_doc_comment)]
    Show {
        /// Files; all of the pipelines if absent.
        targets: Vec<String>,
        #[command(flatten)]
        commits: Commits,
    },
    /// Show what changed between two commits, or since one.
    ///
    /// Examples:
    ///   lathe params diff
    ///   lathe params diff main v1.2
    #[command(verbatim_doc_comment)]
    Diff(DiffArgs),
}

/// Prints parameters.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Show { targets, commits } => {
            let (repo, targets) = values::repository(call, &targets)?;
            let read = |state: &lathe_pipeline::State| state.params(&targets, args.deps);
            values::show(call, &repo, commits, args.style, &read)
        }
        Action::Diff(diff) => {
            let (repo, targets) = values::repository(call, &diff.targets)?;
            let read = |state: &lathe_pipeline::State| state.params(&targets, args.deps);
            values::diff(call, &repo, &diff, args.style, "Param", &read)
        }
    }
}
