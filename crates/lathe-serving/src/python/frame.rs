//! Tables and answers as they go to a process and come back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::answers::{Output, Values};
use crate::processes::frame::{self, Header, numbers};
use crate::signature::TensorSpec;
use crate::{Answers, PredictError, Table};

/// What leads a request.
#[derive(Serialize)]
struct Asked<'a> {
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Map<String, Value>>,
    #[serde(flatten)]
    given: Given<'a>,
}

/// A table, or what the process makes one of.
#[derive(Serialize)]
#[serde(untagged)]
enum Given<'a> {
    Sent {
        form: &'a str,
        sent: &'a Value,
    },
    Table {
        names: &'a [String],
        kinds: Vec<&'static str>,
        named: bool,
        words: BTreeMap<String, Vec<Option<&'a str>>>,
        tensors: Vec<Tensor<'a>>,
    },
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: &'a [Option<usize>],
}

/// A request: what the table is, and its numbers.
pub(super) fn request(table: &Table, tensors: &[TensorSpec]) -> Result<Vec<u8>, PredictError> {
    let given = match table.sent() {
        Some(sent) => Given::Sent {
            form: &sent.form,
            sent: &sent.rows,
        },
        None => Given::Table {
            names: table.names(),
            kinds: table.kinds().iter().map(|kind| kind.name()).collect(),
            named: table.is_named(),
            words: (0..table.names().len())
                .filter_map(|column| {
                    let words = table.words(column)?.iter().map(Option::as_deref);
                    Some((column.to_string(), words.collect()))
                })
                .collect(),
            tensors: tensors
                .iter()
                .map(|tensor| Tensor {
                    name: &tensor.name,
                    dtype: &tensor.dtype,
                    shape: &tensor.shape,
                })
                .collect(),
        },
    };
    let asked = Asked {
        rows: table.rows(),
        params: table.params(),
        given,
    };
    let header = serde_json::to_string(&asked).map_err(|error| PredictError::Failed(error.to_string()))?;
    let numbers: Vec<u8> = table
        .numbers()
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    Ok(frame::frame(&header, &numbers))
}

/// The answers that a frame tells.
pub(super) fn answers(header: &Header, mut body: &[u8]) -> Result<Answers, PredictError> {
    if let Some(raised) = &header.raised {
        return Err(PredictError::Raised(raised.clone()));
    }
    if let Some(refused) = &header.refused {
        return Err(match header.invalid {
            true => PredictError::Invalid(refused.clone()),
            false => PredictError::Unreadable(refused.clone()),
        });
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let refused = |invalid: bool| told(json!({ "refused": "x", "invalid": invalid }), b"");
        assert_eq!(refused(true), Err(PredictError::Invalid("x".into())));
        assert_eq!(refused(false), Err(PredictError::Unreadable("x".into())));
    }
}
