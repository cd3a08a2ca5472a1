//! Copies what SQLite's log holds into the database file beside the writer: sixteen megabytes take tens of milliseconds,
//! which no caller has to wait for.
//!
//! The log begins anew only when all of it was copied, and meanwhile the writer adds to it. So it is copied again and again,
//! less each time, and what is left in the end the writer copies itself, between two changes: without that, a log under load
//! would grow until one commit had to copy all of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::sqlite::Sqlite;
use crate::location::Location;
use crate::{Error, Result};

/// Pages of the log from which on it is copied: 16 MiB.
const PAGES: u32 = 4_096;
/// So few pages are no work: 1 MiB.
const LITTLE: u32 = 256;
/// How often the log is copied in a row.
const PASSES: usize = 6;

/// A thread that copies when it is told to, and ends when this is dropped.
pub(super) struct Checkpoints {
    due: Option<mpsc::SyncSender<()>>,
    little_left: Arc<AtomicBool>,
}

impl Checkpoints {
    /// Starts the thread. PostgreSQL looks after its own log.
    pub(super) fn start(location: &Location) -> Result<Self> {
        let little_left = Arc::new(AtomicBool::new(false));
        let Location::Sqlite(path) = location else {
            return Ok(Self {
                due: None,
                little_left,
            });
        };
        let (due, asked) = mpsc::sync_channel(1);
        let path = path.clone();
        let told = little_left.clone();
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || copy_when_asked(&path, &asked, &told))
            .map_err(|_| Error::Closed)?;
        Ok(Self {
            due: Some(due),
            little_left,
        })
    }

    /// The log has so many pages now.
    pub(super) fn log_has(&self, pages: u32) {
        if let (Some(due), true) = (&self.due, PAGES <= pages) {
            // If it was told already, that will do.
            let _ = due.try_send(());
        }
    }

    /// Whether the writer has to copy what is left; told once.
    pub(super) fn little_left(&self) -> bool {
        self.little_left.swap(false, Ordering::Relaxed)
    }
}

fn copy_when_asked(path: &Path, asked: &mpsc::Receiver<()>, little_left: &AtomicBool) {
    let mut session = None;
    while asked.recv().is_ok() {
        if session.is_none() {
            session = Sqlite::open(path).ok();
        }
        let Some(open) = &session else { continue };
        match copy(open) {
            Ok(is_little) => little_left.store(is_little, Ordering::Relaxed),
            // What is not copied now stays in the log, and the writer copies that when it is very long.
            Err(_) => session = None,
        }
    }
}

/// Copies until only a little was added meanwhile, if that comes.
fn copy(session: &Sqlite) -> Result<bool> {
    let mut before = session.checkpoint()?;
    for _ in 1..PASSES {
        let pages = session.checkpoint()?;
        // A log that became shorter began anew: there is nothing to do.
        if pages < before {
            return Ok(false);
        }
        if pages - before <= LITTLE {
            return Ok(true);
        }
        before = pages;
    }
    Ok(true)
}
