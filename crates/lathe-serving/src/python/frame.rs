//! Tables and answers as they go to a process and come back.

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answers::{Output, Values};
use crate::mlmodel::TensorSpec;
use crate::{Answers, PredictError, Table};

/// Bounds what a process can make us hold.
const HEADER_BYTES_MAX: usize = 256 << 20;
/// Bounds what a process can make us hold.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// A frame: the header led by its length, the numbers led by theirs.
pub(super) fn request(table: &Table, tensors: &[TensorSpec]) -> Vec<u8> {
    let mut words = Map::new();
    for column in 0..table.names().len() {
        if let Some(held) = table.words(column) {
            words.insert(
                column.to_string(),
                json!(held.iter().map(|word| word.as_deref()).collect::<Vec<_>>()),
            );
        }
    }
    let tensors: Vec<Value> = tensors
        .iter()
        .map(|tensor| json!({ "name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape }))
        .collect();
    let header = json!({
        "rows": table.rows(),
        "names": table.names(),
        "kinds": table.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "named": table.is_named(),
        "words": words,
        "tensors": tensors,
    });
    let header = header.to_string();
    let numbers = table.numbers();
    let mut bytes = Vec::with_capacity(12 + header.len() + 8 * numbers.len());
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((8 * numbers.len() as u64).to_le_bytes());
    for number in numbers {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// What a process says.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    /// It loaded the model.
    #[serde(default)]
    pub(super) ready: bool,
    /// It cannot go on.
    pub(super) failed: Option<String>,
    /// The model does not answer this request.
    raised: Option<String>,
    #[serde(default)]
    outputs: Vec<Told>,
}

#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    kind: String,
    width: Option<usize>,
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    json: Value,
    keys: Option<Vec<Value>>,
}

/// Reads a frame.
pub(super) fn read(from: &mut impl Read) -> io::Result<(Header, Vec<u8>)> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if HEADER_BYTES_MAX < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let header = bytes(from, length as u64)?;
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if BODY_BYTES_MAX < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((serde_json::from_slice(&header)?, bytes(from, length)?))
}

/// So many bytes; a length that is never filled takes no memory.
fn bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(length).read_to_end(&mut bytes)?;
    if (read as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// The answers that a frame tells.
pub(super) fn answers(header: &Header, mut body: &[u8]) -> Result<Answers, PredictError> {
    if let Some(raised) = &header.raised {
        return Err(PredictError::Raised(raised.clone()));
    }
    if let Some(failed) = &header.failed {
        return Err(PredictError::Failed(failed.clone()));
    }
    let broken =
        || PredictError::Failed("the model's process answers with something that is no answer".into());
    let mut outputs = Vec::with_capacity(header.outputs.len());
    for told in &header.outputs {
        let (raw, rest) = body.split_at_checked(told.bytes).ok_or_else(broken)?;
        body = rest;
        let values = match told.kind.as_str() {
            "f4" => Values::Float(numbers(raw, f32::from_le_bytes)),
            "f8" => Values::Double(numbers(raw, f64::from_le_bytes)),
            "i4" => Values::Integer(numbers(raw, i32::from_le_bytes)),
            "i8" => Values::Long(numbers(raw, i64::from_le_bytes)),
            "b1" => Values::Boolean(raw.iter().map(|byte| *byte != 0).collect()),
            "text" => Values::Text(serde_json::from_value(told.json.clone()).map_err(|_| broken())?),
            "json" => Values::Json(serde_json::from_value(told.json.clone()).map_err(|_| broken())?),
            "whole" => Values::Whole(told.json.clone()),
            _ => return Err(broken()),
        };
        let fits = told
            .width
            .is_none_or(|width| width != 0 && values.len() % width == 0);
        let keyed = told
            .keys
            .as_ref()
            .is_none_or(|keys| Some(keys.len()) == told.width);
        if !fits || !keyed {
            return Err(broken());
        }
        outputs.push(Output {
            name: told.name.as_str().into(),
            width: told.width,
            keys: told.keys.as_ref().map(|keys| keys.as_slice().into()),
            values,
        });
    }
    let rows = outputs.first().ok_or_else(broken)?.rows();
    match outputs.iter().all(|output| output.rows() == rows) {
        true => Ok(Answers { outputs }),
        false => Err(broken()),
    }
}

fn numbers<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(header: Value, body: &[u8]) -> Result<Answers, PredictError> {
        answers(&serde_json::from_value(header).unwrap(), body)
    }

    #[test]
    fn answers_are_read_by_their_kind_and_broken_ones_are_refused() {
        let body: Vec<u8> = [1.5f64, 2.5].iter().flat_map(|n| n.to_le_bytes()).collect();
        let one = |width: Option<usize>, bytes: usize| json!({ "outputs": [{ "name": "p", "kind": "f8", "width": width, "bytes": bytes }] });
        assert_eq!(told(one(None, 16), &body).unwrap().rows(), 2);
        assert_eq!(told(one(Some(2), 16), &body).unwrap().rows(), 1);
        for broken in [
            one(Some(3), 16),
            one(Some(0), 16),
            one(None, 17),
            json!({ "outputs": [] }),
        ] {
            assert!(matches!(told(broken, &body), Err(PredictError::Failed(_))));
        }
        let whole = json!({ "outputs": [{ "name": "p", "kind": "whole", "json": { "a": 1 } }] });
        assert_eq!(
            serde_json::to_value(told(whole, b"").unwrap()).unwrap(),
            json!({ "a": 1 })
        );
        assert!(matches!(
            told(json!({ "raised": "x" }), b""),
            Err(PredictError::Raised(_))
        ));
    }

    #[test]
    fn a_frame_that_breaks_off_or_boasts_is_no_frame() {
        let whole = [&2u32.to_le_bytes()[..], b"{}", &0u64.to_le_bytes()].concat();
        assert!(read(&mut whole.as_slice()).is_ok());
        assert!(read(&mut &whole[..whole.len() - 1]).is_err());
        assert!(read(&mut &u32::MAX.to_le_bytes()[..]).is_err());
        let boast = [&2u32.to_le_bytes()[..], b"{}", &u64::MAX.to_le_bytes()].concat();
        assert!(read(&mut boast.as_slice()).is_err());
    }
}
