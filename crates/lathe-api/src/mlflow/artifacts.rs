//! Artifacts: listings, uploads in parts, signed addresses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Int64;

/// A file or folder in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Relative to what was listed, or to the run's root, as the call says.
    pub path: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Bytes; of files only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}

/// `GET mlflow-artifacts/artifacts?path=`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ListFiles {
    /// The folder; the root if absent.
    pub path: Option<String>,
    /// What logged models call it.
    pub artifact_directory_path: Option<String>,
}

/// The answer to [`ListFiles`].
#[derive(Debug, Clone, Serialize)]
pub struct Files {
    /// By name.
    pub files: Vec<FileInfo>,
}

/// `GET mlflow/artifacts/list`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ListArtifacts {
    /// The run.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
    /// The folder; the run's root if absent.
    pub path: Option<String>,
}

/// The answer to [`ListArtifacts`].
#[derive(Debug, Clone, Serialize)]
pub struct Artifacts {
    /// The run's artifact URI.
    pub root_uri: String,
    /// By name, with paths relative to that root.
    pub files: Vec<FileInfo>,
}

/// `POST mlflow-artifacts/mpu/create/FOLDER`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CreateMultipart {
    /// The file as the client calls it; its last part names the artifact in the folder.
    pub path: Option<String>,
    /// How many parts it will have; 1 if absent.
    pub num_parts: Option<Int64>,
}

/// The answer to [`CreateMultipart`].
#[derive(Debug, Clone, Serialize)]
pub struct MultipartCreated {
    /// What the upload is completed by.
    pub upload_id: String,
    /// Where its parts go.
    pub credentials: Vec<PartCredential>,
}

/// Where one part goes, by PUT.
#[derive(Debug, Clone, Serialize)]
pub struct PartCredential {
    /// The address.
    pub url: String,
    /// From 1.
    pub part_number: u32,
    /// What must be sent along.
    pub headers: BTreeMap<String, String>,
}

/// `POST mlflow-artifacts/mpu/complete/FOLDER` and `mpu/abort/FOLDER`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct FinishMultipart {
    /// As in [`CreateMultipart`].
    pub path: Option<String>,
    /// The upload.
    pub upload_id: Option<String>,
    /// Every part, to complete it.
    #[serde(default)]
    pub parts: Vec<FinishedPart>,
}

/// A part that was sent.
#[derive(Debug, Clone, Deserialize)]
pub struct FinishedPart {
    /// From 1.
    pub part_number: Int64,
    /// What its PUT was answered with.
    pub etag: String,
}

/// One part in the listing of an upload.
#[derive(Debug, Clone, Serialize)]
pub struct PartInfo {
    /// From 1.
    pub part_number: u32,
    /// Its bytes.
    pub size: u64,
    /// What it is completed by.
    pub etag: String,
}

/// `GET mlflow-artifacts/mpu/parts/ID`: what of an upload is there, so that a client goes on with the rest.
#[derive(Debug, Clone, Serialize)]
pub struct Parts {
    /// By number.
    pub parts: Vec<PartInfo>,
}

/// `GET mlflow-artifacts/presigned/PATH`: an address to read a file at.
#[derive(Debug, Clone, Serialize)]
pub struct PresignedFile {
    /// The address.
    pub url: String,
    /// What must be sent along.
    pub headers: BTreeMap<String, String>,
    /// Bytes.
    pub file_size: u64,
}

/// `POST mlflow/artifacts/presigned-upload-url` and `presigned-download-url`
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Presign {
    /// Whose artifact, if a run's.
    pub run_id: Option<String>,
    /// Whose artifact, if a logged model's.
    pub model_id: Option<String>,
    /// The artifact below their root.
    pub path: Option<String>,
    /// Seconds that the address works.
    pub expiration: Option<Int64>,
}

/// The answer to [`Presign`].
#[derive(Debug, Clone, Serialize)]
pub struct Presigned {
    /// The address.
    pub presigned_url: String,
    /// What must be sent along.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Bytes, of what can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}

/// `GET server-info`
#[derive(Debug, Clone, Serialize)]
pub struct ServerInfo {
    /// Kept in a database.
    pub store_type: &'static str,
    /// Whether everything belongs to a workspace.
    pub workspaces_enabled: bool,
    /// Whether old traces move elsewhere.
    pub trace_archival_enabled: bool,
    /// Whether large files should go up in parts.
    pub multipart_uploads_enabled: bool,
    /// Whether large files should come down by signed addresses.
    pub multipart_downloads_enabled: bool,
    /// Whether artifacts go through this server.
    pub artifact_serving_enabled: bool,
    /// Whether `presigned-upload-url` takes a run.
    pub presigned_upload_run_id_supported: bool,
    /// Whether `presigned-upload-url` takes a logged model.
    pub presigned_upload_model_id_supported: bool,
    /// Whether `presigned-download-url` takes a logged model.
    pub model_artifact_presigned_downloads_supported: bool,
    /// Whether nothing goes through this server.
    pub artifacts_presigned_only: bool,
    /// How to log in; empty for as ever.
    pub tracking_auth: &'static str,
    /// What else there is.
    pub features_enabled: Features,
}

/// See [`ServerInfo`].
#[derive(Debug, Clone, Serialize)]
pub struct Features {
    /// The gateway to language models.
    pub gateway: bool,
    /// Scheduled search for issues in traces.
    pub scheduled_issue_detection: bool,
}
