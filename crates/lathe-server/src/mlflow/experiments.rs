//! `mlflow/experiments/*`

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_api::mlflow::datasets::{DatasetSummaries, DatasetSummary, SearchDatasets};
use lathe_api::mlflow::experiments::{
    CreateExperiment, CreatedExperiment, Experiment, ExperimentById, ExperimentByName, ExperimentPage,
    ExperimentReply, ExperimentTagRequest, SearchExperiments, UpdateExperiment, experiment_id,
};
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::ExperimentSearch;
use lathe_types::experiments::{ExperimentName, ExperimentTag};
use lathe_types::required;
use lathe_types::search::{parse_filter, parse_order_by};
use lathe_types::tags::ViewType;

use super::extract::Message;
use crate::{ApiError, AppState};

/// As many as MLflow's server lists; its web page offers them as filters.
const DATASETS_MAX: usize = 1_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/experiments/create", post(create))
        .route("/2.0/mlflow/experiments/get", get(by_id))
        .route("/2.0/mlflow/experiments/get-by-name", get(by_name))
        .route("/2.0/mlflow/experiments/search", post(search).get(search))
        .route("/2.0/mlflow/experiments/search-datasets", post(search_datasets))
        .route("/2.0/mlflow/experiments/update", post(update))
        .route("/2.0/mlflow/experiments/delete", post(delete))
        .route("/2.0/mlflow/experiments/restore", post(restore))
        .route("/2.0/mlflow/experiments/set-experiment-tag", post(set_tag))
        .route("/2.0/mlflow/experiments/delete-experiment-tag", post(delete_tag))
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateExperiment>,
) -> Result<Json<CreatedExperiment>, ApiError> {
    let now = (state.options.now)();
    let id = state.store.create_experiment(request.try_into()?, now).await?;
    Ok(Json(CreatedExperiment {
        experiment_id: id.to_string(),
    }))
}

async fn by_id(
    State(state): State<AppState>,
    Message(request): Message<ExperimentById>,
) -> Result<Json<ExperimentReply>, ApiError> {
    let experiment = state
        .store
        .get_experiment(experiment_id(request.experiment_id)?)
        .await?;
    Ok(Json(ExperimentReply {
        experiment: Experiment::new(experiment, &state.options.default_artifact_root),
    }))
}

async fn by_name(
    State(state): State<AppState>,
    Message(request): Message<ExperimentByName>,
) -> Result<Json<ExperimentReply>, ApiError> {
    let name = required("experiment_name", request.experiment_name)?;
    let experiment = state.store.get_experiment_by_name(name).await?;
    Ok(Json(ExperimentReply {
        experiment: Experiment::new(experiment, &state.options.default_artifact_root),
    }))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchExperiments>,
) -> Result<Json<ExperimentPage>, ApiError> {
    let view = request.view_type.map(|name| ViewType::parse("view_type", &name));
    let search = ExperimentSearch {
        conditions: parse_filter(request.filter.as_deref().unwrap_or_default())?,
        order: parse_order_by(&request.order_by)?,
        view: view.transpose()?.unwrap_or_default(),
        page: page_request(request.page_token.as_deref(), request.max_results, 1_000, 50_000)?,
    };
    let found = state.store.search_experiments(search).await?;
    let root = &state.options.default_artifact_root;
    let experiments = found.items.into_iter();
    Ok(Json(ExperimentPage {
        experiments: experiments
            .map(|experiment| Experiment::new(experiment, root))
            .collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn search_datasets(
    State(state): State<AppState>,
    Message(request): Message<SearchDatasets>,
) -> Result<Json<DatasetSummaries>, ApiError> {
    let experiments = request.experiments()?;
    let found = state.store.list_datasets(experiments, DATASETS_MAX).await?;
    Ok(Json(DatasetSummaries {
        dataset_summaries: found.into_iter().map(DatasetSummary::from).collect(),
    }))
}

async fn update(
    State(state): State<AppState>,
    Message(request): Message<UpdateExperiment>,
) -> Result<Json<Empty>, ApiError> {
    let id = experiment_id(request.experiment_id)?;
    let name = ExperimentName::new("new_name", required("new_name", request.new_name)?)?;
    state
        .store
        .rename_experiment(id, name, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}

async fn delete(
    State(state): State<AppState>,
    Message(request): Message<ExperimentById>,
) -> Result<Json<Empty>, ApiError> {
    let id = experiment_id(request.experiment_id)?;
    state.store.delete_experiment(id, (state.options.now)()).await?;
    Ok(Json(Empty {}))
}

async fn restore(
    State(state): State<AppState>,
    Message(request): Message<ExperimentById>,
) -> Result<Json<Empty>, ApiError> {
    let id = experiment_id(request.experiment_id)?;
    state.store.restore_experiment(id, (state.options.now)()).await?;
    Ok(Json(Empty {}))
}

async fn set_tag(
    State(state): State<AppState>,
    Message(request): Message<ExperimentTagRequest>,
) -> Result<Json<Empty>, ApiError> {
    let id = experiment_id(request.experiment_id)?;
    let tag = ExperimentTag::new(required("key", request.key)?, request.value.unwrap_or_default())?;
    state.store.set_experiment_tag(id, tag).await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(state): State<AppState>,
    Message(request): Message<ExperimentTagRequest>,
) -> Result<Json<Empty>, ApiError> {
    let id = experiment_id(request.experiment_id)?;
    state
        .store
        .delete_experiment_tag(id, required("key", request.key)?)
        .await?;
    Ok(Json(Empty {}))
}
