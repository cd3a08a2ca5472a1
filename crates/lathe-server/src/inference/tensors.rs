//! Tensors of the Open Inference Protocol: nested or flat JSON, or raw little-endian bytes behind the JSON header
//! (its binary tensor extension).

use lathe_serving::{Signature, Table, Values};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One tensor of a request.
#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    data: Option<Value>,
}

impl Input {
    /// How many of the raw bytes are this tensor's.
    pub(super) fn raw_bytes(&self) -> Option<usize> {
        self.parameters
            .get("binary_data_size")?
            .as_u64()
            .map(|bytes| bytes as usize)
    }

    /// The values, flat and row-major.
    pub(super) fn values(&self, raw: Option<&[u8]>) -> Result<Vec<Value>, String> {
        let name = &self.name;
        let mut values = Vec::new();
        match (raw, &self.data) {
            (Some(raw), _) => {
                values = decode(&self.datatype, raw).map_err(|what| format!("input `{name}`: {what}"))?
            }
            (None, Some(data)) => flatten(data, &mut values),
            (None, None) => return Err(format!("input `{name}` has no data")),
        }
        let wanted = self.shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        if wanted != Some(values.len()) {
            return Err(format!(
                "input `{name}` has {} values for the shape {:?}",
                values.len(),
                self.shape
            ));
        }
        Ok(values)
    }
}

fn flatten(value: &Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, into)),
        other => into.push(other.clone()),
    }
}

fn decode(datatype: &str, raw: &[u8]) -> Result<Vec<Value>, String> {
    fn numbers<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> Value) -> Result<Vec<Value>, String> {
        let (chunks, rest) = raw.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no whole number of values", raw.len()));
        }
        Ok(chunks.iter().map(|chunk| read(*chunk)).collect())
    }
    match datatype {
        "FP64" => numbers(raw, |b| json!(f64::from_le_bytes(b))),
        "FP32" => numbers(raw, |b| json!(f64::from(f32::from_le_bytes(b)))),
        "INT64" => numbers(raw, |b| json!(i64::from_le_bytes(b))),
        "INT32" => numbers(raw, |b| json!(i32::from_le_bytes(b))),
        "INT16" => numbers(raw, |b| json!(i16::from_le_bytes(b))),
        "INT8" => numbers(raw, |b| json!(i8::from_le_bytes(b))),
        "UINT64" => numbers(raw, |b| json!(u64::from_le_bytes(b))),
        "UINT32" => numbers(raw, |b| json!(u32::from_le_bytes(b))),
        "UINT16" => numbers(raw, |b| json!(u16::from_le_bytes(b))),
        "UINT8" => numbers(raw, |b| json!(u8::from_le_bytes(b))),
        "BOOL" => numbers(raw, |[b]: [u8; 1]| json!(b != 0)),
        other => Err(format!(
            "values of the datatype `{other}` are not taken as raw bytes"
        )),
    }
}

/// A request's tensors as the model's table: one tensor a column, of shape [n] or [n, 1]; or a single one of shape
/// [n, columns] in the model's order.
pub(super) fn table(
    inputs: &[Input],
    values: Vec<Vec<Value>>,
    signature: &Signature,
) -> Result<Table, String> {
    let width = signature.inputs.len();
    if let ([input], [flat]) = (inputs, values.as_slice())
        && let [rows, columns] = input.shape.as_slice()
        && !signature.inputs.iter().any(|column| column.name == input.name)
    {
        if *columns != width {
            return Err(format!(
                "input `{}` has {columns} columns; the model takes {width}: {}",
                input.name,
                signature.names().join(", ")
            ));
        }
        let rows: Vec<Vec<Value>> = (0..*rows)
            .map(|row| flat[row * width..(row + 1) * width].to_vec())
            .collect();
        return Table::from_rows(&rows, signature).map_err(|error| error.to_string());
    }
    for input in inputs {
        if !matches!(input.shape.as_slice(), [_] | [_, 1]) {
            return Err(format!(
                "input `{}` has the shape {:?}; a column has [n] or [n, 1]",
                input.name, input.shape
            ));
        }
    }
    let columns: Vec<(String, Vec<Value>)> = inputs
        .iter()
        .map(|input| input.name.clone())
        .zip(values)
        .collect();
    Table::from_columns(&columns, signature).map_err(|error| error.to_string())
}

/// Adds answers as raw bytes: little-endian numbers, and words with their lengths before them.
pub(super) fn encode(values: &Values, raw: &mut Vec<u8>) {
    match values {
        Values::Float(numbers) => raw.extend(numbers.iter().flat_map(|n| n.to_le_bytes())),
        Values::Double(numbers) => raw.extend(numbers.iter().flat_map(|n| n.to_le_bytes())),
        Values::Integer(numbers) => raw.extend(numbers.iter().flat_map(|n| n.to_le_bytes())),
        Values::Long(numbers) => raw.extend(numbers.iter().flat_map(|n| n.to_le_bytes())),
        Values::Boolean(flags) => raw.extend(flags.iter().map(|flag| u8::from(*flag))),
        Values::Text(words) => {
            for word in words {
                raw.extend((word.len() as u32).to_le_bytes());
                raw.extend(word.bytes());
            }
        }
    }
}
