use super::Call;
use super::values::{self, DiffArgs, TableStyle};
use crate::exit::Outcome;
use crate::revisions::Commits;

/// Show metrics, or what changed in them.
///
/// Examples:
///   lathe metrics show                 of the files as they are
///   lathe metrics show -a --md         of every branch too, for a pull request
///   lathe metrics diff                 since the last commit
///   lathe metrics diff main v1.2       between two
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    style: TableStyle,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the values of every file of metrics, or of those that are named.
    ///
    /// Examples:
    ///   lathe metrics show
    ///   lathe metrics show -a --md
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
    ///   lathe metrics diff
    ///   lathe metrics diff main v1.2
    #[command(verbatim_doc_comment)]
    Diff(DiffArgs),
}

/// Prints metrics.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Show { targets, commits } => {
            let (repo, targets) = values::repository(call, &targets)?;
            values::show(call, &repo, commits, args.style, &|state| state.metrics(&targets))
        }
        Action::Diff(diff) => {
            let (repo, targets) = values::repository(call, &diff.targets)?;
            let read = |state: &lathe_pipeline::State| state.metrics(&targets);
            values::diff(call, &repo, &diff, args.style, "Metric", &read)
        }
    }
}
