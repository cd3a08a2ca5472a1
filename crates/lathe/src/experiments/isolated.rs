use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::dvc_queue;
use super::queue::{self, Entry};
use super::refs::Experiment;
use super::save::{Saving, save};
use crate::settings::STATE_FOLDER;
use crate::{git, process};

/// Executes experiments in worktrees of their own, so that several can go on at once and nobody's files change.
pub struct Runner<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// The server that keeps the runs.
    pub url: &'a str,
}

/// What came of one.
pub enum Executed {
    /// It is saved; the run is the one that recorded it, if anything was executed.
    Saved(Experiment, Option<String>),
    /// Its pipeline failed, with its last words.
    Failed(String),
    /// Somebody pressed Ctrl-C; it waits as before.
    Interrupted,
    /// Another process has it or had it.
    Taken,
}

/// A worktree that goes away with this.
struct Worktree<'a> {
    root: &'a Path,
    folder: PathBuf,
}

impl Drop for Worktree<'_> {
    fn drop(&mut self) {
        if let Err(error) = git::remove_worktree(self.root, &self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "an experiment's folder stays");
        }
    }
}

impl Runner<'_> {
    /// Executes one that waits, and saves it.
    pub fn execute(&self, entry: &Entry) -> anyhow::Result<Executed> {
        let Some(_claim) = queue::claim(self.root, &entry.name)? else {
            return Ok(Executed::Taken);
        };
        if git::commit_of(self.root, &entry.at()).as_deref() != Some(&entry.commit) {
            return Ok(Executed::Taken);
        }
        if let Some(mirror) = &entry.order.mirror
            && !dvc_queue::take(self.root, mirror)?
        {
            return Ok(Executed::Taken);
        }
        let worktree = self.worktree(entry)?;
        let project = worktree.folder.join(git::prefix(self.root)?);
        lathe_data::share_cache(self.root, &project)?;
        for path in &entry.order.copy {
            let to = project.join(path);
            // What is there goes, so it must be the worktree's: not even a link may lead out of it.
            ensure!(
                is_inside(path) && stays_in(&project, &to)?,
                "`{path}` of `--copy-paths` leads out of the project"
            );
            lathe_data::remove_path(&to)?;
            lathe_data::copy_tree(&self.root.join(path), &to)?;
        }
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--json", "--server", self.url])
            .args(tags(&entry.name, &entry.baseline).map(|tag| format!("--tag={tag}")))
            .args(&entry.order.arguments)
            .current_dir(&project)
            .env("DVC_EXP_NAME", &entry.name)
            .env("DVC_EXP_BASELINE_REV", &entry.baseline)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start `lathe run`")?;
        queue::note_process(self.root, &entry.name, child.id())?;
        let output = child.wait_with_output().context("`lathe run` was lost")?;
        let was_killed = queue::process_ended(self.root, &entry.name)?;
        let log = self.keep_log(&entry.name, &project, &output.stderr)?;
        if was_killed {
            queue::mark_failed(self.root, entry)?;
            return Ok(Executed::Failed("it was killed: lathe queue kill".to_owned()));
        }
        if output.status.code() == Some(130) {
            return Ok(Executed::Interrupted);
        }
        if !output.status.success() {
            queue::mark_failed(self.root, entry)?;
            let lines: Vec<&str> = log.lines().collect();
            return Ok(Executed::Failed(
                lines[lines.len().saturating_sub(12)..].join("\n"),
            ));
        }
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let saved = save(&Saving {
            root: &project,
            baseline: &entry.baseline,
            name: &entry.name,
            force: entry.order.force,
            include: &entry.order.include,
            message: entry.order.message.as_deref(),
        })?;
        queue::remove(self.root, entry)?;
        let run = report["run_id"].as_str().map(str::to_owned);
        Ok(Executed::Saved(saved.experiment, run))
    }

    /// The files of the experiment, on top of its baseline as if they were changes of it.
    fn worktree(&self, entry: &Entry) -> anyhow::Result<Worktree<'_>> {
        let folder = queue::folder(self.root).join(&entry.name);
        if folder.exists() {
            // What a process that was killed left.
            git::remove_worktree(self.root, &folder)
                .or_else(|_| std::fs::remove_dir_all(&folder).map_err(anyhow::Error::from))?;
        }
        process::output_of("git", &["worktree", "prune"], self.root)?;
        git::add_detached_worktree(self.root, &folder, &entry.commit)?;
        let worktree = Worktree {
            root: self.root,
            folder,
        };
        // DVC's options of an experiment, which are none of its files.
        lathe_data::remove_path(
            &worktree
                .folder
                .join(git::prefix(self.root)?)
                .join(dvc_queue::ARGUMENTS),
        )?;
        process::output_of(
            "git",
            &["reset", "--quiet", "--soft", &entry.baseline],
            &worktree.folder,
        )?;
        Ok(worktree)
    }

    /// What the command complained of and what its stages printed.
    fn keep_log(&self, name: &str, project: &Path, complaints: &[u8]) -> anyhow::Result<String> {
        let mut text = stage_logs(project);
        text.push_str(&String::from_utf8_lossy(complaints));
        let path = queue::log_of(self.root, name);
        std::fs::write(&path, &text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(text)
    }
}

/// Whether a path names something in the folder that it is relative to.
pub fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Whether the folder that holds `path`, as far as it is there, is `project` or in it.
fn stays_in(project: &Path, path: &Path) -> anyhow::Result<bool> {
    let project =
        std::fs::canonicalize(project).with_context(|| format!("failed to read `{}`", project.display()))?;
    let mut holders = path.ancestors().skip(1);
    let holder = holders.find_map(|folder| std::fs::canonicalize(folder).ok());
    Ok(holder.is_some_and(|holder| holder.starts_with(&project)))
}

/// What the stages of a project printed, as far as it is kept.
pub fn stage_logs(project: &Path) -> String {
    let mut text = String::new();
    let mut open = vec![project.join(STATE_FOLDER).join("logs")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    // In the order in which the stages began.
    let begun = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.created()).ok();
    files.sort_by_cached_key(|path| (begun(path), path.clone()));
    for file in files {
        text.push_str(&String::from_utf8_lossy(
            &std::fs::read(&file).unwrap_or_default(),
        ));
    }
    text
}

/// What the run of an experiment is found by.
pub fn tags(name: &str, baseline: &str) -> [String; 3] {
    [
        format!("mlflow.runName={name}"),
        format!("lathe.experiment={name}"),
        format!("lathe.baseline={baseline}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_in_the_project_are_inside() {
        for path in ["a", "./a/b", "a/./b/"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["", ".", "./", "/a", "..", "../a", "a/../../b", "a/.."] {
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn a_link_may_lead_out() {
        let base = tempfile::tempdir().unwrap();
        let project = base.path().join("project");
        std::fs::create_dir_all(project.join("own")).unwrap();
        std::os::unix::fs::symlink(base.path(), project.join("out")).unwrap();
        let stays = |path: &str| stays_in(&project, &project.join(path)).unwrap();
        assert!(stays("a") && stays("own/a") && stays("new/a/b") && stays("out"));
        assert!(!stays("out/a") && !stays("out/new/a"));
    }
}
