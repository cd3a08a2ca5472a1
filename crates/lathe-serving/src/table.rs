use serde_json::{Map, Value};

use crate::PredictError;
use crate::signature::{ColumnSpec, ColumnType, Signature};

/// Rows for a model: its columns in its order, as numbers; missing is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    names: Vec<String>,
    rows: usize,
    /// Row-major.
    values: Vec<f64>,
}

impl Table {
    /// Reads records, each column cast to its type as MLflow's scoring server does. Columns that the model does not
    /// take are dropped.
    pub fn from_records(records: &[Map<String, Value>], signature: &Signature) -> Result<Self, PredictError> {
        let mut values = Vec::with_capacity(records.len() * signature.inputs.len());
        for (row, record) in records.iter().enumerate() {
            for column in &signature.inputs {
                values.push(match record.get(&column.name) {
                    Some(value) => number(column, row, value)?,
                    None if column.required => return Err(missing(column, signature)),
                    None => f64::NAN,
                });
            }
        }
        Ok(Self {
            names: signature.names(),
            rows: records.len(),
            values,
        })
    }

    /// Reads named columns of equal length.
    pub fn from_columns(
        columns: &[(String, Vec<Value>)],
        signature: &Signature,
    ) -> Result<Self, PredictError> {
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        if let Some((column, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
            return Err(PredictError::UnevenColumns {
                column: column.clone(),
                rows: values.len(),
                expected: rows,
            });
        }
        let mut table = Self {
            names: signature.names(),
            rows,
            values: vec![f64::NAN; rows * signature.inputs.len()],
        };
        for (position, column) in signature.inputs.iter().enumerate() {
            let Some((_, values)) = columns.iter().find(|(name, _)| *name == column.name) else {
                if column.required {
                    return Err(missing(column, signature));
                }
                continue;
            };
            for (row, value) in values.iter().enumerate() {
                table.values[row * signature.inputs.len() + position] = number(column, row, value)?;
            }
        }
        Ok(table)
    }

    /// Reads rows of values in the model's order.
    pub fn from_rows(rows: &[Vec<Value>], signature: &Signature) -> Result<Self, PredictError> {
        let width = signature.inputs.len();
        let mut values = Vec::with_capacity(rows.len() * width);
        for (index, row) in rows.iter().enumerate() {
            if row.len() != width {
                return Err(PredictError::Shape(format!(
                    "row {index} has {} values; the model takes {width}: {}",
                    row.len(),
                    signature.names().join(", ")
                )));
            }
            for (column, value) in signature.inputs.iter().zip(row) {
                values.push(number(column, index, value)?);
            }
        }
        Ok(Self {
            names: signature.names(),
            rows: rows.len(),
            values,
        })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One row's numbers in the model's order.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.names.len()..(index + 1) * self.names.len()]
    }

    /// One row as it is recorded: column to number, null where missing.
    pub fn record(&self, index: usize) -> Map<String, Value> {
        self.names
            .iter()
            .zip(self.row(index))
            .map(|(name, value)| (name.clone(), Value::from(*value)))
            .collect()
    }

    /// The one row `index` as a table.
    pub fn only(&self, index: usize) -> Self {
        Self {
            names: self.names.clone(),
            rows: 1,
            values: self.row(index).to_vec(),
        }
    }
}

fn missing(column: &ColumnSpec, signature: &Signature) -> PredictError {
    PredictError::MissingColumn {
        column: column.name.clone(),
        takes: signature.names(),
    }
}

/// A JSON value as the column's type, by the rules of `DataFrame.astype` that MLflow's scoring server follows.
fn number(column: &ColumnSpec, row: usize, value: &Value) -> Result<f64, PredictError> {
    let wrong = || {
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
    };
    let read = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(*flag)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null => Some(f64::NAN),
        _ => None,
    };
    let read = read.ok_or_else(wrong)?;
    match column.kind {
        ColumnType::Double | ColumnType::Float => Ok(read),
        ColumnType::Integer | ColumnType::Long if read.is_finite() => Ok(read.trunc()),
        ColumnType::Boolean if read.is_finite() => Ok(f64::from(read != 0.0)),
        _ => Err(wrong()),
    }
}

/// What a model answered, one a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Of a regression.
    Numbers(Vec<f64>),
    /// Of a classification into whole numbers.
    Whole(Vec<i64>),
    /// Of a classification into words.
    Words(Vec<String>),
}

impl Answers {
    /// The answers as numbers.
    pub fn numbers(&self) -> Result<Vec<f64>, PredictError> {
        match self {
            Self::Numbers(numbers) => Ok(numbers.clone()),
            Self::Whole(numbers) => Ok(numbers.iter().map(|number| *number as f64).collect()),
            Self::Words(_) => Err(PredictError::NotNumbers),
        }
    }

    /// The answers as JSON values.
    pub fn values(&self) -> Vec<Value> {
        match self {
            Self::Numbers(numbers) => numbers.iter().map(|number| Value::from(*number)).collect(),
            Self::Whole(numbers) => numbers.iter().map(|number| Value::from(*number)).collect(),
            Self::Words(words) => words.iter().map(|word| Value::from(word.as_str())).collect(),
        }
    }

    /// The datatype of the Open Inference Protocol.
    pub fn oip_datatype(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "FP64",
            Self::Whole(_) => "INT64",
            Self::Words(_) => "BYTES",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signature() -> Signature {
        let column = |name: &str, kind, required| ColumnSpec {
            name: name.into(),
            kind,
            required,
        };
        Signature {
            inputs: vec![
                column("a", ColumnType::Double, true),
                column("b", ColumnType::Long, true),
                column("c", ColumnType::Double, false),
            ],
        }
    }

    fn read(record: Value) -> Result<Table, PredictError> {
        Table::from_records(&[record.as_object().unwrap().clone()], &signature())
    }

    #[test]
    fn values_are_cast_as_mlflow_casts_them() {
        let table = read(json!({ "b": 3.7, "a": "1.5", "x": [] })).unwrap();
        assert_eq!(&table.row(0)[..2], [1.5, 3.0]);
        assert!(table.row(0)[2].is_nan());
        assert!(read(json!({ "a": null, "b": true })).unwrap().row(0)[0].is_nan());
    }

    #[test]
    fn a_wrong_column_or_value_is_named() {
        let told = |record| read(record).unwrap_err().to_string();
        assert_eq!(
            told(json!({ "a": 1 })),
            "the model needs the column `b`; it takes a, b, c"
        );
        assert_eq!(
            told(json!({ "a": "x", "b": 1 })),
            "column `a`, row 0: \"x\" is not a double"
        );
        assert_eq!(
            told(json!({ "a": 1, "b": null })),
            "column `b`, row 0: null is not a long"
        );
        assert_eq!(
            told(json!({ "a": [1], "b": 1 })),
            "column `a`, row 0: [1] is not a double"
        );
    }

    #[test]
    fn rows_records_and_columns_make_the_same_table() {
        let records = [
            json!({ "a": 1, "b": 2, "c": 3 }),
            json!({ "a": 4, "b": 5, "c": 6 }),
        ];
        let records: Vec<_> = records.iter().map(|r| r.as_object().unwrap().clone()).collect();
        let columns = [("c", [3, 6]), ("a", [1, 4]), ("b", [2, 5])];
        let columns: Vec<_> = columns
            .iter()
            .map(|(name, v)| (name.to_string(), v.map(Value::from).to_vec()))
            .collect();
        let rows = vec![
            [1, 2, 3].map(Value::from).to_vec(),
            [4, 5, 6].map(Value::from).to_vec(),
        ];
        let table = Table::from_records(&records, &signature()).unwrap();
        assert_eq!(table, Table::from_columns(&columns, &signature()).unwrap());
        assert_eq!(table, Table::from_rows(&rows, &signature()).unwrap());
    }
}
