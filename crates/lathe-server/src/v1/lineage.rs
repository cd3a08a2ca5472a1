use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_store::LineageId;
use lathe_types::lineage::LineageGraph;
use lathe_types::{RunId, required};
use serde::Deserialize;

use crate::mlflow::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/lineage", get(of))
}

#[derive(Deserialize)]
struct Of {
    of: Option<String>,
}

/// The way back from a prediction id, a run id or `models:/…`; also from the subjects of events, `run/ID` and
/// `model/NAME/VERSION`.
async fn of(
    State(state): State<AppState>,
    Message(request): Message<Of>,
) -> Result<Json<LineageGraph>, ApiError> {
    let of = required("of", request.of)?;
    let id = if let Some(run) = of.strip_prefix("run/") {
        LineageId::Run(RunId::parse(run)?)
    } else if let Some(rest) = of.strip_prefix("model/") {
        LineageId::parse(&format!("models:/{rest}"))?
    } else {
        LineageId::parse(&of)?
    };
    Ok(Json(state.store.lineage(id).await?))
}
