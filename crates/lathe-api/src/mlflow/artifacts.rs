//! Listings of artifacts.

use serde::{Deserialize, Serialize};

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
