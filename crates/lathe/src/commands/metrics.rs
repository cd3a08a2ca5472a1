use lathe_pipeline::{Found, State};

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
        /// Folders mean all files of metrics in them.
        #[arg(short = 'R', long)]
        recursive: bool,
    },
    /// Show what changed between two commits, or since one.
    ///
    /// Examples:
    ///   lathe metrics diff
    ///   lathe metrics diff main v1.2
    #[command(verbatim_doc_comment)]
    Diff {
        #[command(flatten)]
        diff: DiffArgs,
        /// Folders mean all files of metrics in them.
        #[arg(short = 'R', long)]
        recursive: bool,
    },
}

/// Prints metrics.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Show {
            targets,
            commits,
            recursive,
        } => {
            let (repo, targets) = values::repository(call, &targets)?;
            let read = |state: &State| metrics(state, &targets, recursive);
            values::show(call, &repo, commits, args.style, &read)
        }
        Action::Diff { diff, recursive } => {
            let (repo, targets) = values::repository(call, &diff.targets)?;
            let read = |state: &State| metrics(state, &targets, recursive);
            values::diff(call, &repo, &diff, args.style, "Metric", &read)
        }
    }
}

fn metrics(
    state: &State,
    targets: &[String],
    recursive: bool,
) -> lathe_pipeline::Result<Vec<(String, Found)>> {
    if !recursive || targets.is_empty() {
        return state.metrics(targets);
    }
    let mut all = state.metrics(&[])?;
    let inside = |path: &str, top: &String| {
        let rest = path.strip_prefix(top.as_str());
        top.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    all.retain(|(path, _)| targets.iter().any(|top| inside(path, top)));
    Ok(all)
}
