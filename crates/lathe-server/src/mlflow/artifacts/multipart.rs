//! Large uploads in parts. Where artifacts lie in an object store, clients send the parts there; on a local folder they
//! send them here. Either way the file appears whole, once the upload is completed.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::artifacts::{
    CreateMultipart, FinishMultipart, MultipartCreated, PartCredential, PartInfo, Parts,
};
use lathe_blob::ArtifactPath;
use lathe_types::{InputError, required};
use uuid::Uuid;

use super::super::extract::Message;
use super::transfer::body_of;
use crate::path::Path;
use crate::{ApiError, AppState};

/// A part may be sent for so long: large files over slow lines take hours.
const PARTS_VALID: Duration = Duration::from_secs(24 * 3_600);

/// `POST mlflow-artifacts/mpu/create/FOLDER`
pub(super) async fn create(
    State(state): State<AppState>,
    Path(folder): Path<String>,
    headers: HeaderMap,
    Message(request): Message<CreateMultipart>,
) -> Result<Json<MultipartCreated>, ApiError> {
    let path = target(&folder, request.path)?;
    let count = request.num_parts.map_or(1, |count| count.0);
    let count = u32::try_from(count)
        .map_err(|_| InputError::invalid("num_parts", &count.to_string(), "it must be 1 to 10000"))?;
    let id = Uuid::new_v4().simple().to_string();
    let upload = state
        .artifacts
        .begin_upload(&path, count, id, PARTS_VALID)
        .await?;
    let credentials = match upload.parts {
        Some(parts) => parts
            .into_iter()
            .map(|part| PartCredential {
                url: part.url,
                part_number: part.number,
                headers: BTreeMap::new(),
            })
            .collect(),
        None => own_parts(&headers, &upload.id, count)?,
    };
    Ok(Json(MultipartCreated {
        upload_id: upload.id,
        credentials,
    }))
}

/// Parts that this server takes itself, at the address by which it was asked. Clients send nothing along with a part
/// but what they are told to: whoever had to log in is told to do it there too.
fn own_parts(headers: &HeaderMap, id: &str, count: u32) -> Result<Vec<PartCredential>, ApiError> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = said("host").ok_or_else(|| ApiError::invalid("the request names no host"))?;
    let scheme = match said("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let along: BTreeMap<String, String> = said("authorization")
        .map(|value| (header::AUTHORIZATION.as_str().to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    Ok((1..=count)
        .map(|number| PartCredential {
            url: format!("{scheme}://{host}/api/2.0/mlflow-artifacts/mpu/parts/{id}/{number}"),
            part_number: number,
            headers: along.clone(),
        })
        .collect())
}

/// `PUT mlflow-artifacts/mpu/parts/ID/NUMBER`: the body is the part.
pub(super) async fn take(
    State(state): State<AppState>,
    Path((id, number)): Path<(String, u32)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, bytes) = body_of(request)?;
    let etag = state.artifacts.put_part(&id, number, bytes).await?;
    Ok(([(header::ETAG, etag)], Json(Empty {})).into_response())
}

/// `GET mlflow-artifacts/mpu/parts/ID`
pub(super) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Parts>, ApiError> {
    let parts = state.artifacts.list_parts(&id).await?;
    let parts = parts.into_iter().map(|(part_number, size, etag)| PartInfo {
        part_number,
        size,
        etag,
    });
    Ok(Json(Parts {
        parts: parts.collect(),
    }))
}

/// `POST mlflow-artifacts/mpu/complete/FOLDER`
pub(super) async fn complete(
    State(state): State<AppState>,
    Path(folder): Path<String>,
    Message(request): Message<FinishMultipart>,
) -> Result<Json<Empty>, ApiError> {
    let path = target(&folder, request.path)?;
    let id = required("upload_id", request.upload_id)?;
    let parts = request
        .parts
        .into_iter()
        .map(|part| Some((u32::try_from(part.part_number.0).ok()?, part.etag)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| ApiError::invalid("the numbers of parts start at 1"))?;
    state.artifacts.complete_upload(&path, &id, parts).await?;
    Ok(Json(Empty {}))
}

/// `POST mlflow-artifacts/mpu/abort/FOLDER`
pub(super) async fn abort(
    State(state): State<AppState>,
    Path(folder): Path<String>,
    Message(request): Message<FinishMultipart>,
) -> Result<Json<Empty>, ApiError> {
    let path = target(&folder, request.path)?;
    let id = required("upload_id", request.upload_id)?;
    state.artifacts.abort_upload(&path, &id).await?;
    Ok(Json(Empty {}))
}

/// The artifact: the name that the file has on the client's disk, in the folder.
fn target(folder: &str, path: Option<String>) -> Result<ArtifactPath, ApiError> {
    let path = required("path", path)?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = ArtifactPath::parse(name)?;
    if name.is_root() {
        return Err(InputError::invalid("path", &path, "it names no file").into());
    }
    Ok(ArtifactPath::parse(folder)?.join(&name))
}
