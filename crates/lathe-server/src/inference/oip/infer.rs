use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use lathe_serving::Values;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::answer::{self, Answered, PREDICTION_ID, Request as Asked};
use super::super::deployments::{Deployments, Live};
use super::super::error_reply::ErrorReply;
use super::super::tensor::{self, Data, Datatype, Tensor};
use super::super::tensors;

/// Where the JSON ends and raw tensors begin.
const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) async fn infer(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ErrorReply> {
    reply(&deployments, &name, None, &headers, &body?).await
}

pub(super) async fn infer_version(
    State(deployments): State<Deployments>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ErrorReply> {
    reply(&deployments, &name, Some(&version), &headers, &body?).await
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
struct Input {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default, deserialize_with = "tensor::from_json")]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Request {
    /// Whether this output is wanted as raw bytes.
    fn wants_raw(&self, output: &str) -> bool {
        let flag = |parameters: &Map<String, Value>, key: &str| parameters.get(key).and_then(Value::as_bool);
        let asked = self.outputs.iter().flatten().find(|asked| asked.name == output);
        asked
            .and_then(|asked| flag(&asked.parameters, "binary_data"))
            .or(flag(&self.parameters, "binary_data_output"))
            .unwrap_or(false)
    }

    /// Triton's `timeout`, in microseconds.
    fn timeout_us(&self) -> Option<u64> {
        self.parameters.get("timeout")?.as_u64()
    }
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
    let model = live.stable_model_or_refuse()?;
    let mut asked = Asked::of_headers(headers).map_err(ErrorReply::bad)?;
    asked.version = version;
    let (request, tensors) = read(headers, body, &model.signature().names())?;
    asked.limit(request.timeout_us());
    let table = tensors::table(tensors, model.signature()).map_err(ErrorReply::bad)?;
    let answered = answer::answer(deployments, &live, asked, table).await?;
    respond(&live, &request, &answered)
}

/// The request and its tensors, raw ones taken from behind the JSON.
fn read(headers: &HeaderMap, body: &[u8], names: &[String]) -> Result<(Request, Vec<Tensor>), ErrorReply> {
    let length = match headers.get(HEADER_LENGTH) {
        None => body.len(),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|length| *length <= body.len())
            .ok_or_else(|| ErrorReply::bad("`Inference-Header-Content-Length` does not fit the body"))?,
    };
    if length == 0 && !body.is_empty() {
        return raw_request(body, names);
    }
    let (header, mut raw) = body.split_at(length);
    let mut request: Request = serde_json::from_slice(header)
        .map_err(|error| ErrorReply::bad(format!("the request cannot be read: {error}")))?;
    let mut tensors = Vec::with_capacity(request.inputs.len());
    for input in &mut request.inputs {
        let name = std::mem::take(&mut input.name);
        let of_input = |what: String| ErrorReply::bad(format!("input `{name}`: {what}"));
        let datatype = Datatype::parse(&input.datatype).map_err(of_input)?;
        let data = match (input.parameters.get("binary_data_size"), input.data.take()) {
            (None, Some(data)) => data,
            (None, None) => return Err(of_input("it has no data".into())),
            (Some(_), Some(_)) => return Err(of_input("it has both `data` and `binary_data_size`".into())),
            (Some(size), None) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let bytes = size.and_then(|size| raw.split_at_checked(size));
                let (bytes, rest) = bytes.ok_or_else(|| of_input("its raw bytes break off".into()))?;
                raw = rest;
                tensor::decode(datatype, bytes).map_err(of_input)?
            }
        };
        let shape = std::mem::take(&mut input.shape);
        tensors.push(Tensor::new(name, datatype, shape, data).map_err(ErrorReply::bad)?);
    }
    if !raw.is_empty() {
        return Err(ErrorReply::bad(format!(
            "{} bytes follow the last raw tensor",
            raw.len()
        )));
    }
    Ok((request, tensors))
}

/// A body without JSON: one row of the only input, or of all, as 32-bit numbers.
fn raw_request(body: &[u8], names: &[String]) -> Result<(Request, Vec<Tensor>), ErrorReply> {
    let data = tensor::decode(Datatype::Fp32, body).map_err(ErrorReply::bad)?;
    let width = names.len().max(1);
    let shape = vec![data.len() / width, width];
    let name = match names {
        [only] => only.clone(),
        _ => String::new(),
    };
    let tensor = Tensor::new(name, Datatype::Fp32, shape, data).map_err(ErrorReply::bad)?;
    let request = Request {
        id: None,
        parameters: Map::from_iter([("binary_data_output".to_owned(), json!(true))]),
        inputs: Vec::new(),
        outputs: None,
    };
    Ok((request, vec![tensor]))
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
    let prediction_id = answered.id.to_string();
    let body = Told {
        model_name: &live.name,
        model_version: answered.version.to_string(),
        id: request
            .id
            .as_deref()
            .filter(|id| !id.is_empty())
            .unwrap_or(&prediction_id),
        parameters: ToldParameters {
            prediction_id: &prediction_id,
        },
        outputs,
    };
    let mut bytes = Vec::with_capacity(256 + raw.len());
    serde_json::to_writer(&mut bytes, &body)
        .map_err(|error| ErrorReply::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let told = [(PREDICTION_ID, &prediction_id)];
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
