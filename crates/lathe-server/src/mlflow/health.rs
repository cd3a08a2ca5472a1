use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::{ApiError, AppState};

/// The version of MLflow's API that is spoken here; clients switch features by it.
const MLFLOW_VERSION: &str = "3.17.2";

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(async || MLFLOW_VERSION))
}

/// `GET /health`: OK only if the records can be read.
async fn health(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    state.store.latest_events(1).await?;
    Ok("OK")
}
