//! `mlflow/logged-models/*`

use axum::extract::State;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::experiments::experiment_id;
use lathe_api::mlflow::logged_models::{
    CreateLoggedModel, DatasetReference, FinalizeLoggedModel, GetLoggedModel, LogLoggedModelParams,
    LoggedModel, LoggedModelPage, LoggedModelReply, OrderBy, SearchLoggedModels, SetLoggedModelTags,
    final_status, model_id, model_params,
};
use lathe_api::mlflow::runs::run_tags;
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::LoggedModelSearch;
use lathe_types::logged_models::{LoggedModelName, NewLoggedModel, tag_key};
use lathe_types::runs::invent_name;
use lathe_types::search::parse_filter;
use lathe_types::{ExperimentId, LoggedModelId};
use uuid::Uuid;

use super::extract::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/logged-models", post(create))
        .route("/2.0/mlflow/logged-models/search", post(search))
        .route(
            "/2.0/mlflow/logged-models/{model_id}",
            get(by_id).patch(finalize).delete(delete),
        )
        .route("/2.0/mlflow/logged-models/{model_id}/params", post(log_params))
        .route("/2.0/mlflow/logged-models/{model_id}/tags", patch(set_tags))
        .route(
            "/2.0/mlflow/logged-models/{model_id}/tags/{*key}",
            axum::routing::delete(delete_tag),
        )
}

fn reply(model: lathe_types::logged_models::LoggedModel) -> Json<LoggedModelReply> {
    Json(LoggedModelReply {
        model: LoggedModel::from(model),
    })
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateLoggedModel>,
) -> Result<Json<LoggedModelReply>, ApiError> {
    let bits = Uuid::new_v4().as_u128();
    let name = request.name.filter(|name| !name.is_empty());
    let new = NewLoggedModel {
        id: LoggedModelId::from_bits(bits),
        experiment_id: experiment_id(request.experiment_id)?,
        name: LoggedModelName::new(name.unwrap_or_else(|| invent_name(bits as u64).as_str().to_owned()))?,
        model_type: request.model_type.filter(|text| !text.is_empty()),
        source_run_id: request.source_run_id.filter(|id| !id.is_empty()),
        params: model_params(request.params)?,
        tags: run_tags(request.tags)?,
    };
    let root = state.options.default_artifact_root.clone();
    let now = (state.options.now)();
    Ok(reply(state.store.create_logged_model(new, root, now).await?))
}

async fn by_id(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<GetLoggedModel>,
) -> Result<Json<LoggedModelReply>, ApiError> {
    let id = model_id("model_id", &id)?;
    let allow_deleted = request.allow_deleted.unwrap_or_default();
    Ok(reply(state.store.get_logged_model(id, allow_deleted).await?))
}

async fn finalize(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<FinalizeLoggedModel>,
) -> Result<Json<LoggedModelReply>, ApiError> {
    let id = model_id("model_id", &id)?;
    let status = final_status(request.status)?;
    let now = (state.options.now)();
    Ok(reply(state.store.finalize_logged_model(id, status, now).await?))
}

async fn delete(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Empty>, ApiError> {
    let id = model_id("model_id", &id)?;
    state.store.delete_logged_model(id, (state.options.now)()).await?;
    Ok(Json(Empty {}))
}

async fn log_params(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<LogLoggedModelParams>,
) -> Result<Json<Empty>, ApiError> {
    let id = model_id("model_id", &id)?;
    let params = model_params(request.params)?;
    state.store.log_logged_model_params(id, params).await?;
    Ok(Json(Empty {}))
}

async fn set_tags(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<SetLoggedModelTags>,
) -> Result<Json<LoggedModelReply>, ApiError> {
    let id = model_id("model_id", &id)?;
    let tags = run_tags(request.tags)?;
    let now = (state.options.now)();
    Ok(reply(state.store.set_logged_model_tags(id, tags, now).await?))
}

async fn delete_tag(
    State(state): State<AppState>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Empty>, ApiError> {
    let id = model_id("model_id", &id)?;
    let now = (state.options.now)();
    state
        .store
        .delete_logged_model_tag(id, tag_key(key)?, now)
        .await?;
    Ok(Json(Empty {}))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchLoggedModels>,
) -> Result<Json<LoggedModelPage>, ApiError> {
    let experiments = request.experiment_ids.iter().map(|id| ExperimentId::parse(id));
    let datasets = request.datasets.into_iter().map(DatasetReference::parse);
    let order = request.order_by.into_iter().map(OrderBy::parse);
    let search = LoggedModelSearch {
        experiments: experiments.collect::<Result<_, _>>()?,
        conditions: parse_filter(request.filter.as_deref().unwrap_or_default())?,
        datasets: datasets.collect::<Result<_, _>>()?,
        order: order.collect::<Result<_, _>>()?,
        page: page_request(request.page_token.as_deref(), request.max_results, 100, 1_000)?,
    };
    let found = state.store.search_logged_models(search).await?;
    Ok(Json(LoggedModelPage {
        models: found.items.into_iter().map(LoggedModel::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}
