//! `3.0/mlflow/traces/metrics`

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lathe_api::mlflow::trace_metrics::{MetricDataPoint, QueryTraceMetrics, TraceMetrics};
use lathe_api::mlflow::{page_request, page_token};

use super::extract::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/3.0/mlflow/traces/metrics", post(query))
}

async fn query(
    State(state): State<AppState>,
    Message(request): Message<QueryTraceMetrics>,
) -> Result<Json<TraceMetrics>, ApiError> {
    let page = page_request(request.page_token.as_deref(), request.max_results, 1_000, 10_000)?;
    let query = request.parse()?;
    let (metric, names) = (query.metric.clone(), query.dimensions.clone());
    let points = state.store.trace_metrics(query).await?;
    let start = usize::try_from(page.offset)
        .unwrap_or(usize::MAX)
        .min(points.len());
    let more = page.limit < points.len() - start;
    let points = points.into_iter().skip(start).take(page.limit);
    Ok(Json(TraceMetrics {
        data_points: points
            .map(|point| MetricDataPoint::new(&metric, &names, point))
            .collect(),
        next_page_token: more.then(|| page_token(page.offset + page.limit as u64)),
    }))
}
