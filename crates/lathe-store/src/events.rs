//! The feed of the loop.

use lathe_types::Millis;
use lathe_types::events::Event;
use serde_json::Value as Json;

use crate::{Error, Result, Row, Store, Tx};

/// Appends one line to the feed, in the transaction of the change it tells of.
pub fn append(tx: &Tx<'_>, at: Millis, kind: &str, subject: &str, summary: &str, data: &Json) -> Result<()> {
    tx.execute(
        "INSERT INTO events (at, kind, subject, summary, data) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            at.0.into(),
            kind.into(),
            subject.into(),
            summary.into(),
            data.to_string().into(),
        ],
    )?;
    Ok(())
}

impl Store {
    /// The events after `seq`, oldest first, at most `limit`.
    pub async fn list_events(&self, after_seq: i64, limit: usize) -> Result<Vec<Event>> {
        self.read(move |tx| {
            tx.query(
                "SELECT seq, at, kind, subject, summary, data FROM events WHERE ?1 < seq ORDER BY seq LIMIT ?2",
                &[after_seq.into(), (limit as i64).into()],
                event,
            )
        })
        .await
    }

    /// The newest `limit` events, oldest first.
    pub async fn latest_events(&self, limit: usize) -> Result<Vec<Event>> {
        let mut events = self
            .read(move |tx| {
                tx.query(
                    "SELECT seq, at, kind, subject, summary, data FROM events ORDER BY seq DESC LIMIT ?1",
                    &[(limit as i64).into()],
                    event,
                )
            })
            .await?;
        events.reverse();
        Ok(events)
    }
}

fn event(row: &Row<'_>) -> Result<Event> {
    let data: String = row.get(5)?;
    Ok(Event {
        seq: row.get(0)?,
        at: Millis(row.get(1)?),
        kind: row.get(2)?,
        subject: row.get(3)?,
        summary: row.get(4)?,
        data: serde_json::from_str(&data).map_err(|source| Error::Corrupt {
            noun: "event",
            source,
        })?,
    })
}
