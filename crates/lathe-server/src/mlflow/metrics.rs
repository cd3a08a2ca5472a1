//! `mlflow/metrics/*`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_api::mlflow::metrics::{GetHistories, GetHistory, GetIntervals, Metric, MetricList, MetricPage};
use lathe_api::mlflow::runs::run_id;
use lathe_api::mlflow::{max_results, page_request, page_token};
use lathe_store::Interval;
use lathe_types::{InputError, RunId, required};

use super::extract::Message;
use crate::{ApiError, AppState};

const RUNS_MAX: usize = 100;
const POINTS_MAX: i64 = 2_500;
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
) -> Result<Json<MetricList>, ApiError> {
    let refuse = |message: String| Err(InputError::Request(message).into());
    if request.run_id.is_empty() {
        return refuse("GetMetricHistoryBulk request must specify at least one run_id.".into());
    }
    let asked = request.run_id.len();
    if RUNS_MAX < asked {
        return refuse(format!(
            "GetMetricHistoryBulk request cannot specify more than {RUNS_MAX} run_ids. Received {asked} run_ids."
        ));
    }
    let Some(key) = request.metric_key else {
        return refuse("GetMetricHistoryBulk request must specify a metric_key.".into());
    };
    let limit = max_results(request.max_results, PAGE_MAX, usize::MAX)?.min(PAGE_MAX);
    let mut ids = known_form(&request.run_id);
    ids.sort();
    let found = state.store.metric_histories(ids, key, limit).await?;
    Ok(Json(MetricList {
        metrics: found.into_iter().map(Metric::from).collect(),
    }))
}

async fn intervals(
    State(state): State<AppState>,
    Message(request): Message<GetIntervals>,
) -> Result<Json<MetricPage>, ApiError> {
    let steps = request.steps();
    let asked = request.run_ids.len();
    if asked == 0 {
        return Err(InputError::Missing {
            parameter: "run_ids".into(),
        }
        .into());
    }
    if RUNS_MAX < asked {
        return Err(ApiError::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {RUNS_MAX} run_ids. Received {asked} run_ids."
        )));
    }
    let key = required("metric_key", request.metric_key)?;
    let points_max = request.max_results.map_or(POINTS_MAX, |asked| asked.0);
    if !(1..=POINTS_MAX).contains(&points_max) {
        return Err(ApiError::invalid(format!(
            "max_results must be between 1 and {POINTS_MAX}."
        )));
    }
    let interval = Interval {
        runs: known_form(&request.run_ids),
        steps: steps?,
        points_max: points_max as usize,
        key,
    };
    let found = state.store.metric_intervals(interval).await?;
    Ok(Json(MetricPage {
        metrics: found.into_iter().map(Metric::from).collect(),
        next_page_token: None,
    }))
}

/// The ids that runs of this server can have; what is no id has no history.
fn known_form(ids: &[String]) -> Vec<RunId> {
    ids.iter().filter_map(|id| RunId::parse(id).ok()).collect()
}
