use serde_json::json;

use super::super::Call;
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
}

/// Sends them.
pub fn push(args: &PushArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let all = experiments::all(&place.root)?;
    let chosen = chosen(&place, all, &args.names, &args.baselines)?;
    transfer(&place, call, "push", &args.git_remote, &chosen, args.force)
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
    transfer(&place, call, "fetch", &args.git_remote, &chosen, args.force)
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
    call: &Call,
    how: &str,
    remote: &str,
    chosen: &[Experiment],
    force: bool,
) -> anyhow::Result<Outcome> {
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
    let names: Vec<&str> = chosen.iter().map(|one| one.name.as_str()).collect();
    if call.json {
        terminal::print_json(&json!({ "experiments": names, "remote": remote }))?;
    } else if names.is_empty() {
        println!("no experiments");
    } else {
        println!(
            "{}: {}",
            if how == "push" { "pushed" } else { "pulled" },
            names.join(", ")
        );
    }
    Ok(Outcome::Done)
}
