//! What `push`, `fetch`, `pull`, `gc` and `status --cloud` have in common: which commits, which remotes, which objects.

use std::collections::BTreeMap;

use lathe_data::remote::{self, Objects, Remote, Transferred, find_remote, used_objects};
use lathe_data::{Algorithm, DataKind, Selected, Tracked};

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
    #[arg(skip)]
    pub limits: Limits,
}

/// What is sent to a remote or brought from it.
#[derive(Debug, clap::Args)]
pub struct Transfer {
    /// `.dvc` files, outputs, paths inside of them, stages; everything if absent.
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// Also what earlier executions made.
    #[arg(long, overrides_with = "no_run_cache")]
    run_cache: bool,
    /// Not what earlier executions made, as if `--run-cache` were not given.
    #[arg(long)]
    no_run_cache: bool,
}

/// What is sent to a remote or brought from it, resolved.
pub struct Wanted {
    /// `.dvc` files, outputs, paths inside of them, stages; everything if empty.
    pub targets: Vec<String>,
    /// Which remote, commits and data.
    pub scope: Scope,
    /// Also what earlier executions made.
    pub run_cache: bool,
}

impl Transfer {
    /// Resolves it; with `glob` targets are patterns.
    pub fn wanted(self, data: &Data, glob: bool) -> anyhow::Result<Wanted> {
        let targets = match glob {
            true => matching(data, &self.targets)?,
            false => self.targets,
        };
        Ok(Wanted {
            targets,
            scope: self.scope,
            run_cache: self.run_cache && !self.no_run_cache,
        })
    }
}

/// What patterns find among `.dvc` files, what they and stages make, and stages.
fn matching(data: &Data, patterns: &[String]) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for out in &data.all {
        names.push(out.shown(&data.folder));
        names.push(out.address(&data.folder));
    }
    let mut found = Vec::new();
    for pattern in patterns {
        let matched = lathe_data::matching(pattern, names.iter().map(String::as_str))?;
        if matched.is_empty() {
            return Err(hinted(
                format!("nothing that is tracked matches `{pattern}`"),
                "check the pattern, quoted so that the shell leaves it",
            ));
        }
        found.extend(matched);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Which data is left out, whatever the targets say.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Limits {
    /// Only files and folders of fewer bytes than this.
    #[arg(long, value_name = "BYTES")]
    max_size: Option<u64>,
    /// Only what stages list so.
    #[arg(long = "type", value_name = "KIND", value_enum)]
    kinds: Vec<KindArg>,
}

/// What data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KindArg {
    /// Under `metrics`.
    Metrics,
    /// Under `plots`.
    Plots,
}

impl Limits {
    fn takes(&self, out: &Tracked) -> bool {
        let is_small = match (self.max_size, &out.recorded) {
            (Some(max), Some(recorded)) => recorded.size.is_some_and(|size| size < max),
            _ => true,
        };
        let is_kind = |kind: &KindArg| match kind {
            KindArg::Metrics => out.kind == DataKind::Metric,
            KindArg::Plots => out.kind == DataKind::Plot,
        };
        is_small && (self.kinds.is_empty() || self.kinds.iter().any(is_kind))
    }
}

impl Scope {
    /// Whether the limits leave it in.
    pub fn takes(&self, out: &Tracked) -> bool {
        self.limits.takes(out)
    }

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
    // Another repository keeps what is its own, and what was never downloaded is on no remote.
    let is_elsewhere =
        |out: &Tracked| out.is_repo_import() || (out.origin.is_some() && out.recorded.is_none());
    let has_imports = selected.iter().any(|selected| is_elsewhere(selected.out));
    selected.retain(|selected| {
        let out = selected.out;
        out.is_cached && (!to_send || out.is_pushed) && !is_elsewhere(out) && scope.takes(out)
    });
    let mut by_remote: BTreeMap<Option<&str>, Vec<Selected<'_>>> = BTreeMap::new();
    for selected in selected {
        let own = selected.out.remote.as_deref();
        let name = if scope.remote.remote.is_some() { None } else { own };
        by_remote.entry(name).or_default().push(selected);
    }
    if by_remote.is_empty() && (to_send || !has_imports) {
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
