//! Steps of pipelines: `lathe run` queues and follows them, `lathe worker` claims and executes them. A worker's claim is
//! a lease; what it says after it lost that is refused with 409.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lathe_store::steps::{StepEnd, result_of, step_of};
use lathe_types::jobs::Job;
use lathe_types::steps::{ClaimedStep, Step, StepOutput, StepPlace, StepProgress, StepResult};
use lathe_types::{ErrorKind, Span};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

/// Bytes of one piece of output.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// A lease that a worker may ask for.
const LEASE_MS: std::ops::RangeInclusive<i64> = 1_000..=3_600_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/steps", post(queue))
        .route("/steps/claim", post(claim))
        .route("/steps/{id}/keep", post(keep))
        .route("/steps/{id}/end", post(end))
        .route("/steps/{id}/follow", post(follow))
        .route("/steps/{id}/cancel", post(cancel))
}

/// A step with the key that is its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Queued {
    key: String,
    /// The step's own, where the permission is looked up.
    run_id: String,
    step: Step,
}

async fn queue(
    State(state): State<AppState>,
    Message(queued): Message<Queued>,
) -> Result<Json<Value>, ApiError> {
    if queued.step.run_id != queued.run_id || queued.key.is_empty() {
        return Err(ApiError::invalid(
            "a step needs a `key`, and the same `run_id` outside and inside of it",
        ));
    }
    let key = format!("step/{}/{}", queued.run_id, queued.key);
    let now = (state.options.now)();
    let job = state.store.queue_step(key, queued.step, now).await?;
    Ok(Json(json!({ "id": job.id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    worker: String,
    lease_ms: i64,
    #[serde(default)]
    project: Option<String>,
}

async fn claim(
    State(state): State<AppState>,
    Message(claim): Message<Claim>,
) -> Result<Json<Value>, ApiError> {
    if claim.worker.is_empty() {
        return Err(ApiError::invalid("a worker needs a name"));
    }
    let lease = lease(claim.lease_ms)?;
    let now = (state.options.now)();
    let job = state
        .store
        .claim_step(claim.project, claim.worker, lease, now)
        .await?;
    let claimed = match &job {
        Some(job) => Some(ClaimedStep {
            id: job.id,
            attempt: job.attempts,
            step: step_of(job)?,
        }),
        None => None,
    };
    Ok(Json(json!({ "claimed": claimed })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keep {
    worker: String,
    lease_ms: i64,
    #[serde(default)]
    output: Option<StepOutput>,
}

async fn keep(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Message(keep): Message<Keep>,
) -> Result<Json<Value>, ApiError> {
    let is_large = |output: &StepOutput| OUTPUT_BYTES_MAX < output.text.len();
    if keep.output.as_ref().is_some_and(is_large) {
        return Err(ApiError::too_large(format!(
            "a piece of output may have {OUTPUT_BYTES_MAX} bytes; send it in several"
        )));
    }
    let lease = lease(keep.lease_ms)?;
    let now = (state.options.now)();
    let is_kept = state
        .store
        .keep_step(id, keep.worker, lease, keep.output, now)
        .await?;
    kept(id, is_kept)
}

/// How a worker ends a claim: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    worker: String,
    #[serde(default)]
    result: Option<StepResult>,
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    released: bool,
}

async fn end(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Message(end): Message<End>,
) -> Result<Json<Value>, ApiError> {
    let how = match (end.result, end.problem, end.released) {
        (Some(result), None, false) => StepEnd::Done(Box::new(result)),
        (None, Some(problem), false) => StepEnd::Failed(problem),
        (None, None, true) => StepEnd::Released,
        _ => {
            return Err(ApiError::invalid(
                "a step ends with one of `result`, `problem` and `released`",
            ));
        }
    };
    let now = (state.options.now)();
    kept(id, state.store.end_step(id, end.worker, how, now).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    since: StepPlace,
}

async fn follow(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Message(follow): Message<Follow>,
) -> Result<Json<StepProgress>, ApiError> {
    let now = (state.options.now)();
    let followed = state.store.follow_step(id, follow.since, now).await?;
    let result = result_of(&followed.job)?;
    let Job {
        state,
        attempts,
        error,
        ..
    } = followed.job;
    Ok(Json(StepProgress {
        state,
        attempt: attempts,
        worker: followed.worker,
        output: followed.output,
        result,
        error,
    }))
}

async fn cancel(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    state.store.cancel_step(id, (state.options.now)()).await?;
    Ok(Json(json!({})))
}

fn lease(millis: i64) -> Result<Span, ApiError> {
    match LEASE_MS.contains(&millis) {
        true => Ok(Span(millis)),
        false => Err(ApiError::invalid(format!(
            "a lease of {millis} ms is not from {} to {}",
            LEASE_MS.start(),
            LEASE_MS.end()
        ))),
    }
}

fn kept(id: i64, is_kept: bool) -> Result<Json<Value>, ApiError> {
    match is_kept {
        true => Ok(Json(json!({}))),
        false => Err(ApiError::new(
            ErrorKind::Conflict,
            format!("step {id} is not this worker's any more: its lease ran out, or nobody wants the step"),
        )),
    }
}
