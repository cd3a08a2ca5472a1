use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use lathe_data::Repo;
use sha2::{Digest, Sha256};

use super::refs::{self, Experiment};
use crate::{git, process};

/// What is saved, and as what.
pub struct Saving<'a> {
    /// The project's folder, in the repository or in a worktree of it.
    pub root: &'a Path,
    /// The commit it was begun from.
    pub baseline: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Replace an experiment of the same name.
    pub force: bool,
    /// Files that git does not know and that belong to it all the same.
    pub include: &'a [String],
    /// Said of the commit instead of what DVC says.
    pub message: Option<&'a str>,
}

/// What came of it.
pub struct Saved {
    /// The experiment.
    pub experiment: Experiment,
    /// Files that git neither knows nor ignores; they are not part of it.
    pub left_out: Vec<String>,
}

/// Commits the files as they are on top of the baseline: what git tracks, and what the pipelines say belongs to git
/// (locks, outputs that are not cached, params, metrics, plots). Branch, index and files stay as they are.
pub fn save(saving: &Saving<'_>) -> anyhow::Result<Saved> {
    let mut index = Index::of(saving.root)?;
    index.add(&belonging(saving.root)?)?;
    index.add(saving.include)?;
    let tree = index.git(&["write-tree"])?;
    let left_out = index.git(&["ls-files", "--others", "--exclude-standard", "-z"])?;
    let hex = hex::encode(Sha256::digest(locks(saving.root)?));
    let message = match saving.message {
        Some(message) => message.to_owned(),
        None => format!("dvc: commit experiment {hex}"),
    };
    let commit = commit(saving.root, &tree, &[saving.baseline], &message)?;
    let experiment = Experiment {
        name: saving.name.to_owned(),
        baseline: saving.baseline.to_owned(),
        commit,
    };
    refs::store(saving.root, &experiment, saving.force)?;
    let left_out = left_out.split('\0').filter(|path| !path.is_empty());
    Ok(Saved {
        experiment,
        left_out: left_out.map(str::to_owned).collect(),
    })
}

/// Commits the files as they are, with some replaced (path from `root`, content), and nothing else touched.
pub fn snapshot(
    root: &Path,
    baseline: &str,
    message: &str,
    replaced: &[(String, Vec<u8>)],
) -> anyhow::Result<String> {
    let mut index = Index::of(root)?;
    index.add(&belonging(root)?)?;
    let prefix = git::prefix(root)?;
    for (path, content) in replaced {
        let blob = index.blob(content)?;
        index.git(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("100644,{blob},{prefix}{path}"),
        ])?;
    }
    let tree = index.git(&["write-tree"])?;
    commit(root, &tree, &[baseline], message)
}

/// A copy of git's index that holds every change of tracked files; goes away by itself.
struct Index {
    root: PathBuf,
    file: tempfile::TempDir,
}

impl Index {
    fn of(root: &Path) -> anyhow::Result<Self> {
        let file = tempfile::tempdir().context("no folder for a copy of the index")?;
        let mut index = Self {
            root: root.to_owned(),
            file,
        };
        let own = process::output_of("git", &["rev-parse", "--git-path", "index"], root)?;
        let own = root.join(own);
        if own.exists() {
            std::fs::copy(&own, index.path())
                .with_context(|| format!("failed to copy `{}`", own.display()))?;
        }
        index.git(&["add", "--update", ":/"])?;
        Ok(index)
    }

    fn path(&self) -> PathBuf {
        self.file.path().join("index")
    }

    fn git(&mut self, args: &[&str]) -> anyhow::Result<String> {
        self.given(args, &[])
    }

    fn given(&mut self, args: &[&str], input: &[u8]) -> anyhow::Result<String> {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(&self.root)
            .env("GIT_INDEX_FILE", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start `git`")?;
        if let Some(mut pipe) = child.stdin.take() {
            // If git does not want it, its exit status says why.
            let _ = pipe.write_all(input);
        }
        let output = child.wait_with_output().context("`git` was lost")?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("`git {}` failed: {}", args.join(" "), complaint.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Adds files and folders that are there, whether git ignores them or not.
    fn add(&mut self, paths: &[String]) -> anyhow::Result<()> {
        let mut asked = Vec::new();
        for path in paths {
            if self.root.join(path).symlink_metadata().is_ok() {
                asked.extend_from_slice(path.as_bytes());
                asked.push(0);
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        self.given(
            &[
                "--literal-pathspecs",
                "add",
                "--force",
                "--pathspec-from-file=-",
                "--pathspec-file-nul",
            ],
            &asked,
        )
        .map(drop)
    }

    fn blob(&mut self, content: &[u8]) -> anyhow::Result<String> {
        self.given(&["hash-object", "-w", "--stdin"], content)
    }
}

/// Commits a tree on top of other commits.
pub fn commit(root: &Path, tree: &str, parents: &[&str], message: &str) -> anyhow::Result<String> {
    let mut args: Vec<&str> = Vec::new();
    if process::output_of("git", &["config", "user.email"], root).is_err() {
        args.extend(["-c", "user.name=Lathe", "-c", "user.email=lathe@localhost"]);
    }
    args.extend(["commit-tree", tree, "-m", message]);
    args.extend(parents.iter().flat_map(|parent| ["-p", parent]));
    process::output_of("git", &args, root)
}

/// Paths, relative to `root`, that git should hold though it may not know them yet.
fn belonging(root: &Path) -> anyhow::Result<Vec<String>> {
    let Ok(repo) = Repo::discover(root) else {
        return Ok(Vec::new());
    };
    let pipelines = lathe_pipeline::Project::load(&repo)?;
    let mut paths = BTreeSet::from([crate::project::FILE_NAME.to_owned()]);
    for file in pipelines.files() {
        paths.insert(file.path.to_string());
        paths.insert(lock_of(&file.path));
        paths.extend(file.params.iter().cloned());
        paths.extend(file.metrics.iter().cloned());
        paths.extend(file.plots.iter().map(|(path, _)| path.clone()));
    }
    for stage in pipelines.stages() {
        paths.extend(stage.params.iter().map(|params| params.at.clone()));
        let outs = stage.outs.iter().filter(|out| !out.cache);
        paths.extend(outs.map(|out| out.at.clone()));
    }
    // A pipeline may name files outside of the repository, by which it is none of git's business.
    paths.retain(|path| !path.starts_with('/') && !path.split('/').any(|part| part == ".."));
    let from_root = paths.into_iter().map(|path| repo.root().join(path));
    let relative = from_root.filter_map(|path| {
        let path: OsString = path.strip_prefix(root).ok()?.into();
        path.into_string().ok()
    });
    Ok(relative.collect())
}

fn locks(root: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    for path in belonging(root)? {
        if path == "dvc.lock" || path.ends_with("/dvc.lock") {
            text.extend(std::fs::read(root.join(&path)).unwrap_or_default());
        }
    }
    Ok(text)
}

fn lock_of(pipeline: &str) -> String {
    match pipeline.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/dvc.lock"),
        None => "dvc.lock".to_owned(),
    }
}
