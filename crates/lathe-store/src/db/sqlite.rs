//! SQLite: a file in WAL mode, synced before every acknowledgement.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::value::{Row, Source, Value};
use crate::{Error, Result, pattern};

/// Pages of the log from which on whoever commits copies them, 64 MiB; `checkpoints.rs` does it before.
const LOG_PAGES_MAX: u32 = 16_384;

thread_local! {
    /// Pages of the log after the last commit on this thread.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// A connection to a file.
pub(super) struct Sqlite {
    connection: Connection,
    changes_before: u64,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(30))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "foreign_keys", "on")?;
            connection.pragma_update(None, "case_sensitive_like", "on")?;
            // In KiB: a group of batches changes a page for each of its metrics, which would else be written twice.
            connection.pragma_update(None, "cache_size", -8_192)?;
            connection.wal_hook(Some(after_commit));
            connection.set_prepared_statement_cache_capacity(256);
            connection.create_scalar_function(
                "regexp",
                2,
                FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
                matches,
            )?;
            Ok(connection)
        };
        let connection = open().map_err(|source| Error::Open {
            place: PathBuf::from(path).display().to_string(),
            source: Arc::new(source),
        })?;
        Ok(Self {
            connection,
            changes_before: 0,
        })
    }

    /// Opens a file that somebody else owns: nothing of it is changed, not even how it keeps its journal.
    pub(super) fn open_foreign(path: &Path) -> Result<Self> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(30))?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let connection = open().map_err(|source| Error::Open {
            place: path.display().to_string(),
            source: Arc::new(source),
        })?;
        Ok(Self {
            connection,
            changes_before: 0,
        })
    }

    pub(super) fn begin_write(&mut self) -> Result<()> {
        self.changes_before = self.connection.total_changes();
        self.run("BEGIN IMMEDIATE")
    }

    /// Begins what nobody waits for: it may be lost with the power, and is on disk when the next change is.
    pub(super) fn begin_upkeep(&mut self) -> Result<()> {
        self.connection.pragma_update(None, "synchronous", "normal")?;
        self.begin_write()
    }

    /// Ends what `begin_upkeep` began, however it went.
    pub(super) fn end_upkeep(&self) -> Result<()> {
        Ok(self.connection.pragma_update(None, "synchronous", "full")?)
    }

    /// Pages of the log after the last commit on this thread.
    pub(super) fn log_pages() -> u32 {
        LOG_PAGES.get()
    }

    /// Copies what it can of the log into the file, without waiting for anybody; how many pages the log has.
    pub(super) fn checkpoint(&self) -> Result<u32> {
        Ok(self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?)
    }

    pub(super) fn begin_read(&mut self) -> Result<()> {
        self.run("BEGIN")
    }

    /// Begins one caller's change within the transaction.
    pub(super) fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT change")
    }

    pub(super) fn keep(&mut self) -> Result<()> {
        self.still_inside()?;
        self.run("RELEASE change")
    }

    pub(super) fn undo(&mut self) -> Result<()> {
        self.still_inside()?;
        self.run("ROLLBACK TO change")?;
        self.run("RELEASE change")
    }

    /// A full disk can make SQLite end the whole transaction by itself, with all that was kept in it.
    fn still_inside(&self) -> Result<()> {
        match self.connection.is_autocommit() {
            true => Err(Error::Full),
            false => Ok(()),
        }
    }

    /// Makes the transaction durable; whether it changed anything.
    pub(super) fn commit(&mut self) -> Result<bool> {
        self.run("COMMIT")?;
        Ok(self.changes_before != self.connection.total_changes())
    }

    pub(super) fn rollback(&mut self) -> Result<()> {
        match self.connection.is_autocommit() {
            true => Ok(()),
            false => self.run("ROLLBACK"),
        }
    }

    fn run(&self, sql: &'static str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    pub(super) fn execute(&self, sql: &str, params: &[Value]) -> Result<usize> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .execute(rusqlite::params_from_iter(params))?)
    }

    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.connection.execute_batch(sql)?)
    }

    pub(super) fn for_each(
        &self,
        sql: &str,
        params: &[Value],
        mut visit: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            if !visit(&Row(Source::Sqlite(row)))? {
                break;
            }
        }
        Ok(())
    }
}

/// Never fails: the commit is done.
fn after_commit(log: &Wal, pages: std::ffi::c_int) -> rusqlite::Result<()> {
    let pages = u32::try_from(pages).unwrap_or(0);
    LOG_PAGES.set(pages);
    if LOG_PAGES_MAX <= pages {
        // Without it the log grows until the next commit tries again.
        let _ = log.checkpoint();
    }
    Ok(())
}

/// `text REGEXP pattern`: whether the pattern is found anywhere in the text. Compiled once for each statement.
fn matches(context: &Context<'_>) -> rusqlite::Result<bool> {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let pattern: Arc<Regex> = context.get_or_create_aux(0, |value| -> std::result::Result<_, Failure> {
        Ok(pattern::compile(value.as_str()?)?)
    })?;
    Ok(match context.get_raw(1) {
        ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| pattern.is_match(text)),
        _ => false,
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::ConstraintViolation) => Self::Contradiction {
                source: Arc::new(error),
            },
            _ => Self::Database(Arc::new(error)),
        }
    }
}
