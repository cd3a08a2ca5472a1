//! Hears of commits of every process that uses the same PostgreSQL schema.

use std::time::Duration;

use fallible_iterator::FallibleIterator;
use tokio::sync::watch;

use super::postgres::{CHANNEL, LISTENING, client};
use crate::location::{Location, Postgres};
use crate::{Error, Result};

/// Starts a thread that counts commits until nobody looks at them any more. SQLite's writer counts by itself.
pub(super) fn start(location: &Location, committed: watch::Sender<u64>) -> Result<()> {
    let Location::Postgres(place) = location else {
        return Ok(());
    };
    let place = place.clone();
    std::thread::Builder::new()
        .name("store-listener".into())
        .spawn(move || {
            while !committed.is_closed() {
                // A database that went away is looked for again; meanwhile whoever waits looks by himself.
                let _ = listen(&place, &committed);
                count(&committed);
                std::thread::sleep(Duration::from_secs(1));
            }
        })
        .map_err(|_| Error::Closed)?;
    Ok(())
}

fn listen(place: &Postgres, committed: &watch::Sender<u64>) -> Result<()> {
    let mut client = client(place, false)?;
    client.batch_execute(&format!("LISTEN {CHANNEL}"))?;
    let schema: String = client
        .query_one("SELECT current_schema()::TEXT", &[])?
        .try_get(0)?;
    // Something may have been committed before.
    count(committed);
    while !committed.is_closed() && !client.is_closed() {
        let told = client.notifications().timeout_iter(LISTENING).next()?;
        if told.is_some_and(|told| told.payload() == schema) {
            count(committed);
        }
    }
    Ok(())
}

fn count(committed: &watch::Sender<u64>) {
    committed.send_modify(|count| *count += 1);
}
