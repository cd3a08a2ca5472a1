use serde_json::json;

use super::Data;
use super::sync::{self, Transfer, Wanted};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Send data of the cache to a remote.
///
/// The list of a folder is sent when all its files have arrived, so whoever finds it finds them.
///
/// Examples:
///   lathe push                      all data of the workspace's files
///   lathe push images.dvc -r store
///   lathe push --all-commits
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    transfer: Transfer,
    /// Targets are patterns: `*`, `?`, `[…]`, and `**` for folders.
    #[arg(long)]
    glob: bool,
}

/// Pushes.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let Wanted {
        targets,
        scope,
        run_cache,
    } = args.transfer.wanted(&data, args.glob)?;
    let jobs = sync::jobs(&data, &scope, &targets, true)?;
    let moved = sync::push(&data, &scope, jobs, run_cache)?;
    if call.json {
        terminal::print_json(&json!({ "pushed": moved.count, "missing": moved.missing }))?;
    } else if moved.count == 0 {
        tell!("Everything is up to date.");
    } else {
        tell!("{} pushed", lathe_data::counted(moved.count, "file"));
    }
    sync::refuse_missing(&moved.missing, sync::NOWHERE)?;
    Ok(Outcome::Done)
}
