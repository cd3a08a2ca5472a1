//! Where a command's model comes from: a folder or file, an object store, or the records, whose artifacts are brought to
//! a local folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use futures_util::TryStreamExt as _;
use lathe_blob::{ArtifactPath, Artifacts};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, segment};
use crate::commands::Call;
use crate::exit::hinted;
use crate::settings::cache_folder;
use crate::tracking;
use crate::wiring::blob_settings;

/// A model on this machine; what was fetched goes away with it.
pub struct Local {
    /// A folder or a file.
    pub path: PathBuf,
    _fetched: Option<tempfile::TempDir>,
}

/// Finds `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, `runs:/ID/NAME`, the URL of a folder or file in an
/// object store, or a path.
pub fn find(call: &Call, text: &str) -> anyhow::Result<Local> {
    let not_fetched = || format!("`{text}` cannot be fetched");
    if text.starts_with("graph:/") {
        return Err(hinted(
            format!("`{text}` is several models, which are only known together where there are records"),
            "say it where the project's records are, or with `--server URL`",
        ));
    }
    if text.starts_with("models:/") || text.starts_with("runs:/") {
        let client = call.client()?;
        return match files_at(&client, text)? {
            FilesAt::Server(path) => {
                let fetched = tempfile::tempdir().context("no place for the model")?;
                fetch(&client, &path, fetched.path()).with_context(not_fetched)?;
                Ok(Local {
                    path: fetched.path().to_owned(),
                    _fetched: Some(fetched),
                })
            }
            FilesAt::Url(url) => stored(&url).with_context(not_fetched),
        };
    }
    if text.contains("://") {
        return stored(text).with_context(not_fetched);
    }
    Ok(Local {
        path: call.folder.join(text),
        _fetched: None,
    })
}

/// A folder or file in an object store, or of a `file:` URL.
fn stored(url: &str) -> anyhow::Result<Local> {
    let url = url.trim_end_matches('/');
    match stored_folder(url) {
        Ok(path) => Ok(Local { path, _fetched: None }),
        // No folder: the last part may be a file.
        Err(error) if is_not_found(&error) => {
            let (above, name) = url.rsplit_once('/').unwrap_or((url, ""));
            let fetched = tempfile::tempdir().context("no place for the model")?;
            let path = fetched.path().join(name);
            block_on(store_file(above, name, &path))?;
            Ok(Local {
                path,
                _fetched: Some(fetched),
            })
        }
        Err(error) => Err(error),
    }
}

/// A folder with the files that lie under a URL, with the credentials that the environment has: a copy of what the object
/// store has now, or the folder that a `file:` URL names.
pub fn stored_folder(url: &str) -> anyhow::Result<PathBuf> {
    let artifacts = opened(url)?;
    block_on(async { Ok(artifacts.folder(&ArtifactPath::default()).await?) })
}

async fn store_file(above: &str, name: &str, path: &Path) -> anyhow::Result<()> {
    let mut chunks = opened(above)?
        .get(&ArtifactPath::parse(name)?, None)
        .await?
        .chunks;
    let mut file = tokio::fs::File::create(path).await?;
    while let Some(chunk) = chunks.try_next().await? {
        file.write_all(&chunk).await?;
    }
    Ok(file.flush().await?)
}

fn opened(url: &str) -> anyhow::Result<Artifacts> {
    let cache = cache_folder()?.join("artifacts");
    Ok(Artifacts::open(url, &blob_settings(), cache, Vec::new())?)
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(lathe_blob::Error::NotFound { .. }))
}

/// The model and the alias of `models:/NAME@ALIAS`.
pub fn alias_of(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("models:/")?.split_once('@')
}

/// Where the files of a model of the records lie.
pub enum FilesAt {
    /// Among the server's artifacts, at this path.
    Server(String),
    /// Where clients go by themselves.
    Url(String),
}

/// Where the files of a model of the records lie.
pub fn files_at(client: &Client, text: &str) -> anyhow::Result<FilesAt> {
    let uri = location(client, text)?;
    Ok(match uri.strip_prefix("mlflow-artifacts:") {
        Some(path) => FilesAt::Server(path.trim_matches('/').to_owned()),
        None => FilesAt::Url(uri),
    })
}

fn location(client: &Client, text: &str) -> anyhow::Result<String> {
    if let Some(rest) = text.strip_prefix("runs:/") {
        return of_run(client, rest);
    }
    let model = text.strip_prefix("models:/").unwrap_or_default();
    let (name, version) = match (model.split_once('@'), model.rsplit_once('/')) {
        (Some((name, alias)), _) => {
            let path = format!(
                "/api/2.0/mlflow/registered-models/alias?name={}&alias={}",
                segment(name),
                segment(alias)
            );
            let found: Value = client.get(&path)?;
            (name, tracking::text(&found["model_version"], "version")?)
        }
        (None, Some((name, version))) => (name, version.to_owned()),
        (None, None) if model.starts_with("m-") => return of_logged_model(client, model),
        (None, None) => {
            return Err(hinted(
                format!("`{text}` names no version"),
                "write `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `models:/m-ID`",
            ));
        }
    };
    let path = format!(
        "/api/2.0/mlflow/model-versions/get-download-uri?name={}&version={}",
        segment(name),
        segment(&version)
    );
    let found: Value = client.get(&path)?;
    let uri = tracking::text(&found, "artifact_uri")?;
    match (uri.strip_prefix("runs:/"), uri.strip_prefix("models:/")) {
        (Some(rest), _) => of_run(client, rest),
        (None, Some(id)) => of_logged_model(client, id),
        (None, None) => Ok(uri),
    }
}

/// `RUN/NAME/…`: of the model of this name that the run logged, as MLflow 3 keeps models, else of the run's artifacts.
fn of_run(client: &Client, rest: &str) -> anyhow::Result<String> {
    let rest = rest.trim_start_matches('/');
    let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, inner) = path.split_once('/').unwrap_or((path, ""));
    let run = tracking::find_run(client, id)?;
    let answer: Value = client.get(&format!("/api/2.0/mlflow/runs/get?run_id={}", segment(id)))?;
    let logged = answer["run"]["outputs"]["model_outputs"].as_array();
    // The newest of the name counts.
    for output in logged.into_iter().flatten().rev() {
        let model = logged_model(client, &tracking::text(output, "model_id")?)?;
        if model["name"].as_str() == Some(name) {
            return Ok(joined(&tracking::text(&model, "artifact_uri")?, inner));
        }
    }
    Ok(joined(&run.artifact_uri, path))
}

/// `m-ID/…`: of a logged model.
fn of_logged_model(client: &Client, rest: &str) -> anyhow::Result<String> {
    let (id, inner) = rest.split_once('/').unwrap_or((rest, ""));
    let model = logged_model(client, id)?;
    Ok(joined(&tracking::text(&model, "artifact_uri")?, inner))
}

fn logged_model(client: &Client, id: &str) -> anyhow::Result<Value> {
    let mut answer: Value = client.get(&format!("/api/2.0/mlflow/logged-models/{}", segment(id)))?;
    Ok(answer["model"]["info"].take())
}

fn joined(uri: &str, inner: &str) -> String {
    match inner {
        "" => uri.to_owned(),
        inner => format!("{uri}/{inner}"),
    }
}

/// Brings every file below `path` of the artifacts into `folder`.
pub fn fetch(client: &Client, path: &str, folder: &Path) -> anyhow::Result<()> {
    let escaped = |path: &str| path.split('/').map(segment).collect::<Vec<_>>().join("/");
    let mut open = vec![(path.to_owned(), folder.to_owned())];
    while let Some((path, folder)) = open.pop() {
        let listed: Value = client.get(&format!(
            "/api/2.0/mlflow-artifacts/artifacts?path={}",
            segment(&path)
        ))?;
        std::fs::create_dir_all(&folder)?;
        for file in listed["files"].as_array().into_iter().flatten() {
            let name = tracking::text(file, "path")?;
            let place = folder.join(&name);
            anyhow::ensure!(
                !name.contains(['/', '\\']) && name != "..",
                "the artifact `{name}` has no name of a file"
            );
            let inner = format!("{path}/{name}");
            if file["is_dir"].as_bool() == Some(true) {
                open.push((inner, place));
                continue;
            }
            let bytes = client.get_bytes(&format!(
                "/api/2.0/mlflow-artifacts/artifacts/{}",
                escaped(&inner)
            ))?;
            std::fs::write(&place, bytes)
                .and_then(|()| std::fs::File::open(&place)?.sync_all())
                .with_context(|| format!("failed to write `{}`", place.display()))?;
        }
    }
    Ok(())
}
