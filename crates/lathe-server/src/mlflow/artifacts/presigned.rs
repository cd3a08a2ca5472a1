//! Addresses by which clients reach single files in an object store without going through this server.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use lathe_api::mlflow::artifacts::{Presign, Presigned, PresignedFile};
use lathe_blob::{ArtifactPath, Artifacts};
use lathe_types::{ErrorKind, InputError, LoggedModelId, RunId, required};

use super::super::extract::Message;
use crate::inference::place_of;
use crate::path::Path;
use crate::{ApiError, AppState};

/// As MLflow's server has it, unless the client says otherwise.
const READ_VALID: Duration = Duration::from_secs(300);
const WRITE_VALID_S: i64 = 900;
/// No object store signs for longer than a week.
const VALID_S_MAX: i64 = 604_800;

/// `GET mlflow-artifacts/presigned/PATH`
pub(super) async fn of_path(
    State(state): State<AppState>,
    Path(path): Path<String>,
) -> Result<Json<PresignedFile>, ApiError> {
    let path = ArtifactPath::parse(&path)?;
    let (url, file_size) = signed_get(&state.artifacts, &path, READ_VALID, "Multipart download").await?;
    Ok(Json(PresignedFile {
        url,
        headers: BTreeMap::new(),
        file_size,
    }))
}

/// `POST mlflow/artifacts/presigned-download-url`
pub(super) async fn to_download(
    State(state): State<AppState>,
    Message(request): Message<Presign>,
) -> Result<Json<Presigned>, ApiError> {
    let valid = valid(&request, READ_VALID.as_secs() as i64)?;
    let (artifacts, path) = direct(&state, request, "download").await?;
    let (url, size) = signed_get(&artifacts, &path, valid, "Presigned download").await?;
    Ok(Json(Presigned {
        presigned_url: url,
        headers: BTreeMap::new(),
        file_size: Some(size),
    }))
}

/// `POST mlflow/artifacts/presigned-upload-url`
pub(super) async fn to_upload(
    State(state): State<AppState>,
    Message(request): Message<Presign>,
) -> Result<Json<Presigned>, ApiError> {
    let valid = valid(&request, WRITE_VALID_S)?;
    let (artifacts, path) = direct(&state, request, "upload").await?;
    if path.is_root() {
        return Err(InputError::invalid("path", "", "it names no file").into());
    }
    let url = artifacts.signed_put(&path, valid).await?;
    Ok(Json(Presigned {
        presigned_url: url.ok_or_else(|| unsupported("Presigned upload"))?,
        headers: BTreeMap::new(),
        file_size: None,
    }))
}

/// A signed address of a file that is there, and its size.
async fn signed_get(
    artifacts: &Artifacts,
    path: &ArtifactPath,
    valid: Duration,
    what: &str,
) -> Result<(String, u64), ApiError> {
    let url = artifacts.signed_get(path, valid).await?;
    let url = url.ok_or_else(|| unsupported(what))?;
    Ok((url, artifacts.head(path).await?.size))
}

fn unsupported(what: &str) -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        format!("{what} is not supported for the current artifact repository"),
    )
}

fn valid(request: &Presign, otherwise: i64) -> Result<Duration, ApiError> {
    let seconds = request.expiration.map_or(otherwise, |seconds| seconds.0);
    match seconds {
        1..=VALID_S_MAX => Ok(Duration::from_secs(seconds as u64)),
        _ => Err(ApiError::invalid(format!(
            "expiration must be between 1 and {VALID_S_MAX} seconds (got {seconds})."
        ))),
    }
}

/// Where an artifact of a run or a logged model lies, if clients reach the place themselves.
async fn direct(
    state: &AppState,
    request: Presign,
    what: &str,
) -> Result<(Artifacts, ArtifactPath), ApiError> {
    let path = ArtifactPath::parse(&required("path", request.path)?)?;
    let root = match (request.run_id, request.model_id) {
        (Some(run), None) => state.store.get_run(RunId::parse(&run)?).await?.info.artifact_uri,
        (None, Some(model)) => {
            let id = LoggedModelId::parse(&model)?;
            state.store.get_logged_model(id, false).await?.artifact_location
        }
        _ => {
            return Err(ApiError::invalid(
                "Exactly one of run_id and model_id must be provided.",
            ));
        }
    };
    if let Some((scheme @ ("http" | "https" | "mlflow-artifacts"), _)) = root.split_once(':') {
        return Err(ApiError::invalid(format!(
            "Presigned {what} is not supported for proxied artifact storage (artifact URI scheme: {scheme}). \
             This endpoint requires a direct cloud storage artifact URI."
        )));
    }
    let (artifacts, below) = place_of(&state.store, &state.artifacts, &root).await?;
    Ok((artifacts, below.join(&path)))
}
