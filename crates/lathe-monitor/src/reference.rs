use std::collections::BTreeMap;

use lathe_types::drift::ColumnKind;
use lathe_types::{ErrorKind, Millis};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::profile::{Cell, ColumnProfile};

/// A column as read, before it is profiled.
#[derive(Debug, Clone, PartialEq)]
pub struct RawColumn {
    /// Its name.
    pub name: String,
    /// How it is compared.
    pub kind: ColumnKind,
    /// One a row.
    pub cells: Vec<Cell>,
}

/// What windows are compared with: the training rows, profiled as a whole and by month of the year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub(crate) columns: Vec<ReferenceColumn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReferenceColumn {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    pub(crate) bins: Bins,
    pub(crate) whole: ColumnProfile,
    /// By month of the year, 1 to 12, where the rows have a time.
    pub(crate) months: BTreeMap<u8, ColumnProfile>,
}

/// Why rows cannot be a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to compare with.
    #[error("there are no rows")]
    Empty,
    /// Columns are not of one table.
    #[error("column `{column}` has {got} rows where {expected} are expected")]
    Uneven {
        /// The column.
        column: String,
        /// Its rows.
        got: usize,
        /// The rows of the first column, or the number of times.
        expected: usize,
    },
}

impl BuildError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Reference {
    /// Profiles the rows; with their times also by month, so that a season can be told from a change.
    pub fn build(columns: Vec<RawColumn>, times: Option<&[Millis]>) -> Result<Self, BuildError> {
        let rows = times
            .map(<[Millis]>::len)
            .or_else(|| columns.first().map(|column| column.cells.len()))
            .unwrap_or_default();
        if rows == 0 {
            return Err(BuildError::Empty);
        }
        let months: Option<Vec<u8>> = times.map(|times| times.iter().map(|time| time.month()).collect());
        let mut built = Vec::with_capacity(columns.len());
        for column in columns {
            if column.cells.len() != rows {
                return Err(BuildError::Uneven {
                    column: column.name,
                    got: column.cells.len(),
                    expected: rows,
                });
            }
            built.push(ReferenceColumn::build(column, months.as_deref()));
        }
        Ok(Self { columns: built })
    }

    /// The columns' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

impl ReferenceColumn {
    fn build(raw: RawColumn, months: Option<&[u8]>) -> Self {
        let bins = match raw.kind {
            ColumnKind::Numeric => {
                let numbers = raw.cells.iter().filter_map(|cell| match cell {
                    Cell::Number(number) => Some(*number).filter(|number| number.is_finite()),
                    Cell::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
                    Cell::Missing => None,
                });
                Bins::numeric(&numbers.collect::<Vec<_>>())
            }
            ColumnKind::Categorical => {
                let names: Vec<String> = raw.cells.iter().filter_map(Cell::category).collect();
                Bins::categorical(names.iter().map(String::as_str))
            }
        };
        let mut whole = ColumnProfile::empty(&bins);
        let mut by_month = BTreeMap::new();
        for (row, cell) in raw.cells.iter().enumerate() {
            whole.add(&bins, cell, None);
            if let Some(month) = months.and_then(|months| months.get(row)) {
                let profile = by_month
                    .entry(*month)
                    .or_insert_with(|| ColumnProfile::empty(&bins));
                profile.add(&bins, cell, None);
            }
        }
        Self {
            name: raw.name,
            kind: raw.kind,
            bins,
            whole,
            months: by_month,
        }
    }
}
