//! Where a command's model comes from: a folder or file, or the records, whose artifacts are brought to a local folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::client::{Client, segment};
use crate::commands::Call;
use crate::exit::hinted;
use crate::tracking;

/// A model on this machine; what was fetched goes away with it.
pub struct Local {
    /// A folder or a file.
    pub path: PathBuf,
    _fetched: Option<tempfile::TempDir>,
}

/// Finds `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/ID/PATH`, or a path.
pub fn find(call: &Call, text: &str) -> anyhow::Result<Local> {
    if !text.starts_with("models:/") && !text.starts_with("runs:/") {
        return Ok(Local {
            path: call.folder.join(text),
            _fetched: None,
        });
    }
    let client = call.client()?;
    let uri = location(&client, text)?;
    let path = uri.strip_prefix("mlflow-artifacts:").ok_or_else(|| {
        hinted(
            format!("`{text}` lies at `{uri}`, which only clients reach"),
            "download it and serve the folder",
        )
    })?;
    let fetched = tempfile::tempdir().context("no place for the model")?;
    fetch(&client, path.trim_matches('/'), fetched.path())
        .with_context(|| format!("`{text}` cannot be fetched"))?;
    Ok(Local {
        path: fetched.path().to_owned(),
        _fetched: Some(fetched),
    })
}

fn location(client: &Client, text: &str) -> anyhow::Result<String> {
    let of_run = |rest: &str| -> anyhow::Result<String> {
        let (run, path) = rest.trim_start_matches('/').split_once('/').unwrap_or((rest, ""));
        let run = tracking::find_run(client, run)?;
        Ok(format!("{}/{path}", run.artifact_uri))
    };
    if let Some(rest) = text.strip_prefix("runs:/") {
        return of_run(rest);
    }
    let model = text.strip_prefix("models:/").unwrap_or_default();
    let (name, version) = match model.split_once('@') {
        Some((name, alias)) => {
            let path = format!(
                "/api/2.0/mlflow/registered-models/alias?name={}&alias={}",
                segment(name),
                segment(alias)
            );
            let found: Value = client.get(&path)?;
            (name, tracking::text(&found["model_version"], "version")?)
        }
        None => match model.rsplit_once('/') {
            Some((name, version)) => (name, version.to_owned()),
            None => {
                return Err(hinted(
                    format!("`{text}` names no version"),
                    "write `models:/NAME/VERSION` or `models:/NAME@ALIAS`",
                ));
            }
        },
    };
    let path = format!(
        "/api/2.0/mlflow/model-versions/get-download-uri?name={}&version={}",
        segment(name),
        segment(&version)
    );
    let found: Value = client.get(&path)?;
    let uri = tracking::text(&found, "artifact_uri")?;
    match uri.strip_prefix("runs:/") {
        Some(rest) => of_run(rest),
        None => Ok(uri),
    }
}

/// Brings every file below `path` of the artifacts into `folder`.
fn fetch(client: &Client, path: &str, folder: &Path) -> anyhow::Result<()> {
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
                .with_context(|| format!("failed to write `{}`", place.display()))?;
        }
    }
    Ok(())
}
