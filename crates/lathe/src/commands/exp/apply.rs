use lathe_data::{Recorded, RepoLock, ops};
use serde_json::json;

use super::super::Call;
use super::Place;
use crate::exit::{Outcome, hinted};
use crate::{experiments, git, process, terminal};

/// Where the files lie that the last `apply` replaced.
const BEFORE: &str = "refs/lathe/before-apply";

/// Make the files what an experiment has; the branch stays where it is.
///
/// Changes that were not committed are kept as `refs/lathe/before-apply`, outputs come from the cache.
///
/// Examples:
///   lathe exp apply brisk-anvil
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The experiment.
    name: String,
    /// Refuse if there is something that was not committed.
    #[arg(long)]
    no_force: bool,
}

/// Make a branch that holds an experiment.
///
/// Examples:
///   lathe exp branch brisk-anvil better
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct BranchArgs {
    /// The experiment.
    name: String,
    /// The branch; `<name>-branch` if absent.
    branch: Option<String>,
}

/// Replaces the files.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let commit = match experiments::find(&place.root, &args.name)? {
        Some(experiment) => experiment.commit,
        None => match experiments::find_entry(&place.root, &args.name)? {
            Some(entry) => entry.commit,
            None => place.experiment(&args.name)?.commit,
        },
    };
    let _lock = RepoLock::acquire(&place.repo)?;
    let is_dirty = git::checkout(&place.root).is_some_and(|checkout| checkout.dirty);
    if is_dirty && args.no_force {
        return Err(hinted(
            "there are changes that were not committed",
            "commit them, or leave `--no-force` out: they are kept",
        ));
    }
    if is_dirty {
        let message = format!("Files before `{}` was applied", args.name);
        let before = experiments::snapshot(&place.root, &place.head, &message, &[])?;
        process::output_of(
            "git",
            &["update-ref", "--create-reflog", BEFORE, &before],
            &place.root,
        )?;
    }
    let source = format!("--source={commit}");
    process::output_of(
        "git",
        &["restore", &source, "--worktree", "--", ":/"],
        &place.root,
    )?;
    let missing = restore_outs(call)?;
    if call.json {
        terminal::print_json(&json!({ "applied": args.name, "rev": commit, "missing": missing }))?;
        return Ok(Outcome::Done);
    }
    println!("the files are those of `{}`", args.name);
    if is_dirty {
        println!("what was not committed before is kept: `git restore --source={BEFORE} :/` brings it back");
    }
    for problem in missing {
        eprintln!("{} {problem}", terminal::paint("note:", terminal::Style::Warn));
    }
    Ok(Outcome::Done)
}

/// Brings outputs to what the locks say; what the cache does not hold is returned.
fn restore_outs(call: &Call) -> anyhow::Result<Vec<String>> {
    let place = Place::of(call)?;
    let state = crate::revisions::state(&place.repo, crate::revisions::WORKSPACE)?;
    let mut missing = Vec::new();
    for out in state.outs() {
        let Some(hashed) = out.hashed.filter(|_| out.cache) else {
            continue;
        };
        let at = place.repo.root().join(&out.at);
        let found = lathe_data::hash_path(&place.repo, &at)?;
        if found.is_some_and(|found| found.hashed.md5 == hashed.md5) {
            continue;
        }
        if place.repo.cache().holds(&hashed.md5)? {
            ops::restore(&place.repo, &Recorded::new(&hashed), &at)?;
        } else {
            missing.push(format!(
                "the cache does not hold `{}`; `lathe run` makes it again",
                out.at
            ));
        }
    }
    Ok(missing)
}

/// Makes the branch.
pub fn branch(args: &BranchArgs, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let experiment = place.experiment(&args.name)?;
    let branch = args
        .branch
        .clone()
        .unwrap_or_else(|| format!("{}-branch", experiment.name));
    let at = format!("refs/heads/{branch}");
    if git::commit_of(&place.root, &at).is_some() {
        return Err(hinted(
            format!("there is a branch `{branch}` already"),
            format!("name another: `lathe exp branch {} BRANCH`", args.name),
        ));
    }
    process::output_of(
        "git",
        &["branch", "--no-track", "--", &branch, &experiment.commit],
        &place.root,
    )?;
    if call.json {
        terminal::print_json(&json!({ "branch": branch, "rev": experiment.commit }))?;
    } else {
        println!(
            "branch `{branch}` holds `{}`; `git checkout {branch}` goes there",
            experiment.name
        );
    }
    Ok(Outcome::Done)
}
