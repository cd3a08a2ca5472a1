//! `mlflow/registered-models/*`

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::models::{
    CreateModel, GetLatestVersions, ModelAlias, ModelByName, ModelPage, ModelReply, ModelTag, ModelVersion,
    RegisteredModel, RenameModel, SearchModels, UpdateModel, VersionPage, VersionReply, alias_name,
    model_name, registry_tags, version_key,
};
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::models::ModelSearch;
use lathe_types::models::{ModelName, Stage, description, registry_tag};
use lathe_types::required;
use lathe_types::search::{parse_filter, parse_order_by};

use super::extract::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/registered-models/create", post(create))
        .route("/2.0/mlflow/registered-models/rename", post(rename))
        .route("/2.0/mlflow/registered-models/update", patch(update))
        .route("/2.0/mlflow/registered-models/delete", delete(remove))
        .route("/2.0/mlflow/registered-models/get", get(by_name))
        .route("/2.0/mlflow/registered-models/search", get(search))
        .route(
            "/2.0/mlflow/registered-models/get-latest-versions",
            get(latest_versions).post(latest_versions),
        )
        .route("/2.0/mlflow/registered-models/set-tag", post(set_tag))
        .route("/2.0/mlflow/registered-models/delete-tag", delete(delete_tag))
        .route(
            "/2.0/mlflow/registered-models/alias",
            get(by_alias).post(set_alias).delete(delete_alias),
        )
}

fn reply(model: lathe_types::models::RegisteredModel) -> Json<ModelReply> {
    Json(ModelReply {
        registered_model: RegisteredModel::from(model),
    })
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateModel>,
) -> Result<Json<ModelReply>, ApiError> {
    let model = state
        .store
        .create_registered_model(
            model_name(request.name)?,
            description(request.description)?,
            registry_tags(request.tags)?,
            (state.options.now)(),
        )
        .await?;
    Ok(reply(model))
}

async fn rename(
    State(state): State<AppState>,
    Message(request): Message<RenameModel>,
) -> Result<Json<ModelReply>, ApiError> {
    let name = model_name(request.name)?;
    let to = ModelName::new("new_name", required("new_name", request.new_name)?)?;
    let now = (state.options.now)();
    let model = state
        .store
        .rename_registered_model(name.as_str(), to, now)
        .await?;
    Ok(reply(model))
}

async fn update(
    State(state): State<AppState>,
    Message(request): Message<UpdateModel>,
) -> Result<Json<ModelReply>, ApiError> {
    let name = model_name(request.name)?;
    let text = description(request.description)?;
    let now = (state.options.now)();
    let model = state
        .store
        .describe_registered_model(name.as_str(), text, now)
        .await?;
    Ok(reply(model))
}

async fn remove(
    State(state): State<AppState>,
    Message(request): Message<ModelByName>,
) -> Result<Json<Empty>, ApiError> {
    let name = model_name(request.name)?;
    let now = (state.options.now)();
    state.store.delete_registered_model(name.as_str(), now).await?;
    Ok(Json(Empty {}))
}

async fn by_name(
    State(state): State<AppState>,
    Message(request): Message<ModelByName>,
) -> Result<Json<ModelReply>, ApiError> {
    let name = model_name(request.name)?;
    Ok(reply(state.store.get_registered_model(name.as_str()).await?))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchModels>,
) -> Result<Json<ModelPage>, ApiError> {
    let search = ModelSearch {
        conditions: parse_filter(request.filter.as_deref().unwrap_or_default())?,
        order: parse_order_by(&request.order_by)?,
        page: page_request(request.page_token.as_deref(), request.max_results, 100, 1_000)?,
    };
    let found = state.store.search_registered_models(search).await?;
    Ok(Json(ModelPage {
        registered_models: found.items.into_iter().map(RegisteredModel::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn latest_versions(
    State(state): State<AppState>,
    Message(request): Message<GetLatestVersions>,
) -> Result<Json<VersionPage>, ApiError> {
    let name = model_name(request.name)?;
    let stages = request.stages.iter().map(|stage| Stage::parse("stages", stage));
    let mut stages: Vec<Stage> = stages.collect::<Result<_, _>>()?;
    if stages.is_empty() {
        stages = Stage::ALL.to_vec();
    }
    let versions = state.store.latest_model_versions(name.as_str(), stages).await?;
    Ok(Json(VersionPage {
        model_versions: versions.into_iter().map(ModelVersion::from).collect(),
        next_page_token: None,
    }))
}

async fn set_tag(
    State(state): State<AppState>,
    Message(request): Message<ModelTag>,
) -> Result<Json<Empty>, ApiError> {
    let name = model_name(request.name)?;
    let tag = registry_tag(required("key", request.key)?, request.value.unwrap_or_default())?;
    let now = (state.options.now)();
    state
        .store
        .set_registered_model_tag(name.as_str(), tag, now)
        .await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(state): State<AppState>,
    Message(request): Message<ModelTag>,
) -> Result<Json<Empty>, ApiError> {
    let name = model_name(request.name)?;
    let key = required("key", request.key)?;
    state
        .store
        .delete_registered_model_tag(name.as_str(), &key, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}

async fn by_alias(
    State(state): State<AppState>,
    Message(request): Message<ModelAlias>,
) -> Result<Json<VersionReply>, ApiError> {
    let name = model_name(request.name)?;
    let alias = required("alias", request.alias)?;
    let version = state
        .store
        .get_model_version_by_alias(name.as_str(), &alias)
        .await?;
    Ok(Json(VersionReply {
        model_version: version.into(),
    }))
}

async fn set_alias(
    State(state): State<AppState>,
    Message(request): Message<ModelAlias>,
) -> Result<Json<Empty>, ApiError> {
    let (name, version) = version_key(request.name, request.version)?;
    let alias = alias_name(request.alias)?;
    let now = (state.options.now)();
    state
        .store
        .set_model_alias(name.as_str(), alias.as_str(), version, now)
        .await?;
    Ok(Json(Empty {}))
}

async fn delete_alias(
    State(state): State<AppState>,
    Message(request): Message<ModelAlias>,
) -> Result<Json<Empty>, ApiError> {
    let name = model_name(request.name)?;
    let alias = required("alias", request.alias)?;
    let now = (state.options.now)();
    state.store.delete_model_alias(name.as_str(), &alias, now).await?;
    Ok(Json(Empty {}))
}
