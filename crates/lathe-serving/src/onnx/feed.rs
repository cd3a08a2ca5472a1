//! How the inputs of a graph are filled from the columns of a table.

use std::sync::Arc;

use super::message::Slot;
use super::tensor::{Data, Tensor};
use crate::error::Fault;
use crate::signature::{ColumnType, InputSpec};
use crate::{PredictError, Table};

/// How an input of the graph is filled.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As the Open Inference Protocol calls what the graph holds.
    datatype: &'static str,
    /// The axes after the rows; none of a flat input.
    rest: Option<Vec<usize>>,
    /// Which of them requests say.
    open_axis: Option<usize>,
    /// The columns of the table.
    pub(super) columns: Vec<usize>,
}

/// What an input holds. Smaller types travel as greater ones, within what they hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Float,
    Double,
    Int { least: i32, greatest: i32 },
    Long { least: i64, greatest: i64 },
    Bool,
    Text,
}

impl Kind {
    /// Whether the native engine computes in a type, by ONNX's number.
    pub(super) fn is_native(number: i64) -> bool {
        matches!(number, 1 | 6 | 7 | 8 | 9 | 11)
    }

    fn of(slot: &Slot) -> Result<Self, Fault> {
        let int = |least, greatest| Self::Int { least, greatest };
        let long = |least, greatest| Self::Long { least, greatest };
        Ok(match slot.kind {
            1 | 10 | 16 => Self::Float,
            2 => int(0, u8::MAX.into()),
            3 => int(i8::MIN.into(), i8::MAX.into()),
            4 => int(0, u16::MAX.into()),
            5 => int(i16::MIN.into(), i16::MAX.into()),
            6 => int(i32::MIN, i32::MAX),
            7 => long(i64::MIN, i64::MAX),
            8 => Self::Text,
            9 => Self::Bool,
            11 => Self::Double,
            12 => long(0, u32::MAX.into()),
            13 => long(0, i64::MAX),
            _ => {
                return Err(Fault::Unsupported(format!(
                    "the model's input `{}` is no tensor of numbers, booleans or words",
                    slot.name
                )));
            }
        })
    }

    /// The type of its columns.
    pub(super) fn column(self) -> ColumnType {
        match self {
            Self::Float => ColumnType::Float,
            Self::Double => ColumnType::Double,
            Self::Int { .. } => ColumnType::Integer,
            Self::Long { .. } => ColumnType::Long,
            Self::Bool => ColumnType::Boolean,
            Self::Text => ColumnType::String,
        }
    }
}

/// By ONNX's number of a type.
fn datatype(number: i64) -> &'static str {
    match number {
        2 => "UINT8",
        3 => "INT8",
        4 => "UINT16",
        5 => "INT16",
        6 => "INT32",
        7 => "INT64",
        8 => "BYTES",
        9 => "BOOL",
        10 => "FP16",
        11 => "FP64",
        12 => "UINT32",
        13 => "UINT64",
        16 => "BF16",
        _ => "FP32",
    }
}

impl Feed {
    /// Of an input whose columns begin with `first`. `open` tells the size that the graph leaves open, if it can.
    pub(super) fn new(slot: &Slot, first: usize, open: impl Fn() -> Option<usize>) -> Result<Self, Fault> {
        let mut rest: Option<Vec<usize>> = None;
        let mut open_axis = None;
        if let [_, sizes @ ..] = slot.shape.as_slice()
            && !sizes.is_empty()
        {
            let mut known = Vec::with_capacity(sizes.len());
            for (axis, size) in sizes.iter().enumerate() {
                match size.or_else(&open) {
                    Some(size) => known.push(size),
                    None if open_axis.is_none() => {
                        open_axis = Some(axis);
                        known.push(1);
                    }
                    None => {
                        return Err(Fault::Unsupported(format!(
                            "the model's input `{}` leaves more than one size open beside the rows; fix all but one (`python -m onnxruntime.tools.make_dynamic_shape_fixed`)",
                            slot.name
                        )));
                    }
                }
            }
            rest = Some(known);
        }
        let width = rest
            .iter()
            .flatten()
            .try_fold(1usize, |all, size| all.checked_mul(*size))
            .filter(|width| *width <= super::WIDTH_MAX)
            .ok_or_else(|| Fault::Damaged(format!("its input `{}` is too large", slot.name)))?;
        Ok(Self {
            name: slot.name.clone(),
            kind: Kind::of(slot)?,
            datatype: datatype(slot.kind),
            rest,
            open_axis,
            columns: match open_axis {
                Some(_) => Vec::new(),
                None => (first..first + width).collect(),
            },
        })
    }

    /// What it takes, for clients.
    pub(super) fn told(&self) -> InputSpec {
        let sizes = self.rest.iter().flatten().enumerate();
        let rest = sizes.map(|(axis, size)| match self.open_axis == Some(axis) {
            true => -1,
            false => *size as i64,
        });
        InputSpec {
            name: self.name.clone(),
            datatype: self.datatype,
            shape: std::iter::once(-1).chain(rest).collect(),
        }
    }

    /// Whether requests say how wide it is.
    pub(super) fn is_open(&self) -> bool {
        self.open_axis.is_some()
    }

    /// Itself for the columns of this table: all of them where it is the only input, else those of its name.
    pub(super) fn fitted(&self, table: &Table, alone: bool) -> Result<Self, PredictError> {
        let is_own = |name: &String| {
            let rest = name.strip_prefix(&self.name);
            rest.is_some_and(|rest| {
                let number = rest.strip_prefix('_').unwrap_or("x");
                rest.is_empty() || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let names = table.names();
        let columns: Vec<usize> = (0..names.len())
            .filter(|column| alone || is_own(&names[*column]))
            .collect();
        if self.kind != Kind::Text
            && let Some(column) = columns.iter().find(|column| table.words(**column).is_some())
        {
            return Err(PredictError::WrongValue {
                column: names[*column].clone(),
                row: 0,
                value: "a word".into(),
                expected: self.kind.column().name(),
            });
        }
        let mut rest = self.rest.clone();
        let known: usize = rest.iter().flatten().product();
        match (self.open_axis, &mut rest) {
            (Some(axis), Some(rest)) if !columns.is_empty() && columns.len().is_multiple_of(known) => {
                rest[axis] = columns.len() / known;
            }
            (None, _) if columns.len() == known => {}
            (open, _) => {
                let several = if open.is_some() { "a multiple of " } else { "" };
                return Err(PredictError::Shape(format!(
                    "the input `{}` takes {several}{known} values a row; there are {}",
                    self.name,
                    columns.len()
                )));
            }
        }
        Ok(Self {
            name: self.name.clone(),
            kind: self.kind,
            datatype: self.datatype,
            rest,
            open_axis: None,
            columns,
        })
    }

    pub(super) fn tensor(&self, table: &Table, start: usize, end: usize) -> Result<Tensor, PredictError> {
        let rows = end - start;
        let data = match self.kind {
            Kind::Text => Data::Text(self.collect(start, end, |row, column| word(table, row, column))?),
            Kind::Float => Data::Float(self.numbers(table, start, end, |value| value as f32)?),
            Kind::Double => Data::Double(self.numbers(table, start, end, |value| value)?),
            Kind::Int { least, greatest } => Data::Int(self.whole(table, start, end, |value| {
                (f64::from(least) <= value && value <= f64::from(greatest)).then_some(value as i32)
            })?),
            Kind::Long { least, greatest } => Data::Long(self.whole(table, start, end, |value| {
                // The greatest of 64 bits is no f64: the next one is what is too much.
                (least as f64 <= value && value < greatest as f64 + 1.0).then_some(value as i64)
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
            let whole = (value.fract() == 0.0).then_some(value);
            whole.and_then(&convert).ok_or_else(|| PredictError::WrongValue {
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
