//! Copies what SQLite's log holds into the database file beside the writer: sixteen megabytes take tens of milliseconds,
//! which no caller has to wait for.

use std::path::Path;
use std::sync::mpsc;

use super::sqlite::Sqlite;
use crate::location::Location;
use crate::{Error, Result};

/// Pages of the log from which on it is copied: 16 MiB.
const PAGES: u32 = 4_096;

/// A thread that copies when it is told to, and ends when this is dropped.
pub(super) struct Checkpoints {
    due: Option<mpsc::SyncSender<()>>,
}

impl Checkpoints {
    /// Starts the thread. PostgreSQL looks after its own log.
    pub(super) fn start(location: &Location) -> Result<Self> {
        let Location::Sqlite(path) = location else {
            return Ok(Self { due: None });
        };
        let (due, asked) = mpsc::sync_channel(1);
        let path = path.clone();
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || copy_when_asked(&path, &asked))
            .map_err(|_| Error::Closed)?;
        Ok(Self { due: Some(due) })
    }

    /// The log has so many pages now.
    pub(super) fn log_has(&self, pages: u32) {
        if let (Some(due), true) = (&self.due, PAGES <= pages) {
            // If it was told already, that will do.
            let _ = due.try_send(());
        }
    }
}

fn copy_when_asked(path: &Path, asked: &mpsc::Receiver<()>) {
    let mut session = None;
    while asked.recv().is_ok() {
        if session.is_none() {
            session = Sqlite::open(path).ok();
        }
        // What is not copied now stays in the log, and the writer copies that when it is very long.
        if session
            .as_ref()
            .is_some_and(|session| session.checkpoint().is_err())
        {
            session = None;
        }
    }
}
