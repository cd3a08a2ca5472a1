//! The store's handle, and the thread that writes. SQLite allows one writer, so every write goes through one thread
//! and is committed with its neighbours: an acknowledged write is on disk, and many clients share one fsync.
//! PostgreSQL is written to in the same way; see `db/postgres.rs` for how several processes take turns there.

mod checkpoints;
mod foreign;
mod listener;
mod numeric;
mod placeholders;
mod postgres;
mod session;
mod sqlite;
mod stats;
mod tls;
mod value;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

pub(crate) use foreign::Foreign;
pub use session::Tx;
pub use stats::{StoreCounts, Tally};
pub use value::{Cell, FromColumn, Row, Value};

use crate::arrivals::Backlog;
use crate::caller;
use crate::location::Location;
use crate::{Error, Result, migrations};
use session::Session;
use stats::Stats;
use writer::{Fate, Reply, Write, Writer};

/// Writes that wait at most; more than this and callers wait for room.
const QUEUE_MAX: usize = 8_192;
const READERS_MAX: usize = 8;

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    location: Location,
    writes: mpsc::SyncSender<Write>,
    readers: Mutex<Vec<Session>>,
    readers_free: Arc<Semaphore>,
    commits: watch::Receiver<u64>,
    stats: Arc<Stats>,
    backlog: Backlog,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub fn open(location: &Location) -> Result<Self> {
        let (writes, queue) = mpsc::sync_channel(QUEUE_MAX);
        let (committed, commits) = watch::channel(0);
        let (opened, outcome) = mpsc::channel();
        let place = location.clone();
        let stats = Arc::new(Stats::default());
        let writer_stats = stats.clone();
        let backlog = Backlog::default();
        let writer_backlog = backlog.clone();
        // Connections to PostgreSQL cannot be made or dropped on a thread that runs asynchronous code.
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                let mut writer = match Writer::open(&place, migrations::migrate) {
                    Ok(writer) => writer,
                    Err(error) => {
                        // The caller waits for it.
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                if let Err(error) = listener::start(&place, committed.clone()) {
                    let _ = opened.send(Err(error));
                    return;
                }
                let _ = opened.send(Ok(()));
                writer.write_in_groups(&queue, &committed, &writer_stats, &writer_backlog);
            })
            .map_err(|_| Error::Closed)?;
        outcome.recv().map_err(|_| Error::Closed)??;
        Ok(Self {
            inner: Arc::new(Inner {
                location: location.clone(),
                writes,
                readers: Mutex::default(),
                readers_free: Arc::new(Semaphore::new(READERS_MAX)),
                commits,
                stats,
                backlog,
            }),
        })
    }

    /// Changes the database in one transaction: all of `change` or nothing. Returns once it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        let caller = caller::current();
        let change = move |tx: &Tx<'_>| {
            let tx = &tx.on_behalf_of(&caller);
            let value = change(tx)?;
            caller::record(tx)?;
            Ok(value)
        };
        let mut write: Write = Box::new(move |tx| {
            let outcome = match tx {
                Ok(tx) => catch_unwind(AssertUnwindSafe(|| change(tx))).unwrap_or(Err(Error::Panicked)),
                Err(error) => Err(error.again()),
            };
            let fate = if outcome.is_ok() { Fate::Keep } else { Fate::Undo };
            let reply: Reply = Box::new(move |commit| {
                let outcome = outcome.and_then(|value| match commit {
                    Ok(()) => Ok(value),
                    Err(error) => Err(error.again()),
                });
                // A caller that left needs no answer.
                let _ = done.send(outcome);
            });
            (fate, reply)
        });
        loop {
            match self.inner.writes.try_send(write) {
                Ok(()) => {
                    self.inner.stats.queued();
                    break;
                }
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
        let caller = caller::current();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut session = inner.begin_read()?;
            let result = query(&Tx::new(&session).on_behalf_of(&caller));
            // What was read was read, however the transaction ends.
            if session.rollback().is_ok() && !session.is_closed() {
                inner.readers.lock().map_err(|_| Error::Closed)?.push(session);
            }
            result
        });
        work.await.map_err(|_| Error::Closed)?
    }

    /// What the writer has done so far.
    pub fn counts(&self) -> StoreCounts {
        self.inner.stats.counts()
    }

    /// The metrics that wait for their place.
    pub(crate) fn backlog(&self) -> Backlog {
        self.inner.backlog.clone()
    }

    /// Changes whenever something was committed, by this process or (on PostgreSQL) by another one.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.commits.clone()
    }
}

impl Inner {
    /// A reader in a transaction. A connection that was cut while it lay idle is replaced.
    fn begin_read(&self) -> Result<Session> {
        let idle = self.readers.lock().map_err(|_| Error::Closed)?.pop();
        if let Some(mut session) = idle {
            match session.begin_read() {
                Ok(()) => return Ok(session),
                Err(error) if error.is_away() => {
                    let cut = std::mem::take(&mut *self.readers.lock().map_err(|_| Error::Closed)?);
                    drop(cut);
                }
                Err(error) => return Err(error),
            }
        }
        let mut session = Session::open(&self.location)?;
        session.begin_read()?;
        Ok(session)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let readers = self.readers.get_mut().map(std::mem::take).unwrap_or_default();
        if matches!(self.location, Location::Postgres(_)) && !readers.is_empty() {
            // If no thread can be started, they are dropped with the closure that was for it.
            let _ = std::thread::Builder::new().spawn(move || drop(readers));
        }
    }
}
