use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use lathe_types::executions::Execution;
use lathe_types::project::ProjectSpec;
use lathe_types::{ErrorKind, RunId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/projects", get(list))
        .route("/projects/{name}", put(declare))
        .route("/executions", post(record_execution))
        .route("/executions/{run_id}", get(execution))
        .route("/executions/{run_id}/reproduction", post(record_reproduction))
}

/// What a `lathe.toml` declares, and where it lies.
#[derive(Deserialize)]
struct Declaration {
    root: String,
    spec: ProjectSpec,
}

async fn list(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    let projects = state.store.list_projects().await?;
    let projects: Vec<Value> = projects
        .into_iter()
        .map(|project| json!({ "name": project.name, "root": project.root, "spec": project.spec }))
        .collect();
    Ok(Json(json!({ "projects": projects })))
}

async fn declare(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Message(declaration): Message<Declaration>,
) -> Result<Json<Value>, ApiError> {
    if declaration.spec.project.name != name {
        return Err(ApiError::invalid(format!(
            "the project calls itself `{}`, not `{name}`",
            declaration.spec.project.name
        )));
    }
    let now = (state.options.now)();
    state
        .store
        .declare_project(&name, declaration.root, declaration.spec, now)
        .await?;
    Ok(Json(json!({})))
}

async fn record_execution(
    State(state): State<AppState>,
    Message(execution): Message<Execution>,
) -> Result<Json<Value>, ApiError> {
    state.store.record_execution(execution).await?;
    Ok(Json(json!({})))
}

async fn execution(
    State(state): State<AppState>,
    Path(run_id): Path<String>,
) -> Result<Json<Execution>, ApiError> {
    let found = state.store.find_execution(RunId::parse(&run_id)?).await?;
    found.map(Json).ok_or_else(|| {
        ApiError::new(
            ErrorKind::NotFound,
            format!("no pipeline is recorded for run `{run_id}`"),
        )
    })
}

/// What a reproduction showed: `verified`, one line for people, and whatever else gates may ask for.
#[derive(Deserialize)]
struct Reproduction {
    summary: String,
    shown: Map<String, Value>,
}

async fn record_reproduction(
    State(state): State<AppState>,
    Path(run_id): Path<String>,
    Message(reproduction): Message<Reproduction>,
) -> Result<Json<Value>, ApiError> {
    let run = RunId::parse(&run_id)?;
    state.store.get_run(run.clone()).await?;
    let now = (state.options.now)();
    let shown = Value::Object(reproduction.shown);
    let versions = state
        .store
        .record_reproduction(run, shown, reproduction.summary, now)
        .await?;
    let versions: Vec<Value> = versions
        .into_iter()
        .map(|(model, version)| json!({ "model": model, "version": version }))
        .collect();
    Ok(Json(json!({ "versions": versions })))
}
