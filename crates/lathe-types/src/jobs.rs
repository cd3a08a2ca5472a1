//! A job: a durable piece of background work. It is named, deduplicated by its key, leased, retried, and safe to
//! run twice.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Millis;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker, or for its next attempt.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Finished; the result says how.
    Done,
    /// Every attempt failed; the error says why.
    Failed,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Counts up.
    pub id: i64,
    /// What to do: `retrain`, `gate`, `deploy`, `step`.
    pub kind: String,
    /// No two unfinished jobs have the same key.
    pub key: String,
    /// What to do it with.
    pub payload: Value,
    /// Where it stands.
    pub state: JobState,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts allowed.
    pub attempts_max: u32,
    /// Not before this.
    pub run_at: Millis,
    /// Until when the worker's claim holds.
    pub lease_until: Option<Millis>,
    /// What came of it.
    pub result: Option<Value>,
    /// What went wrong in the last attempt.
    pub error: Option<String>,
    /// What asked for it: `alert/3`, `job/7`, `user`.
    pub cause: String,
    /// When it was queued.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// A job to queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What to do.
    pub kind: String,
    /// No two unfinished jobs have the same key.
    pub key: String,
    /// What to do it with.
    #[serde(default)]
    pub payload: Value,
    /// What asked for it.
    #[serde(default)]
    pub cause: String,
    /// Attempts allowed; 1 if absent.
    #[serde(default = "one")]
    pub attempts_max: u32,
}

fn one() -> u32 {
    1
}
