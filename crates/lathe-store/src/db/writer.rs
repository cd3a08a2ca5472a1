//! The one thread of a process that writes: changes that wait are committed together, each undone by itself if it
//! fails.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::checkpoints::Checkpoints;
use super::session::{Session, Tx};
use super::sqlite::Sqlite;
use super::stats::Stats;
use crate::arrivals::Backlog;
use crate::location::Location;
use crate::{Error, Result};

/// Writes that share one commit at most; bounds how long the first of them waits.
const GROUP_MAX: usize = 512;
/// PostgreSQL keeps the state of this many savepoints at hand for each transaction.
const GROUP_MAX_POSTGRES: usize = 64;
/// Without a change for so long, metrics are moved to their place.
const QUIET: Duration = Duration::from_millis(20);
/// The longest wait before that is tried again after it failed.
const RETRY: Duration = Duration::from_secs(5);
/// How long writes wait for a database that went away: about what a restart takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// One caller's change. Runs in a savepoint; what it returns is called after the commit that made it durable.
/// Without a transaction it only says why there is none.
pub(super) type Write = Box<dyn FnOnce(Result<&Tx<'_>, &Error>) -> (Fate, Reply) + Send>;
pub(super) type Reply = Box<dyn FnOnce(Result<(), &Error>) + Send>;

pub(super) enum Fate {
    Keep,
    Undo,
}

/// A reply that waits for the commit, unless its change failed by itself.
struct Waiting {
    reply: Reply,
    failed: Option<Error>,
}

pub(super) struct Writer {
    location: Location,
    session: Option<Session>,
    checkpoints: Checkpoints,
}

impl Writer {
    /// Opens the database and lets `prepare` bring it up to date in a transaction.
    pub(super) fn open(location: &Location, prepare: impl FnOnce(&Tx<'_>) -> Result<()>) -> Result<Self> {
        let mut session = Session::establish(location)?;
        session.begin_write()?;
        prepare(&Tx::new(&session))?;
        session.commit()?;
        Ok(Self {
            location: location.clone(),
            session: Some(session),
            checkpoints: Checkpoints::start(location)?,
        })
    }

    pub(super) fn write_in_groups(
        &mut self,
        queue: &mpsc::Receiver<Write>,
        committed: &watch::Sender<u64>,
        stats: &Stats,
        backlog: &Backlog,
    ) {
        // How long the queue must be empty before metrics are moved.
        let mut wait = QUIET;
        loop {
            if backlog.is_long() {
                self.shorten(backlog);
            }
            let next = match backlog.is_empty() {
                true => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => queue.recv_timeout(wait),
            };
            let first = match next {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    wait = match self.shorten(backlog) {
                        true => Duration::ZERO,
                        false => (wait * 2).clamp(QUIET, RETRY),
                    };
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            wait = wait.max(QUIET);
            let began = Instant::now();
            let mut waiting = Vec::new();
            let result = match self.begin() {
                Ok(session) => commit_group(session, first, queue, &mut waiting),
                Err(error) => {
                    // Whoever waited beside it has waited long enough too.
                    let others = std::iter::from_fn(|| queue.try_recv().ok());
                    let mut given_up = 0;
                    for write in std::iter::once(first).chain(others.take(super::QUEUE_MAX)) {
                        write(Err(&error)).1(Err(&error));
                        given_up += 1;
                    }
                    stats.committed(given_up, began.elapsed());
                    continue;
                }
            };
            if result.is_err() {
                self.recover();
            }
            self.checkpoints.log_has(Sqlite::log_pages());
            // A worker that looks for a job and finds none must not wake itself.
            if let Ok(true) = result {
                committed.send_modify(|count| *count += 1);
            }
            let result = result.map(|_| ());
            stats.committed(waiting.len(), began.elapsed());
            for Waiting { reply, failed } in waiting {
                reply(match &failed {
                    Some(error) => Err(error),
                    None => result.as_ref().copied(),
                });
            }
            self.finish_log();
        }
    }

    /// Copies the little of SQLite's log that its thread left, so that it begins anew.
    fn finish_log(&self) {
        if let (true, Some(Session::Sqlite(session))) = (self.checkpoints.little_left(), &self.session) {
            // If it fails, the next commit that finds the log long has it copied again.
            let _ = session.checkpoint();
        }
    }

    /// Moves some of the metrics that wait; whether that went well. What fails is tried again later, or by the reader that
    /// needs it, who is told why.
    fn shorten(&mut self, backlog: &Backlog) -> bool {
        let shorten = |session: &mut Session| {
            session.begin_upkeep()?;
            session.savepoint()?;
            backlog.shorten(&Tx::new(session))?;
            session.keep()?;
            session.commit()
        };
        let done = self.session().and_then(shorten);
        if done.is_err() {
            self.recover();
        }
        let ended = self.session.as_ref().map_or(Ok(()), Session::end_upkeep);
        if ended.is_err() {
            // A session that does not wait for the disk must not acknowledge anything.
            self.session = None;
        }
        self.checkpoints.log_has(Sqlite::log_pages());
        done.is_ok() && ended.is_ok()
    }

    /// A session in a transaction. A database that went away is waited for.
    fn begin(&mut self) -> Result<&mut Session> {
        let give_up = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_begin() {
                Ok(()) => break,
                Err(error) if error.is_away() && Instant::now() + pause < give_up => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                Err(error) => return Err(error),
            }
        }
        self.session.as_mut().ok_or(Error::Closed)
    }

    fn try_begin(&mut self) -> Result<()> {
        let begun = self.session()?.begin_write();
        if begun.is_err() {
            self.recover();
        }
        begun
    }

    fn session(&mut self) -> Result<&mut Session> {
        Ok(match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::open(&self.location)?),
        })
    }

    /// Leaves a transaction that failed; a connection that cannot is given up.
    fn recover(&mut self) {
        let usable = |session: &mut Session| session.rollback().is_ok() && !session.is_closed();
        if !self.session.as_mut().is_some_and(usable) {
            self.session = None;
        }
    }
}

/// Commits the first change with those that wait behind it; whether anything was changed.
fn commit_group(
    session: &mut Session,
    first: Write,
    queue: &mpsc::Receiver<Write>,
    waiting: &mut Vec<Waiting>,
) -> Result<bool> {
    let group_max = match session {
        Session::Sqlite(_) => GROUP_MAX,
        Session::Postgres(_) => GROUP_MAX_POSTGRES,
    };
    let mut next = Some(first);
    while let Some(write) = next {
        if let Err(error) = session.savepoint() {
            let (_, reply) = write(Err(&error));
            waiting.push(Waiting { reply, failed: None });
            return Err(error);
        }
        let (fate, reply) = write(Ok(&Tx::new(session)));
        let (ended, failed) = match fate {
            Fate::Keep => match session.keep() {
                // The change was undone alone; the others live.
                Err(error @ Error::Database(_)) => (Ok(()), Some(error)),
                kept => (kept, None),
            },
            Fate::Undo => (session.undo(), None),
        };
        waiting.push(Waiting { reply, failed });
        ended?;
        next = if waiting.len() < group_max {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    session.commit()
}
