//! Answers as the bytes that stand for them in a file.

use lathe_serving::{Answers, Output, Values};
use serde_json::Value;

use super::Format;
use super::read::Piece;

/// The answers to a piece.
pub struct Written {
    /// What stands at the beginning of the file.
    pub header: Vec<u8>,
    pub body: Vec<u8>,
    pub rows: u64,
    /// Where the rows go on after it.
    pub input_offset: u64,
}

impl Written {
    pub fn new(answers: &Answers, format: Format, piece: &Piece) -> anyhow::Result<Self> {
        let (header, body) = match format {
            Format::JsonLines => (Vec::new(), json_lines(answers)?),
            Format::Csv => csv_rows(answers)?,
        };
        Ok(Self {
            header,
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

fn csv_rows(answers: &Answers) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
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
    Ok((header.into_inner()?, body.into_inner()?))
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
