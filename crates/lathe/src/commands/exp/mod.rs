//! `lathe exp …`: experiments, as `dvc exp` has them.

mod apply;
mod list;
pub mod queue;
mod remotes;
mod remove;
mod run;
mod show;

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::bail;
use lathe_data::Repo;
use serde_json::json;

use super::Call;
use super::values::{self, DiffArgs, TableStyle};
use crate::exit::{Outcome, hinted};
use crate::experiments::{self, Experiment, Saving};
use crate::{git, process, terminal};

/// Try variations of a pipeline, compare them, keep the best.
///
/// An experiment is a commit on top of the one that is checked out, kept beside all branches in `refs/exps`: `dvc exp`
/// sees those of `lathe exp` and the other way round. Each is a tracked run too, with its params and metrics.
///
/// Examples:
///   lathe exp run -S lr=0.1                                 one, here
///   lathe exp run -S lr=0.1,0.2,0.4 -S depth='range(2,6)' -j 4
///                                                           every combination, four at once, in folders of their own
///   lathe exp run -S lr='loguniform(1e-4,1)' --trials 30 --search tpe --objective rmse
///   lathe exp run --queue -S lr=0.3 && lathe queue start    later
///   lathe exp show                                          a table of all
///   lathe exp apply brisk-anvil                             the files as that experiment has them
///   lathe exp branch brisk-anvil better                     a branch with it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Run(Box<run::Args>),
    Show(show::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Show how params and metrics differ between two experiments or commits.
    ///
    /// Examples:
    ///   lathe exp diff                          the workspace and HEAD
    ///   lathe exp diff brisk-anvil calm-file
    #[command(verbatim_doc_comment)]
    Diff(ExpDiffArgs),
    Apply(apply::Args),
    Branch(apply::BranchArgs),
    Save(SaveArgs),
    #[command(visible_alias = "rm")]
    Remove(remove::Args),
    Rename(RenameArgs),
    Clean(CleanArgs),
    Push(remotes::PushArgs),
    Pull(remotes::PullArgs),
}

#[derive(Debug, clap::Args)]
struct ExpDiffArgs {
    #[command(flatten)]
    style: TableStyle,
    #[command(flatten)]
    between: DiffArgs,
    /// Only params that stages depend on.
    #[arg(long)]
    param_deps: bool,
}

/// Keep the files as they are as an experiment, without executing anything.
///
/// Examples:
///   lathe exp save -n by-hand
///   lathe exp save -I notes.md -m "tuned by hand"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct SaveArgs {
    /// Its name; made up if absent.
    #[arg(short, long)]
    name: Option<String>,
    /// Replace one of the same name.
    #[arg(short, long)]
    force: bool,
    /// Files that git does not know and that belong to it.
    #[arg(short = 'I', long, value_name = "PATH")]
    include_untracked: Vec<String>,
    /// The message of its commit.
    #[arg(short, long, short_alias = 'M')]
    message: Option<String>,
}

/// Give an experiment another name.
///
/// Examples:
///   lathe exp rename brisk-anvil wider
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct RenameArgs {
    /// Its name.
    old: String,
    /// Its new name.
    new: String,
    /// Replace one that has the new name.
    #[arg(short, long)]
    force: bool,
    /// Rename it on this git remote.
    #[arg(short, long, value_name = "REMOTE")]
    git_remote: Option<String>,
}

/// Remove what experiments left that were killed: worktrees, locks, and what is known of their processes.
///
/// Examples:
///   lathe exp clean
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct CleanArgs {}

/// Which commits' experiments are meant.
#[derive(Debug, Clone, Default, clap::Args)]
struct Baselines {
    /// Those of this commit; `HEAD`'s if absent.
    #[arg(long, value_name = "COMMIT")]
    rev: Vec<String>,
    /// And of so many commits before it.
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    num: u32,
    /// Those of every commit.
    #[arg(short = 'A', long)]
    all_commits: bool,
}

impl Baselines {
    /// The commits, the newest first.
    fn commits(&self, place: &Place) -> anyhow::Result<Vec<String>> {
        let mut commits = Vec::new();
        if self.all_commits {
            let mut seen = HashSet::new();
            let own = experiments::all(&place.root)?.into_iter().map(|one| one.baseline);
            let own = own.chain([place.head.clone()]);
            commits.extend(own.filter(|commit| seen.insert(commit.clone())));
            commits.reverse();
            return Ok(commits);
        }
        let given = if self.rev.is_empty() {
            vec!["HEAD".to_owned()]
        } else {
            self.rev.clone()
        };
        for revision in given {
            for back in 0..self.num.max(1) {
                match git::commit_of(&place.root, &format!("{revision}~{back}")) {
                    Some(commit) if !commits.contains(&commit) => commits.push(commit),
                    Some(_) => {}
                    None if back == 0 => bail!("`{revision}` names no commit"),
                    None => break,
                }
            }
        }
        Ok(commits)
    }
}

/// Where experiments are made.
struct Place {
    root: PathBuf,
    repo: Repo,
    /// The commit that is checked out.
    head: String,
}

impl Place {
    fn of(call: &Call) -> anyhow::Result<Self> {
        let root = call.project_or_repository()?.root;
        let repo = Repo::discover(&root)?;
        let head = git::commit_of(&root, "HEAD").ok_or_else(|| {
            hinted(
                format!("`{}` has no commit to begin experiments from", root.display()),
                "make it a git repository and commit its pipeline: `git init`, `git add`, `git commit`",
            )
        })?;
        Ok(Self { root, repo, head })
    }

    /// The experiment of a name.
    fn experiment(&self, name: &str) -> anyhow::Result<Experiment> {
        experiments::find(&self.root, name)?.ok_or_else(|| {
            hinted(
                format!("there is no experiment `{name}`"),
                "see them with `lathe exp list -A`",
            )
        })
    }

    /// A name for an experiment on `HEAD`: the given one, or one that is free.
    fn name(&self, given: Option<&str>, force: bool) -> anyhow::Result<String> {
        let taken = self.taken()?;
        let Some(name) = given else {
            return Ok(experiments::fresh_name(&taken));
        };
        experiments::check_name(&self.root, name)?;
        if taken.contains(name) && !force {
            return Err(hinted(
                format!("there is an experiment `{name}` already"),
                "give another name, or replace it with `--force`",
            ));
        }
        Ok(name.to_owned())
    }

    fn taken(&self) -> anyhow::Result<HashSet<String>> {
        let saved = experiments::of_baselines(&self.root, &HashSet::from([self.head.clone()]))?;
        let waiting = experiments::entries(&self.root)?;
        let names = saved.into_iter().map(|one| one.name);
        Ok(names.chain(waiting.into_iter().map(|one| one.name)).collect())
    }
}

/// Carries out what is asked.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Run(args) => run::execute(*args, call),
        Action::Show(args) => show::execute(&args, call),
        Action::List(args) => list::execute(&args, call),
        Action::Diff(args) => diff(&args, call),
        Action::Apply(args) => apply::execute(&args, call),
        Action::Branch(args) => apply::branch(&args, call),
        Action::Save(args) => save(&args, call),
        Action::Remove(args) => remove::execute(&args, call),
        Action::Rename(args) => rename(&args, call),
        Action::Clean(_) => clean(call),
        Action::Push(args) => remotes::push(&args, call),
        Action::Pull(args) => remotes::pull(&args, call),
    }
}

fn diff(args: &ExpDiffArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let metrics = |state: &lathe_pipeline::State| state.metrics(&[]);
    let params = |state: &lathe_pipeline::State| state.params(&[], args.param_deps);
    if call.json {
        terminal::print_json(&json!({
            "metrics": values::changes_json(&values::changes(&place.repo, &args.between, &metrics)?),
            "params": values::changes_json(&values::changes(&place.repo, &args.between, &params)?),
        }))?;
        return Ok(Outcome::Done);
    }
    values::diff(call, &place.repo, &args.between, args.style, "Metric", &metrics)?;
    println!();
    values::diff(call, &place.repo, &args.between, args.style, "Param", &params)
}

fn save(args: &SaveArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let name = place.name(args.name.as_deref(), args.force)?;
    let saved = experiments::save(&Saving {
        root: &place.root,
        baseline: &place.head,
        name: &name,
        force: args.force,
        include: &args.include_untracked,
        message: args.message.as_deref(),
    })?;
    warn_of(&saved.left_out);
    if call.json {
        terminal::print_json(&told(&saved.experiment))?;
    } else {
        println!("saved as `{name}`; see it with `lathe exp show`");
    }
    Ok(Outcome::Done)
}

fn rename(args: &RenameArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    experiments::check_name(&place.root, &args.new)?;
    if let Some(remote) = &args.git_remote {
        return rename_on(&place, remote, args, call);
    }
    let old = place.experiment(&args.old)?;
    let new = Experiment {
        name: args.new.clone(),
        ..old.clone()
    };
    if old != new {
        experiments::store(&place.root, &new, args.force)?;
        experiments::delete(&place.root, &experiments::reference(&old.baseline, &old.name))?;
    }
    if call.json {
        terminal::print_json(&told(&new))?;
    } else {
        println!("`{}` is called `{}` now", old.name, new.name);
    }
    Ok(Outcome::Done)
}

/// Renames one that a git remote has.
fn rename_on(place: &Place, remote: &str, args: &RenameArgs, call: &Call) -> anyhow::Result<Outcome> {
    let there = list::of_remote(place, remote)?;
    let Some(old) = there.iter().find(|one| one.name == args.old) else {
        return Err(hinted(
            format!("`{remote}` has no experiment `{}`", args.old),
            format!("see what it has with `lathe exp list -A {remote}`"),
        ));
    };
    let is_taken = |one: &&Experiment| one.name == args.new && one.baseline == old.baseline;
    if there.iter().any(|one| is_taken(&one)) && !args.force {
        return Err(hinted(
            format!("`{remote}` has an experiment `{}` already", args.new),
            "give another name, or replace it with `--force`",
        ));
    }
    let from = experiments::reference(&old.baseline, &old.name);
    let to = experiments::reference(&old.baseline, &args.new);
    // Whoever pushes an object must have it.
    process::output_of("git", &["fetch", "--quiet", "--", remote, &from], &place.root)?;
    let (new, gone) = (format!("+{}:{to}", old.commit), format!(":{from}"));
    process::output_of(
        "git",
        &["push", "--quiet", "--atomic", "--", remote, &new, &gone],
        &place.root,
    )?;
    let renamed = Experiment {
        name: args.new.clone(),
        ..old.clone()
    };
    match call.json {
        true => terminal::print_json(&told(&renamed))?,
        false => println!("`{}` of `{remote}` is called `{}` now", old.name, renamed.name),
    }
    Ok(Outcome::Done)
}

fn clean(call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let removed = experiments::clean(&place.root)?;
    match call.json {
        true => terminal::print_json(&json!({ "removed": removed }))?,
        false if removed.is_empty() => println!("there is nothing to remove"),
        false => println!("removed what {} left", removed.join(", ")),
    }
    Ok(Outcome::Done)
}

fn told(experiment: &Experiment) -> serde_json::Value {
    json!({ "name": experiment.name, "rev": experiment.commit, "baseline": experiment.baseline })
}

/// Says which files are not part of an experiment.
fn warn_of(left_out: &[String]) {
    if !left_out.is_empty() {
        eprintln!(
            "{} git does not know {}; the experiment goes without (`git add`, or `-I PATH`)",
            terminal::paint("note:", terminal::Style::Warn),
            left_out.join(", ")
        );
    }
}
