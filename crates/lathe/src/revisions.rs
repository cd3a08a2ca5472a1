//! The repository as it was at commits: what `metrics`, `params` and `plots` compare.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use lathe_data::Repo;
use lathe_pipeline::{Files, State, Workspace};

use crate::exit::hinted;
use crate::{experiments, git, process};

/// What the state of the files as they are is called.
pub const WORKSPACE: &str = "workspace";

/// Which commits are looked at beside the workspace.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Commits {
    /// Also the last commit of every branch.
    #[arg(short, long)]
    pub all_branches: bool,
    /// Also the commit of every tag.
    #[arg(short = 'T', long)]
    pub all_tags: bool,
    /// Also every commit.
    #[arg(short = 'A', long)]
    pub all_commits: bool,
}

/// A commit's files.
struct CommitFiles {
    root: PathBuf,
    commit: String,
    /// Listed once somebody asks.
    paths: OnceLock<BTreeSet<String>>,
}

impl CommitFiles {
    fn new(root: &Path, commit: String) -> Self {
        Self {
            root: root.to_owned(),
            commit,
            paths: OnceLock::new(),
        }
    }

    fn paths(&self) -> lathe_pipeline::Result<&BTreeSet<String>> {
        if let Some(paths) = self.paths.get() {
            return Ok(paths);
        }
        let arguments = ["ls-tree", "-r", "-z", "--name-only", self.commit.as_str()];
        let listed = process::output_of("git", &arguments, &self.root).map_err(|error| {
            lathe_pipeline::Error::Read {
                path: PathBuf::from(&self.commit),
                source: std::io::Error::other(error),
            }
        })?;
        let paths = listed.split('\0').filter(|path| !path.is_empty());
        Ok(self.paths.get_or_init(|| paths.map(str::to_owned).collect()))
    }
}

/// The files of a commit, which is only looked into once one is asked for.
pub fn files_at(root: &Path, commit: &str) -> Arc<dyn Files> {
    Arc::new(CommitFiles::new(root, commit.to_owned()))
}

impl Files for CommitFiles {
    fn read(&self, at: &str) -> lathe_pipeline::Result<Option<Vec<u8>>> {
        if !self.paths()?.contains(at) {
            return Ok(None);
        }
        let failed = |source| lathe_pipeline::Error::Read {
            path: PathBuf::from(format!("{}:{at}", self.commit)),
            source,
        };
        let output = Command::new("git")
            .args(["cat-file", "blob", &format!("{}:./{at}", self.commit)])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .output()
            .map_err(failed)?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed(std::io::Error::other(complaint)));
        }
        Ok(Some(output.stdout))
    }

    fn pipelines(&self) -> lathe_pipeline::Result<Vec<String>> {
        let is_pipeline = |path: &&String| *path == "dvc.yaml" || path.ends_with("/dvc.yaml");
        Ok(self.paths()?.iter().filter(is_pipeline).cloned().collect())
    }

    fn list(&self, folder: &str) -> lathe_pipeline::Result<Vec<String>> {
        let inside = format!("{folder}/");
        Ok(self
            .paths()?
            .iter()
            .filter(|path| path.starts_with(&inside))
            .cloned()
            .collect())
    }
}

/// The state that a name stands for: `workspace`, or whatever git calls a commit.
pub fn state(repo: &Repo, name: &str) -> anyhow::Result<State> {
    let files: Arc<dyn Files> = match name {
        WORKSPACE => Arc::new(Workspace(repo.clone())),
        _ => {
            let experiment = || Some(experiments::find(repo.root(), name).ok()??.commit);
            let commit = git::commit_of(repo.root(), name).or_else(experiment).ok_or_else(|| {
                hinted(
                    format!("`{name}` names no commit"),
                    "name a branch, a tag, a commit or an experiment, or `workspace` for the files as they are",
                )
            })?;
            files_at(repo.root(), &commit)
        }
    };
    State::open(repo, files).with_context(|| format!("`{name}` cannot be read"))
}

/// Whether the repository has a commit to compare with.
pub fn has_commits(repo: &Repo) -> bool {
    git::commit_of(repo.root(), "HEAD").is_some()
}

/// The names of the commits that are asked for, each commit once.
pub fn names(repo: &Repo, commits: Commits) -> anyhow::Result<Vec<String>> {
    let lines = |args: &[&str]| -> anyhow::Result<Vec<String>> {
        let listed = process::output_of("git", args, repo.root())?;
        Ok(listed.lines().map(str::to_owned).collect())
    };
    let mut names = Vec::new();
    if commits.all_branches {
        names.extend(lines(&[
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/heads",
        ])?);
    }
    if commits.all_tags {
        names.extend(lines(&[
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/tags",
        ])?);
    }
    if commits.all_commits {
        names.extend(lines(&["rev-list", "--all"])?);
    }
    let mut seen = BTreeSet::new();
    let mut distinct = Vec::new();
    for name in names {
        let Some(commit) = git::commit_of(repo.root(), &name) else {
            bail!("git names `{name}`, which is no commit");
        };
        if seen.insert(commit) {
            distinct.push(name);
        }
    }
    Ok(distinct)
}
