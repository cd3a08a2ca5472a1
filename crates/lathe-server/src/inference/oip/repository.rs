use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::deployments::Deployments;
use super::super::error_reply::ErrorReply;

#[derive(Default, Deserialize)]
struct Asked {
    /// Only models that answer.
    #[serde(default)]
    ready: bool,
}

#[derive(Default, Deserialize)]
struct Loaded {
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Triton's clients send an empty body where they ask for nothing in particular.
fn read<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, ErrorReply> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| ErrorReply::bad(format!("the request cannot be read: {error}")))
}

pub(super) async fn index(
    State(deployments): State<Deployments>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    let asked: Asked = read(&body?)?;
    let listed = deployments.index(asked.ready).into_iter().map(|entry| {
        json!({ "name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason })
    });
    Ok(Json(Value::Array(listed.collect())))
}

/// There is one repository; its name is as good as any.
pub(super) async fn index_of(
    state: State<Deployments>,
    Path(_repository): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    index(state, body).await
}

pub(super) async fn load(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    let Loaded { parameters } = read(&body?)?;
    if parameters.is_some_and(|parameters| !parameters.is_empty()) {
        return Err(ErrorReply::bad(
            "models are loaded as the registry has them; `parameters` of a load are not taken",
        ));
    }
    deployments.load(&name).await?;
    Ok(Json(json!({ "name": name, "load": true })))
}

pub(super) async fn unload(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    read::<Loaded>(&body?)?;
    deployments.unload(&name)?;
    Ok(Json(json!({ "name": name, "unload": true })))
}

pub(super) async fn load_of(
    state: State<Deployments>,
    Path((_repository, name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    load(state, Path(name), body).await
}

pub(super) async fn unload_of(
    state: State<Deployments>,
    Path((_repository, name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ErrorReply> {
    unload(state, Path(name), body).await
}
