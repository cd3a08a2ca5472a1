use lathe_data::Repo;
use serde_json::json;

use super::super::Call;
use super::super::data::sync::{self, RemoteArgs, Scope};
use super::super::data::{Data, Locked};
use super::{Baselines, Place};
use crate::exit::{Outcome, hinted};
use crate::experiments::{self, Experiment};
use crate::{process, terminal};

/// Send experiments to a git remote.
///
/// Examples:
///   lathe exp push origin
///   lathe exp push origin brisk-anvil --no-cache
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct PushArgs {
    #[command(flatten)]
    exchange: Exchange,
    /// Replace what the remote has of the same names.
    #[arg(short, long)]
    force: bool,
}

/// Fetch experiments from a git remote.
///
/// Examples:
///   lathe exp pull origin
///   lathe exp pull origin brisk-anvil -r store
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct PullArgs {
    #[command(flatten)]
    exchange: Exchange,
    /// Replace own ones of the same names.
    #[arg(short, long)]
    force: bool,
}

/// Which experiments travel, between here and where.
#[derive(Debug, clap::Args)]
struct Exchange {
    /// The git remote, by name or URL.
    git_remote: String,
    /// Their names; all of `HEAD` if absent.
    names: Vec<String>,
    #[command(flatten)]
    baselines: Baselines,
    #[command(flatten)]
    with_data: WithData,
}

/// The data that experiments were made of and made.
#[derive(Debug, clap::Args)]
struct WithData {
    /// Leave the data where it is.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Also what earlier executions made.
    #[arg(long, overrides_with = "no_run_cache")]
    run_cache: bool,
    /// Not what earlier executions made, as if `--run-cache` were not given.
    #[arg(long)]
    no_run_cache: bool,
}

impl WithData {
    /// The data of the project and how it is moved; nothing if it stays or there is no remote to move it to.
    fn open(&self, call: &Call) -> anyhow::Result<Option<(Locked, Scope)>> {
        if self.no_cache {
            return Ok(None);
        }
        let repo = Repo::discover(&call.folder)?;
        if self.remote.remote.is_none() && repo.setting("core", "remote").is_none() {
            return Ok(None);
        }
        let data = Data::open_locked(call)?;
        let scope = Scope {
            remote: self.remote.clone(),
            ..Scope::default()
        };
        Ok(Some((data, scope)))
    }

    /// Sends the data of the experiments, which must be here.
    fn push(&self, chosen: &[Experiment], call: &Call) -> anyhow::Result<usize> {
        let Some((data, scope)) = self.open(call)? else {
            return Ok(0);
        };
        let jobs = sync::jobs_of_commits(&data, &scope, &commits(chosen), true)?;
        let moved = sync::push(&data, &scope, jobs, self.run_cache && !self.no_run_cache)?;
        sync::refuse_missing(
            &moved.missing,
            &format!("{}; no experiment was sent", sync::NOWHERE),
        )?;
        Ok(moved.count)
    }

    /// Brings the data of the experiments, as far as it was sent.
    fn fetch(&self, chosen: &[Experiment], call: &Call) -> anyhow::Result<usize> {
        let Some((data, scope)) = self.open(call)? else {
            return Ok(0);
        };
        let jobs = sync::jobs_of_commits(&data, &scope, &commits(chosen), false)?;
        let moved = sync::fetch(&data, &scope, jobs, self.run_cache && !self.no_run_cache)?;
        sync::refuse_missing(
            &moved.missing,
            &format!("{}; the experiments are here", sync::NOWHERE),
        )?;
        Ok(moved.count)
    }
}

fn commits(experiments: &[Experiment]) -> Vec<String> {
    experiments.iter().map(|one| one.commit.clone()).collect()
}

/// Sends them.
pub fn push(args: &PushArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let all = experiments::all(&place.root)?;
    let chosen = chosen(&place, all, &args.exchange.names, &args.exchange.baselines)?;
    // Whoever finds an experiment finds its data.
    let count = args.exchange.with_data.push(&chosen, call)?;
    transfer(&place, "push", &args.exchange.git_remote, &chosen, args.force)?;
    tell(call, "pushed", &args.exchange.git_remote, &chosen, count)
}

/// Fetches them.
pub fn pull(args: &PullArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let listed = process::output_of(
        "git",
        &["ls-remote", "--", &args.exchange.git_remote, "refs/exps/*"],
        &place.root,
    )?;
    let there = listed.lines().filter_map(|line| {
        let (commit, reference) = line.split_once('\t')?;
        let (baseline, name) = experiments::parse(reference)?;
        Some(Experiment {
            name,
            baseline,
            commit: commit.to_owned(),
        })
    });
    let chosen = chosen(
        &place,
        there.collect(),
        &args.exchange.names,
        &args.exchange.baselines,
    )?;
    transfer(&place, "fetch", &args.exchange.git_remote, &chosen, args.force)?;
    let count = args.exchange.with_data.fetch(&chosen, call)?;
    tell(call, "pulled", &args.exchange.git_remote, &chosen, count)
}

fn chosen(
    place: &Place,
    all: Vec<Experiment>,
    names: &[String],
    baselines: &Baselines,
) -> anyhow::Result<Vec<Experiment>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|one| one.name == **name))
    {
        return Err(hinted(
            format!("there is no experiment `{unknown}`"),
            "see them with `lathe exp list -A`",
        ));
    }
    let commits = baselines.commits(place)?;
    let is_chosen = |one: &Experiment| {
        if names.is_empty() {
            baselines.all_commits || commits.contains(&one.baseline)
        } else {
            names.contains(&one.name)
        }
    };
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn transfer(
    place: &Place,
    how: &str,
    remote: &str,
    chosen: &[Experiment],
    force: bool,
) -> anyhow::Result<()> {
    let sign = if force { "+" } else { "" };
    let specs: Vec<String> = chosen
        .iter()
        .map(|one| experiments::reference(&one.baseline, &one.name))
        .map(|at| format!("{sign}{at}:{at}"))
        .collect();
    if !specs.is_empty() {
        let mut args = vec![how, "--quiet", "--", remote];
        args.extend(specs.iter().map(String::as_str));
        process::output_of("git", &args, &place.root)?;
    }
    Ok(())
}

fn tell(
    call: &Call,
    done: &str,
    remote: &str,
    chosen: &[Experiment],
    files: usize,
) -> anyhow::Result<Outcome> {
    let names: Vec<&str> = chosen.iter().map(|one| one.name.as_str()).collect();
    if call.json {
        terminal::print_json(&json!({ "experiments": names, "remote": remote, "files": files }))?;
    } else if names.is_empty() {
        println!("no experiments");
    } else {
        let data = match files {
            0 => String::new(),
            1 => ", with 1 file of data".to_owned(),
            count => format!(", with {count} files of data"),
        };
        println!("{done}: {}{data}", names.join(", "));
    }
    Ok(Outcome::Done)
}
