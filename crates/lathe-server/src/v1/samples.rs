use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lathe_store::LabelCounts;
use lathe_types::samples::Label;
use serde::Deserialize;

use crate::mlflow::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/labels", post(insert))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    labels: Vec<Label>,
}

/// Labels of one request at most.
const LABELS_MAX: usize = 10_000;

async fn insert(
    State(state): State<AppState>,
    Message(request): Message<Labels>,
) -> Result<Json<LabelCounts>, ApiError> {
    if LABELS_MAX < request.labels.len() {
        return Err(ApiError::invalid(format!(
            "{} labels in one request; at most {LABELS_MAX} are taken at once",
            request.labels.len()
        )));
    }
    Ok(Json(
        state
            .store
            .insert_labels(request.labels, (state.options.now)())
            .await?,
    ))
}
