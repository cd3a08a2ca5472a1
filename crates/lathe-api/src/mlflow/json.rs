use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{}`: done, and nothing to say.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Empty {}

/// A tag or a param.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Its key.
    #[serde(default)]
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

impl From<lathe_types::tags::Tag> for KeyValue {
    fn from(tag: lathe_types::tags::Tag) -> Self {
        Self {
            key: tag.key,
            value: tag.value,
        }
    }
}

impl From<KeyValue> for lathe_types::tags::Tag {
    fn from(tag: KeyValue) -> Self {
        Self {
            key: tag.key,
            value: tag.value,
        }
    }
}

/// Reads a list of objects; null is as good as an empty list. By themselves, structs would also be read from lists of
/// their fields.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(objects_opt(deserializer)?.unwrap_or_default())
}

/// The same, where no list is not an empty list.
pub(crate) fn objects_opt<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let list = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|object| object.0).collect()))
}

struct Object<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// A 64-bit integer: a JSON number, or a text of digits as JavaScript and protocol buffers send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int64(pub i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Int64Visitor).map(Self)
    }
}

struct Int64Visitor;

impl Visitor<'_> for Int64Visitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom("the number does not fit into 64 bits"))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        // Beyond 2^53 a double no longer says which integer was meant.
        if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
            return Ok(number as i64);
        }
        Err(E::custom("it must be an integer that fits into 64 bits"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        text.parse()
            .map_err(|_| E::custom("it must be an integer that fits into 64 bits"))
    }
}

/// Yes or no: JSON's `true`, or a text as clients write it in a query, `True` from Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bool(pub bool);

impl<'de> Deserialize<'de> for Bool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoolVisitor).map(Self)
    }
}

struct BoolVisitor;

impl Visitor<'_> for BoolVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` or `false`")
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<bool, E> {
        Ok(yes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(E::custom("it must be `true` or `false`")),
        }
    }
}

/// A double: a JSON number, or one of the texts `NaN`, `Infinity`, `-Infinity` for what JSON cannot write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Double(pub f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            serializer.serialize_str("NaN")
        } else if self.0.is_infinite() {
            serializer.serialize_str(if 0.0 < self.0 { "Infinity" } else { "-Infinity" })
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DoubleVisitor).map(Self)
    }
}

struct DoubleVisitor;

impl Visitor<'_> for DoubleVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        let is_number = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
        match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" | "inf" => Ok(f64::INFINITY),
            "-Infinity" | "-inf" => Ok(f64::NEG_INFINITY),
            // `parse` also reads words like `infinity`, which no client sends.
            _ if is_number(text) => text.parse().map_err(|_| E::custom("it must be a number")),
            _ => Err(E::custom("it must be a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_as_numbers_or_texts_and_nothing_is_rounded() {
        for (json, number) in [("7", 7), ("\"7\"", 7), ("-1", -1), ("1e3", 1_000), ("7.0", 7)] {
            assert_eq!(
                serde_json::from_str::<Int64>(json).unwrap(),
                Int64(number),
                "{json}"
            );
        }
        for json in [
            "1e20",
            "1.5",
            "true",
            "\"\"",
            "\"x\"",
            "null",
            "9223372036854775808",
            "[]",
        ] {
            assert!(serde_json::from_str::<Int64>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn doubles_that_json_cannot_write_are_texts_both_ways() {
        for json in ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "1.5"] {
            let double: Double = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&double).unwrap(), json);
        }
        for json in ["true", "null", "\"abc\"", "\"\"", "\"nan?\"", "1e999", "{}"] {
            assert!(serde_json::from_str::<Double>(json).is_err(), "{json}");
        }
    }
}
