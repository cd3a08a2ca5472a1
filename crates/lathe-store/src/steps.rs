//! Steps: jobs of a pipeline that a worker elsewhere executes. They are claimed by a lease as all jobs are; beside that
//! they are only wanted as long as somebody asks after them, so that nobody executes what a dead `lathe run` queued.

use lathe_types::jobs::{Job, JobState, NewJob};
use lathe_types::steps::{STEP_KIND, Step, StepOutput, StepPlace, StepResult};
use lathe_types::{Millis, Span};
use serde_json::Value as Json;

use crate::jobs::{self, COLUMNS};
use crate::{Error, Result, Store, Tx};

/// A step is wanted this long after it was last asked after.
pub const WANTED: Span = Span(120_000);
/// It is noted again when so much of that is over: to ask is mostly a read.
const NOTED_AGAIN: Span = Span(30_000);
/// What a step told is kept this long after its end.
const OUTPUT_KEPT: Span = Span(86_400_000);
/// Pieces in one answer.
const PIECES_MAX: i64 = 64;
/// Attempts, of which each but the first follows on a worker that was lost or could not begin.
const ATTEMPTS_MAX: u32 = 5;

/// After a worker could not do its part: it rests longer than that, so that another one comes first.
const AGAIN_AFTER: Span = Span(1_000);

/// How a worker ended a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum StepEnd {
    /// The commands were executed.
    Done(Box<StepResult>),
    /// The worker could not do its part; another one may.
    Failed(String),
    /// The worker stops and gives the step back as if it had never had it.
    Released,
}

/// What is known of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The step as a job.
    pub job: Job,
    /// Who has it.
    pub worker: Option<String>,
    /// What it told since, in order; more may follow.
    pub output: Vec<StepOutput>,
}

impl Store {
    /// Queues a step. `key` is its own.
    pub async fn queue_step(&self, key: String, step: Step, now: Millis) -> Result<Job> {
        self.write(move |tx| {
            let old = now.0.saturating_sub(OUTPUT_KEPT.0);
            tx.execute(
                "DELETE FROM step_output WHERE job_id IN
                   (SELECT id FROM jobs WHERE kind = 'step' AND state IN ('done', 'failed') AND updated_at < ?1)",
                &[old.into()],
            )?;
            let project = step.project.clone();
            let cause = format!("run/{}", step.run_id);
            let payload = serde_json::to_value(&step).map_err(|source| Error::Invalid {
                message: format!("the step cannot be kept: {source}"),
            })?;
            let new = NewJob {
                kind: STEP_KIND.to_owned(),
                key,
                payload,
                cause,
                attempts_max: ATTEMPTS_MAX,
            };
            let queued = jobs::enqueue(tx, &new, now)?;
            if queued.already {
                return Err(Error::Conflict {
                    message: format!("the step `{}` is queued already", new.key),
                });
            }
            tx.execute(
                "INSERT INTO steps (job_id, project, wanted_until) VALUES (?1, ?2, ?3)",
                &[queued.job.id.into(), project.into(), now.plus(WANTED).0.into()],
            )?;
            Ok(queued.job)
        })
        .await
    }

    /// Gives the oldest step that is due and wanted to `worker`; of one project, if one is named.
    pub async fn claim_step(
        &self,
        project: Option<String>,
        worker: String,
        lease: Span,
        now: Millis,
    ) -> Result<Option<Job>> {
        let asked = project.clone();
        // Workers ask all the time, and mostly there is nothing.
        if self
            .read(move |tx| due(tx, asked.as_deref(), now))
            .await?
            .is_none()
        {
            return Ok(None);
        }
        self.write(move |tx| {
            while let Some(found) = due(tx, project.as_deref(), now)? {
                if let Some(job) = jobs::take(tx, found, &worker, lease, now)? {
                    return Ok(Some(job));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Keeps a claim for another `lease` and adds what the step told. False if the claim is lost, or the step is not
    /// wanted any more.
    pub async fn keep_step(
        &self,
        id: i64,
        worker: String,
        lease: Span,
        output: Option<StepOutput>,
        now: Millis,
    ) -> Result<bool> {
        self.write(move |tx| {
            let Some(attempt) = claimed(tx, id, &worker)? else {
                return Ok(false);
            };
            let wanted = "SELECT wanted_until FROM steps WHERE job_id = ?1";
            let wanted = tx.query_opt(wanted, &[id.into()], |row| row.get::<i64>(0))?;
            if wanted.is_none_or(|until| until < now.0) {
                jobs::end(
                    tx,
                    id,
                    JobState::Failed,
                    None,
                    Some("nobody asks after it any more"),
                    now,
                )?;
                return Ok(false);
            }
            if let Some(output) = output.filter(|output| output.place.attempt == attempt) {
                let at = i64::try_from(output.place.at).unwrap_or(i64::MAX);
                tx.execute(
                    "INSERT INTO step_output (job_id, attempt, at, text) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (job_id, attempt, at) DO NOTHING",
                    &[id.into(), attempt.into(), at.into(), output.text.into()],
                )?;
            }
            tx.execute(
                "UPDATE jobs SET lease_until = ?2 WHERE id = ?1",
                &[id.into(), now.plus(lease).0.into()],
            )?;
            Ok(true)
        })
        .await
    }

    /// Ends a claim. False if it is lost: somebody else has the step, and what this worker made does not count.
    pub async fn end_step(&self, id: i64, worker: String, end: StepEnd, now: Millis) -> Result<bool> {
        self.write(move |tx| {
            let Some(attempt) = claimed(tx, id, &worker)? else {
                return Ok(false);
            };
            match end {
                StepEnd::Done(result) => {
                    let result = serde_json::to_value(&result).map_err(|source| Error::Invalid {
                        message: format!("the result cannot be kept: {source}"),
                    })?;
                    jobs::end(tx, id, JobState::Done, Some(&result), None, now)?;
                }
                StepEnd::Failed(problem) => {
                    let state = match attempt < ATTEMPTS_MAX {
                        true => JobState::Queued,
                        false => JobState::Failed,
                    };
                    jobs::end(tx, id, state, None, Some(&problem), now)?;
                    tx.execute(
                        "UPDATE jobs SET run_at = ?2 WHERE id = ?1",
                        &[id.into(), now.plus(AGAIN_AFTER).0.into()],
                    )?;
                }
                StepEnd::Released => {
                    jobs::end(tx, id, JobState::Queued, None, None, now)?;
                    tx.execute(
                        "UPDATE jobs SET attempts = attempts - 1 WHERE id = ?1",
                        &[id.into()],
                    )?;
                    tx.execute(
                        "DELETE FROM step_output WHERE job_id = ?1 AND attempt = ?2",
                        &[id.into(), attempt.into()],
                    )?;
                }
            }
            Ok(true)
        })
        .await
    }

    /// Asks after a step, which keeps it wanted.
    pub async fn follow_step(&self, id: i64, since: StepPlace, now: Millis) -> Result<Followed> {
        let (followed, is_to_note) = self.read(move |tx| look(tx, id, since, now)).await?;
        if !is_to_note {
            return Ok(followed);
        }
        self.write(move |tx| {
            tx.execute(
                "UPDATE steps SET wanted_until = ?2 WHERE job_id = ?1",
                &[id.into(), now.plus(WANTED).0.into()],
            )?;
            let job = jobs::get(tx, id)?;
            if is_lost(&job, now) {
                jobs::end(tx, id, JobState::Failed, None, Some(jobs::DISAPPEARED), now)?;
            }
            Ok(())
        })
        .await?;
        Ok(self.read(move |tx| look(tx, id, since, now)).await?.0)
    }

    /// Nobody wants the step any more; whoever executes it is told.
    pub async fn cancel_step(&self, id: i64, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let job = step(tx, id)?;
            if matches!(job.state, JobState::Queued | JobState::Running) {
                jobs::end(tx, id, JobState::Failed, None, Some("it was cancelled"), now)?;
            }
            Ok(())
        })
        .await
    }
}

fn due(tx: &Tx<'_>, project: Option<&str>, now: Millis) -> Result<Option<Job>> {
    tx.query_opt(
        &format!(
            "{COLUMNS} JOIN steps ON steps.job_id = jobs.id
             WHERE kind = 'step' AND run_at <= ?1 AND ?1 < steps.wanted_until
               AND (state = 'queued' OR (state = 'running' AND lease_until < ?1))
               AND (?2 = '' OR steps.project = ?2)
             ORDER BY id LIMIT 1"
        ),
        &[now.0.into(), project.unwrap_or_default().into()],
        jobs::job,
    )
}

/// Which attempt the worker has; nothing if it has none.
fn claimed(tx: &Tx<'_>, id: i64, worker: &str) -> Result<Option<u32>> {
    tx.query_opt(
        "SELECT attempts FROM jobs WHERE id = ?1 AND kind = 'step' AND state = 'running' AND worker = ?2",
        &[id.into(), worker.into()],
        |row| row.get::<u32>(0),
    )
}

/// Its last worker is gone, and nobody may try again.
fn is_lost(job: &Job, now: Millis) -> bool {
    let is_over = job.lease_until.is_some_and(|until| until < now);
    job.state == JobState::Running && is_over && job.attempts_max <= job.attempts
}

/// What is known of a step, and whether there is something to be noted.
fn look(tx: &Tx<'_>, id: i64, since: StepPlace, now: Millis) -> Result<(Followed, bool)> {
    let job = step(tx, id)?;
    let worker = "SELECT worker, wanted_until FROM jobs JOIN steps ON steps.job_id = jobs.id WHERE id = ?1";
    let found = tx.query_opt(worker, &[id.into()], |row| {
        Ok((row.get::<Option<String>>(0)?, row.get::<i64>(1)?))
    })?;
    let (worker, wanted_until) = found.unwrap_or_default();
    let is_open = matches!(job.state, JobState::Queued | JobState::Running);
    let is_stale = wanted_until < now.plus(Span(WANTED.0 - NOTED_AGAIN.0)).0;
    let is_to_note = is_open && (is_stale || is_lost(&job, now));
    let at = i64::try_from(since.at).unwrap_or(i64::MAX);
    let output = tx.query(
        "SELECT attempt, at, text FROM step_output
         WHERE job_id = ?1 AND (?2 < attempt OR (attempt = ?2 AND ?3 <= at)) ORDER BY attempt, at LIMIT ?4",
        &[id.into(), since.attempt.into(), at.into(), PIECES_MAX.into()],
        |row| {
            Ok(StepOutput {
                place: StepPlace {
                    attempt: row.get(0)?,
                    at: u64::try_from(row.get::<i64>(1)?).unwrap_or(0),
                },
                text: row.get(2)?,
            })
        },
    )?;
    let followed = Followed { job, worker, output };
    Ok((followed, is_to_note))
}

fn step(tx: &Tx<'_>, id: i64) -> Result<Job> {
    let job = jobs::get(tx, id)?;
    match job.kind.as_str() {
        STEP_KIND => Ok(job),
        _ => Err(Error::NotFound {
            noun: "step",
            id: id.to_string(),
        }),
    }
}

/// The step that a job is.
pub fn step_of(job: &Job) -> Result<Step> {
    read(&job.payload, "step")
}

/// What came of the step that a job is.
pub fn result_of(job: &Job) -> Result<Option<StepResult>> {
    job.result
        .as_ref()
        .map(|result| read(result, "result"))
        .transpose()
}

fn read<T: serde::de::DeserializeOwned>(value: &Json, what: &str) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|source| Error::Invalid {
        message: format!("the {what} that is kept cannot be read: {source}"),
    })
}
