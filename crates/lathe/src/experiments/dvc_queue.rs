//! DVC's own queue: messages in `.dvc/tmp/exps/celery`, each with an entry of the reflog of `refs/exps/celery/stash`.
//! What waits in Lathe's queue is put there too, as far as DVC could execute it the same, so that either tool shows it
//! and whichever takes it first has it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{isolated, pickle, refs, save};
use crate::{git, process};

const STASH: &str = "refs/exps/celery/stash";
const FAILED: &str = "refs/exps/celery/failed";
const TASK: &str = "dvc.repo.experiments.queue.tasks.run_exp";
/// How DVC executes an experiment, in its commit.
pub const ARGUMENTS: &str = ".dvc/tmp/repro.dat";
const MESSAGE_BYTES_MAX: u64 = 16 << 20;

/// How the options of `lathe run` are called by DVC.
const FLAGS: [(&str, &str); 9] = [
    ("--force", "force"),
    ("--single-item", "single_item"),
    ("--pipeline", "pipeline"),
    ("--all-pipelines", "all_pipelines"),
    ("--recursive", "recursive"),
    ("--downstream", "downstream"),
    ("--force-downstream", "force_downstream"),
    ("--pull", "pull"),
    ("--allow-missing", "allow_missing"),
];

/// Where DVC's queue holds an experiment that Lathe's holds too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The name of the message.
    pub message: String,
    /// The commit in the reflog.
    pub stash: String,
}

/// How far DVC is with an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Nobody took it.
    Queued,
    /// A worker of DVC took it.
    Running,
    /// It is saved.
    Success,
    /// It is not.
    Failed,
}

impl TaskState {
    /// As DVC calls it, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

/// An experiment in DVC's queue.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The commit that it begins from.
    pub baseline: String,
    /// The commit with its files.
    pub stash: String,
    /// How far it is.
    pub state: TaskState,
    id: String,
    message: PathBuf,
    copy: Vec<String>,
    text: Option<String>,
}

struct Folders {
    queued: PathBuf,
    taken: PathBuf,
    results: PathBuf,
    /// Messages that Lathe took.
    ours: PathBuf,
    processes: PathBuf,
}

fn folders(root: &Path) -> Folders {
    let exps = root.join(".dvc/tmp/exps");
    let celery = exps.join("celery");
    Folders {
        queued: celery.join("broker/in"),
        taken: celery.join("broker/processed"),
        results: celery.join("result"),
        ours: exps.join("lathe"),
        processes: exps.join("run"),
    }
}

/// All that DVC's queue knows of, what waits last.
pub fn tasks(root: &Path) -> anyhow::Result<Vec<Task>> {
    let folders = folders(root);
    let mut tasks = Vec::new();
    for (folder, is_queued) in [(&folders.taken, false), (&folders.queued, true)] {
        for path in messages(folder)? {
            let Some(mut task) = read(&path)? else { continue };
            if !is_queued {
                task.state = state_of(root, &folders, &task)?;
            }
            tasks.push(task);
        }
    }
    Ok(tasks)
}

fn messages(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", folder.display())),
    };
    let mut paths = Vec::new();
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "msg") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The experiment that a message is about; nothing if it is about something else, or was taken meanwhile.
fn read(path: &Path) -> anyhow::Result<Option<Task>> {
    let text = match std::fs::metadata(path).map(|meta| meta.len()) {
        Ok(length) if length <= MESSAGE_BYTES_MAX => std::fs::read(path),
        Ok(_) => return Ok(None),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    };
    Ok(task_of(&text, path))
}

fn task_of(text: &[u8], path: &Path) -> Option<Task> {
    // DVC may be just writing it.
    let message: Value = serde_json::from_slice(text).ok()?;
    if message["headers"]["task"] != TASK {
        return None;
    }
    let body = message["body"].as_str()?;
    let body = match message["properties"]["body_encoding"].as_str() {
        Some("base64") => STANDARD.decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    let body: Value = serde_json::from_slice(&body).ok()?;
    let entry = match &body[1]["entry_dict"] {
        Value::Null => &body[0][0],
        entry => entry,
    };
    let part = |key: &str| entry[key].as_str().map(str::to_owned);
    let commit = |key: &str| part(key).filter(|text| is_commit(text));
    let stash = commit("stash_rev")?;
    // It is a part of the name of a file.
    let id = message["headers"]["id"].as_str().filter(|id| !id.contains('/'))?;
    let copied = body[1]["copy_paths"].as_array().into_iter().flatten();
    Some(Task {
        name: part("name").unwrap_or_else(|| stash[..7].to_owned()),
        baseline: commit("baseline_rev")?,
        state: TaskState::Queued,
        id: id.to_owned(),
        message: path.to_owned(),
        copy: copied.filter_map(Value::as_str).map(str::to_owned).collect(),
        text: body[1]["message"].as_str().map(str::to_owned),
        stash,
    })
}

/// Whether a text is the whole name of a commit.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn state_of(root: &Path, folders: &Folders, task: &Task) -> anyhow::Result<TaskState> {
    let result = folders.results.join(format!("celery-task-meta-{}", task.id));
    if !result.exists() {
        return Ok(TaskState::Running);
    }
    let is_saved = git::commit_of(root, &refs::reference(&task.baseline, &task.name)).is_some();
    Ok(if is_saved {
        TaskState::Success
    } else {
        TaskState::Failed
    })
}

/// The place in DVC's queue for an experiment with these files; nothing if DVC could not execute it the same.
pub fn mirror(
    root: &Path,
    baseline: &str,
    name: &str,
    order: &super::Order,
    replaced: &[(String, Vec<u8>)],
) -> anyhow::Result<Option<Mirror>> {
    let Some(arguments) = arguments_of(&order.arguments) else {
        return Ok(None);
    };
    // A project below the repository's root has another `.dvc`.
    if !order.include.is_empty() || !git::prefix(root)?.is_empty() {
        return Ok(None);
    }
    let mut files = replaced.to_vec();
    files.push((ARGUMENTS.to_owned(), arguments));
    let told = format!("dvc-exp:{baseline}:{baseline}:{name}");
    // As `git stash` makes it: on top of the baseline and of what was staged.
    let staged = save::snapshot(root, baseline, &format!("index on {told}"), &files)?;
    let tree = format!("{staged}^{{tree}}");
    let stash = save::commit(root, &tree, &[baseline, &staged], &told)?;
    let log = format!("commit: {told}");
    let added = &["update-ref", "--create-reflog", "-m", &log, STASH, &stash];
    let held = hold_reflogs(root)?;
    process::output_of("git", added, root)?;
    drop(held);
    let folders = folders(root);
    for folder in [&folders.queued, &folders.taken, &folders.results] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
    }
    let entry = json!({
        "dvc_root": root, "scm_root": root, "stash_ref": STASH, "stash_rev": stash, "baseline_rev": baseline,
        "branch": null, "name": name, "head_rev": baseline,
    });
    let copied = (!order.copy.is_empty()).then_some(&order.copy);
    let options = json!({ "copy_paths": copied, "message": order.message });
    // The beginning of the name is the order in which messages are taken.
    let file = format!("{:013}_{}.celery.msg", order.number / 1_000_000, uuid());
    let text = serde_json::to_vec(&message(&entry, &options))?;
    lathe_data::write_atomically(&folders.queued.join(&file), &text)?;
    Ok(Some(Mirror { message: file, stash }))
}

/// As celery writes it.
fn message(entry: &Value, options: &Value) -> Value {
    let id = uuid();
    let nothing = json!({ "callbacks": null, "errbacks": null, "chain": null, "chord": null });
    let body = json!([[entry], options, nothing]).to_string();
    json!({
        "body": STANDARD.encode(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": TASK, "id": id, "shadow": null, "eta": null, "expires": null, "group": null,
            "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": id, "parent_id": null,
            "argsrepr": "", "kwargsrepr": "", "origin": "lathe", "ignore_result": false,
            "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
        },
        "properties": {
            "correlation_id": id, "reply_to": uuid(), "delivery_mode": 2,
            "delivery_info": { "exchange": "", "routing_key": "celery" },
            "priority": 0, "body_encoding": "base64", "delivery_tag": uuid(),
        },
    })
}

fn uuid() -> String {
    let bits = fastrand::u128(..);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// What `lathe run` is told, as DVC keeps it; nothing if DVC knows no such option.
fn arguments_of(arguments: &[String]) -> Option<Vec<u8>> {
    let mut options = serde_json::Map::new();
    let mut targets = Vec::new();
    for argument in arguments {
        let flag = FLAGS.iter().find(|(own, _)| own == argument);
        match (flag, argument.as_str()) {
            (Some((_, theirs)), _) => drop(options.insert((*theirs).to_owned(), json!(true))),
            (None, "--keep-going") => drop(options.insert("on_error".to_owned(), json!("keep-going"))),
            (None, "--ignore-errors") => drop(options.insert("on_error".to_owned(), json!("ignore"))),
            (None, other) if other.starts_with('-') => return None,
            (None, target) => targets.push(target),
        }
    }
    if !targets.is_empty() {
        options.insert("targets".to_owned(), json!(targets));
    }
    Some(pickle::write(&json!({ "args": [], "kwargs": options })))
}

/// What DVC keeps, as `lathe run` is told; the error names what Lathe does not know.
fn arguments_from(bytes: &[u8]) -> Result<Vec<String>, String> {
    let kept = pickle::read(bytes)?;
    let options = kept["kwargs"].as_object().ok_or("it holds no options")?;
    let mut arguments = Vec::new();
    let is_off = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    for (key, value) in options {
        let flag = FLAGS.iter().find(|(_, theirs)| theirs == key);
        match (flag, key.as_str(), value) {
            (Some((own, _)), _, Value::Bool(true)) => arguments.push((*own).to_owned()),
            (None, "on_error", Value::String(what)) => match what.as_str() {
                "keep-going" => arguments.push("--keep-going".to_owned()),
                "ignore" => arguments.push("--ignore-errors".to_owned()),
                _ => {}
            },
            (None, "no_run_cache", Value::Bool(true)) => arguments.push("--no-run-cache".to_owned()),
            (None, "no_commit", Value::Bool(true)) => arguments.push("--no-commit".to_owned()),
            (None, "glob", Value::Bool(true)) => arguments.push("--glob".to_owned()),
            // What Lathe does by itself.
            (None, "targets" | "run_env" | "copy_paths" | "message" | "params" | "name" | "jobs", _) => {}
            (None, "tmp_dir" | "queue" | "run_all", _) => {}
            (_, _, value) if is_off(value) => {}
            (_, key, _) => return Err(format!("`{key}` is an option that only DVC knows")),
        }
    }
    let named = options.get("targets").into_iter().chain(kept["args"].get(0));
    for target in named {
        match target {
            Value::Array(several) => {
                arguments.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            Value::String(one) => arguments.push(one.clone()),
            _ => {}
        }
    }
    Ok(arguments)
}

/// Puts what waits in DVC's queue alone into Lathe's too. What Lathe cannot execute stays where it is and is told.
pub fn adopt(root: &Path, known: &[super::Entry]) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for task in tasks(root)?
        .into_iter()
        .filter(|task| task.state == TaskState::Queued)
    {
        let Some(file) = task.message.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let is_ours = |entry: &super::Entry| {
            let mirror = entry.order.mirror.as_ref();
            mirror.is_some_and(|mirror| mirror.message == file)
        };
        if known.iter().any(is_ours) {
            continue;
        }
        let mirror = Mirror {
            message: file.to_owned(),
            stash: task.stash.clone(),
        };
        let put = adopted(root, &task).and_then(|order| {
            let order = super::Order {
                mirror: Some(mirror),
                ..order
            };
            super::queue::enqueue_files(root, &task.baseline, &task.name, &order, &task.stash)
                .map_err(|error| format!("{error:#}"))
        });
        // The others wait all the same.
        if let Err(problem) = put {
            left.push(format!("`{}` is left to DVC: {problem}", task.name));
        }
    }
    Ok(left)
}

fn adopted(root: &Path, task: &Task) -> Result<super::Order, String> {
    refs::check_name(root, &task.name).map_err(|error| error.to_string())?;
    if let Some(outside) = task.copy.iter().find(|path| !isolated::is_inside(path)) {
        return Err(format!("`{outside}`, which it copies, is not in the project"));
    }
    let at = format!(
        "{}:{}{ARGUMENTS}",
        task.stash,
        git::prefix(root).map_err(|error| error.to_string())?
    );
    let kept = git::blob(root, &at).map_err(|error| error.to_string())?;
    let arguments = match kept {
        Some(bytes) => arguments_from(&bytes)?,
        None => Vec::new(),
    };
    let number = std::fs::metadata(&task.message)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_nanos()).ok());
    Ok(super::Order {
        number: number.unwrap_or_default(),
        arguments,
        copy: task.copy.clone(),
        message: task.text.clone(),
        ..super::Order::default()
    })
}

/// Whether an experiment still waits in DVC's queue too, or Lathe took it from there.
pub fn is_here(root: &Path, mirror: &Mirror) -> bool {
    let folders = folders(root);
    folders.queued.join(&mirror.message).exists() || folders.ours.join(&mirror.message).exists()
}

/// Takes an experiment from DVC's queue, so that DVC does not begin with it; says whether it was there.
pub fn take(root: &Path, mirror: &Mirror) -> anyhow::Result<bool> {
    let folders = folders(root);
    let ours = folders.ours.join(&mirror.message);
    if ours.exists() {
        return Ok(true);
    }
    std::fs::create_dir_all(&folders.ours)
        .with_context(|| format!("failed to create `{}`", folders.ours.display()))?;
    match std::fs::rename(folders.queued.join(&mirror.message), &ours) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to write `{}`", ours.display())),
    }
}

/// Takes an experiment out of DVC's queue for good.
pub fn forget(root: &Path, mirror: &Mirror) -> anyhow::Result<()> {
    let folders = folders(root);
    lathe_data::remove_path(&folders.queued.join(&mirror.message))?;
    lathe_data::remove_path(&folders.ours.join(&mirror.message))?;
    drop_from(root, STASH, &mirror.stash)
}

/// Takes an experiment of DVC's alone out of its queue.
pub fn remove(root: &Path, task: &Task) -> anyhow::Result<()> {
    lathe_data::remove_path(&task.message)?;
    if task.state != TaskState::Queued {
        let result = folders(root)
            .results
            .join(format!("celery-task-meta-{}", task.id));
        lathe_data::remove_path(&result)?;
    }
    drop_from(root, STASH, &task.stash)?;
    drop_from(root, FAILED, &task.stash)
}

/// Drops an entry of a reflog, and the reference with the last.
fn drop_from(root: &Path, reference: &str, commit: &str) -> anyhow::Result<()> {
    let _held = hold_reflogs(root)?;
    let Ok(listed) = process::output_of("git", &["reflog", "show", "--format=%H", reference], root) else {
        return Ok(());
    };
    let lines: Vec<&str> = listed.lines().collect();
    let Some(at) = lines.iter().position(|line| *line == commit) else {
        return Ok(());
    };
    if lines.len() == 1 {
        return process::output_of("git", &["update-ref", "-d", reference], root).map(drop);
    }
    let entry = format!("{reference}@{{{at}}}");
    process::output_of(
        "git",
        &["reflog", "delete", "--updateref", "--rewrite", &entry],
        root,
    )
    .map(drop)
}

/// An entry of a reflog is named by its place, which moves when another is added or dropped: one at a time, until the file
/// is closed.
fn hold_reflogs(root: &Path) -> anyhow::Result<File> {
    let folder = root.join(".dvc/tmp");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let path = folder.join("lathe-reflogs.lock");
    let open = || {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        file.lock()?;
        Ok(file)
    };
    let opened: std::io::Result<File> = open();
    opened.with_context(|| format!("failed to lock `{}`", path.display()))
}

/// What DVC's process for an experiment printed, if there was one.
pub fn log(root: &Path, task: &Task) -> Option<Vec<u8>> {
    let folder = folders(root).processes.join(&task.stash);
    std::fs::read(folder.join(format!("{}.out", task.stash))).ok()
}

/// Asks DVC's process for an experiment to end; says whether there is one.
pub fn kill(root: &Path, task: &Task, force: bool) -> anyhow::Result<bool> {
    let folder = folders(root).processes.join(&task.stash);
    let Ok(text) = std::fs::read(folder.join(format!("{}.json", task.stash))) else {
        return Ok(false);
    };
    let process: Value = serde_json::from_slice(&text).context("DVC's note of the process cannot be read")?;
    let pid = process["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    let Some(pid) = pid
        .and_then(rustix::process::Pid::from_raw)
        .filter(|_| process["returncode"].is_null())
    else {
        return Ok(false);
    };
    let signal = match force {
        true => rustix::process::Signal::KILL,
        false => rustix::process::Signal::INT,
    };
    // As DVC does: its stages are in the group of its process.
    let group = rustix::process::getpgid(Some(pid));
    Ok(
        group.is_ok_and(|group| group == pid && rustix::process::kill_process_group(pid, signal).is_ok())
            || rustix::process::kill_process(pid, signal).is_ok(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_as_they_were_given() {
        let given = ["--force", "--pull", "--keep-going", "train", "sub/dvc.yaml:x"].map(str::to_owned);
        let kept = arguments_of(&given).unwrap();
        let mut back = arguments_from(&kept).unwrap();
        let mut given = given.to_vec();
        back.sort();
        given.sort();
        assert_eq!(back, given);
        assert_eq!(arguments_of(&["--engine=worker".to_owned()]), None);
        let unknown = pickle::write(&json!({ "args": [], "kwargs": { "interactive": true } }));
        assert!(arguments_from(&unknown).unwrap_err().contains("`interactive`"));
    }

    #[test]
    fn a_message_is_read_as_it_is_written() {
        let (stash, baseline) = ("a1".repeat(20), "b2".repeat(20));
        let entry = json!({ "stash_rev": stash, "baseline_rev": baseline, "name": "n" });
        let options = json!({ "copy_paths": ["x"], "message": null });
        let text = message(&entry, &options).to_string();
        let task = task_of(text.as_bytes(), Path::new("m")).unwrap();
        assert_eq!(
            (task.name.as_str(), task.stash.as_str(), task.baseline.as_str()),
            ("n", stash.as_str(), baseline.as_str())
        );
        assert_eq!(task.copy, ["x"]);
        let other = text.replace("run_exp", "other");
        assert!(task_of(other.as_bytes(), Path::new("m")).is_none());
        for wrong in [
            "a1",
            "../../../../../../../../../../../../../ab",
            "\u{fc}\u{fc}\u{fc}\u{fc}",
        ] {
            let entry = json!({ "stash_rev": wrong, "baseline_rev": baseline });
            let text = message(&entry, &options).to_string();
            assert!(task_of(text.as_bytes(), Path::new("m")).is_none(), "{wrong}");
        }
    }
}
