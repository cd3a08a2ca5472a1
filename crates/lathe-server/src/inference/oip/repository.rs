use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::deployments::Deployments;
use super::OipError;

#[derive(Default, Deserialize)]
struct Asked {
    /// Only models that answer.
    #[serde(default)]
    ready: bool,
}

/// Triton's clients send an empty body where they ask for nothing in particular.
fn asked(body: &[u8]) -> Result<Asked, OipError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Asked::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| OipError::bad(format!("the request cannot be read: {error}")))
}

pub(super) async fn index(
    State(deployments): State<Deployments>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, OipError> {
    let asked = asked(&body?)?;
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
) -> Result<Json<Value>, OipError> {
    index(state, body).await
}

pub(super) async fn load(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, OipError> {
    let parameters = parameters(&body?)?;
    if parameters.is_some_and(|parameters| !parameters.is_empty()) {
        return Err(OipError::bad(
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
) -> Result<Json<Value>, OipError> {
    parameters(&body?)?;
    deployments.unload(&name)?;
    Ok(Json(json!({ "name": name, "unload": true })))
}

pub(super) async fn load_of(
    state: State<Deployments>,
    Path((_repository, name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, OipError> {
    load(state, Path(name), body).await
}

pub(super) async fn unload_of(
    state: State<Deployments>,
    Path((_repository, name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, OipError> {
    unload(state, Path(name), body).await
}

fn parameters(body: &[u8]) -> Result<Option<serde_json::Map<String, Value>>, OipError> {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        parameters: Option<serde_json::Map<String, Value>>,
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| OipError::bad(format!("the request cannot be read: {error}")))?;
    Ok(body.parameters)
}
