//! One column, one cell: what it is, whether it fits, and how it is told where it does not.

use serde_json::Value;

use super::Column;
use crate::PredictError;
use crate::signature::{ColumnSpec, ColumnType, Signature};

/// A column of a request to a model that does not say what it takes.
pub(super) fn open_column<'a>(name: &str, values: impl Iterator<Item = &'a Value> + Clone) -> ColumnSpec {
    let held = || values.clone().filter(|value| !value.is_null());
    let whole = |value: &Value| value.is_i64() || value.is_u64();
    let none_is_missing = !values.clone().any(Value::is_null);
    let kind = if held().any(Value::is_string) {
        ColumnType::String
    } else if held().next().is_some() && none_is_missing && held().all(Value::is_boolean) {
        ColumnType::Boolean
    } else if held().next().is_some() && none_is_missing && held().all(whole) {
        ColumnType::Long
    } else {
        ColumnType::Double
    };
    ColumnSpec {
        name: name.to_owned(),
        kind,
        required: true,
    }
}

pub(super) fn typed_column(name: &str, column: &Column<'_>) -> ColumnSpec {
    ColumnSpec {
        name: name.to_owned(),
        kind: match column {
            Column::Numbers(_) => ColumnType::Double,
            Column::Words(_) => ColumnType::String,
        },
        required: true,
    }
}

pub(super) fn missing(column: &ColumnSpec, signature: &Signature) -> PredictError {
    PredictError::MissingColumn {
        column: column.name.clone(),
        takes: signature.names().to_vec(),
    }
}

pub(super) fn wrong(column: &ColumnSpec, row: usize, value: &Value) -> PredictError {
    let mut shown = value.to_string();
    if 60 < shown.len() {
        shown = shown.chars().take(60).chain("…".chars()).collect();
    }
    PredictError::WrongValue {
        column: column.name.clone(),
        row,
        value: shown,
        expected: column.kind.name(),
    }
}

/// A JSON value as the column's type, by the rules of `DataFrame.astype` that MLflow's scoring server follows.
pub(super) fn number(column: &ColumnSpec, row: usize, value: &Value) -> Result<f64, PredictError> {
    let read = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(*flag)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null => Some(f64::NAN),
        _ => None,
    };
    read.and_then(|read| cast(column.kind, read))
        .ok_or_else(|| wrong(column, row, value))
}

/// A number as the type, if it can be.
pub(super) fn cast(kind: ColumnType, number: f64) -> Option<f64> {
    match kind {
        ColumnType::Double => Some(number),
        ColumnType::Float => Some(f64::from(number as f32)),
        ColumnType::Integer | ColumnType::Long if number.is_finite() => Some(number.trunc()),
        ColumnType::Boolean if number.is_finite() => Some(f64::from(number != 0.0)),
        _ => None,
    }
}
