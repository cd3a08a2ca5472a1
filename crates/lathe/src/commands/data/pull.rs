use lathe_data::Selection;
use lathe_data::ops::{self, CheckoutOptions};
use serde_json::json;

use super::sync::{self, Scope};
use super::{Data, checkout, fetch};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Bring data from a remote into the cache and the workspace.
///
/// Examples:
///   lathe pull
///   lathe pull images/cats -r store
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
    /// Also lose files of the workspace that are in no cache.
    #[arg(short, long)]
    force: bool,
    /// Leave out what is nowhere.
    #[arg(long)]
    allow_missing: bool,
}

/// Fetches and checks out.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let _lock = data.lock()?;
    let (count, missing) = fetch::fetch(&data, &args.scope, &args.targets, args.run_cache)?;
    let selection = Selection {
        recursive: args.scope.recursive,
        with_deps: args.scope.with_deps,
    };
    let selected = data.select(&args.targets, selection)?;
    let options = CheckoutOptions {
        force: args.force,
        allow_missing: true,
        all: args.targets.is_empty(),
        ..CheckoutOptions::default()
    };
    let done = ops::checkout(&data.repo, &data.all, &selected, options)?;
    if call.json {
        let mut told = checkout::to_json(&done);
        told["fetched"] = json!(count);
        told["missing"] = json!(missing);
        terminal::print_json(&told)?;
    } else {
        checkout::print(&data, &done);
        let fetched =
            (0 < count).then(|| format!("{count} file{} fetched", if count == 1 { "" } else { "s" }));
        let changed = checkout::summary(&done);
        match (fetched, changed.as_str()) {
            (None, "no changes") if missing.is_empty() => println!("Everything is up to date."),
            (None, changed) => println!("{changed}"),
            (Some(fetched), "no changes") => println!("{fetched}"),
            (Some(fetched), changed) => println!("{fetched}; {changed}"),
        }
    }
    if !args.allow_missing {
        sync::refuse_missing(&missing, "is neither in the cache nor on the remote")?;
    }
    Ok(Outcome::Done)
}
