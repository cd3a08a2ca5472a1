//! Tensors between gRPC's messages and ours.

use std::collections::HashMap;
use std::time::Duration;

use lathe_api::inference::{
    ConfigType, InferParameter, InferStatistics, InferTensor, InferTensorContents, ModelStatistics,
    ParameterChoice, StatisticDuration,
};
use lathe_serving::{Output, ParamSchema, Values};
use serde_json::Value;

use super::super::statistics::Statistics;
use super::super::tensor::{self, Data, Datatype, Tensor};

/// Those parameters that are params of the model.
pub(super) fn params(parameters: &HashMap<String, InferParameter>, known: Option<&ParamSchema>) -> Value {
    let Some(known) = known.filter(|_| !parameters.is_empty()) else {
        return Value::Null;
    };
    let value = |parameter: &InferParameter| match &parameter.choice {
        None => Value::Null,
        Some(ParameterChoice::Bool(flag)) => Value::from(*flag),
        Some(ParameterChoice::Int64(number)) => Value::from(*number),
        Some(ParameterChoice::Uint64(number)) => Value::from(*number),
        Some(ParameterChoice::Double(number)) => Value::from(*number),
        Some(ParameterChoice::String(text)) => Value::from(text.as_str()),
    };
    let ours = parameters.iter().filter(|(name, _)| known.has(name));
    Value::Object(
        ours.map(|(name, parameter)| (name.clone(), value(parameter)))
            .collect(),
    )
}

/// The request's tensors: all raw, in their order, or all typed.
pub(super) fn tensors(inputs: Vec<InferTensor>, raw: &[Vec<u8>]) -> Result<Vec<Tensor>, String> {
    if !raw.is_empty() && raw.len() != inputs.len() {
        return Err(format!("{} raw contents for {} inputs", raw.len(), inputs.len()));
    }
    let mut tensors = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let of_input = |what: String| format!("input `{}`: {what}", input.name);
        let datatype = Datatype::parse(&input.datatype).map_err(of_input)?;
        let data = match (raw.get(index), &input.contents) {
            (Some(_), Some(_)) => return Err(of_input("it has both raw and typed contents".into())),
            (Some(raw), None) => tensor::decode(datatype, raw).map_err(of_input)?,
            (None, Some(contents)) => typed(datatype, contents).map_err(of_input)?,
            (None, None) => return Err(of_input("it has no contents".into())),
        };
        let shape: Result<Vec<usize>, _> = input.shape.iter().map(|dim| usize::try_from(*dim)).collect();
        let shape = shape.map_err(|_| of_input(format!("the shape {:?} is negative", input.shape)))?;
        tensors.push(Tensor::new(input.name, datatype, shape, data)?);
    }
    Ok(tensors)
}

fn typed(datatype: Datatype, contents: &InferTensorContents) -> Result<Data, String> {
    fn numbers<T: Copy>(values: &[T], read: impl Fn(T) -> f64) -> Data {
        Data::Numbers(values.iter().map(|value| read(*value)).collect())
    }
    Ok(match datatype {
        Datatype::Bool => numbers(&contents.bool_contents, f64::from),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => numbers(&contents.int_contents, f64::from),
        Datatype::Int64 => numbers(&contents.int64_contents, |value| value as f64),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => numbers(&contents.uint_contents, f64::from),
        Datatype::Uint64 => numbers(&contents.uint64_contents, |value| value as f64),
        Datatype::Fp32 => numbers(&contents.fp32_contents, f64::from),
        Datatype::Fp64 => numbers(&contents.fp64_contents, |value| value),
        Datatype::Bytes => {
            let words: Result<Vec<_>, _> = contents
                .bytes_contents
                .iter()
                .map(|word| tensor::text(word).map(Some))
                .collect();
            Data::Words(words?)
        }
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(format!("{} comes as raw contents only", datatype.name()));
        }
    })
}

/// The answers as messages, with their raw contents if they are wanted raw.
pub(super) fn outputs(wanted: &[&Output], raw: bool) -> (Vec<InferTensor>, Vec<Vec<u8>>) {
    let tensors = wanted.iter().map(|output| InferTensor {
        name: output.name.to_string(),
        datatype: output.values.datatype().into(),
        shape: output.shape().into_iter().map(|dim| dim as i64).collect(),
        parameters: Default::default(),
        contents: (!raw).then(|| contents(&output.values)),
    });
    let bytes = match raw {
        true => wanted
            .iter()
            .map(|output| tensor::encode(&output.values))
            .collect(),
        false => Vec::new(),
    };
    (tensors.collect(), bytes)
}

fn contents(values: &Values) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match values {
        Values::Float(values) => contents.fp32_contents = values.clone(),
        Values::Double(values) => contents.fp64_contents = values.clone(),
        Values::Integer(values) => contents.int_contents = values.clone(),
        Values::Long(values) => contents.int64_contents = values.clone(),
        Values::Boolean(values) => contents.bool_contents = values.clone(),
        Values::Text(_) | Values::Json(_) | Values::Whole(_) => {
            contents.bytes_contents = values.words().into_iter().map(String::into_bytes).collect();
        }
    }
    contents
}

pub(super) fn config_type(datatype: &str) -> i32 {
    let known = match datatype {
        "BOOL" => ConfigType::Bool,
        "UINT8" => ConfigType::Uint8,
        "UINT16" => ConfigType::Uint16,
        "UINT32" => ConfigType::Uint32,
        "UINT64" => ConfigType::Uint64,
        "INT8" => ConfigType::Int8,
        "INT16" => ConfigType::Int16,
        "INT32" => ConfigType::Int32,
        "INT64" => ConfigType::Int64,
        "FP16" => ConfigType::Fp16,
        "BF16" => ConfigType::Bf16,
        "FP32" => ConfigType::Fp32,
        "FP64" => ConfigType::Fp64,
        "BYTES" => ConfigType::String,
        _ => ConfigType::Invalid,
    };
    known.into()
}

pub(super) fn statistics(of: &Statistics) -> ModelStatistics {
    let spent = |(count, ns): (u64, u64)| Some(StatisticDuration { count, ns });
    ModelStatistics {
        name: of.name.clone(),
        version: of.version.to_string(),
        last_inference: of.last_ms,
        inference_count: of.rows,
        execution_count: of.infer.0,
        inference_stats: Some(InferStatistics {
            success: spent(of.success),
            fail: spent(of.failure),
            queue: spent(of.queue),
            compute_infer: spent(of.infer),
        }),
    }
}

/// gRPC's `grpc-timeout`: at most eight digits and a unit.
pub(super) fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("2S"), Some(Duration::from_secs(2)));
        for wrong in ["", "S", "123456789S", "5x", "-1S", "5é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }
}
