use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_types::alerts::Alert;
use serde::Deserialize;
use serde_json::{Value, json};

use super::limit;
use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/alerts", get(list))
        .route("/alerts/{id}/acknowledge", post(acknowledge))
}

#[derive(Deserialize)]
struct List {
    deployment: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(state): State<AppState>,
    Message(request): Message<List>,
) -> Result<Json<Value>, ApiError> {
    let alerts = state
        .store
        .list_alerts(request.deployment, limit(request.limit))
        .await?;
    Ok(Json(json!({ "alerts": alerts })))
}

async fn acknowledge(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Alert>, ApiError> {
    Ok(Json(
        state.store.acknowledge_alert(id, (state.options.now)()).await?,
    ))
}
