use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::dvc_queue::{self, Mirror};
use super::refs;
use crate::settings::STATE_FOLDER;
use crate::{git, process};

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
    /// Files and folders that git ignores and that are copied to where it is executed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<String>,
    /// The message of its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it may replace one of the same name.
    #[serde(default)]
    pub force: bool,
    /// Where it waits in DVC's queue too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
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

/// Puts an experiment with these files at the end of the queue; one that `is_shared` also into DVC's.
pub fn enqueue(
    root: &Path,
    baseline: &str,
    name: &str,
    order: &Order,
    replaced: &[(String, Vec<u8>)],
    is_shared: bool,
) -> anyhow::Result<Entry> {
    let mut order = order.clone();
    if is_shared {
        order.mirror = dvc_queue::mirror(root, baseline, name, &order, replaced)?;
    }
    let message = serde_json::to_string(&order)?;
    let entry = super::save::snapshot(root, baseline, &message, replaced)
        .and_then(|commit| put(root, baseline, name, &order, commit));
    // DVC would execute what Lathe says is not queued.
    if let (Err(_), Some(mirror)) = (&entry, &order.mirror)
        && let Err(error) = dvc_queue::forget(root, mirror)
    {
        tracing::warn!(%error, experiment = name, "it stays in DVC's queue");
    }
    entry
}

/// Puts an experiment with the files of a commit into the queue.
pub fn enqueue_files(
    root: &Path,
    baseline: &str,
    name: &str,
    order: &Order,
    files: &str,
) -> anyhow::Result<Entry> {
    let message = serde_json::to_string(order)?;
    let tree = format!("{files}^{{tree}}");
    let tree = process::output_of("git", &["rev-parse", "--verify", "--quiet", &tree], root)?;
    let commit = super::save::commit(root, &tree, &[baseline], &message)?;
    put(root, baseline, name, order, commit)
}

fn put(root: &Path, baseline: &str, name: &str, order: &Order, commit: String) -> anyhow::Result<Entry> {
    let at = Entry::reference(WAITING, baseline, name);
    // One that DVC took or removed is only left over.
    if git::commit_of(root, &at).is_some() && !entries(root)?.iter().any(|entry| entry.at() == at) {
        refs::delete(root, &at)?;
    }
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
    // What DVC took from its queue, or was removed there, waits here no more.
    found.retain(|entry| {
        let mirror = entry.order.mirror.as_ref();
        entry.state == State::Failed || mirror.is_none_or(|mirror| dvc_queue::is_here(root, mirror))
    });
    found.sort_by_key(|entry| entry.order.number);
    Ok(found)
}

/// The one of a name.
pub fn find(root: &Path, name: &str) -> anyhow::Result<Option<Entry>> {
    Ok(entries(root)?.into_iter().find(|entry| entry.name == name))
}

/// Takes one out of the queue.
pub fn remove(root: &Path, entry: &Entry) -> anyhow::Result<()> {
    if let Some(mirror) = entry
        .order
        .mirror
        .as_ref()
        .filter(|_| entry.state != State::Failed)
    {
        dvc_queue::forget(root, mirror)?;
    }
    refs::delete(root, &entry.at())
}

/// Keeps one among those that failed.
pub fn mark_failed(root: &Path, entry: &Entry) -> anyhow::Result<()> {
    let at = Entry::reference(FAILED, &entry.baseline, &entry.name);
    process::output_of("git", &["update-ref", &at, &entry.commit], root)?;
    if let Some(mirror) = &entry.order.mirror {
        dvc_queue::forget(root, mirror)?;
    }
    refs::delete(root, &Entry::reference(WAITING, &entry.baseline, &entry.name))
}

/// Asks whoever executes the queue to begin with nothing more.
pub fn ask_to_stop(root: &Path) -> anyhow::Result<()> {
    let path = folder(root).join(STOP);
    std::fs::create_dir_all(folder(root))
        .with_context(|| format!("failed to create `{}`", path.display()))?;
    std::fs::write(&path, "").with_context(|| format!("failed to write `{}`", path.display()))
}

/// Whether somebody asked for it.
pub fn is_to_stop(root: &Path) -> bool {
    folder(root).join(STOP).exists()
}

/// Who begins anew was not asked yet.
pub fn forget_stop(root: &Path) -> anyhow::Result<()> {
    Ok(lathe_data::remove_path(&folder(root).join(STOP))?)
}

const STOP: &str = "stop";

/// Notes which process executes an experiment.
pub fn note_process(root: &Path, name: &str, pid: u32) -> anyhow::Result<()> {
    let path = folder(root).join(format!("{name}.pid"));
    std::fs::write(&path, pid.to_string()).with_context(|| format!("failed to write `{}`", path.display()))
}

/// The process has ended; says whether that was asked for.
pub fn process_ended(root: &Path, name: &str) -> anyhow::Result<bool> {
    lathe_data::remove_path(&folder(root).join(format!("{name}.pid")))?;
    let killed = folder(root).join(format!("{name}.killed"));
    let was_killed = killed.exists();
    lathe_data::remove_path(&killed)?;
    Ok(was_killed)
}

/// Asks the process that executes an experiment to end, or ends it; says whether there is one.
pub fn kill(root: &Path, name: &str, force: bool) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(folder(root).join(format!("{name}.pid")));
    let pid = text.ok().and_then(|text| text.trim().parse().ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid.filter(|_| is_claimed(root, name)) else {
        return Ok(false);
    };
    let killed = folder(root).join(format!("{name}.killed"));
    std::fs::write(&killed, "").with_context(|| format!("failed to write `{}`", killed.display()))?;
    let signal = match force {
        true => rustix::process::Signal::KILL,
        false => rustix::process::Signal::INT,
    };
    Ok(rustix::process::kill_process(pid, signal).is_ok())
}

/// Whether some process executes the experiment.
pub fn is_running(root: &Path, name: &str) -> bool {
    is_claimed(root, name)
}

/// What an experiment printed: while it runs as far as it is, afterwards all of it.
pub fn printed(root: &Path, name: &str) -> anyhow::Result<Option<String>> {
    if is_claimed(root, name) {
        let project = folder(root).join(name).join(git::prefix(root)?);
        return Ok(Some(super::isolated::stage_logs(&project)));
    }
    match std::fs::read(log_of(root, name)) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(_) => Ok(None),
    }
}

/// Removes what killed processes left: worktrees and notes of experiments that nobody executes, and places in the queue
/// that DVC took over. Returns the experiments.
pub fn clean(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut cleaned = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder(root)).into_iter().flatten() {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let (owner, is_note) = match name.strip_suffix(".pid").or_else(|| name.strip_suffix(".killed")) {
            Some(owner) => (owner, true),
            None => (name, false),
        };
        if is_claimed(root, owner) || !(is_note || path.is_dir()) {
            continue;
        }
        if path.is_dir() {
            git::remove_worktree(root, &path)
                .or_else(|_| std::fs::remove_dir_all(&path).map_err(anyhow::Error::from))?;
        } else {
            lathe_data::remove_path(&path)?;
        }
        cleaned.insert(owner.to_owned());
    }
    process::output_of("git", &["worktree", "prune"], root)?;
    let alive: Vec<String> = entries(root)?.iter().map(Entry::at).collect();
    let listed = process::output_of("git", &["for-each-ref", "--format=%(refname)", WAITING], root)?;
    for reference in listed.lines().filter(|line| !alive.iter().any(|at| at == line)) {
        refs::delete(root, reference)?;
        cleaned.extend(reference.rsplit('/').next().map(str::to_owned));
    }
    Ok(cleaned.into_iter().collect())
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
