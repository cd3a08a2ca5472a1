use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lathe_serving::{Facts, Values};
use serde::Serialize;

use super::super::answer::{self, Answered, Request as Asked};
use super::super::deployments::{Deployments, Live};
use super::super::error_reply::ErrorReply;
use super::super::graph::Members;
use super::super::sent::Sent;
use super::super::{tensor, tensors};
use super::request::{self, Request};

/// Where the JSON ends and raw tensors begin.
const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) async fn infer(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    Sent { headers, body }: Sent,
) -> Result<Response, ErrorReply> {
    reply(&deployments, &name, None, &headers, &body?).await
}

pub(super) async fn infer_version(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
    Sent { headers, body }: Sent,
) -> Result<Response, ErrorReply> {
    reply(&deployments, &name, Some(&version), &headers, &body?).await
}

async fn reply(
    deployments: &Deployments,
    name: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ErrorReply> {
    let live = deployments.find(name)?;
    let version = version.map(|text| live.known_version(text)).transpose()?;
    let mut asked = Asked::of_headers(headers).map_err(ErrorReply::bad)?;
    asked.version = version;
    let length = header_length(headers, body)?;
    let names = live.stable_model_or_refuse()?.signature().names();
    let (request, tensors) = request::read(length, body, names).map_err(ErrorReply::bad)?;
    asked.limit(request.timeout_us());
    let mut given = live.for_each_version(tensors);
    let read = |model: &Facts| {
        let table = tensors::table(given(), model.signature(), model.inputs()).map_err(ErrorReply::bad)?;
        tensors::with_params(table, request.params(model.params()), model).map_err(ErrorReply::bad)
    };
    let answered = answer::answer(deployments, &live, asked, read).await?;
    respond(&live, &request, &answered)
}

/// How much of the body is JSON.
fn header_length(headers: &HeaderMap, body: &[u8]) -> Result<usize, ErrorReply> {
    match headers.get(HEADER_LENGTH) {
        None => Ok(body.len()),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|length| *length <= body.len())
            .ok_or_else(|| ErrorReply::bad("`Inference-Header-Content-Length` does not fit the body")),
    }
}

fn respond(live: &Live, request: &Request, answered: &Answered) -> Result<Response, ErrorReply> {
    let names: Vec<&str> = request
        .outputs
        .iter()
        .flatten()
        .map(|output| output.name.as_str())
        .collect();
    let wanted = tensors::wanted(&answered.answers.outputs, &names).map_err(ErrorReply::bad)?;
    let mut raw = Vec::new();
    let mut any_raw = false;
    let mut outputs = Vec::with_capacity(wanted.len());
    for output in wanted {
        let is_raw = request.wants_raw(&output.name);
        let before = raw.len();
        if is_raw {
            raw.extend(tensor::encode(&output.values));
            any_raw = true;
        }
        outputs.push(ToldOutput {
            name: &output.name,
            datatype: output.values.datatype(),
            shape: output.shape(),
            parameters: is_raw.then(|| RawSize {
                binary_data_size: raw.len() - before,
            }),
            data: (!is_raw).then_some(&output.values),
        });
    }
    let prediction_id = answered.id.as_str();
    let body = Told {
        model_name: &live.name,
        model_version: answered.version.to_string(),
        id: request
            .id
            .as_deref()
            .filter(|id| !id.is_empty())
            .unwrap_or(prediction_id),
        parameters: ToldParameters {
            prediction_id,
            members: answered.members.as_ref().map(Members::told),
        },
        outputs,
    };
    let mut bytes = Vec::with_capacity(256 + raw.len());
    serde_json::to_writer(&mut bytes, &body)
        .map_err(|error| ErrorReply::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let told = answered.headers();
    if !any_raw {
        return Ok((told, [(header::CONTENT_TYPE, "application/json")], bytes).into_response());
    }
    let length = [(HEADER_LENGTH, bytes.len().to_string())];
    bytes.extend(raw);
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((told, length, kind, bytes).into_response())
}

#[derive(Serialize)]
struct Told<'a> {
    model_name: &'a str,
    model_version: String,
    id: &'a str,
    parameters: ToldParameters<'a>,
    outputs: Vec<ToldOutput<'a>>,
}

#[derive(Serialize)]
struct ToldParameters<'a> {
    prediction_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<String>,
}

#[derive(Serialize)]
struct ToldOutput<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<RawSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Values>,
}

#[derive(Serialize)]
struct RawSize {
    binary_data_size: usize,
}
