use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use lathe_automation::jobs::JobDone;
use lathe_types::jobs::{Job, NewJob};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Context;
use crate::exit::hinted;
use crate::settings::STATE_FOLDER;
use crate::{client, git, process};

#[derive(Deserialize)]
struct Payload {
    project: String,
    #[serde(default)]
    set: Map<String, Value>,
    gate: String,
    deploy: String,
}

/// Runs the project's pipeline in a worktree of its own, with the parameters that the trigger sets, on a commit of
/// its own; then asks for the gate.
pub async fn execute(context: Context, job: Job) -> anyhow::Result<JobDone> {
    let payload: Payload =
        serde_json::from_value(job.payload).context("the job's payload is not a retraining")?;
    let project = context.store.find_project(&payload.project).await?;
    let project = project.with_context(|| format!("the project `{}` is not declared", payload.project))?;
    let url = context.url.clone().context("retraining needs a running server")?;
    let root = PathBuf::from(&project.root);
    let id = job.id;
    let set = payload.set.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&root, id, &set));
    let worktree = prepared.await.context("the preparation was cut off")??;

    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    if let Some(token) = &context.token {
        command.env(client::TOKEN_VARIABLE, token);
    }
    let child = command
        .args(["run", "--json", "--server", &url])
        .current_dir(&worktree.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start `lathe run`")?;
    let end_on_drop = child.id().map(process::EndOnDrop::new);
    let output = child.wait_with_output().await.context("`lathe run` was lost")?;
    if let Some(guard) = end_on_drop {
        guard.ended();
    }
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the pipeline failed in `{}`: {}",
            worktree.folder.display(),
            complaint.trim()
        );
    }
    let report: Value =
        serde_json::from_slice(&output.stdout).context("`lathe run` did not answer in JSON")?;
    let version = report["registered"]
        .as_array()
        .and_then(|models| {
            models
                .iter()
                .find(|model| model["model"] == payload.gate.as_str())
        })
        .and_then(|model| model["version"].as_u64())
        .with_context(|| format!("the pipeline registered no version of `{}`", payload.gate))?;
    let branch = worktree.branch.clone();
    let finished = tokio::task::spawn_blocking(move || finish(&worktree));
    let commit = finished.await.context("the commit was cut off")??;
    let result = json!({
        "model": payload.gate, "version": version, "run_id": report["run_id"], "branch": branch, "commit": commit,
    });
    let gate = NewJob {
        kind: "gate".into(),
        key: format!("gate/{}/{version}", payload.gate),
        payload: json!({ "model": payload.gate, "version": version, "then_deploy": payload.deploy }),
        cause: format!("job/{}", job.id),
        attempts_max: 3,
    };
    Ok(JobDone {
        result,
        follow_ups: vec![gate],
    })
}

/// A checkout that only this job writes to.
struct Worktree {
    /// The repository it belongs to.
    repository: PathBuf,
    folder: PathBuf,
    branch: String,
}

fn prepare(root: &Path, job: i64, set: &Map<String, Value>) -> anyhow::Result<Worktree> {
    let checkout = git::checkout(root)
        .and_then(|checkout| checkout.commit)
        .ok_or_else(|| {
            hinted(
                format!("`{}` has no commit", root.display()),
                "commit the project: retraining starts from a commit",
            )
        })?;
    let branch = format!("lathe/retrain-{job}");
    let folder = root
        .join(STATE_FOLDER)
        .join("worktrees")
        .join(format!("retrain-{job}"));
    // An earlier attempt may have left it half done.
    if folder.exists() {
        git::remove_worktree(root, &folder)?;
    }
    git::add_worktree(root, &folder, &branch, &checkout)?;
    lathe_data::share_cache(root, &folder)?;
    let changes: Vec<(String, Value)> = set
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !changes.is_empty() {
        lathe_pipeline::set_params(&folder.join("params.yaml"), &changes)?;
        let told: Vec<String> = changes
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        git::commit_tracked(&folder, &format!("Retrain with {}", told.join(", ")))?;
    }
    Ok(Worktree {
        repository: root.to_owned(),
        folder,
        branch,
    })
}

/// Commits what the pipeline wrote (`dvc.lock`, metrics) to the branch; the worktree is no longer needed.
fn finish(worktree: &Worktree) -> anyhow::Result<String> {
    let commit = git::commit_tracked(&worktree.folder, "Record what the retraining made")?;
    git::remove_worktree(&worktree.repository, &worktree.folder)?;
    Ok(commit)
}
