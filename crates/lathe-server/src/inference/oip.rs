//! The Open Inference Protocol v2 over REST, with its binary tensor extension.

use std::sync::Arc;

use axum::extract::{FromRef, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answered, PREDICTION_ID, Refusal, answer, event_time};
use super::deployments::{Deployments, Live};
use super::tensors::{self, Input};
use lathe_types::deployments::Role;

/// Where the JSON ends and raw tensors begin.
const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(async || Json(json!({ "live": true }))))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models", get(models))
        .route("/v2/models/{name}", get(model))
        .route("/v2/models/{name}/ready", get(model_ready))
        .route("/v2/models/{name}/infer", post(infer))
        .route("/v2/models/{name}/versions/{version}", get(version))
        .route("/v2/models/{name}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(infer_version))
}

/// An error in the protocol's form.
struct OipError(StatusCode, String);

impl OipError {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl IntoResponse for OipError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Refusal> for OipError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Request(error) => Self::bad(error.to_string()),
            Refusal::NotReady(message) => Self(StatusCode::SERVICE_UNAVAILABLE, message),
            Refusal::Failed(message) => Self(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

fn find(deployments: &Deployments, name: &str) -> Result<Arc<Live>, OipError> {
    deployments.get(name).ok_or_else(|| {
        let known: Vec<String> = deployments.all().iter().map(|live| live.name.clone()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        OipError(
            StatusCode::NOT_FOUND,
            format!("no model is called `{name}`; there is: {known}"),
        )
    })
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "lathe", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"],
    }))
}

/// Ready when every deployment that has a version can answer.
async fn ready(State(deployments): State<Deployments>) -> Response {
    let ready = deployments
        .all()
        .iter()
        .all(|live| live.targets.is_empty() || live.stable_model().is_some());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready }))).into_response()
}

async fn models(State(deployments): State<Deployments>) -> Json<Value> {
    let names: Vec<String> = deployments.all().iter().map(|live| live.name.clone()).collect();
    Json(json!({ "models": names }))
}

async fn model(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Json<Value>, OipError> {
    metadata(&*find(&deployments, &name)?)
}

async fn version(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, OipError> {
    let live = find(&deployments, &name)?;
    known_version(&live, &version)?;
    metadata(&live)
}

fn metadata(live: &Live) -> Result<Json<Value>, OipError> {
    let not_ready = || {
        OipError(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("no version of `{}` answers yet", live.name),
        )
    };
    let model = live.stable_model().ok_or_else(not_ready)?;
    let inputs: Vec<Value> = model
        .signature()
        .inputs
        .iter()
        .map(|column| json!({ "name": column.name, "datatype": column.kind.oip_datatype(), "shape": [-1] }))
        .collect();
    let shape = |width: Option<usize>| match width {
        None => json!([-1]),
        Some(width) => json!([-1, width]),
    };
    let outputs: Vec<Value> = model
        .outputs()
        .iter()
        .map(|output| json!({ "name": &*output.name, "datatype": output.datatype, "shape": shape(output.width) }))
        .collect();
    let answering = live.targets.iter().filter(|target| target.role != Role::Shadow);
    Ok(Json(json!({
        "name": live.name,
        "versions": answering.map(|target| target.version.to_string()).collect::<Vec<_>>(),
        "platform": format!("lathe_{}", model.runtime()),
        "inputs": inputs,
        "outputs": outputs,
    })))
}

async fn model_ready(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Response, OipError> {
    let live = find(&deployments, &name)?;
    Ok(readiness(&name, live.stable_model().is_some()))
}

async fn version_ready(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, OipError> {
    let live = find(&deployments, &name)?;
    let version = known_version(&live, &version)?;
    Ok(readiness(
        &name,
        live.of_version(version)
            .is_some_and(|target| target.model.is_ok()),
    ))
}

fn readiness(name: &str, ready: bool) -> Response {
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "name": name, "ready": ready }))).into_response()
}

fn known_version(live: &Live, text: &str) -> Result<u32, OipError> {
    let version = text
        .parse()
        .ok()
        .filter(|version| live.of_version(*version).is_some());
    version.ok_or_else(|| {
        let known: Vec<String> = live
            .targets
            .iter()
            .map(|target| target.version.to_string())
            .collect();
        OipError(
            StatusCode::NOT_FOUND,
            format!(
                "version {text} of `{}` does not answer; these do: {}",
                live.name,
                known.join(", ")
            ),
        )
    })
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Option<Vec<Output>>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Request {
    /// Whether an output is wanted as raw bytes.
    fn wants_raw(&self, output: Option<&Output>) -> bool {
        let flag = |parameters: &Map<String, Value>, key: &str| parameters.get(key).and_then(Value::as_bool);
        output
            .and_then(|output| flag(&output.parameters, "binary_data"))
            .or(flag(&self.parameters, "binary_data_output"))
            .unwrap_or(false)
    }
}

async fn infer(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OipError> {
    reply(&deployments, &name, None, &headers, &body).await
}

async fn infer_version(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OipError> {
    reply(&deployments, &name, Some(&version), &headers, &body).await
}

async fn reply(
    deployments: &Deployments,
    name: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, OipError> {
    let live = find(deployments, name)?;
    let version = version.map(|text| known_version(&live, text)).transpose()?;
    let not_ready = || Refusal::NotReady(format!("no version of `{name}` answers yet"));
    let model = live.stable_model().ok_or_else(not_ready)?;
    let signature = model.signature().clone();
    let at = event_time(headers).map_err(OipError::bad)?;
    let (request, mut raw) = parse(headers, body)?;
    let known: Vec<String> = model
        .outputs()
        .iter()
        .map(|output| output.name.to_string())
        .collect();
    let mut asked = request.outputs.iter().flatten();
    if let Some(unknown) = asked.find(|output| !known.contains(&output.name)) {
        return Err(OipError::bad(format!(
            "the model has no output `{}`; it has `{}`",
            unknown.name,
            known.join("`, `")
        )));
    }
    let mut values = Vec::new();
    for input in &request.inputs {
        let bytes = match input.raw_bytes() {
            Some(length) if length <= raw.len() => {
                let (bytes, rest) = raw.split_at(length);
                raw = rest;
                Some(bytes)
            }
            Some(_) => {
                return Err(OipError::bad(format!(
                    "the raw bytes of input `{}` break off",
                    input.name
                )));
            }
            None => None,
        };
        values.push(input.values(bytes).map_err(OipError::bad)?);
    }
    let table = tensors::table(&request.inputs, values, &signature).map_err(OipError::bad)?;
    let answered = answer(deployments, &live, version, table, at).await?;
    Ok(respond(&live, &request, &answered))
}

/// The JSON of a request, and the raw tensors behind it.
fn parse<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(Request, &'a [u8]), OipError> {
    let length = match headers.get(HEADER_LENGTH) {
        None => body.len(),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|length| *length <= body.len())
            .ok_or_else(|| OipError::bad("`Inference-Header-Content-Length` does not fit the body"))?,
    };
    let (header, raw) = body.split_at(length);
    let request = serde_json::from_slice(header)
        .map_err(|error| OipError::bad(format!("the request cannot be read: {error}")))?;
    Ok((request, raw))
}

fn respond(live: &Live, request: &Request, answered: &Answered) -> Response {
    let mut raw = Vec::new();
    let mut outputs = Vec::new();
    for output in &answered.answers.outputs {
        let asked = request
            .outputs
            .iter()
            .flatten()
            .find(|asked| *asked.name == *output.name);
        if asked.is_none()
            && request
                .outputs
                .as_ref()
                .is_some_and(|outputs| !outputs.is_empty())
        {
            continue;
        }
        let mut told = json!({
            "name": &*output.name, "datatype": output.values.datatype(), "shape": output.shape(),
        });
        if request.wants_raw(asked) {
            let before = raw.len();
            tensors::encode(&output.values, &mut raw);
            told["parameters"] = json!({ "binary_data_size": raw.len() - before });
        } else {
            told["data"] = (0..output.values.len())
                .map(|index| output.values.value(index))
                .collect();
        }
        outputs.push(told);
    }
    let id = request.id.as_deref().filter(|id| !id.is_empty());
    let body = json!({
        "model_name": live.name,
        "model_version": answered.version.to_string(),
        "id": id.unwrap_or(answered.id.as_str()),
        "parameters": { "prediction_id": answered.id },
        "outputs": outputs,
    });
    let told = [(PREDICTION_ID, answered.id.to_string())];
    if raw.is_empty() {
        return (told, Json(body)).into_response();
    }
    let mut bytes = body.to_string().into_bytes();
    let length = [(HEADER_LENGTH, bytes.len().to_string())];
    bytes.extend(raw);
    (
        told,
        length,
        [(header::CONTENT_TYPE, "application/octet-stream")],
        bytes,
    )
        .into_response()
}
