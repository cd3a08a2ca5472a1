//! The run that a command keeps in the tracking server: the same calls as the Python client makes.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::client::{Client, Refused, segment};

/// A run that stages log to.
#[derive(Debug, Clone)]
pub struct TrackedRun {
    /// Its id.
    pub run_id: String,
    /// Where its artifacts go, `mlflow-artifacts:/…`.
    pub artifact_uri: String,
}

/// Starts a run in the experiment of this name, which is made if it is not there.
pub fn start_run(
    client: &Client,
    experiment: &str,
    start_ms: i64,
    tags: &[(&str, String)],
) -> anyhow::Result<TrackedRun> {
    let experiment_id = experiment_id(client, experiment)?;
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let body = json!({ "experiment_id": experiment_id, "start_time": start_ms, "tags": tags });
    let answer: Value = client.post("/api/2.0/mlflow/runs/create", &body)?;
    let info = &answer["run"]["info"];
    Ok(TrackedRun {
        run_id: text(info, "run_id")?,
        artifact_uri: text(info, "artifact_uri")?,
    })
}

fn experiment_id(client: &Client, name: &str) -> anyhow::Result<String> {
    let path = format!(
        "/api/2.0/mlflow/experiments/get-by-name?experiment_name={}",
        segment(name)
    );
    if let Some(found) = client.find::<Value>(&path)? {
        return text(&found["experiment"], "experiment_id");
    }
    let made: Result<Value, _> = client.post("/api/2.0/mlflow/experiments/create", &json!({ "name": name }));
    match made {
        Ok(made) => text(&made, "experiment_id"),
        // Somebody else made it in between.
        Err(error) if error.is::<Refused>() => text(
            &client.get::<Value>(&path).map_err(|_| error)?["experiment"],
            "experiment_id",
        ),
        Err(error) => Err(error),
    }
}

/// Ends the run as `FINISHED`, `FAILED` or `KILLED`.
pub fn end_run(client: &Client, run: &TrackedRun, status: &str, end_ms: i64) -> anyhow::Result<()> {
    let body = json!({ "run_id": run.run_id, "status": status, "end_time": end_ms });
    client
        .post::<Value>("/api/2.0/mlflow/runs/update", &body)
        .map(drop)
}

/// Logs values as params and, if they are numbers, metrics of the run, apart from those that it has.
pub fn log_values(
    client: &Client,
    run: &TrackedRun,
    params: Vec<(String, Value)>,
    metrics: Vec<(String, Value)>,
    at_ms: i64,
) -> anyhow::Result<()> {
    let answer: Value = client.get(&format!(
        "/api/2.0/mlflow/runs/get?run_id={}",
        segment(&run.run_id)
    ))?;
    let known = |kind: &str| -> std::collections::HashSet<String> {
        let entries = answer["run"]["data"][kind].as_array().into_iter().flatten();
        entries.filter_map(|entry| text(entry, "key").ok()).collect()
    };
    let (mut known_params, mut known_metrics) = (known("params"), known("metrics"));
    let params: Vec<Value> = params
        .into_iter()
        .map(|(key, value)| (key_of(&key), as_text(&value)))
        .filter(|(key, value)| value.len() <= PARAM_BYTES_MAX && known_params.insert(key.clone()))
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let metrics: Vec<Value> = metrics
        .into_iter()
        .filter_map(|(key, value)| Some((key_of(&key), value.as_f64()?)))
        .filter(|(key, _)| known_metrics.insert(key.clone()))
        .map(|(key, value)| json!({ "key": key, "value": value, "timestamp": at_ms, "step": 0 }))
        .collect();
    let post = |body: Value| {
        client
            .post::<Value>("/api/2.0/mlflow/runs/log-batch", &body)
            .map(drop)
    };
    for some in params.chunks(100) {
        post(json!({ "run_id": run.run_id, "params": some }))?;
    }
    for some in metrics.chunks(1000) {
        post(json!({ "run_id": run.run_id, "metrics": some }))?;
    }
    Ok(())
}

/// Longer ones are no params for MLflow.
const PARAM_BYTES_MAX: usize = 6000;

/// With `_` for what MLflow does not take in a name.
fn key_of(key: &str) -> String {
    let is_good = |c: char| c.is_alphanumeric() || "_-. :/".contains(c);
    let kept = key.chars().map(|c| if is_good(c) { c } else { '_' });
    kept.take(250).collect()
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Uploads every file under `folder` as the run's artifacts `name/…`.
pub fn log_folder(
    client: &Client,
    run: &TrackedRun,
    folder: &std::path::Path,
    name: &str,
) -> anyhow::Result<()> {
    for relative in files_under(folder)? {
        let bytes = std::fs::read(folder.join(&relative))
            .with_context(|| format!("failed to read `{}`", folder.join(&relative).display()))?;
        log_bytes(client, run, &format!("{name}/{relative}"), bytes)?;
    }
    Ok(())
}

/// Uploads the run's artifact `path`.
pub fn log_bytes(client: &Client, run: &TrackedRun, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
    client.put_bytes(&artifact_url(run, path)?, bytes)
}

/// The run's artifact `path`.
pub fn artifact(client: &Client, run: &TrackedRun, path: &str) -> anyhow::Result<Vec<u8>> {
    client.get_bytes(&artifact_url(run, path)?)
}

fn artifact_url(run: &TrackedRun, path: &str) -> anyhow::Result<String> {
    let Some(root) = run.artifact_uri.strip_prefix("mlflow-artifacts:/") else {
        bail!(
            "artifacts of run `{}` are kept at `{}`, which only clients reach",
            run.run_id,
            run.artifact_uri
        );
    };
    let path: Vec<String> = path.split('/').map(segment).collect();
    Ok(format!(
        "/api/2.0/mlflow-artifacts/artifacts/{}/{}",
        root.trim_start_matches('/'),
        path.join("/")
    ))
}

/// A run that is in the records.
pub fn find_run(client: &Client, run_id: &str) -> anyhow::Result<TrackedRun> {
    let answer: Value = client.get(&format!("/api/2.0/mlflow/runs/get?run_id={}", segment(run_id)))?;
    let info = &answer["run"]["info"];
    Ok(TrackedRun {
        run_id: text(info, "run_id")?,
        artifact_uri: text(info, "artifact_uri")?,
    })
}

/// The files under a folder, relative, `/` separated, sorted.
fn files_under(folder: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(relative) = open.pop() {
        let here = folder.join(&relative);
        let entries =
            std::fs::read_dir(&here).with_context(|| format!("failed to list `{}`", here.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                bail!(
                    "the name of `{}` is not UTF-8; an artifact's must be",
                    entry.path().display()
                );
            };
            let child = if relative.is_empty() {
                name.to_owned()
            } else {
                format!("{relative}/{name}")
            };
            if entry.file_type()?.is_dir() {
                open.push(child);
            } else {
                found.push(child);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A text field of an answer.
pub fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("the server's answer has no `{key}`"))
}
