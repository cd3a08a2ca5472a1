use lathe_data::remote::Transferred;
use serde_json::json;

use super::Data;
use super::sync::{self, Transfer};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Bring data from a remote into the cache. `lathe checkout` puts it into the workspace, `lathe pull` does both.
///
/// Examples:
///   lathe fetch
///   lathe fetch images/cats         a part of a folder
///   lathe fetch --all-branches
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    transfer: Transfer,
}

/// Fetches.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let _lock = data.lock()?;
    let moved = fetch(&data, &args.transfer)?;
    if call.json {
        terminal::print_json(&json!({ "fetched": moved.count, "missing": moved.missing }))?;
    } else if moved.count == 0 && moved.missing.is_empty() {
        println!("Everything is up to date.");
    } else {
        println!("{} fetched", lathe_data::counted(moved.count, "file"));
    }
    sync::refuse_missing(&moved.missing, sync::NOWHERE)?;
    Ok(Outcome::Done)
}

/// Brings what is meant into the cache.
pub fn fetch(data: &Data, wanted: &Transfer) -> anyhow::Result<Transferred> {
    let jobs = sync::jobs(data, &wanted.scope, &wanted.targets, false)?;
    sync::fetch(data, &wanted.scope, jobs, wanted.run_cache)
}
