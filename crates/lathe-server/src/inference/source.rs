use std::path::PathBuf;

use lathe_blob::{ArtifactPath, Artifacts};
use lathe_store::Store;
use lathe_types::{ErrorKind, RunId};

use crate::ApiError;

/// A local folder with a version's files: where they lie, or a copy if that is an object store.
pub async fn version_folder(
    store: &Store,
    artifacts: &Artifacts,
    model: &str,
    version: u32,
) -> Result<PathBuf, ApiError> {
    let uri = location_of_version(store, model, version).await?;
    let (artifacts, path) = place_of(store, artifacts, &uri).await.map_err(|error| {
        ApiError::new(
            ErrorKind::NotImplemented,
            format!(
                "version {version} of `{model}` cannot be loaded: {}",
                error.message()
            ),
        )
    })?;
    Ok(artifacts.folder(&path).await?)
}

/// The store and the path in it that a location names: this server's own artifacts, a place where it tells clients to
/// keep theirs, or one that an import linked.
pub(crate) async fn place_of(
    store: &Store,
    artifacts: &Artifacts,
    uri: &str,
) -> Result<(Artifacts, ArtifactPath), ApiError> {
    if let Some(path) = artifact_path(uri) {
        return Ok((artifacts.clone(), path?));
    }
    if let Some(found) = artifacts.within(uri)? {
        return Ok(found);
    }
    for root in store.artifact_links().await? {
        if let Some(path) = lathe_blob::below(&root, uri) {
            return Ok((artifacts.rooted_at(&root)?, path));
        }
    }
    Err(ApiError::new(
        ErrorKind::NotImplemented,
        format!("the artifacts lie at `{uri}`, which clients reach themselves"),
    ))
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

/// The path of an artifact proxy, as it stands in the URLs of clients that are told of it by `http:`.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// The path of an `mlflow-artifacts:` URI or of a URL of the artifact proxy, whichever host it names: records say so of
/// their own server's artifacts.
pub(crate) fn artifact_path(uri: &str) -> Option<Result<ArtifactPath, lathe_blob::PathError>> {
    if uri.starts_with("http://") || uri.starts_with("https://") {
        let (_, path) = uri.split_once(PROXY)?;
        let is_below = path.is_empty() || path.starts_with('/');
        return is_below.then(|| ArtifactPath::parse(path.trim_matches('/')));
    }
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Some(ArtifactPath::parse(path.trim_matches('/')))
}
