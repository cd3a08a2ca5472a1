//! What `push`, `fetch`, `pull`, `gc` and `status --cloud` have in common: which commits, which remotes, which objects.

use std::collections::BTreeMap;

use lathe_data::remote::{Objects, Remote, find_remote, used_objects};
use lathe_data::{Algorithm, Selected, Selection, Tracked};

use super::Data;
use crate::exit::hinted;
use crate::git;

/// Which data is meant.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Scope {
    /// The remote; the default one if absent.
    #[arg(short, long, value_name = "NAME")]
    pub remote: Option<String>,
    /// Files on their way at once.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Data of all branches.
    #[arg(short, long)]
    pub all_branches: bool,
    /// Data of all tags.
    #[arg(short = 'T', long)]
    pub all_tags: bool,
    /// Data of all commits.
    #[arg(short = 'A', long)]
    pub all_commits: bool,
    /// Also what the targets are made of.
    #[arg(short = 'd', long)]
    pub with_deps: bool,
    /// A folder means all that is tracked in it.
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

impl Scope {
    fn selection(&self) -> Selection {
        Selection {
            recursive: self.recursive,
            with_deps: self.with_deps,
        }
    }

    fn revisions(&self, data: &Data) -> anyhow::Result<Vec<String>> {
        let root = data.repo.root();
        let mut revisions = Vec::new();
        if self.all_branches {
            revisions.extend(git::references(root, "refs/heads")?);
        }
        if self.all_tags {
            revisions.extend(git::references(root, "refs/tags")?);
        }
        if self.all_commits {
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
    let mut selected = data.select(targets, scope.selection())?;
    for all in &elsewhere {
        let found = lathe_data::select(&data.repo, all, targets, &data.folder, scope.selection());
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
        let name = if scope.remote.is_some() { None } else { own };
        by_remote.entry(name).or_default().push(selected);
    }
    if by_remote.is_empty() {
        // A remote that is not there is an error even if there is nothing to do.
        open(data, scope.remote.as_deref(), scope)?;
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
            let remote = open(data, name.or(scope.remote.as_deref()), scope)?;
            let objects = used_objects(&data.repo, &selected, algorithm, Some(&remote))?;
            jobs.push(Job { remote, objects });
        }
    }
    Ok(jobs)
}

/// Opens a remote.
pub fn open(data: &Data, name: Option<&str>, scope: &Scope) -> anyhow::Result<Remote> {
    let settings = find_remote(&data.repo, name)?;
    let jobs = scope.jobs.map(usize::from);
    super::stores::open(&settings, jobs)
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
