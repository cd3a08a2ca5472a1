//! `3.0/mlflow/traces/*`, and those paths of `2.0` that today's clients still use.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::traces::{
    BatchGetTraces, CorrelateFilters, Correlation, DeleteTraces, DeletedTraces, GetTrace, LinkPrompts,
    LinkTraces, SearchTraces, TraceInfo, TraceInfos, TraceMessage, TracePage, TraceTag, experiment_ids,
    trace_query,
};
use lathe_api::mlflow::{Double, Empty, page_request, page_token};
use lathe_api::otlp::span_dict;
use lathe_blob::ArtifactPath;
use lathe_store::{TraceCounts, TraceSearch};
use lathe_types::search::parse_trace_filter;
use lathe_types::traces::{self, ARTIFACTS_TAG, SPANS_TAG, TraceId, trace_tag, trace_tag_key};
use lathe_types::{ErrorKind, RunId, required};
use serde::Deserialize;
use uuid::Uuid;

use super::artifacts::send_file;
use super::extract::Message;
use crate::inference::place_of;
use crate::path::Path;
use crate::{ApiError, AppState};

/// How often a trace is looked at whose spans are still on their way, and how long between.
const SPANS_AWAITED: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];
/// Spans of one answer are put together in memory.
const ANSWER_BYTES_MAX: usize = 512 << 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/3.0/mlflow/traces", post(start))
        .route("/3.0/mlflow/traces/{trace_id}", get(info))
        .route("/3.0/mlflow/traces/get", get(whole))
        .route("/3.0/mlflow/traces/batchGet", get(batch_get))
        .route("/3.0/mlflow/traces/batchGetInfos", post(batch_get_infos))
        .route("/3.0/mlflow/traces/search", post(search))
        .route("/3.0/mlflow/traces/delete-traces", post(delete_traces))
        .route("/2.0/mlflow/traces/delete-traces", post(delete_traces))
        .route(
            "/3.0/mlflow/traces/{trace_id}/tags",
            patch(set_tag).delete(delete_tag),
        )
        .route(
            "/2.0/mlflow/traces/{trace_id}/tags",
            patch(set_tag).delete(delete_tag),
        )
        .route("/3.0/mlflow/traces/link-to-run", post(link_to_run))
        .route("/2.0/mlflow/traces/link-to-run", post(link_to_run))
        .route("/3.0/mlflow/traces/link-prompts", post(link_prompts))
        .route("/2.0/mlflow/traces/link-prompts", post(link_prompts))
        .route("/3.0/mlflow/traces/calculate-filter-correlation", post(correlate))
        .route("/3.0/mlflow/get-trace-artifact", get(artifact))
        .route("/2.0/mlflow/get-trace-artifact", get(artifact))
}

/// An id for an assessment that came without one.
pub(super) fn assessment_id() -> String {
    format!("a-{}", Uuid::new_v4().simple())
}

/// Told at the end of a trace, whatever its name says.
async fn start(
    State(state): State<AppState>,
    Message(request): Message<TraceMessage>,
) -> Result<Json<TraceMessage>, ApiError> {
    let trace = request.parse(assessment_id)?;
    let root = state.options.default_artifact_root.clone();
    let trace = state
        .store
        .start_trace(trace, root, (state.options.now)())
        .await?;
    Ok(Json(trace.into()))
}

async fn info(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<TraceMessage>, ApiError> {
    let trace = state.store.get_trace(TraceId::parse("trace_id", &id)?).await?;
    Ok(Json(trace.into()))
}

async fn whole(
    State(state): State<AppState>,
    Message(request): Message<GetTrace>,
) -> Result<Response, ApiError> {
    let id = TraceId::parse("trace_id", &required("trace_id", request.trace_id)?)?;
    let partial = request.allow_partial.unwrap_or_default().0;
    let mut waits = SPANS_AWAITED.into_iter();
    loop {
        let trace = state.store.get_trace(id.clone()).await?;
        let kept = state.store.count_spans(id.clone()).await?;
        if partial || (kept != 0 && trace.spans_expected() <= kept) {
            let spans = state.store.list_spans(id).await?;
            let mut body = String::from("{\"trace\":");
            push_trace(&mut body, trace, &spans);
            body.push('}');
            return Ok(json_body(body));
        }
        let Some(wait) = waits.next().filter(|_| trace.tag_value(SPANS_TAG).is_some()) else {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                match trace.tag_value(SPANS_TAG) {
                    Some(_) => {
                        format!("Trace with ID {id} is not fully exported yet, please try again later.")
                    }
                    None => format!("the spans of trace `{id}` are not here, but with its artifacts"),
                },
            ));
        };
        tokio::time::sleep(wait).await;
    }
}

/// Those of the traces whose spans are all here.
async fn batch_get(
    State(state): State<AppState>,
    Message(request): Message<BatchGetTraces>,
) -> Result<Response, ApiError> {
    let (ids, experiments) = request.parse()?;
    let mut body = String::from("{\"traces\":[");
    let mut first = true;
    for trace in state.store.list_traces(ids, experiments).await? {
        let spans = state.store.list_spans(trace.id.clone()).await?;
        if spans.is_empty() || spans.len() < trace.spans_expected() {
            continue;
        }
        if !first {
            body.push(',');
        }
        first = false;
        push_trace(&mut body, trace, &spans);
        if ANSWER_BYTES_MAX < body.len() {
            return Err(ApiError::invalid(format!(
                "these traces are more than {} MiB together; ask for fewer at once",
                ANSWER_BYTES_MAX >> 20
            )));
        }
    }
    body.push_str("]}");
    Ok(json_body(if first { "{}".into() } else { body }))
}

/// Spans are kept as the JSON that is sent, so they are only put together.
fn push_trace(body: &mut String, trace: traces::TraceInfo, spans: &[String]) {
    let info = serde_json::to_string(&TraceInfo::from(trace)).unwrap_or_default();
    body.reserve(info.len() + spans.iter().map(|span| span.len() + 1).sum::<usize>() + 64);
    body.push_str("{\"trace_info\":");
    body.push_str(&info);
    if !spans.is_empty() {
        body.push_str(",\"spans\":[");
        for (index, span) in spans.iter().enumerate() {
            if index != 0 {
                body.push(',');
            }
            body.push_str(span);
        }
        body.push(']');
    }
    body.push('}');
}

fn json_body(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn batch_get_infos(
    State(state): State<AppState>,
    Message(request): Message<BatchGetTraces>,
) -> Result<Json<TraceInfos>, ApiError> {
    let (ids, experiments) = request.parse()?;
    let found = state.store.list_traces(ids, experiments).await?;
    Ok(Json(TraceInfos {
        trace_infos: found.into_iter().map(TraceInfo::from).collect(),
    }))
}

async fn search(
    State(state): State<AppState>,
    Message(mut request): Message<SearchTraces>,
) -> Result<Json<TracePage>, ApiError> {
    let experiments = request.experiments()?;
    let (conditions, order) = trace_query(request.filter.as_deref(), &request.order_by)?;
    let search = TraceSearch {
        experiments,
        conditions,
        order,
        page: page_request(request.page_token.as_deref(), request.max_results, 100, 500)?,
    };
    let found = state.store.search_traces(search).await?;
    Ok(Json(TracePage {
        traces: found.items.into_iter().map(TraceInfo::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn delete_traces(
    State(state): State<AppState>,
    Message(request): Message<DeleteTraces>,
) -> Result<Json<DeletedTraces>, ApiError> {
    let traces_deleted = state.store.delete_traces(request.try_into()?).await?;
    Ok(Json(DeletedTraces { traces_deleted }))
}

async fn set_tag(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<TraceTag>,
) -> Result<Json<Empty>, ApiError> {
    let id = TraceId::parse("trace_id", &id)?;
    let tag = trace_tag(required("key", request.key)?, request.value.unwrap_or_default())?;
    state.store.set_trace_tag(id, tag).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<TraceTag>,
) -> Result<Json<Empty>, ApiError> {
    let id = TraceId::parse("trace_id", &id)?;
    let key = trace_tag_key(required("key", request.key)?)?;
    state.store.delete_trace_tag(id, key).await?;
    Ok(Json(Empty {}))
}

async fn link_to_run(
    State(state): State<AppState>,
    Message(request): Message<LinkTraces>,
) -> Result<Json<Empty>, ApiError> {
    let traces = request.ids()?;
    let run = RunId::parse(&required("run_id", request.run_id)?)?;
    state.store.link_traces(traces, run).await?;
    Ok(Json(Empty {}))
}

async fn link_prompts(
    State(state): State<AppState>,
    Message(request): Message<LinkPrompts>,
) -> Result<Json<Empty>, ApiError> {
    let prompts = request.prompts()?;
    let id = TraceId::parse("trace_id", &required("trace_id", request.trace_id)?)?;
    state.store.link_prompts(id, prompts).await?;
    Ok(Json(Empty {}))
}

async fn correlate(
    State(state): State<AppState>,
    Message(request): Message<CorrelateFilters>,
) -> Result<Json<Correlation>, ApiError> {
    let experiments = experiment_ids(request.experiment_ids)?;
    let first = parse_trace_filter(&required("filter_string1", request.filter_string1)?)?;
    let second = parse_trace_filter(&required("filter_string2", request.filter_string2)?)?;
    let base = parse_trace_filter(request.base_filter.as_deref().unwrap_or_default())?;
    let counts = state.store.count_traces(experiments, base, first, second).await?;
    Ok(Json(Correlation {
        npmi: npmi(&counts, 0.0).map(Double),
        npmi_smoothed: npmi(&counts, 0.5).map(Double),
        filter1_count: counts.first,
        filter2_count: counts.second,
        joint_count: counts.both,
        total_count: counts.total,
    }))
}

/// Normalised pointwise mutual information (Bouma 2009), with `more` added to each of the four counts; none where it
/// is not defined.
fn npmi(counts: &TraceCounts, more: f64) -> Option<f64> {
    if counts.first == 0 || counts.second == 0 {
        return None;
    }
    let (both, first) = (counts.both as f64, counts.first as f64);
    let (second, total) = (counts.second as f64, counts.total as f64);
    if both == 0.0 && more == 0.0 {
        return Some(-1.0);
    }
    if both == total {
        return Some(1.0);
    }
    let (both, first, second) = (both + more, first + 2.0 * more, second + 2.0 * more);
    let total = total + 4.0 * more;
    let pmi = (both * total / (first * second)).ln();
    Some((pmi / -(both / total).ln()).clamp(-1.0, 1.0))
}

#[derive(Deserialize)]
struct TraceArtifact {
    request_id: Option<String>,
    trace_id: Option<String>,
    path: Option<String>,
}

/// The spans as `traces.json` has them, or a file that belongs to the trace.
async fn artifact(
    State(state): State<AppState>,
    headers: HeaderMap,
    Message(request): Message<TraceArtifact>,
) -> Result<Response, ApiError> {
    let id = required("request_id", request.request_id.or(request.trace_id))?;
    let id = TraceId::parse("request_id", &id)?;
    let trace = state.store.get_trace(id.clone()).await?;
    let attachment = request.path.filter(|path| !path.is_empty());
    let file = match attachment {
        Some(path) => Some(format!("attachments/{path}")),
        None if trace.tag_value(SPANS_TAG).is_none() => Some("traces.json".to_owned()),
        None => None,
    };
    if let Some(file) = file {
        let place = trace.tag_value(ARTIFACTS_TAG).unwrap_or_default();
        let (artifacts, root) = place_of(&state.store, &state.artifacts, place).await?;
        return send_file(&artifacts, &root.join(&ArtifactPath::parse(&file)?), &headers).await;
    }
    let spans = state.store.list_spans(id).await?;
    let spans: Vec<serde_json::Value> = spans.iter().filter_map(|span| span_dict(span)).collect();
    let told = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=traces.json"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    Ok((told, serde_json::json!({ "spans": spans }).to_string()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_go_together_are_near_one_and_those_that_never_do_are_minus_one() {
        let counts = |both, first, second, total| TraceCounts {
            total,
            first,
            second,
            both,
        };
        assert_eq!(npmi(&counts(4, 4, 4, 4), 0.0), Some(1.0));
        assert_eq!(npmi(&counts(0, 2, 2, 9), 0.0), Some(-1.0));
        assert_eq!(npmi(&counts(0, 0, 2, 9), 0.0), None);
        let unrelated = npmi(&counts(1, 2, 2, 4), 0.0).unwrap();
        assert!(unrelated.abs() < 1e-12, "{unrelated}");
        assert!(npmi(&counts(2, 2, 2, 4), 0.0) > npmi(&counts(2, 2, 2, 4), 0.5));
    }
}
