use lathe_data::remote;
use serde_json::json;

use super::Data;
use super::sync::{self, Scope};
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
    /// `.dvc` files, outputs, paths inside of them, stages; everything if absent.
    targets: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Also what earlier executions made.
    #[arg(long)]
    run_cache: bool,
}

/// Pushes.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let _lock = data.lock()?;
    let mut count = 0;
    let mut missing = Vec::new();
    for job in sync::jobs(&data, &args.scope, &args.targets, true)? {
        let done = remote::push(&data.repo, &job.remote, &job.objects)?;
        count += done.count;
        missing.extend(done.missing);
    }
    if args.run_cache {
        let remote = sync::open(&data, args.scope.remote.as_deref(), &args.scope)?;
        count += remote::push_run_cache(&data.repo, &remote)?;
    }
    if call.json {
        terminal::print_json(&json!({ "pushed": count, "missing": missing }))?;
    } else if count == 0 {
        println!("Everything is up to date.");
    } else {
        println!("{count} file{} pushed", if count == 1 { "" } else { "s" });
    }
    sync::refuse_missing(&missing, "is neither in the cache nor on the remote")?;
    Ok(Outcome::Done)
}
