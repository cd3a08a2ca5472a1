use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::Call;
use super::show::short_name;
use super::{Baselines, Place};
use crate::exit::Outcome;
use crate::{experiments, process, terminal};

/// List experiments, by the commits they began from.
///
/// Examples:
///   lathe exp list -A
///   lathe exp list origin
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Those that a git remote has.
    git_remote: Option<String>,
    #[command(flatten)]
    baselines: Baselines,
    /// Only their names.
    #[arg(long, visible_alias = "names-only")]
    name_only: bool,
    /// Only their commits.
    #[arg(long, alias = "shas-only", conflicts_with = "name_only")]
    sha_only: bool,
}

/// Lists them.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let found = match &args.git_remote {
        Some(remote) => of_remote(&place, remote)?,
        None => experiments::all(&place.root)?,
    };
    let wanted = args.baselines.commits(&place)?;
    let commits: Vec<String> = if args.baselines.all_commits {
        let mut seen = HashSet::new();
        let baselines = found.iter().map(|one| one.baseline.clone());
        baselines.filter(|commit| seen.insert(commit.clone())).collect()
    } else {
        wanted
    };
    let mut told = Map::new();
    for commit in commits {
        let of_commit: Vec<_> = found.iter().filter(|one| one.baseline == commit).collect();
        if of_commit.is_empty() {
            continue;
        }
        if call.json {
            let listed = of_commit
                .iter()
                .map(|one| json!({ "name": one.name, "rev": one.commit }));
            told.insert(commit, Value::Array(listed.collect()));
            continue;
        }
        if !args.name_only && !args.sha_only {
            println!("{}:", short_name(&place, &commit));
        }
        for one in of_commit {
            match (args.name_only, args.sha_only) {
                (true, _) => println!("{}", one.name),
                (_, true) => println!("{}", one.commit),
                _ => println!("\t{} [{}]", &one.commit[..7], one.name),
            }
        }
    }
    if call.json {
        terminal::print_json(&Value::Object(told))?;
    }
    Ok(Outcome::Done)
}

/// Those that a git remote has.
pub fn of_remote(place: &Place, remote: &str) -> anyhow::Result<Vec<experiments::Experiment>> {
    let listed = process::output_of("git", &["ls-remote", "--", remote, "refs/exps/*"], &place.root)?;
    Ok(listed
        .lines()
        .filter_map(|line| {
            let (commit, reference) = line.split_once('\t')?;
            let (baseline, name) = experiments::parse(reference)?;
            Some(experiments::Experiment {
                name,
                baseline,
                commit: commit.to_owned(),
            })
        })
        .collect())
}
