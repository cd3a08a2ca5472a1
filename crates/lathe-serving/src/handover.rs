//! Rows on their way from one model to another: a request's, for each model that is asked, and what one model answers,
//! for the next.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::answers::PREDICTIONS;
use crate::{Answers, Column, Output, PredictError, Signature, Table, Values};

impl Table {
    /// The rows as a model takes them: columns by their names, each cast to the type that the model says. What it does
    /// not take is left out.
    pub fn fit(self: &Arc<Self>, signature: &Signature) -> Result<Arc<Self>, PredictError> {
        let width = signature.inputs.len();
        if signature.is_open()
            || self.sent().is_some()
            || *self.shared_names() == *signature.shared_names() && self.kinds() == &*signature.shared_kinds()
        {
            return Ok(self.clone());
        }
        let columns: Vec<Made> = (0..self.names().len()).map(|column| self.made(column)).collect();
        if !self.is_named() && columns.len() != width {
            return Err(count(columns.len(), signature));
        }
        let name = |at: usize, made: &Made| match self.is_named() {
            true => made.name.clone(),
            // Columns that have no names go by their order.
            false => signature.inputs[at].name.clone(),
        };
        let named: Vec<(String, &Made)> = columns
            .iter()
            .enumerate()
            .map(|(at, made)| (name(at, made), made))
            .collect();
        typed(&named, signature).map(Arc::new)
    }

    /// What one model answered as the rows of the next. Columns go by their names where the answers have those that the
    /// model takes, and else by their order.
    pub fn from_answers(answers: &Answers, signature: &Signature) -> Result<Self, PredictError> {
        if let [only] = answers.outputs.as_slice() {
            match &only.values {
                Values::Whole(_) => return Err(unfit("there is one answer to all rows together")),
                Values::Json(_) => return from_json(answers.values(), signature),
                _ => {}
            }
        }
        let mut columns = Vec::new();
        for output in &answers.outputs {
            columns.extend(made_by(output)?);
        }
        let by_own_names = || {
            columns
                .iter()
                .map(|made| (made.name.clone(), made))
                .collect::<Vec<_>>()
        };
        if signature.is_open() {
            return match columns.iter().all(|made| made.named) {
                true => typed(&by_own_names(), signature),
                false => Self::from_rows(&rows_of(answers), signature),
            };
        }
        let is_taken = |made: &Made| signature.inputs.iter().any(|column| column.name == made.name);
        // One name that fits shows that names are meant.
        if columns.iter().any(|made| made.named && is_taken(made)) {
            return typed(&by_own_names(), signature);
        }
        if columns.len() != signature.inputs.len() {
            return Err(count(columns.len(), signature));
        }
        let ordered: Vec<(String, &Made)> = signature
            .inputs
            .iter()
            .map(|column| column.name.clone())
            .zip(&columns)
            .collect();
        typed(&ordered, signature)
    }

    fn made(&self, column: usize) -> Made {
        let width = self.names().len();
        let cells = match self.words(column) {
            Some(words) => Cells::Words(words.to_vec()),
            None => Cells::Numbers(
                self.numbers()
                    .iter()
                    .skip(column)
                    .step_by(width)
                    .copied()
                    .collect(),
            ),
        };
        Made {
            name: self.names()[column].clone(),
            named: self.is_named(),
            cells,
        }
    }
}

/// A column on its way.
struct Made {
    name: String,
    /// Whether the name was given by somebody, and does not only tell the place.
    named: bool,
    cells: Cells,
}

enum Cells {
    Numbers(Vec<f64>),
    Words(Vec<Option<Arc<str>>>),
}

impl Made {
    fn column(&self) -> Column<'_> {
        match &self.cells {
            Cells::Numbers(numbers) => Column::Numbers(numbers),
            Cells::Words(words) => Column::Words(words),
        }
    }
}

fn typed(columns: &[(String, &Made)], signature: &Signature) -> Result<Table, PredictError> {
    let columns: Vec<(&str, Column<'_>)> = columns
        .iter()
        .map(|(name, made)| (name.as_str(), made.column()))
        .collect();
    Table::from_typed(&columns, signature)
}

/// The columns of an output: one, or one for each value that a row has.
fn made_by(output: &Output) -> Result<Vec<Made>, PredictError> {
    let width = output.per_row();
    let mut columns = Vec::with_capacity(width);
    for column in 0..width {
        let (name, named) = match (&output.keys, output.width) {
            (Some(keys), _) => (keys.get(column).map(text_of).unwrap_or_default(), true),
            (None, None) => (output.name.to_string(), &*output.name != PREDICTIONS),
            (None, Some(_)) => (format!("{}_{column}", output.name), false),
        };
        let cells = match &output.values {
            Values::Text(words) => {
                let words = words.iter().skip(column).step_by(width);
                Cells::Words(words.map(|word| Some(word.as_str().into())).collect())
            }
            Values::Json(_) | Values::Whole(_) => {
                return Err(unfit(&format!("the output `{}` is no column", output.name)));
            }
            numbers => {
                let numbers = numbers.numbers()?;
                Cells::Numbers(numbers.into_iter().skip(column).step_by(width).collect())
            }
        };
        columns.push(Made { name, named, cells });
    }
    Ok(columns)
}

fn text_of(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a Python model answers with: a record, a list or a value a row.
fn from_json(rows: Vec<Value>, signature: &Signature) -> Result<Table, PredictError> {
    if rows.iter().all(Value::is_object) {
        let record = |row| match row {
            Value::Object(record) => record,
            _ => Map::new(),
        };
        let records: Vec<Map<String, Value>> = rows.into_iter().map(record).collect();
        return Table::from_records(&records, signature);
    }
    Table::from_rows(&rows.into_iter().map(list_of).collect::<Vec<_>>(), signature)
}

fn rows_of(answers: &Answers) -> Vec<Vec<Value>> {
    let row = |row| {
        let outputs = answers.outputs.iter();
        outputs.flat_map(|output| list_of(output.row(row))).collect()
    };
    (0..answers.rows()).map(row).collect()
}

fn list_of(row: Value) -> Vec<Value> {
    match row {
        Value::Array(values) => values,
        Value::Object(values) => values.into_iter().map(|(_, value)| value).collect(),
        value => vec![value],
    }
}

fn unfit(what: &str) -> PredictError {
    PredictError::Shape(format!("{what}, and no rows for another model"))
}

fn count(columns: usize, signature: &Signature) -> PredictError {
    PredictError::Shape(format!(
        "it takes {} columns ({}), and gets {columns}",
        signature.inputs.len(),
        signature.names().join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ColumnSpec, ColumnType};

    fn signature(columns: &[(&str, ColumnType)]) -> Signature {
        let column = |(name, kind): &(&str, ColumnType)| ColumnSpec {
            name: (*name).into(),
            kind: *kind,
            required: true,
        };
        Signature::new(columns.iter().map(column).collect())
    }

    fn output(name: &str, width: Option<usize>, keys: Option<Value>, values: Values) -> Output {
        let keys = keys.map(|keys| keys.as_array().unwrap().clone().into());
        Output {
            name: name.into(),
            width,
            keys,
            values,
        }
    }

    fn handed(outputs: Vec<Output>, signature: &Signature) -> Result<Vec<Value>, String> {
        let table =
            Table::from_answers(&Answers { outputs }, signature).map_err(|error| error.to_string())?;
        Ok((0..table.rows())
            .map(|row| Value::Object(table.record(row)))
            .collect())
    }

    #[test]
    fn answers_go_by_name_where_they_have_the_names_and_else_by_order() {
        use ColumnType::{Double, Long, String};
        let ab = signature(&[("a", Double), ("b", Double)]);
        let matrix = output(
            "predictions",
            Some(2),
            None,
            Values::Double(vec![1.0, 2.0, 3.0, 4.0]),
        );
        let expected = Ok(vec![json!({ "a": 1.0, "b": 2.0 }), json!({ "a": 3.0, "b": 4.0 })]);
        assert_eq!(handed(vec![matrix.clone()], &ab), expected);
        let keyed = Some(json!(["b", "a", "more"]));
        let keyed = output(
            "predictions",
            Some(3),
            keyed,
            Values::Float(vec![2.0, 1.0, 9.0, 4.0, 3.0, 9.0]),
        );
        assert_eq!(handed(vec![keyed], &ab), expected);
        let b = output("b", None, None, Values::Long(vec![2, 4]));
        let a = output("a", None, None, Values::Integer(vec![1, 3]));
        assert_eq!(handed(vec![b.clone(), a], &ab), expected);
        let records = Values::Json(vec![json!({ "b": 2, "a": 1 }), json!({ "a": 3, "b": 4 })]);
        assert_eq!(
            handed(vec![output("predictions", None, None, records)], &ab),
            expected
        );
        let lists = Values::Json(vec![json!([1, 2]), json!([3, 4])]);
        assert_eq!(
            handed(vec![output("predictions", None, None, lists)], &ab),
            expected
        );
        let words = output("predictions", None, None, Values::Text(vec!["x".into()]));
        assert_eq!(
            handed(vec![words.clone()], &signature(&[("w", String)])),
            Ok(vec![json!({ "w": "x" })])
        );
        let one = output("predictions", None, None, Values::Boolean(vec![true]));
        assert_eq!(
            handed(vec![one], &signature(&[("n", Long)])),
            Ok(vec![json!({ "n": 1.0 })])
        );

        let told = |outputs, signature: &Signature| handed(outputs, signature).unwrap_err();
        assert_eq!(
            told(vec![matrix], &signature(&[("a", Double)])),
            "it takes 1 columns (a), and gets 2"
        );
        assert_eq!(
            told(vec![b, output("c", None, None, Values::Long(vec![1, 1]))], &ab),
            "the model needs the column `a`; it takes a, b"
        );
        assert_eq!(
            told(vec![words], &signature(&[("a", Double)])),
            "column `a`, row 0: \"x\" is not a double"
        );
        let whole = output("predictions", None, None, Values::Whole(json!({ "mean": 1 })));
        assert!(told(vec![whole], &ab).contains("one answer to all rows"));
    }

    #[test]
    fn a_request_fits_each_model_that_is_asked() {
        let own = signature(&[
            ("a", ColumnType::Double),
            ("b", ColumnType::Double),
            ("w", ColumnType::String),
        ]);
        let record = json!({ "a": 1.5, "b": 2.0, "w": "x" });
        let table = Arc::new(Table::from_records(&[record.as_object().unwrap().clone()], &own).unwrap());
        assert!(Arc::ptr_eq(&table, &table.fit(&own).unwrap()));
        let fitted = table
            .fit(&signature(&[("w", ColumnType::String), ("b", ColumnType::Long)]))
            .unwrap();
        assert_eq!(Value::Object(fitted.record(0)), json!({ "w": "x", "b": 2.0 }));
        let error = table.fit(&signature(&[("c", ColumnType::Double)])).unwrap_err();
        assert!(matches!(error, PredictError::MissingColumn { column, .. } if column == "c"));
    }

    #[test]
    fn models_that_are_asked_the_same_take_all_columns() {
        use ColumnType::{Double, Long, String};
        let (first, second) = (
            signature(&[("a", Long), ("w", String)]),
            signature(&[("b", Double), ("a", Double)]),
        );
        let union = Signature::union([("x", &first), ("y", &second)]).unwrap();
        let told: Vec<_> = union
            .inputs
            .iter()
            .map(|column| (column.name.as_str(), column.kind))
            .collect();
        assert_eq!(told, [("a", Double), ("w", String), ("b", Double)]);
        let third = signature(&[("w", Double)]);
        assert_eq!(
            Signature::union([("x", &first), ("z", &third)]).unwrap_err(),
            "the column `w` is a string for x and a double for z"
        );
    }
}
