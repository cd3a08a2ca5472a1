//! What may change of a trace, and its end.

use lathe_types::RunId;
use lathe_types::tags::Tag;
use lathe_types::traces::{NAME_TAG, TraceDeletion, TraceId};

use super::{Pairs, link, number, set_pairs};
use crate::sql::Sql;
use crate::{Error, Result, Store, Tx, runs};

/// Traces deleted by one statement.
const DELETED_AT_ONCE: usize = 500;
/// Everything that belongs to a trace.
const PARTS: [&str; 9] = [
    "DELETE FROM span_attributes",
    "DELETE FROM span_contents",
    "DELETE FROM spans",
    "DELETE FROM assessments",
    "DELETE FROM trace_prompts",
    "DELETE FROM trace_runs",
    "DELETE FROM trace_metadata",
    "DELETE FROM trace_tags",
    "DELETE FROM traces",
];

impl Store {
    /// Sets a tag.
    pub async fn set_trace_tag(&self, id: TraceId, tag: Tag) -> Result<()> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            if tag.key == NAME_TAG {
                tx.execute(
                    "UPDATE traces SET name = ?2 WHERE trace_no = ?1",
                    &[no.into(), tag.value.into()],
                )?;
                return Ok(());
            }
            set_pairs(tx, Pairs::Tags, no, [&tag])
        })
        .await
    }

    /// Removes a tag, which must be there.
    pub async fn delete_trace_tag(&self, id: TraceId, key: String) -> Result<()> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            let deleted = match key.as_str() {
                NAME_TAG => tx.execute(
                    "UPDATE traces SET name = NULL WHERE trace_no = ?1 AND name IS NOT NULL",
                    &[no.into()],
                )?,
                key => tx.execute(
                    "DELETE FROM trace_tags WHERE trace_no = ?1 AND key = ?2",
                    &[no.into(), key.into()],
                )?,
            };
            if deleted == 0 {
                return Err(Error::NotFound {
                    noun: "trace tag",
                    id: key,
                });
            }
            Ok(())
        })
        .await
    }

    /// Links traces to a run; those that nobody knows are passed over, as clients send them before their traces.
    pub async fn link_traces(&self, traces: Vec<TraceId>, run: RunId) -> Result<()> {
        self.write(move |tx| {
            runs::numbered(tx, &run)?;
            for id in &traces {
                match number(tx, id) {
                    Ok(no) => link(tx, no, run.as_str())?,
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }

    /// Says which prompt versions a trace used, each as `name/version`.
    pub async fn link_prompts(&self, id: TraceId, prompts: Vec<String>) -> Result<()> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            for prompt in prompts {
                tx.execute(
                    "INSERT INTO trace_prompts (trace_no, prompt) VALUES (?1, ?2)
                     ON CONFLICT (trace_no, prompt) DO NOTHING",
                    &[no.into(), prompt.into()],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Deletes traces with all that belongs to them; how many there were.
    pub async fn delete_traces(&self, which: TraceDeletion) -> Result<i64> {
        self.write(move |tx| {
            let mut sql = Sql::new("SELECT trace_no FROM traces WHERE experiment_id = ");
            sql.bind(which.experiment_id.number());
            if let Some(until) = which.until {
                sql.push(" AND started_at <= ").bind(until.0);
            }
            if !which.ids.is_empty() {
                sql.push(" AND trace_id IN ");
                sql.bind_list(which.ids.iter().map(TraceId::as_str));
            }
            sql.push(" ORDER BY started_at, trace_id");
            if let Some(limit) = which.limit {
                sql.push(" LIMIT ").bind(limit);
            }
            let numbers: Vec<i64> = sql.all(tx, |row| row.get(0))?;
            delete(tx, &numbers)?;
            Ok(numbers.len() as i64)
        })
        .await
    }
}

/// Deletes the traces of these numbers.
fn delete(tx: &Tx<'_>, numbers: &[i64]) -> Result<()> {
    for numbers in numbers.chunks(DELETED_AT_ONCE) {
        for part in PARTS {
            let mut sql = Sql::new(part);
            sql.push(" WHERE trace_no IN ").bind_list(numbers.iter().copied());
            sql.execute(tx)?;
        }
    }
    Ok(())
}
