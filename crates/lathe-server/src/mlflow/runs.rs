//! `mlflow/runs/*`

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_api::mlflow::experiments::experiment_id;
use lathe_api::mlflow::metrics::LogMetric;
use lathe_api::mlflow::runs::{
    CreateRun, LogBatchRequest, LogInputs, LogModel, LogOutputs, Run, RunById, RunInfoReply, RunKeyValue,
    RunPage, RunReply, SearchRuns, UpdateRun, check_values, run_id, run_tags,
};
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::RunSearch;
use lathe_types::metrics::NewMetric;
use lathe_types::runs::{LogBatch, NewRun, Param, RunName, RunTag, invent_name};
use lathe_types::search::{parse_filter, parse_order_by};
use lathe_types::tags::ViewType;
use lathe_types::{ExperimentId, Millis, RunId, required};
use uuid::Uuid;

use super::extract::Message;
use crate::{ApiError, AppState};

/// As MLflow's server has it.
const BATCH_BYTES_MAX: usize = 1_000_000;
/// A dataset's profile alone may have 16 million characters.
const INPUTS_BYTES_MAX: usize = 32 << 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/runs/create", post(create))
        .route("/2.0/mlflow/runs/get", get(by_id))
        .route("/2.0/mlflow/runs/update", post(update))
        .route("/2.0/mlflow/runs/delete", post(delete))
        .route("/2.0/mlflow/runs/restore", post(restore))
        .route("/2.0/mlflow/runs/search", post(search))
        .route("/2.0/mlflow/runs/log-metric", post(log_metric))
        .route("/2.0/mlflow/runs/log-parameter", post(log_parameter))
        .route(
            "/2.0/mlflow/runs/log-batch",
            post(log_batch).layer(DefaultBodyLimit::max(BATCH_BYTES_MAX)),
        )
        .route(
            "/2.0/mlflow/runs/log-inputs",
            post(log_inputs).layer(DefaultBodyLimit::max(INPUTS_BYTES_MAX)),
        )
        .route("/2.0/mlflow/runs/log-model", post(log_model))
        .route("/2.0/mlflow/runs/outputs", post(log_outputs))
        .route("/2.0/mlflow/runs/set-tag", post(set_tag))
        .route("/2.0/mlflow/runs/delete-tag", post(delete_tag))
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateRun>,
) -> Result<Json<RunReply>, ApiError> {
    let now = (state.options.now)();
    let bits = Uuid::new_v4().as_u128();
    if !state.options.truncate_long_values {
        check_values(&[], &request.tags)?;
    }
    let tags = run_tags(request.tags)?;
    let start_time = request.start_time.map(|time| time.0).filter(|time| *time != 0);
    let new = NewRun {
        id: RunId::from_bits(bits),
        experiment_id: experiment_id(request.experiment_id)?,
        name: RunName::choose(request.run_name, &tags)?.unwrap_or_else(|| invent_name(bits as u64)),
        user_id: request.user_id.unwrap_or_default(),
        start_time: start_time.map_or(now, Millis),
        tags,
    };
    let root = state.options.default_artifact_root.clone();
    let run = state.store.create_run(new, root, now).await?.into();
    Ok(Json(RunReply { run }))
}

async fn by_id(
    State(state): State<AppState>,
    Message(request): Message<RunById>,
) -> Result<Json<RunReply>, ApiError> {
    let run = state.store.get_run(request.id()?).await?.into();
    Ok(Json(RunReply { run }))
}

async fn update(
    State(state): State<AppState>,
    Message(request): Message<UpdateRun>,
) -> Result<Json<RunInfoReply>, ApiError> {
    let (id, change) = request.try_into()?;
    let run_info = state.store.update_run(id, change, (state.options.now)()).await?;
    Ok(Json(RunInfoReply {
        run_info: run_info.into(),
    }))
}

async fn delete(
    State(state): State<AppState>,
    Message(request): Message<RunById>,
) -> Result<Json<Empty>, ApiError> {
    state
        .store
        .delete_run(request.id()?, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}

async fn restore(
    State(state): State<AppState>,
    Message(request): Message<RunById>,
) -> Result<Json<Empty>, ApiError> {
    state
        .store
        .restore_run(request.id()?, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchRuns>,
) -> Result<Json<RunPage>, ApiError> {
    let experiments = request.experiment_ids.iter().map(|id| ExperimentId::parse(id));
    let view = request
        .run_view_type
        .map(|name| ViewType::parse("run_view_type", &name));
    let search = RunSearch {
        experiments: experiments.collect::<Result<_, _>>()?,
        conditions: parse_filter(request.filter.as_deref().unwrap_or_default())?,
        order: parse_order_by(&request.order_by)?,
        view: view.transpose()?.unwrap_or_default(),
        page: page_request(request.page_token.as_deref(), request.max_results, 1_000, 50_000)?,
    };
    let found = state.store.search_runs(search).await?;
    Ok(Json(RunPage {
        runs: found.items.into_iter().map(Run::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn log_metric(
    State(state): State<AppState>,
    Message(mut request): Message<LogMetric>,
) -> Result<Json<Empty>, ApiError> {
    let id = run_id(request.run_id.take(), request.run_uuid.take())?;
    let metric = NewMetric::try_from(request)?;
    state.store.log_batch(id, LogBatch::metric(metric)).await?;
    Ok(Json(Empty {}))
}

async fn log_parameter(
    State(state): State<AppState>,
    Message(request): Message<RunKeyValue>,
) -> Result<Json<Empty>, ApiError> {
    let id = run_id(request.run_id, request.run_uuid)?;
    let value = request.value.unwrap_or_default();
    if !state.options.truncate_long_values {
        Param::check_value(&value)?;
    }
    let param = Param::new(required("key", request.key)?, value)?;
    state.store.log_batch(id, LogBatch::param(param)).await?;
    Ok(Json(Empty {}))
}

async fn log_batch(
    State(state): State<AppState>,
    Message(request): Message<LogBatchRequest>,
) -> Result<Json<Empty>, ApiError> {
    if !state.options.truncate_long_values {
        check_values(&request.params, &request.tags)?;
    }
    let (id, batch) = request.try_into()?;
    state.store.log_batch(id, batch).await?;
    Ok(Json(Empty {}))
}

async fn log_inputs(
    State(state): State<AppState>,
    Message(request): Message<LogInputs>,
) -> Result<Json<Empty>, ApiError> {
    let (id, inputs) = request.try_into()?;
    state.store.log_inputs(id, inputs).await?;
    Ok(Json(Empty {}))
}

async fn log_outputs(
    State(state): State<AppState>,
    Message(request): Message<LogOutputs>,
) -> Result<Json<Empty>, ApiError> {
    let (id, models) = request.try_into()?;
    state.store.log_outputs(id, models).await?;
    Ok(Json(Empty {}))
}

async fn log_model(
    State(state): State<AppState>,
    Message(request): Message<LogModel>,
) -> Result<Json<Empty>, ApiError> {
    let model = request.model()?;
    let id = run_id(request.run_id, None)?;
    state.store.append_model_history(id, model).await?;
    Ok(Json(Empty {}))
}

async fn set_tag(
    State(state): State<AppState>,
    Message(request): Message<RunKeyValue>,
) -> Result<Json<Empty>, ApiError> {
    let id = run_id(request.run_id, request.run_uuid)?;
    let value = request.value.unwrap_or_default();
    if !state.options.truncate_long_values {
        RunTag::check_value(&value)?;
    }
    let tag = RunTag::new(required("key", request.key)?, value)?;
    state.store.log_batch(id, LogBatch::tag(tag)).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(state): State<AppState>,
    Message(request): Message<RunKeyValue>,
) -> Result<Json<Empty>, ApiError> {
    let id = run_id(request.run_id, request.run_uuid)?;
    state
        .store
        .delete_run_tag(id, required("key", request.key)?)
        .await?;
    Ok(Json(Empty {}))
}
