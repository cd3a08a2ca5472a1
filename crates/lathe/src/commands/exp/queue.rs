use serde_json::{Value, json};

use super::super::Call;
use super::{Place, run};
use crate::exit::{Outcome, hinted};
use crate::experiments::{self, State};
use crate::terminal;

/// Work with experiments that wait.
///
/// Examples:
///   lathe exp run --queue -S lr=0.1,0.2
///   lathe queue status
///   lathe queue start -j 2
///   lathe queue logs brisk-anvil
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Execute what waits, to the end of the queue.
    ///
    /// Examples:
    ///   lathe queue start -j 2
    #[command(verbatim_doc_comment)]
    Start {
        /// So many at once.
        #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        jobs: u16,
    },
    /// Show what waits, is executed or failed.
    ///
    /// Examples:
    ///   lathe queue status --json
    #[command(verbatim_doc_comment)]
    Status,
    /// Show what an experiment printed.
    ///
    /// Examples:
    ///   lathe queue logs brisk-anvil
    #[command(verbatim_doc_comment)]
    Logs {
        /// The experiment.
        name: String,
    },
    /// Take experiments out of the queue.
    ///
    /// Examples:
    ///   lathe queue remove brisk-anvil
    ///   lathe queue remove --failed
    #[command(verbatim_doc_comment)]
    Remove {
        /// Their names.
        names: Vec<String>,
        /// All that wait.
        #[arg(long)]
        queued: bool,
        /// All that failed.
        #[arg(long)]
        failed: bool,
        /// Both.
        #[arg(long)]
        all: bool,
    },
}

/// Carries out what is asked.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    match args.action {
        Action::Start { jobs } => run::run_all(call, &place, jobs.into()),
        Action::Status => status(&place, call),
        Action::Logs { name } => {
            let path = experiments::log_of(&place.root, &name);
            match std::fs::read(&path) {
                Ok(text) => print!("{}", String::from_utf8_lossy(&text)),
                Err(_) => {
                    return Err(hinted(
                        format!("nothing is kept of what `{name}` printed"),
                        "it is kept of experiments that were executed apart: by `--queue`, `--temp` or a sweep",
                    ));
                }
            }
            Ok(Outcome::Done)
        }
        Action::Remove {
            names,
            queued,
            failed,
            all,
        } => {
            let entries = experiments::entries(&place.root)?;
            if let Some(unknown) = names
                .iter()
                .find(|name| !entries.iter().any(|entry| entry.name == **name))
            {
                return Err(hinted(
                    format!("`{unknown}` does not wait"),
                    "see what does with `lathe queue status`",
                ));
            }
            let is_meant = |entry: &&experiments::Entry| {
                names.contains(&entry.name)
                    || entry.state == State::Queued && (queued || all)
                    || entry.state == State::Failed && (failed || all)
            };
            let mut removed = Vec::new();
            for entry in entries.iter().filter(is_meant) {
                experiments::remove_entry(&place.root, entry)?;
                removed.push(entry.name.as_str());
            }
            if call.json {
                terminal::print_json(&json!({ "removed": removed }))?;
            } else {
                println!(
                    "removed {}",
                    if removed.is_empty() {
                        "nothing".to_owned()
                    } else {
                        removed.join(", ")
                    }
                );
            }
            Ok(Outcome::Done)
        }
    }
}

fn status(place: &Place, call: &Call) -> anyhow::Result<Outcome> {
    let entries = experiments::entries(&place.root)?;
    if call.json {
        let told: Vec<Value> = entries
            .iter()
            .map(|entry| {
                json!({
                    "name": entry.name, "state": entry.state.name(), "rev": entry.commit, "baseline": entry.baseline,
                    "changes": entry.order.changes,
                })
            })
            .collect();
        terminal::print_json(&told)?;
        return Ok(Outcome::Done);
    }
    if entries.is_empty() {
        println!("nothing waits");
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.commit[..7].to_owned(),
                entry.name.clone(),
                entry.state.name().to_owned(),
                entry.order.changes.join(" "),
            ]
        })
        .collect();
    println!(
        "{}",
        terminal::table(&["Task", "Name", "State", "Changes"], &rows)
    );
    Ok(Outcome::Done)
}
