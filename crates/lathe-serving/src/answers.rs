use std::sync::Arc;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::{Map, Value};

use crate::PredictError;

/// What a model answered: one output or more, each with something for every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// In the model's order; never empty.
    pub outputs: Vec<Output>,
}

/// One output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name; `predictions` where the model gives none.
    pub name: Arc<str>,
    /// How many values a row has, if it has a list of them.
    pub width: Option<usize>,
    /// The keys of the values, if a row has a value by key: classes, say.
    pub keys: Option<Arc<[Value]>>,
    /// Row by row.
    pub values: Values,
}

/// The values of an output, of the type that the model computes in.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers of 32 bits.
    Float(Vec<f32>),
    /// Numbers of 64 bits.
    Double(Vec<f64>),
    /// Whole numbers of 32 bits.
    Integer(Vec<i32>),
    /// Whole numbers of 64 bits.
    Long(Vec<i64>),
    /// true or false.
    Boolean(Vec<bool>),
    /// Words.
    Text(Vec<String>),
    /// Whatever a Python model answers a row with.
    Json(Vec<Value>),
    /// One answer to all rows together, of a Python model.
    Whole(Value),
}

/// What an output looks like, known before anything is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    /// Its name.
    pub name: Arc<str>,
    /// Its datatype in the Open Inference Protocol.
    pub datatype: &'static str,
    /// How many values a row has, if it has a list of them and their number is known.
    pub width: Option<usize>,
}

/// The name of an output that has none of its own.
pub(crate) const PREDICTIONS: &str = "predictions";

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Long(values) => values.len(),
            Self::Boolean(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Json(values) => values.len(),
            Self::Whole(_) => 1,
        }
    }

    fn slice(&self, start: usize, count: usize) -> Self {
        let range = start..start + count;
        match self {
            Self::Float(values) => Self::Float(values[range].to_vec()),
            Self::Double(values) => Self::Double(values[range].to_vec()),
            Self::Integer(values) => Self::Integer(values[range].to_vec()),
            Self::Long(values) => Self::Long(values[range].to_vec()),
            Self::Boolean(values) => Self::Boolean(values[range].to_vec()),
            Self::Text(values) => Self::Text(values[range].to_vec()),
            Self::Json(values) => Self::Json(values[range].to_vec()),
            Self::Whole(value) => Self::Whole(value.clone()),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them as JSON; a number that JSON cannot write is null.
    pub fn value(&self, index: usize) -> Value {
        match self {
            Self::Float(values) => Value::from(f64::from(values[index])),
            Self::Double(values) => Value::from(values[index]),
            Self::Integer(values) => Value::from(values[index]),
            Self::Long(values) => Value::from(values[index]),
            Self::Boolean(values) => Value::from(values[index]),
            Self::Text(values) => Value::from(values[index].as_str()),
            Self::Json(values) => values[index].clone(),
            Self::Whole(value) => value.clone(),
        }
    }

    /// Writes values `range` as JSON: as [`Values::value`] gives them, without a tree in between.
    fn write<S: SerializeSeq>(&self, range: std::ops::Range<usize>, into: &mut S) -> Result<(), S::Error> {
        fn all<T: Serialize, S: SerializeSeq>(
            values: impl Iterator<Item = T>,
            into: &mut S,
        ) -> Result<(), S::Error> {
            for value in values {
                into.serialize_element(&value)?;
            }
            Ok(())
        }
        match self {
            Self::Float(values) => all(values[range].iter().map(|value| f64::from(*value)), into),
            Self::Double(values) => all(values[range].iter(), into),
            Self::Integer(values) => all(values[range].iter(), into),
            Self::Long(values) => all(values[range].iter(), into),
            Self::Boolean(values) => all(values[range].iter(), into),
            Self::Text(values) => all(values[range].iter(), into),
            Self::Json(values) => all(values[range].iter(), into),
            Self::Whole(value) => into.serialize_element(value),
        }
    }

    /// The datatype of the Open Inference Protocol.
    pub fn datatype(&self) -> &'static str {
        match self {
            Self::Float(_) => "FP32",
            Self::Double(_) => "FP64",
            Self::Integer(_) => "INT32",
            Self::Long(_) => "INT64",
            Self::Boolean(_) => "BOOL",
            Self::Text(_) | Self::Json(_) | Self::Whole(_) => "BYTES",
        }
    }

    /// Its elements as words, where it is sent as `BYTES`: words as they are, anything else as JSON.
    pub fn words(&self) -> Vec<String> {
        let word = |index| match self.value(index) {
            Value::String(word) => word,
            other => other.to_string(),
        };
        (0..self.len()).map(word).collect()
    }

    /// All of them as numbers, if they are.
    pub fn numbers(&self) -> Result<Vec<f64>, PredictError> {
        Ok(match self {
            Self::Float(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::Double(values) => values.clone(),
            Self::Integer(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::Long(values) => values.iter().map(|value| *value as f64).collect(),
            Self::Boolean(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::Text(_) | Self::Json(_) | Self::Whole(_) => return Err(PredictError::NotNumbers),
        })
    }
}

impl Output {
    /// How many values a row has.
    pub fn per_row(&self) -> usize {
        self.width.unwrap_or(1)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.per_row().max(1)
    }

    /// The shape: rows, or rows and columns.
    pub fn shape(&self) -> Vec<usize> {
        match self.width {
            None => vec![self.values.len()],
            Some(width) => vec![self.rows(), width],
        }
    }

    /// One row's answer as JSON: a value, a list, or an object by key.
    pub fn row(&self, row: usize) -> Value {
        let Some(width) = self.width else {
            return self.values.value(row);
        };
        let values = (row * width..(row + 1) * width).map(|index| self.values.value(index));
        match &self.keys {
            None => Value::Array(values.collect()),
            Some(keys) => {
                let name = |key: &Value| match key {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Value::Object(keys.iter().map(name).zip(values).collect())
            }
        }
    }
}

/// As one flat list, row by row.
impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.write(0..self.len(), &mut list)?;
        list.end()
    }
}

/// Values of one row as a list.
struct RowOf<'a>(&'a Values, std::ops::Range<usize>);

impl Serialize for RowOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.1.len()))?;
        self.0.write(self.1.clone(), &mut list)?;
        list.end()
    }
}

/// As [`Answers::values`] gives them, without a tree in between.
impl Serialize for Answers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [only] = self.outputs.as_slice() else {
            return self.values().serialize(serializer);
        };
        if let Values::Whole(value) = &only.values {
            return value.serialize(serializer);
        }
        match (only.width, &only.keys) {
            (None, _) => only.values.serialize(serializer),
            (Some(width), None) => {
                let rows = (0..only.rows()).map(|row| RowOf(&only.values, row * width..(row + 1) * width));
                serializer.collect_seq(rows)
            }
            (Some(_), Some(_)) => self.values().serialize(serializer),
        }
    }
}

impl Answers {
    /// The answers of a model with one output of no name.
    pub(crate) fn only(width: Option<usize>, values: Values) -> Self {
        Self {
            outputs: vec![Output {
                name: PREDICTIONS.into(),
                width,
                keys: None,
                values,
            }],
        }
    }

    /// The answers to the first `rows[0]` rows, to the next `rows[1]`, and so on.
    pub fn split(&self, rows: &[usize]) -> Vec<Self> {
        let mut parts = Vec::with_capacity(rows.len());
        let mut start = 0;
        for count in rows {
            let outputs = self.outputs.iter().map(|output| {
                let width = output.per_row();
                Output {
                    name: output.name.clone(),
                    width: output.width,
                    keys: output.keys.clone(),
                    values: output.values.slice(start * width, count * width),
                }
            });
            parts.push(Self {
                outputs: outputs.collect(),
            });
            start += count;
        }
        parts
    }

    /// How many rows were answered.
    pub fn rows(&self) -> usize {
        self.outputs.first().map_or(0, Output::rows)
    }

    /// The first output's answers as numbers, row by row.
    pub fn numbers(&self) -> Result<Vec<f64>, PredictError> {
        self.outputs
            .first()
            .map_or_else(|| Ok(Vec::new()), |output| output.values.numbers())
    }

    /// One JSON value a row: the only output's, or an object with every output's.
    pub fn values(&self) -> Vec<Value> {
        (0..self.rows()).map(|row| self.row(row)).collect()
    }

    fn row(&self, row: usize) -> Value {
        match self.outputs.as_slice() {
            [only] => only.row(row),
            outputs => {
                let entries = outputs
                    .iter()
                    .map(|output| (output.name.to_string(), output.row(row)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}
