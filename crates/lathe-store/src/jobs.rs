//! Jobs: durable background work. No two unfinished jobs share a key; a claim is a lease that runs out.

use lathe_types::jobs::{Job, JobState, NewJob};
use lathe_types::{Millis, Span};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{Error, Result, Row, Store, Tx, events, json};

pub(crate) const COLUMNS: &str =
    "SELECT id, kind, key, payload, state, attempts, attempts_max, run_at, lease_until, result,
                              error, cause, created_at, updated_at
                       FROM jobs";

/// A job that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enqueued {
    /// It, or the unfinished one with the same key.
    pub job: Job,
    /// Whether it was there already.
    pub already: bool,
}

impl Store {
    /// Queues a job, unless an unfinished one has its key.
    pub async fn enqueue_job(&self, new: NewJob, now: Millis) -> Result<Enqueued> {
        self.write(move |tx| enqueue(tx, &new, now)).await
    }

    /// Gives the oldest job that is due to `worker`, until `lease` has passed. A job whose lease ran out is due again.
    pub async fn claim_job(
        &self,
        kinds: &[&str],
        worker: &str,
        lease: Span,
        now: Millis,
    ) -> Result<Option<Job>> {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let worker = worker.to_owned();
        self.write(move |tx| claim(tx, &kinds, &worker, lease, now)).await
    }

    /// Keeps a claim for another `lease`; false if somebody else has it now.
    pub async fn extend_lease(&self, id: i64, worker: &str, lease: Span, now: Millis) -> Result<bool> {
        let worker = worker.to_owned();
        self.write(move |tx| {
            let changed = tx.execute(
                "UPDATE jobs SET lease_until = ?3 WHERE id = ?1 AND worker = ?2 AND state = 'running'",
                &[id.into(), worker.into(), now.plus(lease).0.into()],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    /// Ends a job with its result and queues what follows, in one transaction.
    pub async fn finish_job(
        &self,
        id: i64,
        result: Json,
        follow_ups: Vec<NewJob>,
        now: Millis,
    ) -> Result<()> {
        self.write(move |tx| {
            end(tx, id, JobState::Done, Some(&result), None, now)?;
            for new in &follow_ups {
                enqueue(tx, new, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Notes a failed attempt; the job is due again at `retry_at`, or failed for good without it.
    pub async fn fail_job(
        &self,
        id: i64,
        error: String,
        retry_at: Option<Millis>,
        now: Millis,
    ) -> Result<()> {
        self.write(move |tx| {
            let Some(at) = retry_at else {
                return end(tx, id, JobState::Failed, None, Some(&error), now);
            };
            end(tx, id, JobState::Queued, None, Some(&error), now)?;
            tx.execute(
                "UPDATE jobs SET run_at = ?2 WHERE id = ?1",
                &[id.into(), at.0.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// The job of this id.
    pub async fn get_job(&self, id: i64) -> Result<Job> {
        self.read(move |tx| get(tx, id)).await
    }

    /// The newest jobs, newest first.
    pub async fn list_jobs(&self, limit: usize) -> Result<Vec<Job>> {
        self.read(move |tx| {
            tx.query(
                &format!("{COLUMNS} ORDER BY id DESC LIMIT ?1"),
                &[(limit as i64).into()],
                job,
            )
        })
        .await
    }
}

pub(crate) fn enqueue(tx: &Tx<'_>, new: &NewJob, now: Millis) -> Result<Enqueued> {
    let unfinished = format!("{COLUMNS} WHERE key = ?1 AND state IN ('queued', 'running')");
    if let Some(job) = tx.query_opt(&unfinished, &[(&new.key).into()], job)? {
        return Ok(Enqueued { job, already: true });
    }
    tx.execute(
        "INSERT INTO jobs (kind, key, payload, state, attempts, attempts_max, run_at, cause, created_at, updated_at)
         VALUES (?1, ?2, ?3, 'queued', 0, ?4, ?5, ?6, ?5, ?5)",
        &[
            (&new.kind).into(),
            (&new.key).into(),
            json::text(&new.payload),
            new.attempts_max.max(1).into(),
            now.0.into(),
            (&new.cause).into(),
        ],
    )?;
    let queued = tx
        .query_opt(&unfinished, &[(&new.key).into()], job)?
        .ok_or(Error::Closed)?;
    tell(
        tx,
        &queued,
        "job.queued",
        &format!("queued by {}", queued.cause),
        now,
    )?;
    Ok(Enqueued {
        job: queued,
        already: false,
    })
}

/// Why a job failed whose workers all went without a word.
pub(crate) const DISAPPEARED: &str = "the worker disappeared";

fn claim(tx: &Tx<'_>, kinds: &[String], worker: &str, lease: Span, now: Millis) -> Result<Option<Job>> {
    let places: Vec<String> = (2..).take(kinds.len()).map(|place| format!("?{place}")).collect();
    let due = format!(
        "{COLUMNS} WHERE run_at <= ?1 AND (state = 'queued' OR (state = 'running' AND lease_until < ?1))
           AND kind IN ({}) ORDER BY id LIMIT 1",
        places.join(", ")
    );
    let mut params = vec![now.0.into()];
    params.extend(kinds.iter().map(Into::into));
    match tx.query_opt(&due, &params, job)? {
        Some(found) => take(tx, found, worker, lease, now),
        None => Ok(None),
    }
}

/// Gives a job that is due to the worker; one whose every attempt ended with its worker gone has failed.
pub(crate) fn take(tx: &Tx<'_>, found: Job, worker: &str, lease: Span, now: Millis) -> Result<Option<Job>> {
    if found.attempts_max <= found.attempts {
        end(tx, found.id, JobState::Failed, None, Some(DISAPPEARED), now)?;
        return Ok(None);
    }
    tx.execute(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?2, lease_until = ?3, updated_at = ?4
         WHERE id = ?1",
        &[found.id.into(), worker.into(), now.plus(lease).0.into(), now.0.into()],
    )?;
    let claimed = get(tx, found.id)?;
    tell(tx, &claimed, "job.started", "started", now)?;
    Ok(Some(claimed))
}

/// Ends a claim, or a job that nobody has, and tells of it.
pub(crate) fn end(
    tx: &Tx<'_>,
    id: i64,
    state: JobState,
    result: Option<&Json>,
    error: Option<&str>,
    now: Millis,
) -> Result<()> {
    let job = set_state(tx, id, state, result, error, now)?;
    let error = error.unwrap_or_default();
    let (kind, what) = match state {
        JobState::Done => ("job.done", "done".to_owned()),
        JobState::Failed => ("job.failed", format!("failed: {error}")),
        _ if error.is_empty() => ("job.queued", "was given back".to_owned()),
        _ => ("job.failed", format!("attempt {} failed: {error}", job.attempts)),
    };
    tell(tx, &job, kind, &what, now)
}

fn set_state(
    tx: &Tx<'_>,
    id: i64,
    state: JobState,
    result: Option<&Json>,
    error: Option<&str>,
    now: Millis,
) -> Result<Job> {
    tx.execute(
        "UPDATE jobs SET state = ?2, result = ?3, error = ?4, lease_until = NULL, worker = NULL, updated_at = ?5
         WHERE id = ?1",
        &[
            id.into(),
            json::word(&state),
            result.map_or(crate::Value::Null, json::text),
            error.into(),
            now.0.into(),
        ],
    )?;
    get(tx, id)
}

pub(crate) fn get(tx: &Tx<'_>, id: i64) -> Result<Job> {
    let found = tx.query_opt(&format!("{COLUMNS} WHERE id = ?1"), &[id.into()], job)?;
    found.ok_or_else(|| Error::NotFound {
        noun: "job",
        id: id.to_string(),
    })
}

fn tell(tx: &Tx<'_>, job: &Job, kind: &str, what: &str, now: Millis) -> Result<()> {
    let summary = format!("job {} ({}) {what}", job.id, job.key);
    let data = json!({ "job": job.id, "kind": job.kind, "key": job.key, "cause": job.cause });
    events::append(tx, now, kind, &format!("job/{}", job.id), &summary, &data)
}

pub(crate) fn job(row: &Row<'_>) -> Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        payload: json::column(row, 3, "job's payload")?,
        state: json::from_word(row, 4, "job's state")?,
        attempts: row.get(5)?,
        attempts_max: row.get(6)?,
        run_at: Millis(row.get(7)?),
        lease_until: row.get::<Option<i64>>(8)?.map(Millis),
        result: json::column_opt(row, 9, "job's result")?,
        error: row.get(10)?,
        cause: row.get(11)?,
        created_at: Millis(row.get(12)?),
        updated_at: Millis(row.get(13)?),
    })
}
