use std::error::Error as StdError;
use std::sync::Arc;

use lathe_types::{ErrorKind, already_exists, does_not_exist};

/// What the store answers when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such record.
    #[error("{}", does_not_exist(noun, id))]
    NotFound {
        /// "run", "experiment"…
        noun: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The record has no tag of that key.
    #[error("No tag with name: {key} in {of}")]
    NoTag {
        /// The key.
        key: String,
        /// The record, as `run with id …`.
        of: String,
    },
    /// A record of that name exists.
    #[error("{}", already_exists(noun, id))]
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
    #[error("failed to open the database `{place}`")]
    Open {
        /// The file.
        place: String,
        /// Why.
        source: Cause,
    },
    /// The database server cannot be reached, or lets nobody in.
    #[error("failed to connect to the database `{place}`")]
    Unreachable {
        /// Where it should be, without a password.
        place: String,
        /// Why.
        source: Cause,
    },
    /// The connection to the database broke. A change that was under way may have been kept or not.
    #[error("the database went away before it had answered; try again")]
    Unavailable {
        /// Why.
        source: Cause,
    },
    /// The tables of another program lie where ours would.
    #[error(
        "the database belongs to MLflow; give Lathe one of its own and bring the records over with `lathe import mlflow`"
    )]
    Foreign,
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
    Database(#[source] Cause),
    /// A change that got in between makes this one impossible.
    #[error("the change contradicts what is stored by now; look again and repeat it")]
    Contradiction {
        /// What was violated.
        source: Cause,
    },
    /// A statement was broken off.
    #[error("the database took too long for this; ask for less at once, or try again")]
    Slow,
    /// The disk is full.
    #[error("the disk is full, nothing was kept; make room for the database")]
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

/// What a database's driver said. Shared, since it can be the fate of many changes at once.
pub type Cause = Arc<dyn StdError + Send + Sync>;

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoTag { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Conflict { .. } | Self::Contradiction { .. } => ErrorKind::Conflict,
            Self::Invalid { .. } => ErrorKind::InvalidInput,
            Self::Closed | Self::Busy | Self::Slow | Self::Unavailable { .. } | Self::Unreachable { .. } => {
                ErrorKind::Unavailable
            }
            Self::Full => ErrorKind::Full,
            Self::Open { .. }
            | Self::NewerSchema { .. }
            | Self::Foreign
            | Self::Database(_)
            | Self::Corrupt { .. }
            | Self::Panicked => ErrorKind::Internal,
        }
    }
    /// The error once more, for another change that shares its fate.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Busy => Self::Busy,
            Self::Slow => Self::Slow,
            Self::Closed => Self::Closed,
            Self::Unavailable { source } => Self::Unavailable {
                source: source.clone(),
            },
            Self::Unreachable { place, source } => Self::Unreachable {
                place: place.clone(),
                source: source.clone(),
            },
            Self::Database(source) | Self::Contradiction { source } => Self::Database(source.clone()),
            other => Self::Database(Arc::new(Shared(other.to_string()))),
        }
    }
}

/// An error of a neighbour, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(String);
