//! `mlflow-artifacts/*`: the artifact proxy; `mlflow/artifacts/list` and `get-artifact`: a run's artifacts.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::TryStreamExt;
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::artifacts::{Artifacts, FileInfo, Files, ListArtifacts, ListFiles};
use lathe_api::mlflow::logged_models::model_id;
use lathe_blob::{ArtifactPath, Entry};
use lathe_types::{ErrorKind, InputError, RunId, required};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::{ReaderStream, StreamReader};

use super::extract::Message;
use crate::inference::{artifact_path, location_of_version};
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow-artifacts/artifacts", get(list))
        .route(
            "/2.0/mlflow-artifacts/artifacts/{*path}",
            get(download).put(upload).delete(remove),
        )
        .route("/2.0/mlflow/artifacts/list", get(list_of_run))
        .route(
            "/2.0/mlflow/logged-models/{id}/artifacts/directories",
            get(list_of_logged_model),
        )
        .route(
            "/2.0/mlflow/logged-models/{id}/artifacts/files",
            get(file_of_logged_model),
        )
        .route("/2.0/mlflow-artifacts/mpu/{*path}", post(no_multipart))
        .route("/2.0/mlflow-artifacts/presigned/{*path}", get(no_presigned))
}

/// What browsers download: outside `/api`, as on MLflow's own page.
pub(super) fn downloads() -> Router<AppState> {
    Router::new()
        .route("/get-artifact", get(get_artifact))
        .route("/model-versions/get-artifact", get(get_version_artifact))
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
    let run = required("run_id", request.run_id.or(request.run_uuid))?;
    let run = state.store.get_run(RunId::parse(&run)?).await?;
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
    let place = in_store(&model.artifact_location)?.join(&path);
    send_file(&state, &place, headers.get(header::RANGE)).await
}

async fn list_under(state: &AppState, root_uri: String, path: Option<String>) -> Result<Artifacts, ApiError> {
    let folder = ArtifactPath::parse(&path.unwrap_or_default())?;
    let entries = state.artifacts.list(&in_store(&root_uri)?.join(&folder)).await?;
    Ok(Artifacts {
        files: entries
            .into_iter()
            .map(|entry| file_info(entry, &folder))
            .collect(),
        root_uri,
    })
}

/// Where a location lies in this server's own store.
pub(super) fn in_store(uri: &str) -> Result<ArtifactPath, ApiError> {
    match artifact_path(uri) {
        Some(path) => Ok(path?),
        None => Err(ApiError::new(
            ErrorKind::NotImplemented,
            format!("the artifacts lie at `{uri}`, which clients reach themselves"),
        )),
    }
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
    let run = required("run_id", request.run_id.or(request.run_uuid))?;
    let path = ArtifactPath::parse(&required("path", request.path)?)?;
    let run = state.store.get_run(RunId::parse(&run)?).await?;
    send_file(
        &state,
        &in_store(&run.info.artifact_uri)?.join(&path),
        headers.get(header::RANGE),
    )
    .await
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
    send_file(&state, &in_store(&root)?.join(&path), headers.get(header::RANGE)).await
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

async fn upload(
    State(state): State<AppState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Json<Empty>, ApiError> {
    let path = ArtifactPath::parse(&path)?;
    let bytes = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other);
    state.artifacts.put(&path, StreamReader::new(bytes)).await?;
    Ok(Json(Empty {}))
}

async fn download(
    State(state): State<AppState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    send_file(
        &state,
        &ArtifactPath::parse(&path)?,
        request.headers().get(header::RANGE),
    )
    .await
}

/// DELETE of what is not there is fine: clients retry.
async fn remove(State(state): State<AppState>, Path(path): Path<String>) -> Result<Json<Empty>, ApiError> {
    match state.artifacts.delete(&ArtifactPath::parse(&path)?).await {
        Ok(()) | Err(lathe_blob::Error::NotFound { .. }) => Ok(Json(Empty {})),
        Err(error) => Err(error.into()),
    }
}

async fn no_multipart() -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "Multipart upload is not supported for the current artifact repository",
    )
}

async fn no_presigned() -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "Presigned download URLs are not supported for the current artifact repository",
    )
}

/// A file as a download, or the part of it that a `Range` asks for.
pub(super) async fn send_file(
    state: &AppState,
    path: &ArtifactPath,
    range: Option<&HeaderValue>,
) -> Result<Response, ApiError> {
    let (mut file, size) = state.artifacts.open(path).await?;
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let headers = [
        // A browser must neither run nor guess what somebody uploaded.
        (header::CONTENT_TYPE, content_type(name).to_owned()),
        (header::CONTENT_DISPOSITION, disposition(name)),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (
            HeaderName::from_static("x-content-type-options"),
            "nosniff".to_owned(),
        ),
    ];
    let wanted = range
        .and_then(|range| range.to_str().ok())
        .and_then(|range| parse_range(range, size));
    let Some(wanted) = wanted else {
        let body = Body::from_stream(ReaderStream::with_capacity(file, 256 * 1024));
        return Ok((headers, [(header::CONTENT_LENGTH, size.to_string())], body).into_response());
    };
    let Some((start, end)) = wanted else {
        let told = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, told).into_response());
    };
    file.seek(std::io::SeekFrom::Start(start))
        .await
        .map_err(|error| {
            tracing::error!(%error, artifact = %path, "an artifact cannot be read");
            ApiError::new(
                ErrorKind::Internal,
                "the artifact cannot be read; the server's log says why",
            )
        })?;
    let length = end - start + 1;
    let told = [
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_RANGE, format!("bytes {start}-{end}/{size}")),
    ];
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), 256 * 1024));
    Ok((StatusCode::PARTIAL_CONTENT, headers, told, body).into_response())
}

/// First and last byte of a single range; `None`: send everything; `Some(None)`: no such bytes (RFC 9110, 14).
fn parse_range(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first.trim(), last.trim()) {
        ("", last) => {
            let length: u64 = last.parse().ok()?;
            (size.saturating_sub(length), size.checked_sub(1))
        }
        (first, "") => (first.parse().ok()?, size.checked_sub(1)),
        (first, last) => (
            first.parse().ok()?,
            Some(last.parse::<u64>().ok()?.min(size.saturating_sub(1))),
        ),
    };
    Some(
        end.filter(|end| start <= *end && start < size)
            .map(|end| (start, end)),
    )
}

fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("txt" | "log" | "md" | "yaml" | "yml" | "csv" | "html" | "svg") => "text/plain; charset=utf-8",
        None if name == "MLmodel" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        for (range, found) in [
            ("bytes=0-4", Some(Some((0, 4)))),
            ("bytes=5-", Some(Some((5, 9)))),
            ("bytes=-3", Some(Some((7, 9)))),
            ("bytes=-99", Some(Some((0, 9)))),
            ("bytes=8-99", Some(Some((8, 9)))),
            ("bytes=10-", Some(None)),
            ("bytes=4-2", Some(None)),
            ("lines=1-2", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(parse_range(range, 10), found, "{range}");
        }
        assert_eq!(parse_range("bytes=0-0", 0), Some(None));
    }
}
