use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::deployments::{Deployments, Live};
use super::super::error_reply::ErrorReply;
use super::super::statistics::{self, Statistics};

/// What this server adds to the core of the protocol.
pub(in super::super) const EXTENSIONS: [&str; 4] = [
    "binary_tensor_data",
    "model_repository",
    "model_configuration",
    "statistics",
];

pub(super) async fn server() -> Json<Value> {
    Json(json!({ "name": "lathe", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

/// Ready when every deployment that has a version can answer.
pub(super) async fn server_ready(State(deployments): State<Deployments>) -> Response {
    let ready = deployments.is_ready();
    (status(ready), Json(json!({ "ready": ready }))).into_response()
}

pub(super) async fn models(State(deployments): State<Deployments>) -> Json<Value> {
    let names: Vec<String> = deployments.all().iter().map(|live| live.name.clone()).collect();
    Json(json!({ "models": names }))
}

pub(super) async fn model(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ErrorReply> {
    metadata(&*deployments.find(&name)?, None)
}

pub(super) async fn version(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorReply> {
    let live = deployments.find(&name)?;
    metadata(&live, Some(live.known_version(&version)?))
}

fn metadata(live: &Live, version: Option<u32>) -> Result<Json<Value>, ErrorReply> {
    let model = live.model_of(version)?;
    let inputs: Vec<Value> = model
        .inputs()
        .iter()
        .map(|input| json!({ "name": input.name, "datatype": input.datatype, "shape": input.shape }))
        .collect();
    let outputs: Vec<Value> = model
        .outputs()
        .iter()
        .map(|output| json!({ "name": &*output.name, "datatype": output.datatype, "shape": output_shape(output) }))
        .collect();
    let mut told = json!({
        "name": live.name,
        "versions": live.versions(),
        "platform": platform(model),
        "inputs": inputs,
        "outputs": outputs,
        "parameters": parameters(model),
    });
    if let Some(members) = live.members() {
        told["properties"] = json!({ "members": members });
    }
    Ok(Json(told))
}

/// What answers, and why, where something else might.
fn parameters(model: &lathe_serving::Facts) -> Value {
    match model.choice() {
        Some(choice) => json!({ "runtime": choice.runtime, "runtime_reason": choice.reason }),
        None => json!({ "runtime": model.runtime() }),
    }
}

/// What answers, as the protocol's `platform`.
pub(in super::super) fn platform(model: &lathe_serving::Facts) -> String {
    format!("lathe_{}", model.runtime())
}

/// Rows, and values a row where a row has a list of them; -1 is any number.
pub(in super::super) fn output_shape(output: &lathe_serving::OutputSpec) -> Vec<i64> {
    match output.width {
        None => vec![-1],
        Some(width) => vec![-1, width as i64],
    }
}

pub(super) async fn model_ready(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Response, ErrorReply> {
    let live = deployments.find(&name)?;
    Ok(readiness(&name, live.stable_model().is_some()))
}

pub(super) async fn version_ready(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, ErrorReply> {
    let live = deployments.find(&name)?;
    let version = live.known_version(&version)?;
    let loaded = live
        .of_version(version)
        .is_some_and(|target| target.model.is_ok());
    Ok(readiness(&name, loaded))
}

fn readiness(name: &str, ready: bool) -> Response {
    (status(ready), Json(json!({ "name": name, "ready": ready }))).into_response()
}

fn status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

pub(super) async fn config(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ErrorReply> {
    configuration(&*deployments.find(&name)?, None)
}

pub(super) async fn version_config(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorReply> {
    let live = deployments.find(&name)?;
    configuration(&live, Some(live.known_version(&version)?))
}

/// What Triton's model configuration says of a model, as far as it has a meaning here.
fn configuration(live: &Live, version: Option<u32>) -> Result<Json<Value>, ErrorReply> {
    let model = live.model_of(version)?;
    let inputs: Vec<Value> = model
        .inputs()
        .iter()
        .map(|input| json!({ "name": input.name, "data_type": config_type(input.datatype), "dims": input.shape }))
        .collect();
    let outputs: Vec<Value> = model
        .outputs()
        .iter()
        .map(|output| {
            json!({ "name": &*output.name, "data_type": config_type(output.datatype), "dims": output_shape(output) })
        })
        .collect();
    Ok(Json(json!({
        "name": live.name,
        "platform": platform(model),
        "backend": "lathe",
        "max_batch_size": 0,
        "input": inputs,
        "output": outputs,
        "parameters": words(&parameters(model)),
    })))
}

/// Parameters as Triton's configuration has them.
fn words(parameters: &Value) -> Value {
    let entries = parameters.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| (name.clone(), json!({ "string_value": value })))
        .collect()
}

/// Triton's configuration calls texts strings.
fn config_type(datatype: &str) -> String {
    match datatype {
        "BYTES" => "TYPE_STRING".into(),
        other => format!("TYPE_{other}"),
    }
}

pub(super) async fn all_stats(State(deployments): State<Deployments>) -> Json<Value> {
    let all = deployments.all();
    let stats = all.iter().flat_map(|live| statistics::of(live, None));
    told(stats.collect())
}

pub(super) async fn stats(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ErrorReply> {
    Ok(told(statistics::of(&*deployments.find(&name)?, None)))
}

pub(super) async fn version_stats(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorReply> {
    let live = deployments.find(&name)?;
    let version = live.known_version(&version)?;
    Ok(told(statistics::of(&live, Some(version))))
}

fn told(stats: Vec<Statistics>) -> Json<Value> {
    let stats: Vec<Value> = stats.iter().map(Statistics::json).collect();
    Json(json!({ "model_stats": stats }))
}
