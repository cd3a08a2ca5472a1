//! Traces for the web page: the tree without bodies, and one body at a time, so that a trace of many spans is quick.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_api::otlp::span_plain;
use lathe_types::ErrorKind;
use lathe_types::traces::{SpanHead, SpanId, TraceId};
use serde_json::{Value, json};

use crate::path::Path;
use crate::{ApiError, AppState};

/// Spans of one tree at most.
const SPANS_MAX: usize = 50_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/traces/{trace_id}/spans", get(tree))
        .route("/traces/{trace_id}/spans/{span_id}", get(body))
}

/// The spans as they started. Times are microseconds after the first one: nanoseconds since 1970 are more than
/// JavaScript can count.
async fn tree(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id = TraceId::parse("trace_id", &id)?;
    let mut spans = state.store.list_span_heads(id, SPANS_MAX + 1).await?;
    let more = SPANS_MAX < spans.len();
    spans.truncate(SPANS_MAX);
    let first = spans.first().map_or(0, |span| span.started_at_ns);
    let spans: Vec<Value> = spans.iter().map(|span| wire(span, first)).collect();
    Ok(Json(json!({ "spans": spans, "more": more })))
}

fn wire(span: &SpanHead, first_ns: i64) -> Value {
    let micros = |ns: i64| ns.saturating_sub(first_ns) as f64 / 1_000.0;
    let duration = span
        .ended_at_ns
        .map(|ended| ended.saturating_sub(span.started_at_ns) as f64 / 1_000.0);
    json!({
        "span_id": span.id.to_string(),
        "parent_id": span.parent.map(|id| id.to_string()),
        "name": span.name,
        "kind": span.kind,
        "status": span.status.as_str(),
        "start_us": micros(span.started_at_ns),
        "duration_us": duration,
        "total_tokens": span.tokens.map(|tokens| tokens.total),
    })
}

/// One span with its attributes as plain JSON.
async fn body(
    State(state): State<AppState>,
    Path((trace, span)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let trace = TraceId::parse("trace_id", &trace)?;
    let id = SpanId::parse(&span)
        .ok_or_else(|| ApiError::invalid(format!("`{span}` is not a span id; expected 16 hex digits")))?;
    let content = state.store.get_span(trace, id).await?;
    let plain =
        span_plain(&content).ok_or_else(|| ApiError::new(ErrorKind::Internal, "the span cannot be read"))?;
    Ok(Json(plain))
}
