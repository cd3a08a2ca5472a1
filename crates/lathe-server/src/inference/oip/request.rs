//! A request's body: JSON, and raw tensors behind it.

use lathe_serving::ParamSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::tensor::{self, Data, Datatype, Tensor};

#[derive(Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<Input>,
    #[serde(default)]
    pub(super) outputs: Option<Vec<Output>>,
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
pub(super) struct Output {
    pub(super) name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Request {
    /// Whether this output is wanted as raw bytes.
    pub(super) fn wants_raw(&self, output: &str) -> bool {
        let flag = |parameters: &Map<String, Value>, key: &str| parameters.get(key).and_then(Value::as_bool);
        let asked = self.outputs.iter().flatten().find(|asked| asked.name == output);
        asked
            .and_then(|asked| flag(&asked.parameters, "binary_data"))
            .or(flag(&self.parameters, "binary_data_output"))
            .unwrap_or(false)
    }

    /// Those parameters that are params of the model.
    pub(super) fn params(&self, known: Option<&ParamSchema>) -> Value {
        let Some(known) = known.filter(|_| !self.parameters.is_empty()) else {
            return Value::Null;
        };
        let mut params = self.parameters.clone();
        params.retain(|name, _| known.has(name));
        Value::Object(params)
    }

    /// Triton's `timeout`, in microseconds.
    pub(super) fn timeout_us(&self) -> Option<u64> {
        self.parameters.get("timeout")?.as_u64()
    }
}

/// The request and its tensors, raw ones taken from behind the JSON.
pub(super) fn read(length: usize, body: &[u8], names: &[String]) -> Result<(Request, Vec<Tensor>), String> {
    if length == 0 && !body.is_empty() {
        return raw_request(body, names);
    }
    let (header, mut raw) = body
        .split_at_checked(length)
        .ok_or("the JSON is said to be longer than the body")?;
    let mut request: Request =
        serde_json::from_slice(header).map_err(|error| format!("the request cannot be read: {error}"))?;
    let mut tensors = Vec::with_capacity(request.inputs.len());
    for input in &mut request.inputs {
        let name = std::mem::take(&mut input.name);
        let of_input = |what: String| format!("input `{name}`: {what}");
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
        tensors.push(Tensor::new(name, datatype, shape, data)?);
    }
    if !raw.is_empty() {
        return Err(format!("{} bytes follow the last raw tensor", raw.len()));
    }
    Ok((request, tensors))
}

/// A body without JSON: one row of the only input, or of all, as 32-bit numbers.
fn raw_request(body: &[u8], names: &[String]) -> Result<(Request, Vec<Tensor>), String> {
    let data = tensor::decode(Datatype::Fp32, body)?;
    let width = names.len().max(1);
    let shape = vec![data.len() / width, width];
    let name = match names {
        [only] => only.clone(),
        _ => String::new(),
    };
    let tensor = Tensor::new(name, Datatype::Fp32, shape, data)?;
    let request = Request {
        id: None,
        parameters: Map::from_iter([("binary_data_output".to_owned(), json!(true))]),
        inputs: Vec::new(),
        outputs: None,
    };
    Ok((request, vec![tensor]))
}
