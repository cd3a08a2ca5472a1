//! Lathe's own API: what MLflow's does not have. The web UI and the command line are its clients.

mod access;
mod alerts;
mod audit;
mod deployments;
mod events;
mod jobs;
mod lineage;
mod models;
mod openapi;
mod projects;
mod samples;
mod serving;
mod steps;
mod traces;
mod webhooks;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::AppState;

pub(crate) fn routes() -> Router<AppState> {
    let nouns = Router::new()
        .route("/about", get(about))
        .merge(access::routes())
        .merge(alerts::routes())
        .merge(audit::routes())
        .merge(deployments::routes())
        .merge(events::routes())
        .merge(jobs::routes())
        .merge(lineage::routes())
        .merge(models::routes())
        .merge(openapi::routes())
        .merge(projects::routes())
        .merge(samples::routes())
        .merge(serving::routes())
        .merge(steps::routes())
        .merge(traces::routes())
        .merge(webhooks::routes());
    Router::new().nest("/api/v1", nouns).merge(events::live())
}

/// Rows of a listing unless the caller asks for fewer.
const LIMIT: usize = 200;
/// Rows of a listing at most.
const LIMIT_MAX: usize = 10_000;

fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT).min(LIMIT_MAX)
}

async fn about(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "name": "lathe", "version": state.options.lathe_version }))
}
