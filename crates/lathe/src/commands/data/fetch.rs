use lathe_data::remote;
use serde_json::json;

use super::Data;
use super::sync::{self, Scope};
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
    /// `.dvc` files, outputs, paths inside of them, stages; everything if absent.
    targets: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Also what earlier executions made.
    #[arg(long)]
    run_cache: bool,
}

/// Fetches.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let _lock = data.lock()?;
    let (count, missing) = fetch(&data, &args.scope, &args.targets, args.run_cache)?;
    if call.json {
        terminal::print_json(&json!({ "fetched": count, "missing": missing }))?;
    } else if count == 0 && missing.is_empty() {
        println!("Everything is up to date.");
    } else {
        println!("{count} file{} fetched", if count == 1 { "" } else { "s" });
    }
    sync::refuse_missing(&missing, "is neither in the cache nor on the remote")?;
    Ok(Outcome::Done)
}

/// Brings what is meant into the cache; returns how many objects came and what is nowhere.
pub fn fetch(
    data: &Data,
    scope: &Scope,
    targets: &[String],
    run_cache: bool,
) -> anyhow::Result<(usize, Vec<String>)> {
    let mut count = 0;
    let mut missing = Vec::new();
    if run_cache {
        let remote = sync::open(data, scope.remote.as_deref(), scope)?;
        count += remote::fetch_run_cache(&data.repo, &remote)?;
    }
    for job in sync::jobs(data, scope, targets, false)? {
        let done = remote::fetch(&data.repo, &job.remote, &job.objects)?;
        count += done.count;
        missing.extend(done.missing);
    }
    Ok((count, missing))
}
