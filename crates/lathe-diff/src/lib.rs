//! What two files or folders differ in, said for people: values of JSON, columns of CSV and Parquet, members of
//! archives, arrays, tensors of ONNX models, lines of text. Only this crate compares formats. It reads what it is given
//! and decides nothing about it: whether a difference matters is for whoever asked.

mod archive;
mod cells;
mod csv_columns;
mod error;
mod files;
mod json;
mod mlmodel;
mod npy;
mod onnx;
mod parquet_columns;
mod rules;
mod skops;
mod text;
mod wire;

pub use error::{Error, Result};
pub use files::{compare, compare_bytes};
pub use rules::{Rules, Tolerance};

use serde::{Deserialize, Serialize};

/// How alike two things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// Equal bit by bit.
    Identical,
    /// They differ only in what names an execution (ids, times of writing) or within the tolerance that was given.
    Equivalent,
    /// They differ.
    Different,
}

/// One place where two files differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Where: a dotted key, a column, a line, a tensor.
    pub place: String,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether it does not matter: an identity, or within a tolerance.
    pub tolerated: bool,
}

/// What one file of the two sides differs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileDifference {
    /// Relative to what was compared; empty if that is a file itself.
    pub path: String,
    /// Which format told: `json`, `csv`, `npy`, `zip`, `skops`, `onnx`, `parquet`, `MLmodel`, `text`, `bytes`, `presence`.
    pub format: String,
    /// The greatest likeness that holds: [`Likeness::Equivalent`] or [`Likeness::Different`].
    pub likeness: Likeness,
    /// The first places, those that matter first.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

/// Places that are listed of one file.
const PLACES_MAX: usize = 20;

/// Collects places, counts those beyond the limit, and judges.
#[derive(Default)]
struct Places {
    matter: Vec<Difference>,
    tolerated: Vec<Difference>,
    more: usize,
    any_matters: bool,
}

impl Places {
    fn add(
        &mut self,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        tolerated: bool,
    ) {
        self.any_matters |= !tolerated;
        let list = if tolerated {
            &mut self.tolerated
        } else {
            &mut self.matter
        };
        if PLACES_MAX <= list.len() {
            self.more += 1;
            return;
        }
        list.push(Difference {
            place: place.into(),
            expected: shortened(expected.into()),
            found: shortened(found.into()),
            tolerated,
        });
    }

    fn matters(&mut self, place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) {
        self.add(place, expected, found, false);
    }

    fn is_empty(&self) -> bool {
        self.matter.is_empty() && self.tolerated.is_empty()
    }

    /// What is said of the file; files whose bytes differ while nothing in them does are equivalent.
    fn into_file(self, path: &str, format: &str) -> FileDifference {
        let mut differences = self.matter;
        differences.extend(self.tolerated);
        let beyond = differences.len().saturating_sub(PLACES_MAX);
        differences.truncate(PLACES_MAX);
        FileDifference {
            path: path.to_owned(),
            format: format.to_owned(),
            likeness: if self.any_matters {
                Likeness::Different
            } else {
                Likeness::Equivalent
            },
            differences,
            more: self.more + beyond,
        }
    }
}

fn shortened(text: String) -> String {
    const CHARS_MAX: usize = 120;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
