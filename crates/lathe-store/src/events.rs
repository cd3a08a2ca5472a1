//! The feed of the loop.

use lathe_types::Millis;
use lathe_types::events::Event;
use serde_json::Value as Json;

use crate::caller::{Reach, Sees};
use crate::sql::Sql;
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
    /// The events after `seq` that the caller may see, oldest first, at most `limit`.
    pub async fn list_events(&self, after_seq: i64, limit: usize) -> Result<Vec<Event>> {
        self.read(move |tx| {
            let mut sql = visible(tx);
            sql.push(" AND events.seq > ").bind(after_seq);
            sql.push(" ORDER BY events.seq LIMIT ").bind(limit as i64);
            sql.all(tx, event)
        })
        .await
    }

    /// The newest `limit` events that the caller may see, oldest first.
    pub async fn latest_events(&self, limit: usize) -> Result<Vec<Event>> {
        let mut events = self
            .read(move |tx| {
                let mut sql = visible(tx);
                sql.push(" ORDER BY events.seq DESC LIMIT ").bind(limit as i64);
                sql.all(tx, event)
            })
            .await?;
        events.reverse();
        Ok(events)
    }
}

/// All but those on runs and models that are not the caller's to see. What has no place in an experiment or a model is
/// for everybody who may read the feed.
fn visible(tx: &Tx<'_>) -> Sql {
    let mut sql = Sql::new(
        "SELECT events.seq, events.at, events.kind, events.subject, events.summary, events.data FROM events",
    );
    let Sees {
        experiments,
        runs,
        models,
        prompts,
        ..
    } = tx.caller().sees;
    sql.push(" WHERE TRUE");
    if runs.unwrap_or(experiments) != Reach::Everything {
        sql.push(
            " AND (events.subject NOT LIKE 'run/%' OR EXISTS (
                 SELECT 1 FROM runs WHERE runs.run_id = SUBSTR(events.subject, 5) AND ",
        )
        .visible_in(tx, "runs.experiment_id", |sees| sees.runs)
        .push("))");
    }
    if models != Reach::Everything || prompts != Reach::Everything {
        // `model/NAME` or `model/NAME/VERSION`; no name holds a slash.
        sql.push(
            " AND (events.subject NOT LIKE 'model/%' OR EXISTS (
                 SELECT 1 FROM registered_models AS m
                 WHERE SUBSTR(events.subject || '/', 7, LENGTH(m.name) + 1) = m.name || '/' AND ",
        )
        .visible_model(tx, "m.name")
        .push("))");
    }
    sql
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
