//! `mlflow/metrics/*`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_api::mlflow::metrics::{GetHistories, GetHistory, GetIntervals, Metric, MetricPage};
use lathe_api::mlflow::runs::run_id;
use lathe_api::mlflow::{max_results, page_request, page_token};
use lathe_store::Interval;
use lathe_types::{InputError, RunId, required};

use super::extract::Message;
use crate::{ApiError, AppState};

const RUNS_MAX: usize = 100;
const PAGE_MAX: usize = 25_000;
/// Clients that ask for no page expect the whole history; one that is longer than this comes in pages all the same.
const HISTORY_MAX: usize = 1_000_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/metrics/get-history", get(history))
        .route("/2.0/mlflow/metrics/get-history-bulk", get(histories))
        .route("/2.0/mlflow/metrics/get-history-bulk-interval", get(intervals))
}

async fn history(
    State(state): State<AppState>,
    Message(request): Message<GetHistory>,
) -> Result<Json<MetricPage>, ApiError> {
    let id = run_id(request.run_id, request.run_uuid)?;
    let key = required("metric_key", request.metric_key)?;
    let mut page = page_request(
        request.page_token.as_deref(),
        request.max_results,
        HISTORY_MAX,
        usize::MAX,
    )?;
    if request.max_results.is_some() {
        page.limit = page.limit.min(PAGE_MAX);
    }
    let found = state.store.metric_history(id, key, page).await?;
    Ok(Json(MetricPage {
        metrics: found.items.into_iter().map(Metric::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn histories(
    State(state): State<AppState>,
    Message(request): Message<GetHistories>,
) -> Result<Json<MetricPage>, ApiError> {
    let ids = run_ids("run_id", &request.run_id)?;
    let key = required("metric_key", request.metric_key)?;
    let limit = max_results(request.max_results, PAGE_MAX, usize::MAX)?.min(PAGE_MAX);
    let found = state.store.metric_histories(ids, key, limit).await?;
    Ok(Json(MetricPage {
        metrics: found.into_iter().map(Metric::from).collect(),
        next_page_token: None,
    }))
}

async fn intervals(
    State(state): State<AppState>,
    Message(request): Message<GetIntervals>,
) -> Result<Json<MetricPage>, ApiError> {
    let interval = Interval {
        runs: run_ids("run_ids", &request.run_ids)?,
        steps: request.steps()?,
        points_max: max_results(request.max_results, 2_500, 2_500)?,
        key: required("metric_key", request.metric_key)?,
    };
    let found = state.store.metric_intervals(interval).await?;
    Ok(Json(MetricPage {
        metrics: found.into_iter().map(Metric::from).collect(),
        next_page_token: None,
    }))
}

fn run_ids(parameter: &str, ids: &[String]) -> Result<Vec<RunId>, ApiError> {
    if ids.is_empty() {
        return Err(InputError::Missing {
            parameter: parameter.to_owned(),
        }
        .into());
    }
    if RUNS_MAX < ids.len() {
        return Err(InputError::Invalid {
            parameter: parameter.to_owned(),
            value: ids.len().to_string(),
            reason: format!("a request can ask for at most {RUNS_MAX} runs"),
        }
        .into());
    }
    Ok(ids.iter().map(|id| RunId::parse(id)).collect::<Result<_, _>>()?)
}
