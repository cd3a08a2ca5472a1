use std::path::PathBuf;

use lathe_types::ErrorKind;

/// What the store answers when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such record.
    #[error("{noun} `{id}` does not exist")]
    NotFound {
        /// "run", "experiment"…
        noun: &'static str,
        /// Its id or name.
        id: String,
    },
    /// A record of that name exists.
    #[error("{noun} `{id}` already exists")]
    AlreadyExists {
        /// "experiment", "registered model"…
        noun: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The change contradicts what is stored.
    #[error("{message}")]
    Conflict {
        /// What contradicts what.
        message: String,
    },
    /// The request is wrong.
    #[error("{message}")]
    Invalid {
        /// What is wrong and what would be right.
        message: String,
    },
    /// The database file cannot be opened.
    #[error("failed to open the database `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A newer Lathe wrote this database.
    #[error("the database has schema {found}, this Lathe knows up to {known}; use the newer Lathe")]
    NewerSchema {
        /// In the file.
        found: i64,
        /// In this binary.
        known: i64,
    },
    /// The database refused a statement.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// The disk is full.
    #[error("no space left for the database")]
    Full,
    /// A stored JSON text does not fit its type any more.
    #[error("a stored {noun} cannot be read")]
    Corrupt {
        /// What was read.
        noun: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// Another process held the write lock for too long.
    #[error("another process is writing to the database; try again")]
    Busy,
    /// A change broke off inside this process; it was undone.
    #[error("the change failed unexpectedly and was undone")]
    Panicked,
    /// The writer is gone; only happens while shutting down.
    #[error("the store is shut down")]
    Closed,
}

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Invalid { .. } => ErrorKind::InvalidInput,
            Self::Closed | Self::Busy => ErrorKind::Unavailable,
            Self::Full => ErrorKind::Exhausted,
            Self::Open { .. }
            | Self::NewerSchema { .. }
            | Self::Database(_)
            | Self::Corrupt { .. }
            | Self::Panicked => ErrorKind::Internal,
        }
    }
}
