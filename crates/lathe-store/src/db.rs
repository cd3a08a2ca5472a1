//! The one place that knows the database driver. SQLite allows one writer, so every write goes through one thread
//! and is committed with its neighbours: an acknowledged write is on disk, and many clients share one fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::{Error, Result, migrations};

/// Writes that share one commit at most; bounds how long the first of them waits.
const GROUP_MAX: usize = 512;
/// Writes that wait at most; more than this and callers wait for room.
const QUEUE_MAX: usize = 8_192;
const READERS_MAX: usize = 8;

/// Where the database lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file, created if absent.
    Sqlite(PathBuf),
}

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writes: mpsc::SyncSender<Write>,
    readers: Mutex<Vec<Connection>>,
    readers_free: Arc<Semaphore>,
    commits: watch::Receiver<u64>,
}

/// One caller's change. Runs in a savepoint; what it returns is called after the commit that made it durable.
/// Without a transaction it only says that the database was busy.
type Write = Box<dyn FnOnce(Option<&Tx<'_>>) -> (Fate, Reply) + Send>;
type Reply = Box<dyn FnOnce(std::result::Result<(), &rusqlite::Error>) + Send>;

enum Fate {
    Keep,
    Undo,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub fn open(location: &Location) -> Result<Self> {
        let Location::Sqlite(path) = location;
        let mut connection = connect(path)?;
        {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            migrations::migrate(&Tx {
                connection: &transaction,
            })?;
            transaction.commit()?;
        }
        let (writes, queue) = mpsc::sync_channel(QUEUE_MAX);
        let (committed, commits) = watch::channel(0);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_in_groups(&mut connection, &queue, &committed))
            .map_err(|_| Error::Closed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.clone(),
                writes,
                readers: Mutex::default(),
                readers_free: Arc::new(Semaphore::new(READERS_MAX)),
                commits,
            }),
        })
    }

    /// Changes the database in one transaction: all of `change` or nothing. Returns once it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        let mut write: Write = Box::new(move |tx| {
            let outcome = match tx {
                Some(tx) => catch_unwind(AssertUnwindSafe(|| change(tx))).unwrap_or(Err(Error::Panicked)),
                None => Err(Error::Busy),
            };
            let fate = if outcome.is_ok() { Fate::Keep } else { Fate::Undo };
            let reply: Reply = Box::new(move |commit| {
                let outcome = outcome.and_then(|value| match commit {
                    Ok(()) => Ok(value),
                    Err(error) => Err(commit_error(error)),
                });
                // A caller that left needs no answer.
                let _ = done.send(outcome);
            });
            (fate, reply)
        });
        loop {
            match self.inner.writes.try_send(write) {
                Ok(()) => break,
                Err(mpsc::TrySendError::Disconnected(_)) => return Err(Error::Closed),
                Err(mpsc::TrySendError::Full(back)) => {
                    write = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        result.await.map_err(|_| Error::Closed)?
    }

    /// Reads one consistent state of the database.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self
            .inner
            .readers_free
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let inner = self.inner.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = inner.readers.lock().map_err(|_| Error::Closed)?.pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(&inner.path)?,
            };
            let result = {
                let transaction = connection.transaction()?;
                query(&Tx {
                    connection: &transaction,
                })
            };
            inner.readers.lock().map_err(|_| Error::Closed)?.push(connection);
            result
        });
        work.await.map_err(|_| Error::Closed)?
    }

    /// Changes whenever this process has committed something.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.commits.clone()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

fn connect(path: &Path) -> Result<Connection> {
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
        connection.set_prepared_statement_cache_capacity(256);
        Ok(connection)
    };
    open().map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })
}

fn write_in_groups(
    connection: &mut Connection,
    queue: &mpsc::Receiver<Write>,
    committed: &watch::Sender<u64>,
) {
    while let Ok(first) = queue.recv() {
        let mut replies = Vec::new();
        let changes = connection.total_changes();
        let result = commit_group(connection, first, queue, &mut replies);
        // A worker that looks for a job and finds none must not wake itself.
        if result.is_ok() && changes != connection.total_changes() {
            committed.send_modify(|count| *count += 1);
        }
        for reply in replies {
            reply(result.as_ref().copied());
        }
    }
}

fn commit_group(
    connection: &mut Connection,
    first: Write,
    queue: &mpsc::Receiver<Write>,
    replies: &mut Vec<Reply>,
) -> rusqlite::Result<()> {
    let transaction = match connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            replies.push(first(None).1);
            return Err(error);
        }
    };
    let tx = Tx {
        connection: &transaction,
    };
    let mut next = Some(first);
    while let Some(write) = next {
        transaction.execute_batch("SAVEPOINT change")?;
        let (fate, reply) = write(Some(&tx));
        replies.push(reply);
        match fate {
            Fate::Keep => transaction.execute_batch("RELEASE change")?,
            Fate::Undo => transaction.execute_batch("ROLLBACK TO change; RELEASE change")?,
        }
        next = if replies.len() < GROUP_MAX {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    transaction.commit()
}

fn commit_error(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full,
        _ => Error::Conflict {
            message: format!("the change could not be committed: {error}"),
        },
    }
}

/// One transaction: what a change or a query sees.
pub struct Tx<'a> {
    connection: &'a Connection,
}

impl Tx<'_> {
    /// Runs one statement; returns the number of rows it changed.
    pub fn execute(&self, sql: &str, params: &[Value]) -> Result<usize> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .execute(rusqlite::params_from_iter(params))?)
    }

    /// Runs statements that take no parameters.
    pub fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.connection.execute_batch(sql)?)
    }

    /// Every row of a query.
    pub fn query<T>(
        &self,
        sql: &str,
        params: &[Value],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = Vec::new();
        self.for_each(sql, params, |row| {
            items.push(read(row)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// The first row of a query, if there is one.
    pub fn query_opt<T>(
        &self,
        sql: &str,
        params: &[Value],
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        rows.next()?.map(|row| read(&Row { row })).transpose()
    }

    /// Hands every row of a query to `visit`, without keeping any.
    pub fn for_each(
        &self,
        sql: &str,
        params: &[Value],
        mut visit: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            visit(&Row { row })?;
        }
        Ok(())
    }
}

/// One row of a result.
pub struct Row<'a> {
    row: &'a rusqlite::Row<'a>,
}

impl Row<'_> {
    /// The column at `index`, from 0. `i64`, `f64`, `bool`, `String`, `Vec<u8>`, or an `Option` of one.
    pub fn get<T: FromSql>(&self, index: usize) -> Result<T> {
        Ok(self.row.get(index)?)
    }
}

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// A whole number; also booleans, as 0 and 1.
    Int(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
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

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    i64 => |v| Self::Int(v),
    u32 => |v| Self::Int(v.into()),
    bool => |v| Self::Int(v.into()),
    f64 => |v| Self::Real(v),
    String => |v| Self::Text(v),
    &String => |v| Self::Text(v.clone()),
    &str => |v| Self::Text(v.to_owned()),
    Vec<u8> => |v| Self::Blob(v),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
