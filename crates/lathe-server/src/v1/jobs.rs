use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_store::Enqueued;
use lathe_types::jobs::{Job, NewJob};
use lathe_types::steps::STEP_KIND;
use serde::Deserialize;
use serde_json::{Value, json};

use super::limit;
use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/jobs", get(list).post(enqueue))
        .route("/jobs/{id}", get(by_id))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

async fn list(State(state): State<AppState>, Message(page): Message<Page>) -> Result<Json<Value>, ApiError> {
    let jobs = state.store.list_jobs(limit(page.limit)).await?;
    let jobs: Vec<Job> = jobs.into_iter().map(without_values).collect();
    Ok(Json(json!({ "jobs": jobs })))
}

async fn enqueue(
    State(state): State<AppState>,
    Message(new): Message<NewJob>,
) -> Result<Json<Enqueued>, ApiError> {
    if new.kind.is_empty() || new.key.is_empty() {
        return Err(ApiError::invalid("a job needs a `kind` and a `key`"));
    }
    if new.kind == STEP_KIND {
        return Err(ApiError::invalid("steps are queued at `/api/v1/steps`"));
    }
    Ok(Json(state.store.enqueue_job(new, (state.options.now)()).await?))
}

async fn by_id(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Job>, ApiError> {
    Ok(Json(without_values(state.store.get_job(id).await?)))
}

/// A step's variables may be secrets: who claims the step needs them, who looks at jobs sees their names.
fn without_values(mut job: Job) -> Job {
    if job.kind == STEP_KIND
        && let Some(variables) = job.payload.get_mut("env").and_then(Value::as_array_mut)
    {
        for variable in variables {
            if let Some(value) = variable.get_mut(1) {
                *value = json!("(hidden)");
            }
        }
    }
    job
}
