use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use parquet::errors::ParquetError;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("`{path}` cannot be read")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are no Parquet file, or a damaged one.
    #[error("it is no Parquet file, or a damaged one: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A column cannot be read.
    #[error("column `{column}` cannot be read: {what}")]
    Column {
        /// Which.
        column: String,
        /// What was found.
        what: String,
    },
    /// Cells do not fit the table that they are to be written to.
    #[error("column `{column}` takes {expected}; these cells are {found}")]
    Cells {
        /// Which column.
        column: String,
        /// What the table holds there.
        expected: String,
        /// What came.
        found: String,
    },
    /// The library refused to write.
    #[error("the table cannot be written: {what}")]
    Write {
        /// Why.
        what: String,
    },
}

/// A result of reading or writing.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Asks the library something about bytes that anyone may have made: what it panics over is damaged too.
pub(crate) fn guarded<T>(ask: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(told(&error)),
        Err(panic) => Err(said(&*panic).to_owned()),
    }
}

/// Without the library's own name for the kind of error in front.
fn told(error: &ParquetError) -> String {
    match error {
        ParquetError::General(what) | ParquetError::EOF(what) => what.clone(),
        other => other.to_string(),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("its parts do not fit together")
}
