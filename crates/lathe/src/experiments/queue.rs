use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::refs;
use crate::process;
use crate::settings::STATE_FOLDER;

const WAITING: &str = "refs/lathe/queue";
const FAILED: &str = "refs/lathe/failed";

/// How a waiting experiment is executed. It is the message of its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Experiments are executed in the order of this number.
    pub number: u64,
    /// What it changes, for people.
    #[serde(default)]
    pub changes: Vec<String>,
    /// What `lathe run` is told.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Files that git does not know and that belong to it.
    #[serde(default)]
    pub include: Vec<String>,
    /// The message of its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it may replace one of the same name.
    #[serde(default)]
    pub force: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody began with it.
    Queued,
    /// Some process executes it.
    Running,
    /// Its pipeline failed.
    Failed,
}

impl State {
    /// As DVC calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}

/// An experiment that was not executed, or not to its end.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The commit it begins from.
    pub baseline: String,
    /// The commit with the files that it begins with.
    pub commit: String,
    /// How it is executed.
    pub order: Order,
    /// How far it is.
    pub state: State,
}

impl Entry {
    fn reference(namespace: &str, baseline: &str, name: &str) -> String {
        refs::reference(baseline, name).replacen("refs/exps", namespace, 1)
    }

    /// Where git keeps it.
    pub fn at(&self) -> String {
        let namespace = match self.state {
            State::Failed => FAILED,
            State::Queued | State::Running => WAITING,
        };
        Self::reference(namespace, &self.baseline, &self.name)
    }
}

/// Puts an experiment with these files at the end of the queue.
pub fn enqueue(
    root: &Path,
    baseline: &str,
    name: &str,
    order: &Order,
    replaced: &[(String, Vec<u8>)],
) -> anyhow::Result<Entry> {
    let message = serde_json::to_string(order)?;
    let commit = super::save::snapshot(root, baseline, &message, replaced)?;
    let at = Entry::reference(WAITING, baseline, name);
    let nothing = "0".repeat(commit.len());
    process::output_of("git", &["update-ref", &at, &commit, &nothing], root)
        .with_context(|| format!("an experiment `{name}` waits already, or cannot be queued"))?;
    Ok(Entry {
        name: name.to_owned(),
        baseline: baseline.to_owned(),
        commit,
        order: order.clone(),
        state: State::Queued,
    })
}

/// All that wait, run or failed, in the order of the queue.
pub fn entries(root: &Path) -> anyhow::Result<Vec<Entry>> {
    let listed = process::output_of(
        "git",
        &[
            "for-each-ref",
            "--format=%(objectname) %(refname) %(contents:subject)",
            WAITING,
            FAILED,
        ],
        root,
    )?;
    let mut found: Vec<Entry> = listed
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let (commit, reference, message) = (parts.next()?, parts.next()?, parts.next()?);
            let is_failed = reference.starts_with(FAILED);
            let namespace = if is_failed { FAILED } else { WAITING };
            let (baseline, name) = refs::parse(&reference.replacen(namespace, "refs/exps", 1))?;
            let state = if is_failed {
                State::Failed
            } else if is_claimed(root, &name) {
                State::Running
            } else {
                State::Queued
            };
            Some(Entry {
                name,
                baseline,
                commit: commit.to_owned(),
                order: serde_json::from_str(message).ok()?,
                state,
            })
        })
        .collect();
    found.sort_by_key(|entry| entry.order.number);
    Ok(found)
}

/// The one of a name.
pub fn find(root: &Path, name: &str) -> anyhow::Result<Option<Entry>> {
    Ok(entries(root)?.into_iter().find(|entry| entry.name == name))
}

/// Takes one out of the queue.
pub fn remove(root: &Path, entry: &Entry) -> anyhow::Result<()> {
    refs::delete(root, &entry.at())
}

/// Keeps one among those that failed.
pub fn mark_failed(root: &Path, entry: &Entry) -> anyhow::Result<()> {
    let at = Entry::reference(FAILED, &entry.baseline, &entry.name);
    process::output_of("git", &["update-ref", &at, &entry.commit], root)?;
    refs::delete(root, &Entry::reference(WAITING, &entry.baseline, &entry.name))
}

/// The folder for what experiments need while they are executed.
pub fn folder(root: &Path) -> PathBuf {
    root.join(STATE_FOLDER).join("experiments")
}

/// Where an experiment's output is kept.
pub fn log_of(root: &Path, name: &str) -> PathBuf {
    folder(root).join(format!("{name}.log"))
}

/// The right to execute an experiment: a lock, which ends with its process, however that ends.
pub struct Claim {
    _file: File,
}

/// Claims an experiment; nothing if another process has it.
pub fn claim(root: &Path, name: &str) -> anyhow::Result<Option<Claim>> {
    let folder = folder(root);
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let path = folder.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("failed to create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Claim { _file: file })),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("failed to lock `{}`", path.display()))
        }
    }
}

fn is_claimed(root: &Path, name: &str) -> bool {
    let path = folder(root).join(format!("{name}.lock"));
    match File::open(path) {
        Ok(file) => matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)),
        Err(_) => false,
    }
}
