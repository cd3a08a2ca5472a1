use lathe_data::remote::Transferred;
use serde_json::json;

use super::sync::{self, Limits, Transfer, Wanted};
use super::{Data, imports};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Bring data from a remote into the cache. `lathe checkout` puts it into the workspace, `lathe pull` does both.
///
/// Examples:
///   lathe fetch
///   lathe fetch images/cats         a part of a folder
///   lathe fetch --all-branches
///   lathe fetch --type metrics --type plots
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    limits: Limits,
}

/// Fetches.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let mut wanted = args.transfer.wanted(&data, false)?;
    wanted.scope.limits = args.limits;
    let moved = fetch(&data, &wanted)?;
    if call.json {
        terminal::print_json(&json!({ "fetched": moved.count, "missing": moved.missing }))?;
    } else if moved.count == 0 && moved.missing.is_empty() {
        tell!("Everything is up to date.");
    } else {
        tell!("{} fetched", lathe_data::counted(moved.count, "file"));
    }
    sync::refuse_missing(&moved.missing, sync::NOWHERE)?;
    Ok(Outcome::Done)
}

/// Brings what is meant into the cache.
pub fn fetch(data: &Data, wanted: &Wanted) -> anyhow::Result<Transferred> {
    let jobs = sync::jobs(data, &wanted.scope, &wanted.targets, false)?;
    let mut moved = sync::fetch(data, &wanted.scope, jobs, wanted.run_cache)?;
    moved.count += imports::fetch(data, &wanted.scope, &wanted.targets)?.count;
    Ok(moved)
}
