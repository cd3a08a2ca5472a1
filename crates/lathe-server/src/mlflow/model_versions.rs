//! `mlflow/model-versions/*`

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::models::{
    CreateVersion, DownloadUri, ModelVersion, SearchModels, TransitionVersion, UpdateVersion, VersionByName,
    VersionPage, VersionReply, VersionTag, model_name, registry_tags, version_key,
};
use lathe_api::mlflow::{Empty, page_request, page_token};
use lathe_store::models::VersionSearch;
use lathe_types::models::{NewModelVersion, Stage, description, registry_tag};
use lathe_types::search::{parse_filter, parse_order_by};
use lathe_types::{InputError, required};

use super::extract::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/model-versions/create", post(create))
        .route("/2.0/mlflow/model-versions/update", patch(update))
        .route("/2.0/mlflow/model-versions/transition-stage", post(transition))
        .route("/2.0/mlflow/model-versions/delete", delete(remove))
        .route("/2.0/mlflow/model-versions/get", get(by_name))
        .route("/2.0/mlflow/model-versions/search", get(search))
        .route("/2.0/mlflow/model-versions/get-download-uri", get(download_uri))
        .route("/2.0/mlflow/model-versions/set-tag", post(set_tag))
        .route("/2.0/mlflow/model-versions/delete-tag", delete(delete_tag))
}

fn reply(version: lathe_types::models::ModelVersion) -> Json<VersionReply> {
    Json(VersionReply {
        model_version: ModelVersion::from(version),
    })
}

async fn create(
    State(state): State<AppState>,
    Message(request): Message<CreateVersion>,
) -> Result<Json<VersionReply>, ApiError> {
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let new = NewModelVersion {
        name: model_name(request.name)?,
        source: required("source", request.source)?,
        run_id: present(request.run_id),
        run_link: present(request.run_link),
        model_id: present(request.model_id),
        description: description(request.description)?,
        tags: registry_tags(request.tags)?,
    };
    let version = state
        .store
        .register_model_version(new, (state.options.now)())
        .await?;
    Ok(reply(version))
}

async fn update(
    State(state): State<AppState>,
    Message(request): Message<UpdateVersion>,
) -> Result<Json<VersionReply>, ApiError> {
    let (name, version) = version_key(request.name, request.version)?;
    let text = description(request.description)?;
    let now = (state.options.now)();
    let version = state
        .store
        .describe_model_version(name.as_str(), version, text, now)
        .await?;
    Ok(reply(version))
}

async fn transition(
    State(state): State<AppState>,
    Message(request): Message<TransitionVersion>,
) -> Result<Json<VersionReply>, ApiError> {
    let (name, version) = version_key(request.name, request.version)?;
    let stage = Stage::parse("stage", &required("stage", request.stage)?)?;
    let archive = request.archive_existing_versions.unwrap_or_default();
    if archive && !matches!(stage, Stage::Staging | Stage::Production) {
        return Err(InputError::invalid(
            "archive_existing_versions",
            stage.as_str(),
            "only versions in `Staging` and `Production` can make others archived",
        )
        .into());
    }
    let now = (state.options.now)();
    let version = state
        .store
        .transition_model_version(name.as_str(), version, stage, archive, now)
        .await?;
    Ok(reply(version))
}

async fn remove(
    State(state): State<AppState>,
    Message(request): Message<VersionByName>,
) -> Result<Json<Empty>, ApiError> {
    let (name, version) = request.parse()?;
    let now = (state.options.now)();
    state
        .store
        .delete_model_version(name.as_str(), version, now)
        .await?;
    Ok(Json(Empty {}))
}

async fn by_name(
    State(state): State<AppState>,
    Message(request): Message<VersionByName>,
) -> Result<Json<VersionReply>, ApiError> {
    let (name, version) = request.parse()?;
    Ok(reply(
        state.store.get_model_version(name.as_str(), version).await?,
    ))
}

async fn search(
    State(state): State<AppState>,
    Message(request): Message<SearchModels>,
) -> Result<Json<VersionPage>, ApiError> {
    let search = VersionSearch {
        conditions: parse_filter(request.filter.as_deref().unwrap_or_default())?,
        order: parse_order_by(&request.order_by)?,
        page: page_request(
            request.page_token.as_deref(),
            request.max_results,
            10_000,
            200_000,
        )?,
    };
    let found = state.store.search_model_versions(search).await?;
    Ok(Json(VersionPage {
        model_versions: found.items.into_iter().map(ModelVersion::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn download_uri(
    State(state): State<AppState>,
    Message(request): Message<VersionByName>,
) -> Result<Json<DownloadUri>, ApiError> {
    let (name, version) = request.parse()?;
    let artifact_uri = state.store.model_version_location(name.as_str(), version).await?;
    Ok(Json(DownloadUri { artifact_uri }))
}

async fn set_tag(
    State(state): State<AppState>,
    Message(request): Message<VersionTag>,
) -> Result<Json<Empty>, ApiError> {
    let (name, version) = version_key(request.name, request.version)?;
    let tag = registry_tag(required("key", request.key)?, request.value.unwrap_or_default())?;
    state
        .store
        .set_model_version_tag(name.as_str(), version, tag, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}

async fn delete_tag(
    State(state): State<AppState>,
    Message(request): Message<VersionTag>,
) -> Result<Json<Empty>, ApiError> {
    let (name, version) = version_key(request.name, request.version)?;
    let key = required("key", request.key)?;
    state
        .store
        .delete_model_version_tag(name.as_str(), version, &key, (state.options.now)())
        .await?;
    Ok(Json(Empty {}))
}
