//! Rows as a request of MLflow's protocol sends them, for a model whose process reads them as MLflow's own server does:
//! cells may be lists and objects, and what the model gets of them is for its signature and MLflow to say.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Table;

/// What stood under the key `form` of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SentRows {
    pub(crate) form: String,
    pub(crate) rows: Value,
}

impl Table {
    /// Rows that only the model's process reads; see [`crate::Signature::reads_sent`].
    pub fn of_sent(form: &str, rows: Value) -> Self {
        let sent = SentRows {
            form: form.to_owned(),
            rows,
        };
        Self {
            names: Arc::from([]),
            kinds: Some(Arc::from([])),
            named: true,
            rows: sent.count(),
            values: Vec::new(),
            words: Vec::new(),
            sent: Some(Arc::new(sent)),
            params: None,
        }
    }
}

impl SentRows {
    /// How many rows these seem to be; the model may see it otherwise.
    fn count(&self) -> usize {
        match &self.rows {
            Value::Array(rows) => rows.len(),
            Value::Object(split) if self.form == "dataframe_split" => {
                split.get("data").and_then(Value::as_array).map_or(0, Vec::len)
            }
            Value::Object(columns) => rows_of(columns).unwrap_or(1),
            _ => 1,
        }
    }

    /// One row as it is recorded.
    pub(super) fn record(&self, index: usize) -> Map<String, Value> {
        let whole = |value: &Value| Map::from_iter([(self.form.clone(), value.clone())]);
        match &self.rows {
            Value::Array(rows) => match rows.get(index) {
                Some(Value::Object(record)) => record.clone(),
                Some(row) => whole(row),
                None => Map::new(),
            },
            Value::Object(split) if self.form == "dataframe_split" => {
                let cells = split.get("data").and_then(|data| data.get(index)?.as_array());
                let names = split.get("columns").and_then(Value::as_array);
                let name = |at: usize| match names.and_then(|names| names.get(at)) {
                    Some(Value::String(name)) => name.clone(),
                    Some(other) => other.to_string(),
                    None => at.to_string(),
                };
                let cells = cells.into_iter().flatten().enumerate();
                cells.map(|(at, cell)| (name(at), cell.clone())).collect()
            }
            Value::Object(columns) => match rows_of(columns) {
                None => columns.clone(),
                Some(_) => {
                    let cell = |column: &Value| column.get(index).cloned().unwrap_or_default();
                    let cells = columns.iter().map(|(name, column)| (name.clone(), cell(column)));
                    cells.collect()
                }
            },
            value => whole(value),
        }
    }
}

/// The length that all columns have; none where the object is one row.
fn rows_of(columns: &Map<String, Value>) -> Option<usize> {
    let mut lengths = columns.values().map(|column| column.as_array().map(Vec::len));
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_counted_and_recorded_in_every_form() {
        let cases = [
            (
                "dataframe_records",
                json!([{ "a": [1] }, { "a": {} }]),
                2,
                json!({ "a": [1] }),
            ),
            (
                "dataframe_split",
                json!({ "columns": ["a", 1], "data": [[[1], 2]] }),
                1,
                json!({ "a": [1], "1": 2 }),
            ),
            (
                "dataframe_split",
                json!({ "data": [[[1], 2]] }),
                1,
                json!({ "0": [1], "1": 2 }),
            ),
            ("dataframe_split", json!({ "columns": [] }), 0, json!({})),
            ("inputs", json!([[1, 2], [3, 4]]), 2, json!({ "inputs": [1, 2] })),
            (
                "inputs",
                json!({ "a": [1, 2], "b": [[3], [4]] }),
                2,
                json!({ "a": 1, "b": [3] }),
            ),
            (
                "inputs",
                json!({ "a": [1, 2], "b": 3 }),
                1,
                json!({ "a": [1, 2], "b": 3 }),
            ),
            ("inputs", json!("text"), 1, json!({ "inputs": "text" })),
            ("inputs", json!({}), 1, json!({})),
        ];
        for (form, rows, count, record) in cases {
            let table = Table::of_sent(form, rows);
            assert_eq!(table.rows(), count, "{form}");
            assert_eq!(Value::from(table.record(0)), record, "{form}");
        }
    }
}
