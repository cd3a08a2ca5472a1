use lathe_data::ops::{self, CheckoutOptions};
use serde_json::json;

use super::sync::{self, Transfer};
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
    #[command(flatten)]
    transfer: Transfer,
    /// Targets are patterns: `*`, `?`, `[…]`, and `**` for folders.
    #[arg(long)]
    glob: bool,
    /// Also lose files of the workspace that are in no cache.
    #[arg(short, long)]
    force: bool,
    /// Leave out what is nowhere.
    #[arg(long)]
    allow_missing: bool,
}

/// Fetches and checks out.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let mut data = Data::open_locked(call)?;
    let wanted = args.transfer.wanted(&data, args.glob)?;
    let moved = fetch::fetch(&data, &wanted)?;
    // What was never downloaded is known now.
    data.read_again()?;
    let targets = &wanted.targets;
    let selected = data.select(targets, wanted.scope.reach.selection())?;
    let options = CheckoutOptions {
        force: args.force,
        allow_missing: true,
        all: targets.is_empty(),
        ..CheckoutOptions::default()
    };
    let done = ops::checkout(&data.repo, &data.all, &selected, options)?;
    if call.json {
        let mut told = checkout::to_json(&done);
        told["fetched"] = json!(moved.count);
        told["missing"] = json!(moved.missing);
        terminal::print_json(&told)?;
    } else {
        checkout::print(&data, &done);
        let fetched =
            (0 < moved.count).then(|| format!("{} fetched", lathe_data::counted(moved.count, "file")));
        let changed = checkout::summary(&done);
        match (fetched, changed.as_str()) {
            (None, "no changes") if moved.missing.is_empty() => tell!("Everything is up to date."),
            (None, changed) => tell!("{changed}"),
            (Some(fetched), "no changes") => tell!("{fetched}"),
            (Some(fetched), changed) => tell!("{fetched}; {changed}"),
        }
    }
    if !args.allow_missing {
        sync::refuse_missing(&moved.missing, sync::NOWHERE)?;
    }
    Ok(Outcome::Done)
}
