//! ONNX models: the operators of `ai.onnx.ml`, and the plain ones around them, in the precision of the graph and in the
//! order in which onnxruntime computes. Graphs within graphs (`Scan`, `Loop`, `If`) are not here.

mod elementwise;
mod kernel;
mod matrix;
mod message;
mod ml;
mod plan;
mod reduce;
mod shapes;
mod tensor;
mod width;
mod wire;

use std::path::Path;
use std::sync::Arc;

use crate::answers::{Answers, Output, OutputSpec, Values};
use crate::error::Fault;
use crate::predictor::{Input, Inputs, Predictor};
use crate::signature::{ColumnType, Signature};
use crate::{PredictError, Table};
use message::Slot;
use plan::Plan;
use tensor::{Data, Tensor};

pub(crate) use message::is;

/// A graph that answers.
#[derive(Debug)]
pub(crate) struct Network {
    inputs: Inputs,
    feeds: Vec<Feed>,
    plan: Plan,
    outputs: Vec<OutputSpec>,
    names: Vec<Arc<str>>,
    /// How many rows the graph takes at once, if it takes only so many.
    rows: Option<usize>,
}

/// How an input of the graph is filled from a table.
#[derive(Debug)]
struct Feed {
    name: String,
    kind: Kind,
    /// The axes after the rows; none of a flat input.
    rest: Option<Vec<usize>>,
    /// The columns of the table.
    columns: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Double,
    Int,
    Long,
    Bool,
    Text,
}

/// Inputs that a row may have.
const WIDTH_MAX: usize = 1 << 22;

/// Reads a model. Values that lie in files of their own are read from `folder`.
pub(crate) fn read(bytes: &[u8], folder: Option<&Path>) -> Result<Network, Fault> {
    let graph = message::model(bytes, folder)?;
    if graph.inputs.is_empty() || graph.outputs.is_empty() {
        return Err(Fault::Damaged("its graph has no inputs or no outputs".into()));
    }
    let mut feeds = Vec::new();
    let mut columns = Vec::new();
    let mut rows = None;
    for slot in &graph.inputs {
        let (kind, column) = kind(slot)?;
        let open = || width::of(&graph, &slot.name).unwrap_or(1);
        let rest: Option<Vec<usize>> = match slot.shape.as_slice() {
            [] => None,
            [_] => None,
            [_, rest @ ..] => Some(rest.iter().map(|size| size.unwrap_or_else(open)).collect()),
        };
        let width = rest
            .iter()
            .flatten()
            .try_fold(1usize, |all, size| all.checked_mul(*size));
        let width = width.filter(|width| columns.len() + width <= WIDTH_MAX);
        let width = width.ok_or_else(|| Fault::Damaged(format!("its input `{}` is too large", slot.name)))?;
        if let Some(Some(fixed)) = slot.shape.first() {
            rows = Some(*fixed);
        }
        feeds.push(Feed {
            name: slot.name.clone(),
            kind,
            rest,
            columns: (columns.len()..columns.len() + width).collect(),
        });
        columns.extend((0..width).map(|index| Input {
            name: match width {
                1 => slot.name.clone(),
                _ => format!("{}_{index}", slot.name),
            },
            kind: column,
            words: kind == Kind::Text,
        }));
    }
    let names: Vec<Arc<str>> = graph
        .outputs
        .iter()
        .map(|slot| slot.name.as_str().into())
        .collect();
    let declared = graph.outputs.iter().map(declared).collect();
    let mut network = Network {
        inputs: Inputs {
            class: "ONNX".into(),
            columns,
            by_name: false,
        },
        feeds,
        plan: Plan::of(graph)?,
        outputs: declared,
        names,
        rows,
    };
    network.probe();
    Ok(network)
}

fn kind(slot: &Slot) -> Result<(Kind, ColumnType), Fault> {
    Ok(match slot.kind {
        1 => (Kind::Float, ColumnType::Float),
        11 => (Kind::Double, ColumnType::Double),
        6 => (Kind::Int, ColumnType::Integer),
        7 => (Kind::Long, ColumnType::Long),
        9 => (Kind::Bool, ColumnType::Boolean),
        8 => (Kind::Text, ColumnType::String),
        0 => {
            return Err(Fault::Unsupported(format!(
                "the model's input `{}` is no tensor; the native engine takes tensors",
                slot.name
            )));
        }
        other => {
            return Err(Fault::Unsupported(format!(
                "the model's input `{}` is of the type {}; the native engine takes float, double, int32, int64, bool and string",
                slot.name,
                message::kind_name(other)
            )));
        }
    })
}

/// What the graph says of an output; a probe tells it better.
fn declared(slot: &Slot) -> OutputSpec {
    let rest = slot.shape.get(1..).filter(|rest| !rest.is_empty());
    OutputSpec {
        name: slot.name.as_str().into(),
        datatype: match slot.kind {
            11 => "FP64",
            6 => "INT32",
            7 => "INT64",
            9 => "BOOL",
            8 => "BYTES",
            _ => "FP32",
        },
        width: rest.and_then(|rest| {
            rest.iter()
                .try_fold(1usize, |all, size| all.checked_mul((*size)?))
        }),
    }
}

impl Network {
    /// Answers a row of zeros, to see what answers look like. Not every model answers it: a word may be unknown.
    fn probe(&mut self) {
        let table = crate::table::zeros(&self.inputs.signature());
        if let Ok(answers) = self.predict(&table) {
            let spec = |output: &Output| OutputSpec {
                name: output.name.clone(),
                datatype: output.values.datatype(),
                width: output.width,
            };
            self.outputs = answers.outputs.iter().map(spec).collect();
        }
    }

    fn answer(&self, table: &Table, start: usize, end: usize) -> Result<Vec<Tensor>, PredictError> {
        let inputs = self
            .feeds
            .iter()
            .map(|feed| feed.tensor(table, start, end))
            .collect::<Result<_, _>>()?;
        self.plan.run(inputs).map_err(PredictError::Shape)
    }
}

impl Predictor for Network {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        self.outputs.clone()
    }

    /// Tells the inputs to take the columns of a signature: by their names where all of them have inputs' names.
    fn bind(&mut self, signature: &Signature) {
        if self.feeds.len() < 2 {
            return;
        }
        let names = signature.names();
        let place = |name: &String| names.iter().position(|known| known == name);
        let found: Option<Vec<usize>> = self
            .inputs
            .columns
            .iter()
            .map(|input| place(&input.name))
            .collect();
        let Some(found) = found else { return };
        let mut taken = found.iter();
        for feed in &mut self.feeds {
            feed.columns
                .iter_mut()
                .zip(&mut taken)
                .for_each(|(column, place)| *column = *place);
        }
        let mut columns = self.inputs.columns.clone();
        for (input, place) in self.inputs.columns.iter().zip(&found) {
            columns[*place] = input.clone();
        }
        self.inputs.columns = columns;
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let rows = table.rows();
        let made = match self.rows {
            Some(1) if 1 < rows => {
                let mut all = self.answer(table, 0, 1)?;
                for row in 1..rows {
                    for (all, one) in all.iter_mut().zip(self.answer(table, row, row + 1)?) {
                        append(all, &one).map_err(PredictError::Shape)?;
                    }
                }
                all
            }
            _ => self.answer(table, 0, rows)?,
        };
        let outputs = self
            .names
            .iter()
            .zip(made)
            .map(|(name, tensor)| output(name, tensor, rows));
        Ok(Answers {
            outputs: outputs.collect::<Result<_, _>>()?,
        })
    }
}

/// Adds the answer of one row to those before.
fn append(all: &mut Tensor, one: &Tensor) -> Result<(), String> {
    all.data.extend(&one.data, 0, one.len())?;
    match all.shape.first_mut() {
        Some(rows) => *rows += 1,
        None => all.shape.push(2),
    }
    Ok(())
}

fn output(name: &Arc<str>, tensor: Tensor, rows: usize) -> Result<Output, PredictError> {
    let width = match tensor.shape.as_slice() {
        [] if rows == 1 => None,
        [first] if *first == rows => None,
        [first, rest @ ..] if *first == rows && !rest.is_empty() => Some(rest.iter().product()),
        shape => {
            return Err(PredictError::Shape(format!(
                "the output `{name}` has the shape {shape:?} for {rows} rows"
            )));
        }
    };
    Ok(Output {
        name: name.clone(),
        width,
        keys: tensor.keys,
        values: match tensor.data {
            Data::Float(values) => Values::Float(values),
            Data::Double(values) => Values::Double(values),
            Data::Int(values) => Values::Integer(values),
            Data::Long(values) => Values::Long(values),
            Data::Bool(values) => Values::Boolean(values),
            Data::Text(values) => Values::Text(values.iter().map(|word| word.to_string()).collect()),
        },
    })
}

impl Feed {
    fn tensor(&self, table: &Table, start: usize, end: usize) -> Result<Tensor, PredictError> {
        let rows = end - start;
        let data = match self.kind {
            Kind::Text => Data::Text(self.collect(start, end, |row, column| word(table, row, column))?),
            Kind::Float => Data::Float(self.numbers(table, start, end, |value| value as f32)?),
            Kind::Double => Data::Double(self.numbers(table, start, end, |value| value)?),
            Kind::Int => Data::Int(self.whole(table, start, end, |value| {
                (f64::from(i32::MIN) <= value && value <= f64::from(i32::MAX)).then_some(value as i32)
            })?),
            Kind::Long => Data::Long(self.whole(table, start, end, |value| {
                (i64::MIN as f64 <= value && value < i64::MAX as f64).then_some(value as i64)
            })?),
            Kind::Bool => Data::Bool(self.whole(table, start, end, |value| Some(value != 0.0))?),
        };
        let mut shape = vec![rows];
        shape.extend(self.rest.iter().flatten());
        Tensor::new(shape, data)
            .map_err(|what| PredictError::Shape(format!("the input `{}`: {what}", self.name)))
    }

    fn collect<T>(
        &self,
        start: usize,
        end: usize,
        mut value: impl FnMut(usize, usize) -> Result<T, PredictError>,
    ) -> Result<Vec<T>, PredictError> {
        let mut values = Vec::with_capacity((end - start) * self.columns.len());
        for row in start..end {
            for column in &self.columns {
                values.push(value(row, *column)?);
            }
        }
        Ok(values)
    }

    fn numbers<T>(
        &self,
        table: &Table,
        start: usize,
        end: usize,
        convert: impl Fn(f64) -> T,
    ) -> Result<Vec<T>, PredictError> {
        let width = table.names().len();
        if self.columns.len() == width {
            let values = &table.numbers()[start * width..end * width];
            return Ok(values.iter().map(|value| convert(*value)).collect());
        }
        self.collect(start, end, |row, column| Ok(convert(table.row(row)[column])))
    }

    fn whole<T>(
        &self,
        table: &Table,
        start: usize,
        end: usize,
        convert: impl Fn(f64) -> Option<T>,
    ) -> Result<Vec<T>, PredictError> {
        self.collect(start, end, |row, column| {
            let value = table.row(row)[column];
            let column = || table.names()[column].clone();
            if !value.is_finite() {
                return Err(PredictError::NotFinite {
                    column: column(),
                    row,
                    missing_ok: false,
                });
            }
            convert(value).ok_or_else(|| PredictError::WrongValue {
                column: column(),
                row,
                value: value.to_string(),
                expected: "whole number that the graph's type holds",
            })
        })
    }
}

fn word(table: &Table, row: usize, column: usize) -> Result<Arc<str>, PredictError> {
    match table.words(column).map(|words| words[row].clone()) {
        Some(Some(word)) => Ok(word),
        found => Err(PredictError::WrongValue {
            column: table.names()[column].clone(),
            row,
            value: if found.is_some() {
                "null".into()
            } else {
                "a number".into()
            },
            expected: "string",
        }),
    }
}
