use lathe_data::remote;
use serde_json::json;

use super::super::Call;
use super::super::data::Data;
use super::super::data::sync::{self, Scope};
use super::{Baselines, Place};
use crate::exit::{Outcome, hinted};
use crate::experiments::{self, Experiment};
use crate::{process, terminal};

/// Send experiments to a git remote.
#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// The git remote, by name or URL.
    git_remote: String,
    /// Their names; all of `HEAD` if absent.
    names: Vec<String>,
    #[command(flatten)]
    baselines: Baselines,
    /// Replace what the remote has of the same names.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    with_data: WithData,
}

/// Fetch experiments from a git remote.
#[derive(Debug, clap::Args)]
pub struct PullArgs {
    /// The git remote, by name or URL.
    git_remote: String,
    /// Their names; all of `HEAD` if absent.
    names: Vec<String>,
    #[command(flatten)]
    baselines: Baselines,
    /// Replace own ones of the same names.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    with_data: WithData,
}

/// The data that experiments were made of and made.
#[derive(Debug, clap::Args)]
struct WithData {
    /// Leave the data where it is.
    #[arg(long)]
    no_cache: bool,
    /// The remote for data; the default one if absent.
    #[arg(short, long, value_name = "NAME")]
    remote: Option<String>,
    /// Files on their way at once.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Also what earlier executions made.
    #[arg(long)]
    run_cache: bool,
}

impl WithData {
    /// The data of the project and how it is moved; nothing if it stays or there is no remote to move it to.
    fn open(&self, call: &Call) -> anyhow::Result<Option<(Data, Scope)>> {
        if self.no_cache {
            return Ok(None);
        }
        let data = Data::open(call)?;
        if self.remote.is_none() && data.repo.setting("core", "remote").is_none() {
            return Ok(None);
        }
        let scope = Scope {
            remote: self.remote.clone(),
            jobs: self.jobs,
            ..Scope::default()
        };
        Ok(Some((data, scope)))
    }

    /// Sends the data of the experiments, which must be here.
    fn push(&self, chosen: &[Experiment], call: &Call) -> anyhow::Result<usize> {
        let Some((data, scope)) = self.open(call)? else {
            return Ok(0);
        };
        let _lock = data.lock()?;
        let mut count = 0;
        let mut missing = Vec::new();
        for job in sync::jobs_of_commits(&data, &scope, &commits(chosen), true)? {
            let done = remote::push(&data.repo, &job.remote, &job.objects)?;
            count += done.count;
            missing.extend(done.missing);
        }
        if self.run_cache {
            let to = sync::open(&data, scope.remote.as_deref(), &scope)?;
            count += remote::push_run_cache(&data.repo, &to)?;
        }
        sync::refuse_missing(
            &missing,
            "is neither in the cache nor on the remote; no experiment was sent",
        )?;
        Ok(count)
    }

    /// Brings the data of the experiments, as far as it was sent.
    fn fetch(&self, chosen: &[Experiment], call: &Call) -> anyhow::Result<usize> {
        let Some((data, scope)) = self.open(call)? else {
            return Ok(0);
        };
        let _lock = data.lock()?;
        let mut count = 0;
        let mut missing = Vec::new();
        if self.run_cache {
            let from = sync::open(&data, scope.remote.as_deref(), &scope)?;
            count += remote::fetch_run_cache(&data.repo, &from)?;
        }
        for job in sync::jobs_of_commits(&data, &scope, &commits(chosen), false)? {
            let done = remote::fetch(&data.repo, &job.remote, &job.objects)?;
            count += done.count;
            missing.extend(done.missing);
        }
        sync::refuse_missing(
            &missing,
            "is neither in the cache nor on the remote; the experiments are here",
        )?;
        Ok(count)
    }
}

fn commits(experiments: &[Experiment]) -> Vec<String> {
    experiments.iter().map(|one| one.commit.clone()).collect()
}

/// Sends them.
pub fn push(args: &PushArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let all = experiments::all(&place.root)?;
    let chosen = chosen(&place, all, &args.names, &args.baselines)?;
    // Whoever finds an experiment finds its data.
    let count = args.with_data.push(&chosen, call)?;
    transfer(&place, "push", &args.git_remote, &chosen, args.force)?;
    tell(call, "pushed", &args.git_remote, &chosen, count)
}

/// Fetches them.
pub fn pull(args: &PullArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let listed = process::output_of(
        "git",
        &["ls-remote", "--", &args.git_remote, "refs/exps/*"],
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
    let chosen = chosen(&place, there.collect(), &args.names, &args.baselines)?;
    transfer(&place, "fetch", &args.git_remote, &chosen, args.force)?;
    let count = args.with_data.fetch(&chosen, call)?;
    tell(call, "pulled", &args.git_remote, &chosen, count)
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
