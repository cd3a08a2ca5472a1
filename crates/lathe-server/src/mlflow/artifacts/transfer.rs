//! Files as they come and go: streamed both ways, a `Range` of them, or nothing where the client has them already.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::runs::run_id;
use lathe_blob::{ArtifactPath, Artifacts, Meta};
use serde::Deserialize;
use tokio_util::io::StreamReader;

use crate::inference::place_of;
use crate::path::Path;
use crate::{ApiError, AppState};

/// As MLflow takes from its page; programs use the artifact proxy.
const PAGE_UPLOAD_BYTES_MAX: usize = 10 << 20;

/// `PUT mlflow-artifacts/artifacts/PATH`: the body is the file.
pub(super) async fn upload(
    State(state): State<AppState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Json<Empty>, ApiError> {
    let path = ArtifactPath::parse(&path)?;
    let (size, bytes) = body_of(request)?;
    state.artifacts.put(&path, bytes, size).await?;
    Ok(Json(Empty {}))
}

#[derive(Deserialize)]
pub(super) struct UploadOfRun {
    run_uuid: Option<String>,
    path: Option<String>,
}

/// `POST upload-artifact?run_uuid=…&path=…`: the body becomes an artifact of the run, as MLflow's page sends small ones.
pub(super) async fn upload_of_run(
    State(state): State<AppState>,
    Query(asked): Query<UploadOfRun>,
    request: Request,
) -> Result<Json<Empty>, ApiError> {
    let given = |text: Option<String>, name: &str| {
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::invalid(format!("Request must specify {name}.")))
    };
    let run = given(asked.run_uuid, "run_uuid")?;
    let path = ArtifactPath::parse(&given(asked.path, "path")?)?;
    if path.is_root() {
        return Err(ApiError::invalid("Request must specify path."));
    }
    let body = to_bytes(request.into_body(), PAGE_UPLOAD_BYTES_MAX).await;
    let body = body.map_err(|_| ApiError::invalid("Artifact size is too large. Max size is 10MB."))?;
    if body.is_empty() {
        return Err(ApiError::invalid("Request must specify data."));
    }
    let run = state.store.get_run(run_id(Some(run), None)?).await?;
    let (artifacts, root) = place_of(&state.store, &state.artifacts, &run.info.artifact_uri).await?;
    let size = body.len() as u64;
    artifacts
        .put(&root.join(&path), std::io::Cursor::new(body), Some(size))
        .await?;
    Ok(Json(Empty {}))
}

/// The bytes of a request, and how many the sender promised.
pub(super) fn body_of(
    request: Request,
) -> Result<(Option<u64>, impl tokio::io::AsyncRead + Unpin), ApiError> {
    // A part that is taken for the whole would replace it (RFC 9110, 14.4).
    if request.headers().contains_key(header::CONTENT_RANGE) {
        return Err(ApiError::invalid(
            "an upload is a whole file; send large ones in parts by `mlflow-artifacts/mpu/create`",
        ));
    }
    let size = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other);
    Ok((size, StreamReader::new(bytes)))
}

/// `GET mlflow-artifacts/artifacts/PATH`
pub(super) async fn download(
    State(state): State<AppState>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    send_file(&state.artifacts, &ArtifactPath::parse(&path)?, &headers).await
}

/// DELETE of what is not there is fine: clients retry.
pub(super) async fn remove(
    State(state): State<AppState>,
    Path(path): Path<String>,
) -> Result<Json<Empty>, ApiError> {
    match state.artifacts.delete(&ArtifactPath::parse(&path)?).await {
        Ok(()) | Err(lathe_blob::Error::NotFound { .. }) => Ok(Json(Empty {})),
        Err(error) => Err(error.into()),
    }
}

/// A file as a download, the part of it that a `Range` asks for, or the news that the client has it.
pub(in crate::mlflow) async fn send_file(
    artifacts: &Artifacts,
    path: &ArtifactPath,
    asked: &HeaderMap,
) -> Result<Response, ApiError> {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let conditions = [header::RANGE, header::IF_NONE_MATCH];
    if !conditions.iter().any(|condition| asked.contains_key(condition)) {
        let opened = artifacts.get(path, None).await?;
        let length = [(header::CONTENT_LENGTH, opened.meta.size.to_string())];
        let headers = about(name, &opened.meta);
        return Ok((headers, length, Body::from_stream(opened.chunks)).into_response());
    }
    let meta = artifacts.head(path).await?;
    let size = meta.size;
    if text(asked, header::IF_NONE_MATCH).is_some_and(|tags| has_tag(tags, meta.etag.as_deref())) {
        return Ok((StatusCode::NOT_MODIFIED, about(name, &meta)).into_response());
    }
    // With `If-Range`, a part only continues what the client has: of another file everything is sent.
    let continues = text(asked, header::IF_RANGE).is_none_or(|tag| Some(tag) == meta.etag.as_deref());
    let wanted = text(asked, header::RANGE)
        .filter(|_| continues)
        .and_then(|range| parse_range(range, size));
    match wanted {
        None => {
            let opened = artifacts.get(path, None).await?;
            let length = [(header::CONTENT_LENGTH, opened.meta.size.to_string())];
            let headers = about(name, &opened.meta);
            Ok((headers, length, Body::from_stream(opened.chunks)).into_response())
        }
        Some(None) => {
            let told = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            Ok((StatusCode::RANGE_NOT_SATISFIABLE, told).into_response())
        }
        Some(Some((start, end))) => {
            let opened = artifacts.get(path, Some(start..end + 1)).await?;
            let told = [
                (header::CONTENT_LENGTH, (end - start + 1).to_string()),
                (header::CONTENT_RANGE, format!("bytes {start}-{end}/{size}")),
            ];
            let headers = about(name, &meta);
            let body = Body::from_stream(opened.chunks);
            Ok((StatusCode::PARTIAL_CONTENT, headers, told, body).into_response())
        }
    }
}

fn about(name: &str, meta: &Meta) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A browser must neither run nor guess what somebody uploaded.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let said = [
        (header::CONTENT_DISPOSITION, Some(disposition(name))),
        (header::ETAG, meta.etag.clone()),
    ];
    for (header, value) in said {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(header, value);
        }
    }
    headers
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether an `If-None-Match` names the tag (RFC 9110, 13.1.2).
fn has_tag(tags: &str, etag: Option<&str>) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*" || etag.is_some_and(|etag| tags.split(',').any(|tag| strong(tag) == strong(etag)))
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
    // A name that needs no quotes stands without, as Python's servers write it.
    if plain == name && !plain.contains(|c: char| !c.is_ascii_alphanumeric() && !"._-+".contains(c)) {
        return format!("attachment; filename={plain}");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// By the name's ending, as MLflow's server says it; what a browser would run is a text here.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or(name, |(_, ending)| ending) {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cf" | "ini" | "properties" | "prop" | "hocon"
        | "toml" | "yaml" | "yml" | "xml" | "json" | "js" | "py" | "py3" | "csv" | "tsv" | "md" | "rst"
        | "ipynb" | "html" | "htm" | "svg" | "MLmodel" | "MLproject" => "text/plain",
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

    #[test]
    fn a_tag_is_found_in_a_list_and_weak_is_as_good_as_strong() {
        for (tags, found) in [
            ("\"a\"", true),
            ("W/\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(has_tag(tags, Some("\"a\"")), found, "{tags}");
        }
    }
}
