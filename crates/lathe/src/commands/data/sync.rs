//! What `push`, `fetch`, `pull`, `gc` and `status --cloud` have in common: which commits, which remotes, which objects.

use std::collections::BTreeMap;

use lathe_data::remote::{self, Objects, Remote, Transferred, find_remote, used_objects};
use lathe_data::{Algorithm, Selected, Tracked};

use super::{Data, ReachArgs};
use crate::exit::hinted;
use crate::git;
use crate::revisions::Commits;

/// Which remote, and how many ways to it.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct RemoteArgs {
    /// The remote; the default one if absent.
    #[arg(short, long, value_name = "NAME")]
    pub remote: Option<String>,
    /// Files on their way at once.
    #[arg(short, long, alias = "remote-jobs", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

impl RemoteArgs {
    /// Opens the remote.
    pub fn open(&self, data: &Data) -> anyhow::Result<Remote> {
        self.open_or(data, None)
    }

    /// Opens the remote, or the one that an output names for itself.
    fn open_or(&self, data: &Data, own: Option<&str>) -> anyhow::Result<Remote> {
        let settings = find_remote(&data.repo, self.remote.as_deref().or(own))?;
        super::stores::open(&settings, self.jobs.map(usize::from))
    }
}

/// Which data is meant.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Scope {
    #[command(flatten)]
    pub remote: RemoteArgs,
    #[command(flatten)]
    pub commits: Commits,
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// What is sent to a remote or brought from it.
#[derive(Debug, clap::Args)]
pub struct Transfer {
    /// `.dvc` files, outputs, paths inside of them, stages; everything if absent.
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// Also what earlier executions made.
    #[arg(long)]
    pub run_cache: bool,
}

impl Scope {
    fn revisions(&self, data: &Data) -> anyhow::Result<Vec<String>> {
        let root = data.repo.root();
        let mut revisions = Vec::new();
        if self.commits.all_branches {
            revisions.extend(git::references(root, "refs/heads")?);
        }
        if self.commits.all_tags {
            revisions.extend(git::references(root, "refs/tags")?);
        }
        if self.commits.all_commits {
            revisions.extend(git::commits(root)?);
        }
        revisions.sort();
        revisions.dedup();
        Ok(revisions)
    }

    /// Everything that is tracked in other commits that are meant; targets are told apart later.
    pub fn tracked_elsewhere(&self, data: &Data) -> anyhow::Result<Vec<Vec<Tracked>>> {
        self.revisions(data)?
            .iter()
            .map(|revision| data.at_revision(revision))
            .collect()
    }
}

/// What goes to or comes from one remote.
pub struct Job {
    /// The remote.
    pub remote: Remote,
    /// The objects.
    pub objects: Objects,
}

/// Groups the data that is meant by remote and algorithm. `to_send` leaves out what is not to be shared.
pub fn jobs(data: &Data, scope: &Scope, targets: &[String], to_send: bool) -> anyhow::Result<Vec<Job>> {
    let elsewhere = scope.tracked_elsewhere(data)?;
    let mut selected = data.select(targets, scope.reach.selection())?;
    for all in &elsewhere {
        let found = lathe_data::select(&data.repo, all, targets, &data.folder, scope.reach.selection());
        // Another commit may not have the target.
        selected.extend(found.unwrap_or_default());
    }
    by_remote(data, scope, selected, to_send)
}

/// As [`jobs`], of all that these commits track.
pub fn jobs_of_commits(
    data: &Data,
    scope: &Scope,
    commits: &[String],
    to_send: bool,
) -> anyhow::Result<Vec<Job>> {
    let mut tracked = Vec::new();
    for commit in commits {
        tracked.extend(data.at_revision(commit)?);
    }
    let selected = tracked.iter().map(|out| Selected { out, within: None });
    by_remote(data, scope, selected.collect(), to_send)
}

fn by_remote(
    data: &Data,
    scope: &Scope,
    mut selected: Vec<Selected<'_>>,
    to_send: bool,
) -> anyhow::Result<Vec<Job>> {
    selected.retain(|selected| selected.out.is_cached && (!to_send || selected.out.is_pushed));
    let mut by_remote: BTreeMap<Option<&str>, Vec<Selected<'_>>> = BTreeMap::new();
    for selected in selected {
        let own = selected.out.remote.as_deref();
        let name = if scope.remote.remote.is_some() { None } else { own };
        by_remote.entry(name).or_default().push(selected);
    }
    if by_remote.is_empty() {
        // A remote that is not there is an error even if there is nothing to do.
        scope.remote.open(data)?;
    }
    let mut jobs = Vec::new();
    for (name, selected) in by_remote {
        for algorithm in [Algorithm::Md5, Algorithm::Md5Dos2Unix] {
            let is_used = selected.iter().any(|selected| {
                selected
                    .out
                    .recorded
                    .as_ref()
                    .is_some_and(|r| r.algorithm == algorithm)
            });
            if !is_used && algorithm == Algorithm::Md5Dos2Unix {
                continue;
            }
            let remote = scope.remote.open_or(data, name)?;
            let objects = used_objects(&data.repo, &selected, algorithm, Some(&remote))?;
            jobs.push(Job { remote, objects });
        }
    }
    Ok(jobs)
}

/// Why something that is wanted cannot be had.
pub const NOWHERE: &str = "is neither in the cache nor on the remote";

/// Sends what the jobs say, then what earlier executions made if that is wanted.
pub fn push(data: &Data, scope: &Scope, jobs: Vec<Job>, run_cache: bool) -> anyhow::Result<Transferred> {
    let mut moved = Transferred::default();
    for job in jobs {
        moved.add(remote::push(&data.repo, &job.remote, &job.objects)?);
    }
    if run_cache {
        moved.count += remote::push_run_cache(&data.repo, &scope.remote.open(data)?)?;
    }
    Ok(moved)
}

/// Brings what earlier executions made if that is wanted, then what the jobs say, into the cache.
pub fn fetch(data: &Data, scope: &Scope, jobs: Vec<Job>, run_cache: bool) -> anyhow::Result<Transferred> {
    let mut moved = Transferred::default();
    if run_cache {
        moved.count += remote::fetch_run_cache(&data.repo, &scope.remote.open(data)?)?;
    }
    for job in jobs {
        moved.add(remote::fetch(&data.repo, &job.remote, &job.objects)?);
    }
    Ok(moved)
}

/// Refuses to go on as if nothing had happened.
pub fn refuse_missing(missing: &[String], what: &str) -> anyhow::Result<()> {
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let more = match missing.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Err(hinted(
        format!("`{first}`{more} {what}"),
        "find a machine that has them, and push from there",
    ))
}
