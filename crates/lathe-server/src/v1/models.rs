//! What Lathe knows of model versions beyond the registry: facts, drift references, verdicts.

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use lathe_types::ErrorKind;
use serde_json::{Map, Value, json};

use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(
            "/models/{model}/versions/{version}/facts",
            get(facts).put(put_facts),
        )
        .route("/models/{model}/versions/{version}/reference", put(put_reference))
        .route("/models/{model}/versions/{version}/verdicts", get(verdicts))
}

async fn facts(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, u32)>,
) -> Result<Json<Value>, ApiError> {
    let facts = state.store.get_version_facts(&model, version).await?;
    facts.map(Json).ok_or_else(|| {
        ApiError::new(
            ErrorKind::NotFound,
            format!("nothing is known of `{model}` version {version} beyond the registry"),
        )
    })
}

async fn put_facts(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, u32)>,
    Message(facts): Message<Map<String, Value>>,
) -> Result<Json<Value>, ApiError> {
    state.store.get_model_version(&model, version).await?;
    state
        .store
        .put_version_facts(&model, version, Value::Object(facts))
        .await?;
    Ok(Json(json!({})))
}

async fn put_reference(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, u32)>,
    Message(reference): Message<Map<String, Value>>,
) -> Result<Json<Value>, ApiError> {
    state.store.get_model_version(&model, version).await?;
    state
        .store
        .put_reference(&model, version, Value::Object(reference))
        .await?;
    Ok(Json(json!({})))
}

async fn verdicts(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, u32)>,
) -> Result<Json<Value>, ApiError> {
    let verdicts = state
        .store
        .list_verdicts(&model, Some(version), super::LIMIT)
        .await?;
    Ok(Json(json!({ "verdicts": verdicts })))
}
