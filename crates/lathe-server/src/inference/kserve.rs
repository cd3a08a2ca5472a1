//! KServe's first protocol, which TensorFlow Serving's clients speak too: `/v1/models/NAME:predict`.

use std::collections::HashMap;

use axum::extract::{FromRef, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use lathe_serving::Facts;
use serde_json::{Map, Value, json};

use super::answer::{self, Refusal, Request};
use super::deployments::Deployments;
use super::error_reply::ErrorReply;
use super::invocations::{ScoringError, tensors};
use super::sent::Sent;

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{name}", get(model).post(call))
        .route(
            "/v1/models/{name}/versions/{version}",
            axum::routing::post(call_version),
        )
}

/// What cannot be read is told by the reader that `/invocations` has.
impl From<ScoringError> for ErrorReply {
    fn from(error: ScoringError) -> Self {
        Self::new(error.status, error.message)
    }
}

async fn models(State(deployments): State<Deployments>) -> Json<Value> {
    let names: Vec<String> = deployments.all().iter().map(|live| live.name.clone()).collect();
    Json(json!({ "models": names }))
}

async fn model(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Response, ErrorReply> {
    let live = deployments.find(&name)?;
    live.stable_model_or_refuse()?;
    Ok(Json(json!({ "name": name, "ready": true })).into_response())
}

async fn call(
    State(deployments): State<Deployments>,
    Path(call): Path<String>,
    Sent { headers, body }: Sent,
) -> Result<Response, ErrorReply> {
    predict(&deployments, &call, None, &headers, &body?).await
}

async fn call_version(
    State(deployments): State<Deployments>,
    Path((name, call)): Path<(String, String)>,
    Sent { headers, body }: Sent,
) -> Result<Response, ErrorReply> {
    let (version, verb) = call.split_once(':').unwrap_or((&call, ""));
    predict(
        &deployments,
        &format!("{name}:{verb}"),
        Some(version),
        &headers,
        &body?,
    )
    .await
}

async fn predict(
    deployments: &Deployments,
    call: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ErrorReply> {
    let Some(name) = call.strip_suffix(":predict") else {
        return Err(ErrorReply::from(Refusal::Unknown(format!(
            "`{call}` is no call of this protocol; ask `NAME:predict`"
        ))));
    };
    let live = deployments.find(name)?;
    let mut request = Request::of_headers(headers).map_err(ErrorReply::bad)?;
    request.version = version.map(|text| live.known_version(text)).transpose()?;
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ErrorReply::bad(format!("the body is not a JSON object: {error}")))?;
    // Rows are answered by `predictions`, columns by `outputs`.
    let (form, answered_as) = match body.contains_key("instances") {
        true => ("instances", "predictions"),
        false => ("inputs", "outputs"),
    };
    let rows = body
        .remove(form)
        .ok_or_else(|| ErrorReply::bad("the body must hold `instances`, or `inputs`"))?;
    let mut given = live.for_each_version(rows);
    let read = |model: &Facts| tensors(given(), form, model.signature()).map_err(ErrorReply::from);
    let answered = answer::answer(deployments, &live, request, read).await?;
    let told = answered.headers();
    Ok((told, Json(HashMap::from([(answered_as, &answered.answers)]))).into_response())
}
