//! Removes data that nothing uses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;

use lathe_data::remote::{Objects, collect_garbage, used_objects};
use lathe_data::{Algorithm, Repo, Selected, Tracked};
use serde_json::json;

use crate::commands::Call;
use crate::commands::data::sync::{RemoteArgs, Scope};
use crate::commands::data::{Data, Locked};
use crate::exit::{Outcome, hinted};
use crate::revisions::Commits;
use crate::{git, terminal};

/// Which data is used, and where the rest goes.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Data")]
pub struct Options {
    /// Data of the workspace is used.
    #[arg(short, long)]
    workspace: bool,
    /// Data of all branches is used.
    #[arg(short, long)]
    all_branches: bool,
    /// Data of all tags is used.
    #[arg(short = 'T', long)]
    all_tags: bool,
    /// Data of all commits is used.
    #[arg(short = 'A', long)]
    all_commits: bool,
    /// Data of all experiments is used.
    #[arg(long)]
    all_experiments: bool,
    /// Data of all commits since this day is used: `2026-05-31`.
    #[arg(long, value_name = "DAY")]
    date: Option<String>,
    /// Data of this commit is used.
    #[arg(long, value_name = "COMMIT")]
    rev: Option<String>,
    /// Of `--rev` and its ancestors, so many commits count; all of them if less than one.
    #[arg(
        short,
        long,
        requires = "rev",
        default_value_t = 1,
        allow_hyphen_values = true,
        value_name = "NUMBER"
    )]
    num: i64,
    /// Keep what the remote does not have.
    #[arg(long)]
    not_in_remote: bool,
    /// Remove it from a remote too.
    #[arg(short, long)]
    cloud: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Do not ask.
    #[arg(short, long)]
    force: bool,
    /// Other projects that use the same cache.
    #[arg(short, long, num_args = 0.., value_name = "PATH")]
    projects: Vec<String>,
}

impl Options {
    /// Whether an option of data is given.
    pub fn names_data(&self) -> bool {
        self.names_scope()
            || self.cloud
            || self.not_in_remote
            || self.remote.remote.is_some()
            || self.force
            || self.remote.jobs.is_some()
            || !self.projects.is_empty()
    }

    /// Whether it is said which data is used.
    fn names_scope(&self) -> bool {
        self.workspace
            || self.all_branches
            || self.all_tags
            || self.all_commits
            || self.all_experiments
            || self.date.is_some()
            || self.rev.is_some()
    }

    /// Commits that count beside those of the other options.
    fn commits(&self, root: &Path) -> anyhow::Result<Vec<String>> {
        let mut commits = Vec::new();
        if self.all_experiments {
            commits.extend(git::references(root, "refs/exps")?);
        }
        if let Some(day) = &self.date {
            commits.extend(git::commits_since(root, day)?);
        }
        if let Some(revision) = &self.rev {
            commits.extend(git::ancestors(
                root,
                revision,
                usize::try_from(self.num).ok().filter(|num| *num != 0),
            )?);
        }
        Ok(commits)
    }
}

/// Collects garbage.
pub fn execute(args: Options, dry: bool, call: &Call) -> anyhow::Result<Outcome> {
    if !args.names_scope() {
        return Err(hinted(
            "it is not said which data is used",
            "use `--workspace`, `--all-branches`, `--all-tags`, `--all-commits`, `--all-experiments`, `--date` or `--rev`",
        ));
    }
    let (data, others) = open(call, &args.projects)?;
    let scope = Scope {
        remote: args.remote.clone(),
        commits: Commits {
            all_branches: args.all_branches,
            all_tags: args.all_tags,
            all_commits: args.all_commits,
        },
        ..Scope::default()
    };
    let mut tracked: Vec<Vec<Tracked>> = scope.tracked_elsewhere(&data)?;
    for commit in args.commits(data.repo.root())? {
        tracked.push(data.at_revision(&commit)?);
    }
    tracked.push(data.all.clone());
    tracked.extend(others.iter().map(|other| other.all.clone()));
    let mut used = Vec::new();
    for algorithm in [Algorithm::Md5, Algorithm::Md5Dos2Unix] {
        used.push(objects(&data, &tracked, algorithm, None)?);
    }
    refuse_unknown(&used, args.force)?;
    if !dry && !args.force && !confirmed()? {
        return Err(hinted(
            "nothing is removed without asking",
            "use `--force` to remove it, or `--dry` to see it",
        ));
    }
    let kept_unless_in = match args.not_in_remote {
        true => Some(scope.remote.open(&data)?),
        false => None,
    };
    let mut local = BTreeSet::new();
    let mut bytes = 0;
    for objects in &used {
        let garbage = collect_garbage(&data.repo, objects, None, kept_unless_in.as_ref(), dry)?;
        local.extend(garbage.md5s);
        bytes += garbage.bytes;
    }
    let mut remote = 0;
    if args.cloud {
        let at = scope.remote.open(&data)?;
        for algorithm in [Algorithm::Md5, Algorithm::Md5Dos2Unix] {
            // Lists that only the remote has say which of its files are used.
            let objects = objects(&data, &tracked, algorithm, Some(&at))?;
            refuse_unknown(std::slice::from_ref(&objects), args.force)?;
            remote += collect_garbage(&data.repo, &objects, Some(&at), None, dry)?
                .md5s
                .len();
        }
    }
    let verb = if dry { "would be removed" } else { "removed" };
    if call.json {
        terminal::print_json(&json!({ "dry": dry, "cache": local, "bytes": bytes, "remote": remote }))?;
    } else if local.is_empty() && remote == 0 {
        tell!("nothing is unused");
    } else {
        tell!("{} objects of the cache {verb} ({bytes} bytes)", local.len());
        if args.cloud {
            tell!("{remote} objects of the remote {verb}");
        }
    }
    Ok(Outcome::Done)
}

/// The data of this project and of others that use the same cache, none of which changes meanwhile.
fn open(call: &Call, projects: &[String]) -> anyhow::Result<(Locked, Vec<Locked>)> {
    let mut folders = BTreeMap::new();
    for folder in projects.iter().map(|project| call.folder.join(project)) {
        folders.insert(Repo::discover(&folder)?.root().to_owned(), folder);
    }
    let own = Repo::discover(&call.folder)?.root().to_owned();
    folders.insert(own.clone(), call.folder.clone());
    let (mut data, mut others) = (None, Vec::new());
    // By their paths, so that two who take several locks do not wait for each other.
    for (root, folder) in folders {
        let locked = Data::locked_in(&folder)?;
        match root == own {
            true => data = Some(locked),
            false => others.push(locked),
        }
    }
    Ok((data.expect("it is one of the folders"), others))
}

fn objects(
    data: &Data,
    tracked: &[Vec<Tracked>],
    algorithm: Algorithm,
    remote: Option<&lathe_data::remote::Remote>,
) -> anyhow::Result<Objects> {
    let selected: Vec<Selected<'_>> = tracked
        .iter()
        .flatten()
        .map(|out| Selected { out, within: None })
        .collect();
    Ok(used_objects(&data.repo, &selected, algorithm, remote)?)
}

/// Files of a folder whose list is nowhere would be taken for unused.
fn refuse_unknown(used: &[Objects], force: bool) -> anyhow::Result<()> {
    let unknown = used.iter().flat_map(|objects| objects.unknown.values()).next();
    match unknown {
        Some(name) if !force => Err(hinted(
            format!("the list of the files in `{name}` is not in the cache, so they would all be removed"),
            "fetch it with `lathe fetch`, or use `--force`",
        )),
        _ => Ok(()),
    }
}

fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Remove all data that is not used by what you named? [y/n] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
