//! `3.0/mlflow/datasets/*`

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::eval_datasets::{
    CreateDataset, Dataset, DatasetExperimentIds, DatasetExperiments, DatasetPage, DatasetReply,
    DeleteRecords, DeletedRecords, GetRecords, RecordPage, SearchDatasets, SetDatasetTags, UpsertRecords,
    UpsertedRecords,
};
use lathe_api::mlflow::traces::experiment_ids;
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::EvalDatasetSearch;
use lathe_types::eval_datasets::EvalDataset;
use lathe_types::search::{parse_filter, parse_order_by};
use uuid::Uuid;

use super::extract::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/3.0/mlflow/datasets/create", post(create))
        .route("/3.0/mlflow/datasets/search", post(search).get(search))
        .route("/3.0/mlflow/datasets/{dataset_id}", get(by_id).delete(remove))
        .route("/3.0/mlflow/datasets/{dataset_id}/tags", patch(set_tags))
        .route(
            "/3.0/mlflow/datasets/{dataset_id}/tags/{*key}",
            delete(delete_tag),
        )
        .route(
            "/3.0/mlflow/datasets/{dataset_id}/records",
            get(records).post(upsert_records).delete(delete_records),
        )
        .route(
            "/3.0/mlflow/datasets/{dataset_id}/experiment-ids",
            get(experiment_ids_of),
        )
        .route(
            "/3.0/mlflow/datasets/{dataset_id}/add-experiments",
            post(add_experiments),
        )
        .route(
            "/3.0/mlflow/datasets/{dataset_id}/remove-experiments",
            post(remove_experiments),
        )
}

fn reply(dataset: EvalDataset) -> Json<DatasetReply> {
    Json(DatasetReply {
        dataset: Dataset::from(dataset),
    })
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateDataset>,
) -> Result<Json<DatasetReply>, ApiError> {
    let (name, tags, experiments) = request.parse()?;
    let id = format!("d-{}", Uuid::new_v4().simple());
    let now = (state.options.now)();
    let dataset = state
        .store
        .create_eval_dataset(id, name, tags, experiments, now)
        .await?;
    Ok(reply(dataset))
}

async fn by_id(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<DatasetReply>, ApiError> {
    Ok(reply(state.store.get_eval_dataset(id).await?))
}

async fn remove(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Empty>, ApiError> {
    state.store.delete_eval_dataset(id).await?;
    Ok(Json(Empty {}))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchDatasets>,
) -> Result<Json<DatasetPage>, ApiError> {
    let search = EvalDatasetSearch {
        experiments: experiment_ids(request.experiment_ids)?,
        conditions: parse_filter(request.filter_string.as_deref().unwrap_or_default())?,
        order: parse_order_by(&request.order_by)?,
        page: page_request(request.page_token.as_deref(), request.max_results, 1_000, 50_000)?,
    };
    let found = state.store.search_eval_datasets(search).await?;
    Ok(Json(DatasetPage {
        datasets: found.items.into_iter().map(Dataset::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn set_tags(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<SetDatasetTags>,
) -> Result<Json<DatasetReply>, ApiError> {
    let tags = request.parse()?;
    let now = (state.options.now)();
    Ok(reply(state.store.set_eval_dataset_tags(id, tags, now).await?))
}

async fn delete_tag(
    State(state): State<AppState>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Empty>, ApiError> {
    state.store.delete_eval_dataset_tag(id, key).await?;
    Ok(Json(Empty {}))
}

async fn records(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<GetRecords>,
) -> Result<Json<RecordPage>, ApiError> {
    let page = page_request(request.page_token.as_deref(), request.max_results, 1_000, 50_000)?;
    let found = state.store.list_eval_records(id.clone(), page).await?;
    Ok(Json(RecordPage::new(
        &id,
        found.items,
        found.next.map(page_token),
    )))
}

async fn upsert_records(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<UpsertRecords>,
) -> Result<Json<UpsertedRecords>, ApiError> {
    let records = request.parse()?;
    let new_id = || format!("dr-{}", Uuid::new_v4().simple());
    let now = (state.options.now)();
    let (inserted_count, updated_count) = state.store.merge_eval_records(id, records, new_id, now).await?;
    Ok(Json(UpsertedRecords {
        inserted_count,
        updated_count,
    }))
}

async fn delete_records(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<DeleteRecords>,
) -> Result<Json<DeletedRecords>, ApiError> {
    let deleted_count = state
        .store
        .delete_eval_records(id, request.dataset_record_ids)
        .await?;
    Ok(Json(DeletedRecords { deleted_count }))
}

async fn experiment_ids_of(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<DatasetExperimentIds>, ApiError> {
    let dataset = state.store.get_eval_dataset(id).await?;
    Ok(Json(DatasetExperimentIds {
        experiment_ids: dataset.experiments.iter().map(ToString::to_string).collect(),
    }))
}

async fn add_experiments(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<DatasetExperiments>,
) -> Result<Json<DatasetReply>, ApiError> {
    let experiments = experiment_ids(request.experiment_ids)?;
    Ok(reply(state.store.add_eval_dataset(id, experiments).await?))
}

async fn remove_experiments(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<DatasetExperiments>,
) -> Result<Json<DatasetReply>, ApiError> {
    let experiments = experiment_ids(request.experiment_ids)?;
    Ok(reply(state.store.remove_eval_dataset(id, experiments).await?))
}
