//! `2.0/mlflow/traces`, as clients before 3.0 call it.

use axum::extract::State;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::experiments::experiment_id;
use lathe_api::mlflow::traces::trace_query;
use lathe_api::mlflow::traces_v2::{
    EndTrace, SearchTracesV2, StartTrace, TraceInfoReply, TraceInfoV2, TracePageV2,
};
use lathe_api::mlflow::{page_request, page_token};
use lathe_store::TraceSearch;
use lathe_types::Millis;
use lathe_types::tags::Tag;
use lathe_types::traces::{TraceId, TraceInfo, TraceState};
use uuid::Uuid;

use super::extract::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/traces", post(start).get(search))
        .route("/2.0/mlflow/traces/{trace_id}", patch(end))
        .route("/2.0/mlflow/traces/{trace_id}/info", get(info))
}

fn reply(trace: TraceInfo) -> Json<TraceInfoReply> {
    Json(TraceInfoReply {
        trace_info: TraceInfoV2::from(trace),
    })
}

async fn start(
    State(state): State<AppState>,
    Message(request): Message<StartTrace>,
) -> Result<Json<TraceInfoReply>, ApiError> {
    let now = (state.options.now)();
    let trace = TraceInfo {
        id: TraceId::from_otel(Uuid::new_v4().as_u128()),
        experiment_id: experiment_id(request.experiment_id)?,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        started_at: request.timestamp_ms.map_or(now, |time| Millis(time.0)),
        duration_ms: None,
        state: TraceState::InProgress,
        metadata: request.request_metadata.into_iter().map(Tag::from).collect(),
        tags: request.tags.into_iter().map(Tag::from).collect(),
        assessments: Vec::new(),
    }
    .within_limits()?;
    let root = state.options.default_artifact_root.clone();
    Ok(reply(state.store.start_trace(trace, root, now).await?))
}

async fn end(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<EndTrace>,
) -> Result<Json<TraceInfoReply>, ApiError> {
    let id = TraceId::parse("request_id", &id)?;
    let trace = request.apply(state.store.get_trace(id).await?)?;
    let root = state.options.default_artifact_root.clone();
    let now = (state.options.now)();
    Ok(reply(state.store.start_trace(trace, root, now).await?))
}

async fn info(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<TraceInfoReply>, ApiError> {
    let id = TraceId::parse("request_id", &id)?;
    Ok(reply(state.store.get_trace(id).await?))
}

async fn search(
    State(state): State<AppState>,
    Message(mut request): Message<SearchTracesV2>,
) -> Result<Json<TracePageV2>, ApiError> {
    let experiments = request.experiments()?;
    let (conditions, order) = trace_query(request.filter.as_deref(), &request.order_by)?;
    let search = TraceSearch {
        experiments,
        conditions,
        order,
        page: page_request(request.page_token.as_deref(), request.max_results, 100, 500)?,
    };
    let found = state.store.search_traces(search).await?;
    Ok(Json(TracePageV2 {
        traces: found.items.into_iter().map(TraceInfoV2::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}
