//! A column of a window in constant memory: counts and sums per bin, and moments. Profiles merge by adding, so hours
//! make days and replicas make a whole.

use lathe_types::drift::ColumnSummary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Reference;
use crate::bins::Bins;

/// One value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// null or NaN.
    Missing,
    /// A number; true and false are 1 and 0.
    Number(f64),
    /// A text.
    Text(String),
}

impl Cell {
    /// A JSON value as a cell; lists and objects count as texts.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            Value::Bool(flag) => Self::Number(f64::from(*flag)),
            Value::Number(number) => number.as_f64().map_or(Self::Missing, Self::Number),
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(other.to_string()),
        }
    }

    /// What it is called as a category; `4` and `4.0` are the same.
    pub(crate) fn category(&self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::Number(number) if number.is_nan() => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// The rows of a window, by column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub(crate) rows: u64,
    pub(crate) columns: Vec<ColumnProfile>,
}

/// One column's counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnProfile {
    /// Values that are not missing.
    pub(crate) n: u64,
    pub(crate) missing: u64,
    /// Values outside the reference's range, categories it never had, texts among numbers.
    pub(crate) unseen: u64,
    pub(crate) counts: Vec<u64>,
    /// Sum of the values per bin; of numeric columns only.
    pub(crate) sums: Vec<f64>,
    pub(crate) mean: f64,
    /// Sum of squared distances from the mean (Welford 1962).
    pub(crate) m2: f64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Profile {
    /// No rows yet.
    pub fn empty(reference: &Reference) -> Self {
        Self {
            rows: 0,
            columns: reference
                .columns
                .iter()
                .map(|column| ColumnProfile::empty(&column.bins))
                .collect(),
        }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts one row; a column that it does not have is missing.
    pub fn add(&mut self, reference: &Reference, row: &Map<String, Value>) {
        self.rows += 1;
        for (profile, column) in self.columns.iter_mut().zip(&reference.columns) {
            let cell = row.get(&column.name).map_or(Cell::Missing, Cell::of);
            profile.add(&column.bins, &cell, Some(&column.whole));
        }
    }

    /// Adds everything the other has counted. Both must be of the same reference.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.merge(theirs);
        }
    }
}

impl ColumnProfile {
    pub(crate) fn empty(bins: &Bins) -> Self {
        let sums = match bins {
            Bins::Numeric { .. } => vec![0.0; bins.len()],
            Bins::Categorical { .. } => Vec::new(),
        };
        Self {
            n: 0,
            missing: 0,
            unseen: 0,
            counts: vec![0; bins.len()],
            sums,
            mean: 0.0,
            m2: 0.0,
            min: None,
            max: None,
        }
    }

    /// Counts one value; `seen` is the reference's own profile, if this is not it.
    pub(crate) fn add(&mut self, bins: &Bins, cell: &Cell, seen: Option<&Self>) {
        match bins {
            Bins::Numeric { edges } => {
                let number = match cell {
                    Cell::Missing => None,
                    Cell::Number(number) => Some(*number),
                    Cell::Text(text) => match text.trim().parse() {
                        Ok(number) => Some(number),
                        Err(_) => {
                            self.unseen += 1;
                            None
                        }
                    },
                };
                match number.filter(|number| number.is_finite()) {
                    Some(number) => self.add_number(edges, number, seen),
                    None => self.missing += 1,
                }
            }
            Bins::Categorical { categories } => match cell.category() {
                Some(category) => {
                    let bin = Bins::of_category(categories, &category);
                    self.n += 1;
                    self.counts[bin] += 1;
                    if bin == categories.len() {
                        self.unseen += 1;
                    }
                }
                None => self.missing += 1,
            },
        }
    }

    fn add_number(&mut self, edges: &[f64], number: f64, seen: Option<&Self>) {
        let bin = Bins::of_number(edges, number);
        self.n += 1;
        self.counts[bin] += 1;
        self.sums[bin] += number;
        let delta = number - self.mean;
        self.mean += delta / self.n as f64;
        self.m2 += delta * (number - self.mean);
        self.min = Some(self.min.map_or(number, |min| min.min(number)));
        self.max = Some(self.max.map_or(number, |max| max.max(number)));
        if let Some((min, max)) = seen.and_then(|seen| seen.min.zip(seen.max))
            && !(min..=max).contains(&number)
        {
            self.unseen += 1;
        }
    }

    /// Chan, Golub and LeVeque 1979 for the moments; all else is addition.
    fn merge(&mut self, other: &Self) {
        let (n, m) = (self.n as f64, other.n as f64);
        if 0 < other.n {
            let delta = other.mean - self.mean;
            self.mean += delta * m / (n + m);
            self.m2 += other.m2 + delta * delta * n * m / (n + m);
        }
        self.n += other.n;
        self.missing += other.missing;
        self.unseen += other.unseen;
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(mine, theirs)| *mine += theirs);
        self.sums
            .iter_mut()
            .zip(&other.sums)
            .for_each(|(mine, theirs)| *mine += theirs);
        let either = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        self.min = either(self.min, other.min, f64::min);
        self.max = either(self.max, other.max, f64::max);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.n + self.missing
    }

    /// Sample standard deviation; of numeric columns with two values or more.
    pub(crate) fn std(&self) -> Option<f64> {
        (1 < self.n && !self.sums.is_empty()).then(|| (self.m2 / (self.n - 1) as f64).max(0.0).sqrt())
    }

    pub(crate) fn summary(&self) -> ColumnSummary {
        let share = |count: u64| {
            if self.rows() == 0 {
                0.0
            } else {
                count as f64 / self.rows() as f64
            }
        };
        ColumnSummary {
            rows: self.rows(),
            missing_share: share(self.missing),
            mean: (0 < self.n && !self.sums.is_empty()).then_some(self.mean),
            std: self.std(),
            min: self.min,
            max: self.max,
            unseen_share: share(self.unseen),
        }
    }
}
