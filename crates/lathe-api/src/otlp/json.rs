//! The JSON of OpenTelemetry: ids are hex digits, 64-bit integers may be texts, a value is an object of one key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use super::{Any, AnyValue, ArrayValue, KeyValue, KeyValueList};

/// Hex digits, as OpenTelemetry has ids in JSON.
pub(super) fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let digits = text.as_bytes();
    if digits.len() % 2 != 0 {
        return Err(D::Error::custom("an id has an even number of hex digits"));
    }
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16)
            .ok()
            .filter(|_| !pair.starts_with('+'))
    });
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| D::Error::custom("an id is made of hex digits"))
}

/// A number that may be a text.
pub(super) fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Null => Ok(0),
        Json::String(text) => text
            .parse()
            .map_err(|_| D::Error::custom("it must be a whole number")),
        Json::Number(number) => number
            .as_u64()
            .ok_or_else(|| D::Error::custom("it must be a whole number")),
        _ => Err(D::Error::custom("it must be a whole number")),
    }
}

/// A number, or the name of an enum's value.
fn number_or_name<'de, D: Deserializer<'de>>(deserializer: D, names: &[&str]) -> Result<i32, D::Error> {
    let unknown = || D::Error::custom("it must be a number or a name that OpenTelemetry knows");
    match Json::deserialize(deserializer)? {
        Json::Null => Ok(0),
        Json::Number(number) => number
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .ok_or_else(unknown),
        Json::String(text) => {
            let place = names.iter().position(|name| *name == text);
            place.and_then(|n| i32::try_from(n).ok()).ok_or_else(unknown)
        }
        _ => Err(unknown()),
    }
}

pub(super) fn span_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let names = [
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ];
    number_or_name(deserializer, &names)
}

pub(super) fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    number_or_name(
        deserializer,
        &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"],
    )
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        any(&json).map_err(D::Error::custom)
    }
}

/// serde_json bounds how deep a text goes, and so how deep this does.
fn any(json: &Json) -> Result<AnyValue, String> {
    let Json::Object(fields) = json else {
        return match json {
            Json::Null => Ok(AnyValue { value: None }),
            _ => Err("a value is an object like `{\"stringValue\": \"…\"}`".into()),
        };
    };
    let Some((name, value)) = fields.iter().next() else {
        return Ok(AnyValue { value: None });
    };
    let list = |value: &Json| -> Vec<Json> {
        value
            .get("values")
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let wrong = || format!("`{name}` has a value of another type");
    let value = match name.as_str() {
        "stringValue" | "string_value" => Any::Text(value.as_str().ok_or_else(wrong)?.to_owned()),
        "boolValue" | "bool_value" => Any::Bool(value.as_bool().ok_or_else(wrong)?),
        "intValue" | "int_value" => Any::Int(match value {
            Json::String(text) => text.parse().map_err(|_| wrong())?,
            value => value.as_i64().ok_or_else(wrong)?,
        }),
        "doubleValue" | "double_value" => Any::Double(match value {
            Json::String(text) => match text.as_str() {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                text => text.parse().map_err(|_| wrong())?,
            },
            value => value.as_f64().ok_or_else(wrong)?,
        }),
        "bytesValue" | "bytes_value" => Any::Bytes(
            STANDARD
                .decode(value.as_str().ok_or_else(wrong)?)
                .map_err(|_| wrong())?,
        ),
        "arrayValue" | "array_value" => Any::List(ArrayValue {
            values: list(value).iter().map(any).collect::<Result<_, _>>()?,
        }),
        "kvlistValue" | "kvlist_value" => Any::Map(KeyValueList {
            values: list(value)
                .iter()
                .map(|pair| {
                    let key = pair.get("key").and_then(Json::as_str).unwrap_or_default();
                    Ok(KeyValue {
                        key: key.to_owned(),
                        value: pair.get("value").map(any).transpose()?,
                    })
                })
                .collect::<Result<_, String>>()?,
        }),
        other => return Err(format!("`{other}` is no type of a value")),
    };
    Ok(AnyValue { value: Some(value) })
}

impl AnyValue {
    /// As protocol buffers have it in JSON, with the names that MLflow's clients read.
    pub(super) fn wire(&self) -> Json {
        match &self.value {
            None => json!({}),
            Some(Any::Text(text)) => json!({ "string_value": text }),
            Some(Any::Bool(yes)) => json!({ "bool_value": yes }),
            Some(Any::Int(number)) => json!({ "int_value": number }),
            Some(Any::Double(number)) => json!({ "double_value": double(*number) }),
            Some(Any::Bytes(bytes)) => json!({ "bytes_value": STANDARD.encode(bytes) }),
            Some(Any::List(list)) => {
                let values: Vec<Json> = list.values.iter().map(Self::wire).collect();
                json!({ "array_value": { "values": values } })
            }
            Some(Any::Map(map)) => json!({ "kvlist_value": { "values": wire_pairs(&map.values) } }),
        }
    }

    /// What it says, as plain JSON.
    pub(super) fn plain(&self) -> Json {
        match &self.value {
            None => Json::Null,
            Some(Any::Text(text)) => text.as_str().into(),
            Some(Any::Bool(yes)) => (*yes).into(),
            Some(Any::Int(number)) => (*number).into(),
            Some(Any::Double(number)) => double(*number),
            Some(Any::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            Some(Any::List(list)) => list.values.iter().map(Self::plain).collect(),
            Some(Any::Map(map)) => map
                .values
                .iter()
                .map(|pair| {
                    (
                        pair.key.clone(),
                        pair.value.as_ref().map_or(Json::Null, Self::plain),
                    )
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

fn double(number: f64) -> Json {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    }
}

/// Attributes in JSON.
pub(super) fn wire_pairs(pairs: &[KeyValue]) -> Json {
    let wire = pairs.iter().map(|pair| match &pair.value {
        Some(value) => json!({ "key": pair.key, "value": value.wire() }),
        None => json!({ "key": pair.key }),
    });
    wire.collect()
}
