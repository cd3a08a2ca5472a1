use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::super::{Call, run};
use super::{Place, warn_of};
use crate::exit::{Outcome, hinted};
use crate::experiments::overrides::{self, Override};
use crate::experiments::{self, Direction, Entry, Executed, Experiment, Optuna, Order, Runner, Saving};
use crate::terminal::{self, Style, number, paint};
use crate::{background, clock, python};

/// Execute the pipeline with other parameters, and keep the result as an experiment.
///
/// Alone it runs here, and the files stay as the experiment made them. With `--temp`, `--queue`, several values or a
/// search, it runs in a worktree of its own that shares the cache, so that nothing here changes.
///
/// Examples:
///   lathe exp run -S model.trees=200 -n more-trees
///   lathe exp run -S lr=0.1,0.2 -S +note=x,y -j 2          four, two at once
///   lathe exp run --queue -S lr='range(0.1,0.5,0.1)'       wait for `lathe queue start`
///   lathe exp run --run-all -j 4                           execute what waits
///   lathe exp run -S lr='uniform(0,1)' --trials 20         drawn by chance
///   lathe exp run -S lr='loguniform(1e-4,1)' --trials 30 --search tpe --objective rmse --direction minimize
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    run: run::Args,
    /// Its name, or the beginning of the names of several; made up if absent.
    #[arg(short, long)]
    name: Option<String>,
    /// Only put it into the queue.
    #[arg(long)]
    queue: bool,
    /// Execute all that waits in the queue; `-j` says how many at once.
    #[arg(long, conflicts_with_all = ["queue", "temp", "name"])]
    run_all: bool,
    /// Execute it in a worktree.
    #[arg(long)]
    temp: bool,
    /// Files that git does not know and that belong to it.
    #[arg(short = 'I', long, value_name = "PATH")]
    include_untracked: Vec<String>,
    /// Files and folders that git ignores and that are copied to where it is executed.
    #[arg(short = 'C', long, value_name = "PATH")]
    copy_paths: Vec<String>,
    /// Do not compose params.yaml from Hydra's files, which only `dvc` does.
    #[arg(long)]
    no_hydra: bool,
    /// The message of its commit.
    #[arg(short, long, short_alias = 'M')]
    message: Option<String>,
    /// Try this many, drawn from the values given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: Option<u32>,
    /// How trials are drawn.
    #[arg(long, value_enum, default_value_t = Search::Random, requires = "trials")]
    search: Search,
    /// The metric that a search is after: `rmse`, `metrics.json:test.rmse`.
    #[arg(long, value_name = "METRIC")]
    objective: Option<String>,
    /// Which way it is better.
    #[arg(long, value_enum, default_value_t = Direction::Minimize)]
    direction: Direction,
    /// Draws the same again.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Search {
    /// By chance.
    Random,
    /// Where earlier trials did well (tree-structured Parzen estimator, by Optuna in the project's environment).
    Tpe,
}

/// What came of one experiment.
struct Done {
    experiment: Experiment,
    run: Option<String>,
    changes: Vec<String>,
}

/// Executes experiments.
pub fn execute(mut args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    if args.run_all {
        return run_all(call, &place, args.run.jobs.unwrap_or(1).into());
    }
    if place
        .repo
        .config()
        .find_bool("exp", "auto_push")?
        .unwrap_or(false)
    {
        tracing::warn!("the setting `exp.auto_push` has no effect in `lathe`: push with `lathe exp push`");
    }
    if !args.no_hydra
        && place
            .repo
            .config()
            .find_bool("hydra", "enabled")?
            .unwrap_or(false)
    {
        return Err(hinted(
            "`hydra.enabled` is set, and params.yaml is composed from Hydra's files by `dvc` alone",
            "use `dvc exp run`, or `--no-hydra` to take params.yaml as it is",
        ));
    }
    if let Some(outside) = args.copy_paths.iter().find(|path| !experiments::is_inside(path)) {
        return Err(hinted(
            format!("`{outside}` of `--copy-paths` is not in the project"),
            "name files and folders by their paths from the project's root, without `..`",
        ));
    }
    if let Some(absent) = args
        .copy_paths
        .iter()
        .find(|path| !place.root.join(path).exists())
    {
        return Err(hinted(
            format!("`{absent}` of `--copy-paths` does not exist"),
            "name files and folders by their paths from the project's root",
        ));
    }
    let changes: Vec<Override> = std::mem::take(&mut args.run.set_params)
        .iter()
        .map(|text| overrides::parse(text))
        .collect::<anyhow::Result<_>>()?;
    if let (Some(trials), Search::Tpe) = (args.trials, args.search) {
        return search(&args, call, &place, &changes, trials as usize);
    }
    let combinations = match args.trials {
        Some(trials) => {
            let mut random = fastrand::Rng::with_seed(args.seed);
            (0..trials)
                .map(|_| overrides::draw(&changes, &mut random))
                .collect()
        }
        None => overrides::grid(&changes)?,
    };
    let is_sweep = args.trials.is_some() || changes.iter().any(Override::is_sweep);
    if !is_sweep && !args.queue && !args.temp || args.run.dry {
        let only = combinations.into_iter().next().unwrap_or_default();
        return here(&args, call, &place, &only);
    }
    let jobs = usize::from(args.run.jobs.unwrap_or(1));
    experiments::forget_stop(&place.root)?;
    let mut waiting = Vec::new();
    for (index, combination) in combinations.iter().enumerate() {
        let name = numbered(&args, is_sweep, index);
        waiting.push(queue(&args, &place, name.as_deref(), combination)?);
    }
    if args.queue {
        for entry in &waiting {
            if !call.json {
                println!("queued `{}` {}", entry.name, entry.order.changes.join(" "));
            }
        }
        if call.json {
            let names: Vec<&str> = waiting.iter().map(|entry| entry.name.as_str()).collect();
            terminal::print_json(&json!({ "queued": names }))?;
        }
        return Ok(Outcome::Done);
    }
    let (done, outcome, failed) = execute_waiting(call, &place, waiting, jobs)?;
    end(call, &done, &failed)?;
    Ok(outcome)
}

fn numbered(args: &Args, is_sweep: bool, index: usize) -> Option<String> {
    let name = args.name.as_ref()?;
    Some(if is_sweep {
        format!("{name}-{}", index + 1)
    } else {
        name.clone()
    })
}

/// In the files that are checked out.
fn here(args: &Args, call: &Call, place: &Place, changes: &[Override]) -> anyhow::Result<Outcome> {
    let name = place.name(args.name.as_deref(), args.run.force)?;
    if args.run.dry {
        // Said of the files as they would be, which are not these.
        overrides::applied(&place.root, changes)?;
        return run::execute(with_tags(args, place, &name), call);
    }
    overrides::apply(&place.root, changes)?;
    let (outcome, mut report) = run::carry_out(&with_tags(args, place, &name), call)?;
    if outcome == Outcome::Done {
        let saved = experiments::save(&Saving {
            root: &place.root,
            baseline: &place.head,
            name: &name,
            force: args.run.force,
            include: &args.include_untracked,
            message: args.message.as_deref(),
        })?;
        warn_of(&saved.left_out);
        report["experiment"] = super::told(&saved.experiment);
        if !call.json {
            println!(
                "experiment {}: its results are in your files; `lathe exp show` compares",
                paint(&name, Style::Strong)
            );
        }
    }
    if call.json {
        terminal::print_json(&report)?;
    }
    Ok(outcome)
}

fn with_tags(args: &Args, place: &Place, name: &str) -> run::Args {
    let mut run = args.run.clone();
    run.tags.extend(experiments::tags(name, &place.head));
    run
}

fn queue(args: &Args, place: &Place, name: Option<&str>, changes: &[Override]) -> anyhow::Result<Entry> {
    let name = place.name(name, args.run.force)?;
    let order = Order {
        number: clock::now_nanos(),
        changes: changes.iter().map(Override::told).collect(),
        arguments: args.run.to_arguments(),
        include: args.include_untracked.clone(),
        copy: args.copy_paths.clone(),
        message: args.message.clone(),
        force: args.run.force,
        mirror: None,
    };
    let replaced = overrides::applied(&place.root, changes)?;
    experiments::enqueue(&place.root, &place.head, &name, &order, &replaced, args.queue)
}

/// Executes what waits in the queue, so many at once.
pub fn run_all(call: &Call, place: &Place, jobs: usize) -> anyhow::Result<Outcome> {
    for problem in experiments::dvc_queue::adopt(&place.root, &experiments::entries(&place.root)?)? {
        eprintln!("{} {problem}", paint("note:", Style::Warn));
    }
    experiments::forget_stop(&place.root)?;
    let mut waiting = experiments::entries(&place.root)?;
    waiting.retain(|entry| entry.state == experiments::State::Queued);
    if waiting.is_empty() && !call.json {
        println!("nothing waits");
    }
    let (done, outcome, failed) = execute_waiting(call, place, waiting, jobs)?;
    end(call, &done, &failed)?;
    Ok(outcome)
}

type Results = (Vec<Done>, Outcome, Vec<(String, String)>);

fn execute_waiting(call: &Call, place: &Place, waiting: Vec<Entry>, jobs: usize) -> anyhow::Result<Results> {
    if waiting.is_empty() {
        return Ok((Vec::new(), Outcome::Done, Vec::new()));
    }
    let (client, project) = (call.client_to_write()?, call.project_or_repository()?);
    background::declare(&client, &project)?;
    let url = client.tracking_url()?;
    let total = waiting.len();
    let runner = Runner {
        root: &place.root,
        url: &url,
    };
    let results: Mutex<Results> = Mutex::new((Vec::new(), Outcome::Done, Vec::new()));
    let next = Mutex::new(waiting.into_iter());
    let problem: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, total) {
            scope.spawn(|| {
                loop {
                    if experiments::is_to_stop(&place.root) {
                        return;
                    }
                    let Some(entry) = held(&next).next() else {
                        return;
                    };
                    let executed = runner.execute(&entry);
                    let mut results = held(&results);
                    match executed {
                        Ok(Executed::Interrupted) => results.1 = Outcome::Interrupted,
                        Ok(executed) => note(call, entry, executed, &mut results, total),
                        Err(error) => {
                            *held(&problem) = Some(error);
                        }
                    }
                    let is_over = results.1 == Outcome::Interrupted || held(&problem).is_some();
                    if is_over {
                        return;
                    }
                }
            });
        }
    });
    if let Some(error) = problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(call: &Call, entry: Entry, executed: Executed, results: &mut Results, total: usize) {
    let told = entry.order.changes.join(" ");
    match executed {
        Executed::Saved(experiment, run) => {
            results.0.push(Done {
                experiment,
                run,
                changes: entry.order.changes,
            });
            if !call.json {
                let count = results.0.len() + results.2.len();
                println!("[{count}/{total}] {} {told}", paint(&entry.name, Style::Strong));
            }
        }
        Executed::Failed(words) => {
            if !call.json {
                println!("{} {} {told}\n{words}", paint("failed", Style::Bad), entry.name);
            }
            results.2.push((entry.name, words));
        }
        Executed::Taken | Executed::Interrupted => {}
    }
}

/// Says what was done; an error if some failed.
fn end(call: &Call, done: &[Done], failed: &[(String, String)]) -> anyhow::Result<()> {
    if call.json {
        let saved: Vec<Value> = done
            .iter()
            .map(|done| {
                let mut told = super::told(&done.experiment);
                told["run_id"] = json!(done.run);
                told["changes"] = json!(done.changes);
                told
            })
            .collect();
        let failed: Vec<Value> = failed
            .iter()
            .map(|(name, words)| json!({ "name": name, "problem": words }))
            .collect();
        terminal::print_json(&json!({ "experiments": saved, "failed": failed }))?;
    }
    match failed {
        [] => Ok(()),
        failed => {
            let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
            Err(hinted(
                format!("{} failed", names.join(", ")),
                format!("read what it printed with `lathe queue logs {}`", names[0]),
            ))
        }
    }
}

/// Trial after trial, each proposed by what the ones before it showed.
fn search(
    args: &Args,
    call: &Call,
    place: &Place,
    changes: &[Override],
    trials: usize,
) -> anyhow::Result<Outcome> {
    let Some(metric) = &args.objective else {
        return Err(hinted(
            "a search needs a metric to go by",
            "name it: `--objective rmse --direction minimize`",
        ));
    };
    if !changes.iter().any(Override::is_sweep) {
        return Err(hinted(
            "there is nothing to search in",
            "give a parameter several values: `-S lr='loguniform(1e-4,1)'`",
        ));
    }
    let project = call.project_or_repository()?;
    let python = python::prepare(project.spec.environment.as_ref(), &project.root, &mut |_| {})?;
    let mut optuna = Optuna::start(&python.interpreter(), changes, args.direction, trials, args.seed)?;
    let fixed: Vec<Override> = changes
        .iter()
        .filter(|change| !change.is_sweep())
        .cloned()
        .collect();
    let jobs = usize::from(args.run.jobs.unwrap_or(1));
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    let mut best: Option<(f64, String)> = None;
    let mut begun = 0;
    while begun < trials {
        let mut numbers = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..jobs.min(trials - begun) {
            let (trial, tried) = optuna.ask()?;
            let name = numbered(args, true, begun);
            let entry = queue(args, place, name.as_deref(), &[fixed.as_slice(), &tried].concat())?;
            numbers.push((entry.name.clone(), trial));
            waiting.push(entry);
            begun += 1;
        }
        let (done, outcome, failed) = execute_waiting(call, place, waiting, jobs)?;
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
        for (name, trial) in numbers {
            let saved = done.iter().find(|done| done.experiment.name == name);
            let value = match saved {
                Some(done) => experiments::measure(&place.repo, &done.experiment.commit, metric)?,
                None => None,
            };
            if saved.is_some() && value.is_none() {
                return Err(hinted(
                    format!("`{name}` has no metric `{metric}`, or several of that name"),
                    "name one that `lathe metrics show` shows, with its file if need be: `metrics.json:rmse`",
                ));
            }
            optuna.tell(trial, value);
            let Some(value) = value else { continue };
            let is_better = best.as_ref().is_none_or(|(best, _)| match args.direction {
                Direction::Minimize => value < *best,
                Direction::Maximize => *best < value,
            });
            if is_better {
                best = Some((value, name));
            }
        }
        all.extend(done);
        failures.extend(failed);
    }
    if let Some((value, name)) = &best
        && !call.json
    {
        println!(
            "best: {} with {metric} {}",
            paint(name, Style::Good),
            number(*value)
        );
    }
    end(call, &all, &failures)?;
    Ok(Outcome::Done)
}
