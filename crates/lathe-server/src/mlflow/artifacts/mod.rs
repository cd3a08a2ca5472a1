//! `mlflow-artifacts/*`: the artifact proxy; `mlflow/artifacts/list` and `get-artifact`: a run's artifacts.

mod multipart;
mod presigned;
mod transfer;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use lathe_api::mlflow::artifacts::{
    Artifacts, Features, FileInfo, Files, ListArtifacts, ListFiles, ServerInfo,
};
use lathe_api::mlflow::logged_models::model_id;
use lathe_api::mlflow::runs::run_id;
use lathe_blob::{ArtifactPath, Entry};
use lathe_types::{InputError, required};
use serde::Deserialize;

use super::extract::Message;
use crate::inference::{location_of_version, place_of};
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) use transfer::send_file;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow-artifacts/artifacts", get(list))
        .route(
            "/2.0/mlflow-artifacts/artifacts/{*path}",
            get(transfer::download)
                .put(transfer::upload)
                .delete(transfer::remove),
        )
        .route("/2.0/mlflow/artifacts/list", get(list_of_run))
        .route("/2.0/mlflow/upload-artifact", post(transfer::upload_of_run))
        .route("/3.0/mlflow/server-info", get(server_info))
        .route(
            "/2.0/mlflow/logged-models/{id}/artifacts/directories",
            get(list_of_logged_model),
        )
        .route(
            "/2.0/mlflow/logged-models/{id}/artifacts/files",
            get(file_of_logged_model),
        )
        .route(
            "/2.0/mlflow-artifacts/mpu/create/{*folder}",
            post(multipart::create),
        )
        .route(
            "/2.0/mlflow-artifacts/mpu/complete/{*folder}",
            post(multipart::complete),
        )
        .route(
            "/2.0/mlflow-artifacts/mpu/abort/{*folder}",
            post(multipart::abort),
        )
        .route("/2.0/mlflow-artifacts/mpu/parts/{id}", get(multipart::list))
        .route(
            "/2.0/mlflow-artifacts/mpu/parts/{id}/{number}",
            put(multipart::take),
        )
        .route("/2.0/mlflow-artifacts/presigned/{*path}", get(presigned::of_path))
        .route(
            "/2.0/mlflow/artifacts/presigned-upload-url",
            post(presigned::to_upload),
        )
        .route(
            "/2.0/mlflow/artifacts/presigned-download-url",
            post(presigned::to_download),
        )
}

/// What browsers download: outside `/api`, as on MLflow's own page.
pub(super) fn downloads() -> Router<AppState> {
    Router::new()
        .route("/get-artifact", get(get_artifact))
        .route("/model-versions/get-artifact", get(get_version_artifact))
}

/// `GET server-info`: what clients may ask of this server beyond what every one has.
async fn server_info(State(state): State<AppState>) -> Json<ServerInfo> {
    Json(ServerInfo {
        store_type: "SqlStore",
        workspaces_enabled: false,
        trace_archival_enabled: false,
        // Large files of a folder go up in one piece unless a client wants parts: those would come to this server too.
        multipart_uploads_enabled: state.artifacts.takes_parts_by_url(),
        multipart_downloads_enabled: state.artifacts.signs(),
        artifact_serving_enabled: true,
        presigned_upload_run_id_supported: true,
        presigned_upload_model_id_supported: true,
        model_artifact_presigned_downloads_supported: true,
        artifacts_presigned_only: false,
        tracking_auth: "",
        features_enabled: Features {
            gateway: false,
            scheduled_issue_detection: false,
        },
    })
}

async fn list(
    State(state): State<AppState>,
    Message(request): Message<ListFiles>,
) -> Result<Json<Files>, ApiError> {
    let path = ArtifactPath::parse(&request.path.unwrap_or_default())?;
    let entries = state.artifacts.list(&path).await?;
    let files = entries
        .into_iter()
        .map(|entry| file_info(entry, &ArtifactPath::default()));
    Ok(Json(Files {
        files: files.collect(),
    }))
}

async fn list_of_run(
    State(state): State<AppState>,
    Message(request): Message<ListArtifacts>,
) -> Result<Json<Artifacts>, ApiError> {
    let run = run_id(request.run_id, request.run_uuid)?;
    let run = state.store.get_run(run).await?;
    list_under(&state, run.info.artifact_uri, request.path)
        .await
        .map(Json)
}

/// The part of the listing that clients ask of a logged model: the same, under the model's own location.
async fn list_of_logged_model(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Message(request): Message<ListFiles>,
) -> Result<Json<Artifacts>, ApiError> {
    let model = state
        .store
        .get_logged_model(model_id("model_id", &id)?, false)
        .await?;
    list_under(
        &state,
        model.artifact_location,
        request.path.or(request.artifact_directory_path),
    )
    .await
    .map(Json)
}

#[derive(Deserialize)]
struct LoggedModelFile {
    artifact_file_path: Option<String>,
}

async fn file_of_logged_model(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Message(request): Message<LoggedModelFile>,
) -> Result<Response, ApiError> {
    let path = required("artifact_file_path", request.artifact_file_path)?;
    let path = ArtifactPath::parse(&path)?;
    let id = model_id("model_id", &id)?;
    let model = state.store.get_logged_model(id, false).await?;
    let (artifacts, root) = place_of(&state.store, &state.artifacts, &model.artifact_location).await?;
    send_file(&artifacts, &root.join(&path), &headers).await
}

async fn list_under(state: &AppState, root_uri: String, path: Option<String>) -> Result<Artifacts, ApiError> {
    let folder = ArtifactPath::parse(&path.unwrap_or_default())?;
    let (artifacts, root) = place_of(&state.store, &state.artifacts, &root_uri).await?;
    let entries = artifacts.list(&root.join(&folder)).await?;
    Ok(Artifacts {
        files: entries
            .into_iter()
            .map(|entry| file_info(entry, &folder))
            .collect(),
        root_uri,
    })
}

#[derive(Deserialize)]
struct RunArtifact {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

async fn get_artifact(
    State(state): State<AppState>,
    headers: HeaderMap,
    Message(request): Message<RunArtifact>,
) -> Result<Response, ApiError> {
    let path = ArtifactPath::parse(&required("path", request.path)?)?;
    let run = state
        .store
        .get_run(run_id(request.run_id, request.run_uuid)?)
        .await?;
    let (artifacts, root) = place_of(&state.store, &state.artifacts, &run.info.artifact_uri).await?;
    send_file(&artifacts, &root.join(&path), &headers).await
}

#[derive(Deserialize)]
struct VersionArtifact {
    name: Option<String>,
    version: Option<String>,
    path: Option<String>,
}

async fn get_version_artifact(
    State(state): State<AppState>,
    headers: HeaderMap,
    Message(request): Message<VersionArtifact>,
) -> Result<Response, ApiError> {
    let name = required("name", request.name)?;
    let text = required("version", request.version)?;
    let version = text
        .parse()
        .map_err(|_| InputError::invalid("version", &text, "it must be a whole number"))?;
    let path = ArtifactPath::parse(&required("path", request.path)?)?;
    let root = location_of_version(&state.store, &name, version).await?;
    let (artifacts, root) = place_of(&state.store, &state.artifacts, &root).await?;
    send_file(&artifacts, &root.join(&path), &headers).await
}

/// An entry with its path under `folder`.
pub(super) fn file_info(entry: Entry, folder: &ArtifactPath) -> FileInfo {
    let path = match folder.is_root() {
        true => entry.name,
        false => format!("{folder}/{}", entry.name),
    };
    FileInfo {
        path,
        is_dir: entry.size.is_none(),
        file_size: entry.size,
    }
}
