use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lathe_types::ErrorKind;

/// Why a model folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the folder cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the folder does not hold what its format says.
    #[error("`{path}` is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The model is sound, and not of a kind that the native engine knows.
    #[error("{what}")]
    Unsupported {
        /// What it is, and what would be served.
        what: String,
    },
}

impl LoadError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Read { .. } => ErrorKind::Internal,
            Self::Damaged { .. } => ErrorKind::InvalidInput,
            Self::Unsupported { .. } => ErrorKind::NotImplemented,
        }
    }
}

/// Why a reader gives up; the file is named by whoever opened it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file does not hold what its format says.
    Damaged(String),
    /// The file is sound, and holds what the engine does not know.
    Unsupported(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl Fault {
    pub(crate) fn in_file(self, path: &Path) -> LoadError {
        match self {
            Self::Damaged(what) => LoadError::Damaged {
                path: path.to_owned(),
                what,
            },
            Self::Unsupported(what) => LoadError::Unsupported { what },
        }
    }
}

/// Why a request is not answered: the caller's fault, unless the model is one that Python answers for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictError {
    /// A required column is not there.
    #[error("the model needs the column `{column}`; it takes {}", .takes.join(", "))]
    MissingColumn {
        /// The column.
        column: String,
        /// Every column of the signature.
        takes: Vec<String>,
    },
    /// The columns have different lengths.
    #[error("column `{column}` has {rows} rows, the others have {expected}")]
    UnevenColumns {
        /// The column.
        column: String,
        /// Its length.
        rows: usize,
        /// The length of the first column.
        expected: usize,
    },
    /// A value is not of the column's type.
    #[error("column `{column}`, row {row}: {value} is not a {expected}")]
    WrongValue {
        /// The column.
        column: String,
        /// From 0.
        row: usize,
        /// What it holds.
        value: String,
        /// The type in the signature.
        expected: &'static str,
    },
    /// A number is infinite, too large for the model, or missing where the model cannot bear it.
    #[error("column `{column}`, row {row}: the model takes finite numbers{}", if *.missing_ok { " or null" } else { ", and no null" })]
    NotFinite {
        /// The column.
        column: String,
        /// From 0.
        row: usize,
        /// Whether a missing value would do.
        missing_ok: bool,
    },
    /// The number of values does not fit the shape.
    #[error("{0}")]
    Shape(String),
    /// Params, tensors or cells that the model's signature does not allow.
    #[error("{0}")]
    Invalid(String),
    /// Tensors or cells that cannot be made what the signature says.
    #[error("{0}")]
    Unreadable(String),
    /// A word that the model was not trained on, where it bears none.
    #[error("column `{column}`, row {row}: the model does not know {value}")]
    UnknownCategory {
        /// The column.
        column: String,
        /// From 0.
        row: usize,
        /// What it holds.
        value: String,
    },
    /// Nobody is there for this row.
    #[error("row {row}: {what}")]
    NoCase {
        /// From 0.
        row: usize,
        /// Why.
        what: String,
    },
    /// The answers are words where numbers are needed.
    #[error("the model answers with words, not numbers")]
    NotNumbers,
    /// The model's own code does not answer this request.
    #[error("the model raised {0}")]
    Raised(String),
    /// The model broke down over this request.
    #[error("{0}")]
    Failed(String),
    /// The model took longer than it may, and was ended.
    #[error("the model did not answer within {} s, and is started again", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The model is being started again, or cannot be.
    #[error("{0}")]
    Away(String),
}

impl PredictError {
    /// The same of the rows that `rows` tells the numbers of: those that only some rows of a request are.
    pub fn at_rows(mut self, rows: &[usize]) -> Self {
        if let Self::WrongValue { row, .. }
        | Self::NotFinite { row, .. }
        | Self::UnknownCategory { row, .. }
        | Self::NoCase { row, .. } = &mut self
        {
            *row = rows.get(*row).copied().unwrap_or(*row);
        }
        self
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed(_) | Self::TooSlow(_) => ErrorKind::Internal,
            Self::Away(_) => ErrorKind::Unavailable,
            _ => ErrorKind::InvalidInput,
        }
    }
}
