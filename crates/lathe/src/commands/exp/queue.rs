use serde_json::{Value, json};

use super::super::Call;
use super::{Place, run};
use crate::exit::{Outcome, hinted};
use crate::experiments::dvc_queue::{self, Task, TaskState};
use crate::experiments::{self, State};
use crate::terminal;

/// Work with experiments that wait.
///
/// Examples:
///   lathe exp run --queue -S lr=0.1,0.2
///   lathe queue status
///   lathe queue start -j 2
///   lathe queue logs brisk-anvil -f
///   lathe queue stop
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
        /// Go on until it ends.
        #[arg(short, long)]
        follow: bool,
        /// Nothing: what is printed is UTF-8.
        #[arg(short, long, hide = true)]
        encoding: Option<String>,
    },
    /// Begin with nothing more; what is being executed ends.
    ///
    /// Examples:
    ///   lathe queue stop
    ///   lathe queue stop --kill      and end that too
    #[command(verbatim_doc_comment)]
    Stop {
        /// Kill what is being executed.
        #[arg(long)]
        kill: bool,
    },
    /// Kill experiments that are being executed; they count as failed.
    ///
    /// Examples:
    ///   lathe queue kill brisk-anvil
    #[command(verbatim_doc_comment)]
    Kill {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// At once, and not by asking.
        #[arg(short, long)]
        force: bool,
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
        /// All of DVC's that succeeded; the experiments stay.
        #[arg(long)]
        success: bool,
        /// All of them.
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
        Action::Logs { name, follow, .. } => logs(&place, &name, follow),
        Action::Stop { kill } => stop(&place, call, kill),
        Action::Kill { names, force } => {
            let mut killed = Vec::new();
            for name in &names {
                if !kill_one(&place, name, force)? {
                    return Err(hinted(
                        format!("`{name}` is not being executed"),
                        "see what is with `lathe queue status`",
                    ));
                }
                killed.push(name.as_str());
            }
            tell(call, "killed", &killed)?;
            Ok(Outcome::Done)
        }
        Action::Remove {
            names,
            queued,
            failed,
            success,
            all,
        } => {
            let entries = experiments::entries(&place.root)?;
            let tasks = dvc_tasks(&place, &entries)?;
            let is_known = |name: &&String| {
                entries.iter().any(|entry| entry.name == **name)
                    || tasks.iter().any(|task| task.name == **name)
            };
            if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
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
            for task in &tasks {
                let is_meant = match task.state {
                    TaskState::Running => false,
                    _ if names.contains(&task.name) || all => true,
                    TaskState::Queued => queued,
                    TaskState::Failed => failed,
                    TaskState::Success => success,
                };
                if is_meant {
                    dvc_queue::remove(&place.root, task)?;
                    removed.push(task.name.as_str());
                }
            }
            tell(call, "removed", &removed)?;
            Ok(Outcome::Done)
        }
    }
}

fn tell(call: &Call, what: &str, names: &[&str]) -> anyhow::Result<()> {
    match call.json {
        true => terminal::print_json(&json!({ what: names }))?,
        false if names.is_empty() => println!("{what} nothing"),
        false => println!("{what} {}", names.join(", ")),
    }
    Ok(())
}

/// What is in DVC's queue and not in Lathe's.
fn dvc_tasks(place: &Place, entries: &[experiments::Entry]) -> anyhow::Result<Vec<Task>> {
    let mut tasks = dvc_queue::tasks(&place.root)?;
    tasks.retain(|task| {
        let is_same = |entry: &experiments::Entry| {
            let mirror = entry.order.mirror.as_ref();
            mirror.is_some_and(|mirror| mirror.stash == task.stash)
        };
        !entries.iter().any(is_same)
    });
    Ok(tasks)
}

fn logs(place: &Place, name: &str, follow: bool) -> anyhow::Result<Outcome> {
    let mut told = 0;
    loop {
        let is_running = experiments::is_running(&place.root, name);
        let text = match experiments::printed(&place.root, name)? {
            Some(text) => text,
            None => {
                let tasks = dvc_queue::tasks(&place.root)?;
                let log = tasks
                    .iter()
                    .rfind(|task| task.name == name)
                    .and_then(|task| dvc_queue::log(&place.root, task));
                let Some(log) = log else {
                    return Err(hinted(
                        format!("nothing is kept of what `{name}` printed"),
                        "it is kept of experiments that were executed apart: by `--queue`, `--temp` or a sweep",
                    ));
                };
                String::from_utf8_lossy(&log).into_owned()
            }
        };
        // What is kept in the end is what was told before, and more.
        print!("{}", text.get(told..).unwrap_or_default());
        told = told.max(text.len());
        if !follow || !is_running {
            return Ok(Outcome::Done);
        }
        std::io::Write::flush(&mut std::io::stdout())?;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How often it is looked whether more was printed.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// Kills one that Lathe or DVC executes; says whether one does.
fn kill_one(place: &Place, name: &str, force: bool) -> anyhow::Result<bool> {
    if experiments::kill(&place.root, name, force)? {
        return Ok(true);
    }
    let tasks = dvc_queue::tasks(&place.root)?;
    let running = tasks
        .iter()
        .find(|task| task.name == name && task.state == TaskState::Running);
    match running {
        Some(task) => dvc_queue::kill(&place.root, task, force),
        None => Ok(false),
    }
}

fn stop(place: &Place, call: &Call, kill: bool) -> anyhow::Result<Outcome> {
    let entries = experiments::entries(&place.root)?;
    let running: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.state == State::Running)
        .map(|entry| entry.name.as_str())
        .collect();
    if running.is_empty() {
        match call.json {
            true => terminal::print_json(&json!({ "running": running }))?,
            false => println!("nothing is being executed"),
        }
        return Ok(Outcome::Done);
    }
    experiments::ask_to_stop(&place.root)?;
    for name in running.iter().filter(|_| kill) {
        experiments::kill(&place.root, name, true)?;
    }
    match (call.json, kill) {
        (true, _) => terminal::print_json(&json!({ "running": running, "killed": kill }))?,
        (false, true) => println!("killed {}; nothing more is begun", running.join(", ")),
        (false, false) => println!("nothing more is begun; {} goes on to its end", running.join(", ")),
    }
    Ok(Outcome::Done)
}

fn status(place: &Place, call: &Call) -> anyhow::Result<Outcome> {
    let entries = experiments::entries(&place.root)?;
    let tasks = dvc_tasks(place, &entries)?;
    if call.json {
        let theirs = tasks.iter().map(|task| {
            json!({
                "name": task.name, "state": task.state.name(), "rev": task.stash, "baseline": task.baseline,
                "changes": [], "tool": "dvc",
            })
        });
        let told: Vec<Value> = entries
            .iter()
            .map(|entry| {
                json!({
                    "name": entry.name, "state": entry.state.name(), "rev": entry.commit, "baseline": entry.baseline,
                    "changes": entry.order.changes, "tool": "lathe",
                })
            })
            .chain(theirs)
            .collect();
        terminal::print_json(&told)?;
        return Ok(Outcome::Done);
    }
    if entries.is_empty() && tasks.is_empty() {
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
        .chain(tasks.iter().map(|task| {
            vec![
                task.stash[..7].to_owned(),
                task.name.clone(),
                task.state.name().to_owned(),
                "(of `dvc queue`)".to_owned(),
            ]
        }))
        .collect();
    println!(
        "{}",
        terminal::table(&["Task", "Name", "State", "Changes"], &rows)
    );
    Ok(Outcome::Done)
}
