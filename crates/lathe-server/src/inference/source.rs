use std::path::PathBuf;

use lathe_blob::{ArtifactPath, Artifacts};
use lathe_store::Store;
use lathe_types::{ErrorKind, RunId};

use crate::ApiError;

/// The local folder with a version's files.
pub async fn version_folder(
    store: &Store,
    artifacts: &Artifacts,
    model: &str,
    version: u32,
) -> Result<PathBuf, ApiError> {
    let uri = location_of_version(store, model, version).await?;
    let path = artifact_path(&uri).ok_or_else(|| {
        ApiError::new(
            ErrorKind::NotImplemented,
            format!(
                "version {version} of `{model}` is kept at `{uri}`, which this server does not reach; \
                 models are served from its own artifacts"
            ),
        )
    })?;
    Ok(artifacts.local_path(&path?))
}

/// Where a version's files lie; what a client left as `runs:/…` is followed to the run's artifacts.
pub(crate) async fn location_of_version(
    store: &Store,
    model: &str,
    version: u32,
) -> Result<String, ApiError> {
    let location = store.model_version_location(model, version).await?;
    let Some(rest) = location.strip_prefix("runs:/") else {
        return Ok(location);
    };
    let rest = rest.trim_start_matches('/');
    let (run, path) = rest.split_once('/').unwrap_or((rest, ""));
    let run = store.get_run(RunId::parse(run)?).await?;
    Ok(format!("{}/{path}", run.info.artifact_uri))
}

/// The path of an `mlflow-artifacts:` URI, whichever host it names.
pub(crate) fn artifact_path(uri: &str) -> Option<Result<ArtifactPath, lathe_blob::PathError>> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Some(ArtifactPath::parse(path.trim_matches('/')))
}
