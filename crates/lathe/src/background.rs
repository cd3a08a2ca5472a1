//! Jobs seen from a command: queue one, see that somebody works on it, wait for what comes of it.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use lathe_types::jobs::{Job, JobState, NewJob};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, segment};
use crate::commands::Call;
use crate::project::ProjectFile;

/// A job that nobody has finished by then is given up on by the command; the job itself goes on.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

#[derive(Deserialize)]
struct Enqueued {
    job: Job,
}

/// Tells the records what the `lathe.toml` around the call declares, if there is one.
pub fn declare_project(client: &Client, call: &Call) -> anyhow::Result<()> {
    match ProjectFile::find(&call.folder)? {
        Some(project) => declare(client, &project),
        None => Ok(()),
    }
}

/// Tells the records what this `lathe.toml` declares.
pub fn declare(client: &Client, project: &ProjectFile) -> anyhow::Result<()> {
    let body = serde_json::json!({ "root": project.root, "spec": project.spec });
    client.put(
        &format!("/api/v1/projects/{}", segment(&project.spec.project.name)),
        &body,
    )
}

/// Queues a job, waits for its end, returns its result. On the repository's own store this process works on it.
pub fn run_job(client: &Client, kind: &str, key: &str, payload: Value) -> anyhow::Result<Value> {
    let new = NewJob {
        kind: kind.into(),
        key: key.into(),
        payload,
        cause: "user".into(),
        attempts_max: 1,
    };
    let enqueued: Enqueued = client.post("/api/v1/jobs", &new)?;
    let _worker = match client {
        Client::Embedded(embedded) => Some(embedded.work_on_jobs()),
        Client::Remote { .. } => None,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let job: Job = client.get(&format!("/api/v1/jobs/{}", enqueued.job.id))?;
        match job.state {
            JobState::Done => return Ok(job.result.unwrap_or(Value::Null)),
            JobState::Failed => {
                return Err(anyhow!(
                    "{}",
                    job.error.unwrap_or_else(|| format!("job {} failed", job.id))
                ));
            }
            JobState::Queued | JobState::Running if deadline < Instant::now() => {
                bail!("job {} is not finished yet; it goes on in the background", job.id)
            }
            JobState::Queued | JobState::Running => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
