//! `/api/v1/webhooks`: what became of events on their way to receivers.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_types::webhooks::DeliveryRecord;
use serde::Serialize;

use crate::path::Path;
use crate::{ApiError, AppState};

const DELIVERIES_MAX: usize = 1_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/webhooks/{id}/deliveries", get(deliveries))
}

#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<DeliveryRecord>,
}

async fn deliveries(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Deliveries>, ApiError> {
    let deliveries = state.store.list_deliveries(id, DELIVERIES_MAX).await?;
    Ok(Json(Deliveries { deliveries }))
}
