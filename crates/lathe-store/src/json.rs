//! Records that are only ever read whole are kept as JSON texts.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, Row, Value};

/// The record as a parameter.
pub(crate) fn text(record: &impl Serialize) -> Value {
    // The records are plain structs of strings and numbers with string keys, which cannot fail.
    Value::Text(serde_json::to_string(record).unwrap_or_default())
}

/// The record in a column.
pub(crate) fn column<T: DeserializeOwned>(row: &Row<'_>, index: usize, noun: &'static str) -> Result<T> {
    parse(&row.get::<String>(index)?, noun)
}

/// The record in a column that may be NULL.
pub(crate) fn column_opt<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
    noun: &'static str,
) -> Result<Option<T>> {
    row.get::<Option<String>>(index)?
        .map(|text| parse(&text, noun))
        .transpose()
}

/// The record in a text.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, noun: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| Error::Corrupt { noun, source })
}

/// An enum that serialises as a plain word, as that word.
pub(crate) fn word(value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Value::Text(word),
        _ => Value::Null,
    }
}

/// The enum that a plain word stands for.
pub(crate) fn from_word<T: DeserializeOwned>(row: &Row<'_>, index: usize, noun: &'static str) -> Result<T> {
    let word: String = row.get(index)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(|source| Error::Corrupt { noun, source })
}
