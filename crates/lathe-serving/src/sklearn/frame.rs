use std::sync::Arc;

use crate::{PredictError, Table};

/// A column of words; missing ones are none.
pub(super) type Words = Vec<Option<Arc<str>>>;

/// Rows between two steps of a pipeline: numbers, and words in some columns.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) rows: usize,
    pub(super) width: usize,
    /// Row-major; NaN where the column holds words.
    pub(super) values: Vec<f64>,
    /// By column; empty if no column holds words.
    pub(super) words: Vec<Option<Words>>,
    /// Of the request's columns, until a step makes others.
    pub(super) names: Option<Arc<[String]>>,
}

impl Frame {
    pub(super) fn of_table(table: &Table) -> Self {
        let width = table.names().len();
        let has_words = (0..width).any(|column| table.words(column).is_some());
        let words = |column| table.words(column).map(<[_]>::to_vec);
        Self {
            rows: table.rows(),
            width,
            values: table.numbers().to_vec(),
            words: if has_words {
                (0..width).map(words).collect()
            } else {
                Vec::new()
            },
            names: Some(table.shared_names()),
        }
    }

    /// Numbers that a step made.
    pub(super) fn of_numbers(rows: usize, width: usize, values: Vec<f64>) -> Self {
        Self {
            rows,
            width,
            values,
            words: Vec::new(),
            names: None,
        }
    }

    pub(super) fn words(&self, column: usize) -> Option<&Words> {
        self.words.get(column)?.as_ref()
    }

    fn name(&self, column: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(column)) {
            Some(name) => name.clone(),
            None => format!("{column} between two steps"),
        }
    }

    /// Some columns, in this order.
    pub(super) fn select(&self, columns: &[usize]) -> Self {
        let mut values = Vec::with_capacity(self.rows * columns.len());
        for row in self.values.chunks_exact(self.width.max(1)) {
            values.extend(columns.iter().map(|column| row[*column]));
        }
        let words: Vec<Option<Words>> = columns
            .iter()
            .map(|column| self.words(*column).cloned())
            .collect();
        let names = self
            .names
            .as_ref()
            .map(|names| columns.iter().map(|column| names[*column].clone()).collect());
        Self {
            rows: self.rows,
            width: columns.len(),
            values,
            words: if words.iter().any(Option::is_some) {
                words
            } else {
                Vec::new()
            },
            names,
        }
    }

    /// Frames side by side.
    pub(super) fn beside(rows: usize, parts: Vec<Self>) -> Self {
        let width = parts.iter().map(|part| part.width).sum();
        let mut values = Vec::with_capacity(rows * width);
        for row in 0..rows {
            for part in &parts {
                values.extend_from_slice(&part.values[row * part.width..(row + 1) * part.width]);
            }
        }
        let has_words = parts.iter().any(|part| !part.words.is_empty());
        let words = parts.into_iter().flat_map(|part| {
            let missing = part.width - part.words.len();
            part.words.into_iter().chain(std::iter::repeat_n(None, missing))
        });
        Self {
            rows,
            width,
            values,
            words: if has_words { words.collect() } else { Vec::new() },
            names: None,
        }
    }

    /// The numbers, for a step that takes nothing else: finite ones, and missing ones where it bears them.
    pub(super) fn numbers(&self, missing_ok: bool) -> Result<&[f64], PredictError> {
        self.checked(missing_ok, f64::INFINITY)
    }

    /// As [`Frame::numbers`], for a step that computes in f32.
    pub(super) fn numbers_of_f32(&self, missing_ok: bool) -> Result<&[f64], PredictError> {
        self.checked(missing_ok, f64::from(f32::MAX))
    }

    fn checked(&self, missing_ok: bool, max: f64) -> Result<&[f64], PredictError> {
        self.no_words()?;
        let bad = self.values.iter().position(|value| match value.is_nan() {
            true => !missing_ok,
            false => value.is_infinite() || max < value.abs() && (*value as f32).is_infinite(),
        });
        match bad {
            None => Ok(&self.values),
            Some(at) => Err(PredictError::NotFinite {
                column: self.name(at % self.width),
                row: at / self.width,
                missing_ok,
            }),
        }
    }

    /// The numbers as they are, infinite ones too.
    pub(super) fn any_numbers(&self) -> Result<&[f64], PredictError> {
        self.no_words()?;
        Ok(&self.values)
    }

    fn no_words(&self) -> Result<(), PredictError> {
        let with_words = self.words.iter().position(Option::is_some);
        let Some(column) = with_words.filter(|_| 0 < self.rows) else {
            return Ok(());
        };
        let first = self.words(column).and_then(|words| words[0].as_deref());
        Err(PredictError::WrongValue {
            column: self.name(column),
            row: 0,
            value: first.map_or_else(|| "null".into(), |word| format!("{word:?}")),
            expected: "number",
        })
    }

    /// The error of a category that was not seen in training.
    pub(super) fn unknown(&self, column: usize, row: usize) -> PredictError {
        let value = match self.words(column) {
            Some(words) => words[row]
                .as_deref()
                .map_or_else(|| "null".into(), |word| format!("{word:?}")),
            None => self.values[row * self.width + column].to_string(),
        };
        PredictError::UnknownCategory {
            column: self.name(column),
            row,
            value,
        }
    }

    /// Refuses another number of columns than a step was fitted on.
    pub(super) fn expect(&self, width: usize) -> Result<(), PredictError> {
        match self.width == width {
            true => Ok(()),
            false => Err(PredictError::Shape(format!(
                "a step of the model takes {width} columns, and gets {}",
                self.width
            ))),
        }
    }
}
