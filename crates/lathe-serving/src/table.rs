mod cells;
mod sent;
mod tensors;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::PredictError;
use crate::signature::{ColumnSpec, ColumnType, Signature};

use cells::{cast, missing, number, open_column, typed_column, wrong};
use sent::SentRows;

/// A column of words; missing ones are none.
type Words = Vec<Option<Arc<str>>>;

/// Rows for a model: its columns in its order; numbers, and words where the model takes words. Missing is NaN, or no
/// word.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    names: Arc<[String]>,
    /// None where a step of a pipeline made it.
    kinds: Option<Arc<[ColumnType]>>,
    /// Whether the request gave its columns names, where the model has none.
    named: bool,
    rows: usize,
    /// Row-major; NaN where the column holds words.
    values: Vec<f64>,
    /// By column; empty if no column holds words.
    words: Vec<Option<Words>>,
    /// Rows that the model's process reads itself; then there are no columns.
    sent: Option<Arc<SentRows>>,
    /// What the request says beside its rows, checked.
    params: Option<Arc<Map<String, Value>>>,
}

/// A column of a request, already of a type.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// Missing is NaN.
    Numbers(&'a [f64]),
    /// Missing is none.
    Words(&'a [Option<Arc<str>>]),
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    fn value(&self, row: usize) -> Value {
        match self {
            Self::Numbers(numbers) => Value::from(numbers[row]),
            Self::Words(words) => words[row].as_deref().map_or(Value::Null, Value::from),
        }
    }
}

impl Table {
    /// Reads named columns of equal length that have a type already.
    pub fn from_typed(columns: &[(&str, Column<'_>)], signature: &Signature) -> Result<Self, PredictError> {
        let found;
        let signature = if signature.is_open() {
            found = Signature::new(
                columns
                    .iter()
                    .map(|(name, column)| typed_column(name, column))
                    .collect(),
            );
            &found
        } else {
            signature
        };
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        if let Some((name, column)) = columns.iter().find(|(_, column)| column.len() != rows) {
            return Err(PredictError::UnevenColumns {
                column: (*name).to_owned(),
                rows: column.len(),
                expected: rows,
            });
        }
        let mut table = Self::missing(rows, signature);
        let width = signature.inputs.len();
        let by_name = OnceCell::new();
        let named = |name: &str| {
            let by_name: &HashMap<&str, Column<'_>> = by_name.get_or_init(|| {
                // From the end, so that the first of a name stays.
                columns.iter().rev().copied().collect()
            });
            by_name.get(name).copied()
        };
        for (position, spec) in signature.inputs.iter().enumerate() {
            // Most requests name the columns in the model's order.
            let here = columns.get(position).filter(|(name, _)| *name == spec.name);
            let here = here.map(|(_, column)| *column);
            let Some(column) = here.or_else(|| named(&spec.name)) else {
                if spec.required {
                    return Err(missing(spec, signature));
                }
                continue;
            };
            match (column, spec.kind) {
                (Column::Numbers(numbers), ColumnType::Double) => {
                    for (row, number) in numbers.iter().enumerate() {
                        table.values[row * width + position] = *number;
                    }
                }
                // Not by way of JSON, which knows no infinity.
                (Column::Numbers(numbers), kind) if !kind.is_words() => {
                    for (row, number) in numbers.iter().enumerate() {
                        let held = cast(kind, *number);
                        table.values[row * width + position] =
                            held.ok_or_else(|| wrong(spec, row, &Value::from(*number)))?;
                    }
                }
                _ => {
                    for row in 0..rows {
                        table.set(row, position, spec, &column.value(row))?;
                    }
                }
            }
        }
        Ok(table)
    }

    /// The rows of several tables of one model, one after the other.
    pub fn concat(tables: &[&Self]) -> Self {
        let mut all = match tables.first() {
            Some(first) => (*first).clone(),
            None => Self {
                names: Arc::from([]),
                kinds: None,
                named: true,
                rows: 0,
                values: Vec::new(),
                words: Vec::new(),
                sent: None,
                params: None,
            },
        };
        for table in tables.iter().skip(1) {
            all.rows += table.rows;
            all.values.extend_from_slice(&table.values);
            for (words, more) in all.words.iter_mut().zip(&table.words) {
                if let (Some(words), Some(more)) = (words, more) {
                    words.extend_from_slice(more);
                }
            }
        }
        all
    }

    /// Reads records, each column cast to its type as MLflow's scoring server does. Columns that the model does not
    /// take are dropped.
    pub fn from_records(records: &[Map<String, Value>], signature: &Signature) -> Result<Self, PredictError> {
        let found;
        let signature = if signature.is_open() {
            let mut names: Vec<&String> = Vec::new();
            for name in records.iter().flat_map(Map::keys) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let column = |name: &String| {
                let mut spec = open_column(name, records.iter().filter_map(|record| record.get(name)));
                spec.required = false;
                spec
            };
            found = Signature::new(names.into_iter().map(column).collect());
            &found
        } else {
            signature
        };
        let mut table = Self::missing(records.len(), signature);
        for (row, record) in records.iter().enumerate() {
            for (position, column) in signature.inputs.iter().enumerate() {
                match record.get(&column.name) {
                    Some(value) => table.set(row, position, column, value)?,
                    None if column.required => return Err(missing(column, signature)),
                    None => {}
                }
            }
        }
        Ok(table)
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
        let found;
        let signature = if signature.is_open() {
            let of = |(name, values): &(String, Vec<Value>)| open_column(name, values.iter());
            found = Signature::new(columns.iter().map(of).collect());
            &found
        } else {
            signature
        };
        let mut table = Self::missing(rows, signature);
        for (position, column) in signature.inputs.iter().enumerate() {
            let Some((_, values)) = columns.iter().find(|(name, _)| *name == column.name) else {
                if column.required {
                    return Err(missing(column, signature));
                }
                continue;
            };
            for (row, value) in values.iter().enumerate() {
                table.set(row, position, column, value)?;
            }
        }
        Ok(table)
    }

    /// Reads rows of values in the model's order.
    pub fn from_rows(rows: &[Vec<Value>], signature: &Signature) -> Result<Self, PredictError> {
        let found;
        let is_open = signature.is_open();
        let signature = if is_open {
            let width = rows.first().map_or(0, Vec::len);
            let of = |at: usize| open_column(&at.to_string(), rows.iter().filter_map(|row| row.get(at)));
            found = Signature::new((0..width).map(of).collect());
            &found
        } else {
            signature
        };
        let width = signature.inputs.len();
        let mut table = Self::missing(rows.len(), signature);
        table.named = !is_open;
        for (index, row) in rows.iter().enumerate() {
            if row.len() != width {
                return Err(PredictError::Shape(format!(
                    "row {index} has {} values; the model takes {width}: {}",
                    row.len(),
                    signature.names().join(", ")
                )));
            }
            for (position, (column, value)) in signature.inputs.iter().zip(row).enumerate() {
                table.set(index, position, column, value)?;
            }
        }
        Ok(table)
    }

    /// Takes numbers, row-major in the model's order, for a model that takes numbers only; missing is NaN. Each is cast to
    /// its column's type, as in any other form.
    pub fn from_numbers(
        rows: usize,
        mut values: Vec<f64>,
        signature: &Signature,
    ) -> Result<Self, PredictError> {
        let found;
        let is_open = signature.is_open();
        let signature = if is_open {
            let width = values.len().checked_div(rows).unwrap_or_default();
            let spec = |at: usize| ColumnSpec {
                name: at.to_string(),
                kind: ColumnType::Double,
                required: true,
            };
            found = Signature::new((0..width).map(spec).collect());
            &found
        } else {
            signature
        };
        let width = signature.inputs.len();
        if let Some(column) = signature.inputs.iter().find(|column| column.kind.is_words()) {
            return Err(PredictError::WrongValue {
                column: column.name.clone(),
                row: 0,
                value: "a number".into(),
                expected: column.kind.name(),
            });
        }
        if rows.checked_mul(width) != Some(values.len()) {
            return Err(PredictError::Shape(format!(
                "{} values are not {rows} rows of {width}",
                values.len()
            )));
        }
        for (column, spec) in signature.inputs.iter().enumerate() {
            if spec.kind == ColumnType::Double {
                continue;
            }
            for (row, value) in values.iter_mut().skip(column).step_by(width).enumerate() {
                *value = cast(spec.kind, *value).ok_or_else(|| wrong(spec, row, &Value::from(*value)))?;
            }
        }
        Ok(Self {
            names: signature.shared_names(),
            kinds: Some(signature.shared_kinds()),
            named: !is_open,
            rows,
            values,
            words: Vec::new(),
            sent: None,
            params: None,
        })
    }

    /// What a step of a pipeline made.
    pub(crate) fn of_frame(
        names: Option<Arc<[String]>>,
        rows: usize,
        width: usize,
        values: Vec<f64>,
        words: Vec<Option<Words>>,
    ) -> Self {
        Self {
            names: names.unwrap_or_else(|| (0..width).map(|column| column.to_string()).collect()),
            kinds: None,
            named: true,
            rows,
            values,
            words,
            sent: None,
            params: None,
        }
    }

    fn missing(rows: usize, signature: &Signature) -> Self {
        let has_words = signature.inputs.iter().any(|column| column.kind.is_words());
        let words = signature
            .inputs
            .iter()
            .map(|column| column.kind.is_words().then(|| vec![None; rows]));
        Self {
            names: signature.shared_names(),
            kinds: Some(signature.shared_kinds()),
            named: true,
            rows,
            values: vec![f64::NAN; rows * signature.inputs.len()],
            words: if has_words { words.collect() } else { Vec::new() },
            sent: None,
            params: None,
        }
    }

    fn set(
        &mut self,
        row: usize,
        position: usize,
        column: &ColumnSpec,
        value: &Value,
    ) -> Result<(), PredictError> {
        if let Some(Some(words)) = self.words.get_mut(position) {
            words[row] = match value {
                Value::Null => None,
                Value::String(text) => Some(text.as_str().into()),
                Value::Number(number) => Some(number.to_string().into()),
                Value::Bool(true) => Some("True".into()),
                Value::Bool(false) => Some("False".into()),
                other => return Err(wrong(column, row, other)),
            };
            return Ok(());
        }
        self.values[row * self.names.len() + position] = number(column, row, value)?;
        Ok(())
    }

    /// The same rows, asked with these params.
    pub fn with_params(mut self, params: Option<Map<String, Value>>) -> Self {
        self.params = params.map(Arc::new);
        self
    }

    pub(crate) fn params(&self) -> Option<&Map<String, Value>> {
        self.params.as_deref()
    }

    /// Rows that the model's process reads itself.
    pub(crate) fn sent(&self) -> Option<&SentRows> {
        self.sent.as_deref()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn shared_names(&self) -> Arc<[String]> {
        self.names.clone()
    }

    /// The columns' types; none where a step of a pipeline made the table.
    pub(crate) fn kinds(&self) -> &[ColumnType] {
        self.kinds.as_deref().unwrap_or_default()
    }

    /// Whether the columns have names of their own, and not only places.
    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// All numbers, row-major in the model's order; NaN where a column holds words.
    pub fn numbers(&self) -> &[f64] {
        &self.values
    }

    /// One row's numbers in the model's order.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.names.len()..(index + 1) * self.names.len()]
    }

    /// A column's words, if it holds words.
    pub fn words(&self, column: usize) -> Option<&[Option<Arc<str>>]> {
        self.words.get(column)?.as_deref()
    }

    /// One row as it is recorded: column to value, null where missing.
    pub fn record(&self, index: usize) -> Map<String, Value> {
        if let Some(sent) = &self.sent {
            return sent.record(index);
        }
        let value = |column: usize| match self.words(column) {
            Some(words) => words[index].as_deref().map_or(Value::Null, Value::from),
            None => Value::from(self.values[index * self.names.len() + column]),
        };
        self.names
            .iter()
            .enumerate()
            .map(|(column, name)| (name.clone(), value(column)))
            .collect()
    }

    /// The one row `index` as a table.
    pub fn only(&self, index: usize) -> Self {
        self.pick(&[index])
    }

    /// Some of the rows, in this order.
    pub fn pick(&self, rows: &[usize]) -> Self {
        let picked = |words: &Words| rows.iter().map(|row| words[*row].clone()).collect::<Words>();
        Self {
            names: self.names.clone(),
            kinds: self.kinds.clone(),
            named: self.named,
            rows: rows.len(),
            values: rows.iter().flat_map(|row| self.row(*row)).copied().collect(),
            words: self
                .words
                .iter()
                .map(|words| words.as_ref().map(picked))
                .collect(),
            sent: self.sent.clone(),
            params: self.params.clone(),
        }
    }
}

/// A row of zeros and empty words.
pub(crate) fn zeros(signature: &Signature) -> Table {
    let mut table = Table::missing(1, signature);
    table.values.fill(0.0);
    for words in table.words.iter_mut().flatten() {
        words.fill(Some("".into()));
    }
    table
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
        Signature::new(vec![
            column("a", ColumnType::Double, true),
            column("b", ColumnType::Long, true),
            column("c", ColumnType::Double, false),
        ])
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
    fn numbers_of_a_type_are_what_they_are_in_any_order_of_the_columns() {
        let column = |name: &str, kind, required| ColumnSpec {
            name: name.into(),
            kind,
            required,
        };
        let signature = Signature::new(vec![
            column("a", ColumnType::Float, true),
            column("b", ColumnType::Long, false),
            column("c", ColumnType::Boolean, true),
        ]);
        let read = |a: f64, b: f64, c: f64| {
            let (a, b, c) = ([a], [b], [c]);
            let columns = [
                ("c", Column::Numbers(&c)),
                ("a", Column::Numbers(&a)),
                ("a", Column::Numbers(&c)),
                ("b", Column::Numbers(&b)),
            ];
            let table = Table::from_typed(&columns, &signature).map_err(|error| error.to_string())?;
            Ok::<_, String>(table.row(0).to_vec())
        };
        assert_eq!(
            read(f64::NEG_INFINITY, 3.7, 2.0).unwrap(),
            [f64::NEG_INFINITY, 3.0, 1.0]
        );
        assert_eq!(read(0.1, -1.0, 0.0).unwrap(), [f64::from(0.1f32), -1.0, 0.0]);
        assert!(read(f64::NAN, 0.0, 0.0).unwrap()[0].is_nan());
        let refused = read(0.0, f64::NAN, 0.0).unwrap_err();
        assert!(
            refused.contains("column `b`, row 0: null is not a long"),
            "{refused}"
        );
        assert!(
            read(0.0, f64::INFINITY, 0.0)
                .unwrap_err()
                .contains("column `b`, row 0")
        );
        assert!(
            read(0.0, 0.0, f64::NAN)
                .unwrap_err()
                .contains("column `c`, row 0")
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
