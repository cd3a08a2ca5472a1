//! Answers as what stands for them in a file: bytes, or the cells of columns.

use lathe_parquet::{Cells, Field, Kind};
use lathe_serving::{Answers, Output, Values};
use serde_json::Value;

use super::Format;
use super::read::Piece;

/// The answers to a piece.
pub struct Written {
    pub body: Body,
    pub rows: u64,
    /// Where the rows go on after it.
    pub input_offset: u64,
}

/// What is written of them.
pub enum Body {
    /// Bytes, and those that stand at the beginning of the file.
    Bytes { header: Vec<u8>, body: Vec<u8> },
    /// Columns of a table.
    Columns(Vec<(Field, Cells)>),
}

impl Written {
    pub fn new(answers: &Answers, format: Format, piece: &Piece) -> anyhow::Result<Self> {
        let body = match format {
            Format::JsonLines => Body::Bytes {
                header: Vec::new(),
                body: json_lines(answers)?,
            },
            Format::Csv => csv_rows(answers)?,
            Format::Parquet => Body::Columns(answers.outputs.iter().flat_map(columns).collect()),
        };
        Ok(Self {
            body,
            rows: answers.rows() as u64,
            input_offset: piece.input_offset,
        })
    }
}

fn json_lines(answers: &Answers) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    for answer in answers.values() {
        serde_json::to_writer(&mut body, &answer)?;
        body.push(b'\n');
    }
    Ok(body)
}

fn csv_rows(answers: &Answers) -> anyhow::Result<Body> {
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record(answers.outputs.iter().flat_map(names))?;
    let mut body = csv::Writer::from_writer(Vec::new());
    for row in 0..answers.rows() {
        let fields = answers.outputs.iter().flat_map(|output| {
            let width = output.per_row();
            (row * width..(row + 1) * width).map(|index| field(&output.values, index))
        });
        body.write_record(fields)?;
    }
    Ok(Body::Bytes {
        header: header.into_inner()?,
        body: body.into_inner()?,
    })
}

/// The names of an output's columns.
fn names(output: &Output) -> Vec<String> {
    match (output.width, &output.keys) {
        (None, _) => vec![output.name.to_string()],
        (Some(width), None) => (0..width)
            .map(|index| format!("{}_{index}", output.name))
            .collect(),
        (Some(_), Some(keys)) => keys
            .iter()
            .map(|key| match key {
                Value::String(key) => format!("{}_{key}", output.name),
                key => format!("{}_{key}", output.name),
            })
            .collect(),
    }
}

/// An output as columns of the type that the model computes in; what a Python model answers otherwise is JSON in text.
fn columns(output: &Output) -> impl Iterator<Item = (Field, Cells)> {
    let width = output.per_row();
    names(output).into_iter().enumerate().map(move |(column, name)| {
        let mine = (column..output.values.len()).step_by(width.max(1));
        let (kind, cells) = match &output.values {
            Values::Float(values) => (
                Kind::Float,
                Cells::Floats(mine.map(|at| Some(values[at])).collect()),
            ),
            Values::Double(values) => (
                Kind::Double,
                Cells::Doubles(mine.map(|at| Some(values[at])).collect()),
            ),
            Values::Integer(values) => (
                whole(32),
                Cells::Longs(mine.map(|at| Some(values[at].into())).collect()),
            ),
            Values::Long(values) => (whole(64), Cells::Longs(mine.map(|at| Some(values[at])).collect())),
            Values::Boolean(values) => (
                Kind::Boolean,
                Cells::Booleans(mine.map(|at| Some(values[at])).collect()),
            ),
            Values::Text(_) | Values::Json(_) | Values::Whole(_) => (
                Kind::Text,
                Cells::Texts(mine.map(|at| word(&output.values, at)).collect()),
            ),
        };
        (Field { name, kind }, cells)
    })
}

fn whole(bits: u8) -> Kind {
    Kind::Integer { bits, signed: true }
}

fn word(values: &Values, index: usize) -> Option<std::sync::Arc<str>> {
    match values.value(index) {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

/// A value as text that reads back as the same value.
fn field(values: &Values, index: usize) -> String {
    match values {
        Values::Float(values) => values[index].to_string(),
        Values::Double(values) => values[index].to_string(),
        Values::Integer(values) => values[index].to_string(),
        Values::Long(values) => values[index].to_string(),
        Values::Boolean(values) => values[index].to_string(),
        Values::Text(values) => values[index].clone(),
        Values::Json(values) => values[index].to_string(),
        Values::Whole(value) => value.to_string(),
    }
}
