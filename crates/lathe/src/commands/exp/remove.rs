use std::collections::HashSet;

use serde_json::json;

use super::super::Call;
use super::{Baselines, Place};
use crate::exit::{Outcome, hinted};
use crate::experiments::{self, Entry, Experiment};
use crate::{process, terminal};

/// Remove experiments.
///
/// Examples:
///   lathe exp remove brisk-anvil
///   lathe exp remove -A
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Their names.
    names: Vec<String>,
    #[command(flatten)]
    baselines: Baselines,
    /// All that wait in the queue.
    #[arg(long)]
    queue: bool,
    /// Remove all but these.
    #[arg(long, conflicts_with = "queue")]
    keep: bool,
    /// Remove them from this git remote.
    #[arg(short, long, value_name = "REMOTE")]
    git_remote: Option<String>,
}

/// Removes them.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let is_by_commit = args.baselines.all_commits || !args.baselines.rev.is_empty();
    if args.names.is_empty() && !args.queue && !is_by_commit {
        return Err(hinted(
            "nothing is named",
            "name experiments, or say `--rev COMMIT`, `--all-commits` or `--queue`",
        ));
    }
    let all = experiments::all(&place.root)?;
    let entries = experiments::entries(&place.root)?;
    let (mut saved, mut waiting): (Vec<Experiment>, Vec<Entry>) = (Vec::new(), Vec::new());
    for name in &args.names {
        match entries.iter().find(|entry| entry.name == *name) {
            Some(entry) => waiting.push(entry.clone()),
            None => saved.push(place.experiment(name)?),
        }
    }
    if is_by_commit {
        let commits: HashSet<String> = args.baselines.commits(&place)?.into_iter().collect();
        saved.extend(all.iter().filter(|one| commits.contains(&one.baseline)).cloned());
    }
    if args.keep {
        saved = all.into_iter().filter(|one| !saved.contains(one)).collect();
        waiting.clear();
    }
    if args.queue {
        let queued = entries
            .into_iter()
            .filter(|entry| entry.state == experiments::State::Queued);
        waiting.extend(queued);
    }
    let mut removed = Vec::new();
    for one in saved {
        let at = experiments::reference(&one.baseline, &one.name);
        match &args.git_remote {
            Some(remote) => {
                process::output_of(
                    "git",
                    &["push", "--quiet", "--", remote, &format!(":{at}")],
                    &place.root,
                )?;
            }
            None => experiments::delete(&place.root, &at)?,
        }
        removed.push(one.name);
    }
    for entry in waiting {
        experiments::remove_entry(&place.root, &entry)?;
        removed.push(entry.name);
    }
    if call.json {
        terminal::print_json(&json!({ "removed": removed }))?;
    } else if removed.is_empty() {
        println!("nothing to remove");
    } else {
        println!("removed {}", removed.join(", "));
    }
    Ok(Outcome::Done)
}
