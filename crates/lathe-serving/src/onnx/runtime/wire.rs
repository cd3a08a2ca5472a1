//! Tensors as they go to a process and come back: see `processes/frame.rs`.

use std::sync::Arc;

use serde_json::Value;

use super::super::tensor::{Data, Tensor};
use crate::processes::frame::{Header, Told, frame, numbers};

/// A frame of tensors, as a request or as an answer.
pub(super) fn encode(tensors: &[Tensor]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let mut outputs = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let start = body.len();
        let mut json = Value::Null;
        let kind = match &tensor.data {
            Data::Float(values) => {
                body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                "f4"
            }
            Data::Double(values) => {
                body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                "f8"
            }
            Data::Int(values) => {
                body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                "i4"
            }
            Data::Long(values) => {
                body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                "i8"
            }
            Data::Bool(values) => {
                body.extend(values.iter().map(|value| u8::from(*value)));
                "b1"
            }
            Data::Text(words) => {
                json = words.iter().map(|word| Value::from(&**word)).collect();
                "text"
            }
        };
        outputs.push(Told {
            kind: kind.into(),
            shape: Some(tensor.shape.clone()),
            bytes: body.len() - start,
            json,
            keys: tensor.keys.as_ref().map(|keys| keys.to_vec()),
            ..Told::default()
        });
    }
    let header = Header {
        outputs,
        ..Header::default()
    };
    let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
    Ok(frame(&header, &body))
}

/// The tensors that a frame tells of.
pub(super) fn decode(outputs: Vec<Told>, mut body: &[u8]) -> Result<Vec<Tensor>, String> {
    let mut tensors = Vec::with_capacity(outputs.len());
    for told in outputs {
        let (raw, rest) = body.split_at_checked(told.bytes).ok_or("its values break off")?;
        body = rest;
        let data = match told.kind.as_str() {
            "f4" => Data::Float(numbers(raw, f32::from_le_bytes)),
            "f8" => Data::Double(numbers(raw, f64::from_le_bytes)),
            "i4" => Data::Int(numbers(raw, i32::from_le_bytes)),
            "i8" => Data::Long(numbers(raw, i64::from_le_bytes)),
            "b1" => Data::Bool(raw.iter().map(|byte| *byte != 0).collect()),
            "text" => {
                let words: Vec<String> =
                    serde_json::from_value(told.json).map_err(|error| error.to_string())?;
                Data::Text(words.into_iter().map(Arc::from).collect())
            }
            other => return Err(format!("`{other}` is no kind of values")),
        };
        let mut tensor = Tensor::new(told.shape.unwrap_or_default(), data)?;
        if let Some(keys) = told.keys {
            if tensor.shape.last() != Some(&keys.len()) {
                return Err("its keys are not as many as its columns".into());
            }
            tensor.keys = Some(keys.into());
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::frame::read;

    #[test]
    fn tensors_of_every_kind_come_back_as_they_went() {
        let mut keyed = Tensor::floats(vec![1, 2], vec![0.25, 0.75]).unwrap();
        keyed.keys = Some(vec![Value::from("no"), Value::from(1)].into());
        let tensors = vec![
            keyed,
            Tensor::new(vec![2], Data::Double(vec![f64::NAN, f64::MIN])).unwrap(),
            Tensor::new(vec![], Data::Int(vec![i32::MIN])).unwrap(),
            Tensor::longs(vec![0, 3], vec![]).unwrap(),
            Tensor::new(vec![1, 1, 2], Data::Bool(vec![true, false])).unwrap(),
            Tensor::new(vec![2], Data::Text(vec!["".into(), "ä\n".into()])).unwrap(),
        ];
        let (header, body) = read(&mut encode(&tensors).unwrap().as_slice()).unwrap();
        let back = decode(header.outputs, &body).unwrap();
        assert_eq!(format!("{back:?}"), format!("{tensors:?}"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let told = |kind: &str, shape: &[usize], bytes| Told {
            kind: kind.into(),
            shape: Some(shape.to_vec()),
            bytes,
            ..Told::default()
        };
        for (wrong, body) in [
            (told("f4", &[2], 8), &[0; 4][..]),
            (told("f4", &[3], 8), &[0; 8]),
            (told("f3", &[2], 8), &[0; 8]),
            (told("text", &[1], 0), &[]),
            (told("b1", &[usize::MAX, 2], 1), &[0]),
        ] {
            assert!(decode(vec![wrong], body).is_err());
        }
    }
}
