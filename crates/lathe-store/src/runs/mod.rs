//! Runs: their records, what is logged to them, how they are searched.

mod inputs;
mod log_batch;
mod search;
mod whole;

pub(crate) use inputs::insert_dataset;
pub use search::RunSearch;

use lathe_types::runs::{NAME_TAG, NewRun, Run, RunChange, RunInfo, RunStatus, RunTag};
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, Lifecycle, Millis, RunId};
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, events, experiments, json};
pub(crate) use whole::whole;

const COLUMNS: &str =
    "SELECT runs.run_no, runs.run_id, runs.experiment_id, runs.name, runs.user_id, runs.status,
            runs.start_time, runs.end_time, runs.lifecycle, runs.artifact_uri";

/// A run and its number in the database.
pub(crate) struct Numbered {
    pub(crate) no: i64,
    pub(crate) info: RunInfo,
}

impl Store {
    /// Creates a run in an active experiment; `artifact_root` is where experiments without a place of their own keep
    /// artifacts.
    pub async fn create_run(&self, new: NewRun, artifact_root: String, now: Millis) -> Result<Run> {
        self.write(move |tx| {
            let experiment = experiments::get_active(tx, new.experiment_id)?;
            let artifact_uri = format!("{}/{}/artifacts", experiment.artifact_uri(&artifact_root), new.id);
            let no: i64 = tx
                .query_opt(
                    "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time, lifecycle, artifact_uri)
                     VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, 'active', ?6) RETURNING run_no",
                    &[
                        new.id.as_str().into(),
                        new.experiment_id.number().into(),
                        new.name.as_str().into(),
                        (&new.user_id).into(),
                        new.start_time.0.into(),
                        artifact_uri.into(),
                    ],
                    |row| row.get(0),
                )?
                .expect("an insert that returns has a row");
            log_batch::set_tags(tx, no, new.tags.iter().map(RunTag::tag))?;
            set_name(tx, no, new.name.as_str())?;
            let summary = format!("run `{}` started in `{}`", new.name.as_str(), experiment.name);
            let data = json!({ "experiment_id": new.experiment_id.to_string() });
            events::append(tx, now, "run.created", &subject(&new.id), &summary, &data)?;
            whole(tx, numbered(tx, &new.id)?)
        })
        .await
    }

    /// The run with everything it logged, deleted or not.
    pub async fn get_run(&self, id: RunId) -> Result<Run> {
        self.read_metrics(Some(id.clone()), move |tx| whole(tx, numbered(tx, &id)?))
            .await
    }

    /// Changes what is known of an active run.
    pub async fn update_run(&self, id: RunId, change: RunChange, now: Millis) -> Result<RunInfo> {
        self.write(move |tx| {
            let before = active(tx, &id)?;
            if let Some(status) = change.status {
                tx.execute(
                    "UPDATE runs SET status = ?2 WHERE run_no = ?1",
                    &[before.no.into(), status.as_str().into()],
                )?;
            }
            if let Some(end_time) = change.end_time {
                tx.execute(
                    "UPDATE runs SET end_time = ?2 WHERE run_no = ?1",
                    &[before.no.into(), end_time.0.into()],
                )?;
            }
            if let Some(name) = &change.name {
                set_name(tx, before.no, name.as_str())?;
            }
            let after = numbered(tx, &id)?.info;
            if after.status.is_final() && !before.info.status.is_final() {
                let summary = format!("run `{}` ended: {}", after.name, after.status.as_str());
                let data = json!({ "status": after.status.as_str() });
                events::append(tx, now, "run.finished", &subject(&id), &summary, &data)?;
            }
            Ok(after)
        })
        .await
    }

    /// Marks a run as deleted; one that is deleted already stays so.
    pub async fn delete_run(&self, id: RunId, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let run = numbered(tx, &id)?;
            if run.info.lifecycle == Lifecycle::Deleted {
                return Ok(());
            }
            tx.execute(
                "UPDATE runs SET lifecycle = 'deleted', deleted_at = ?2 WHERE run_no = ?1",
                &[run.no.into(), now.0.into()],
            )?;
            let summary = format!("run `{}` deleted; it can be restored", run.info.name);
            events::append(tx, now, "run.deleted", &subject(&id), &summary, &json!({}))
        })
        .await
    }

    /// Takes a deletion back, if there is one.
    pub async fn restore_run(&self, id: RunId, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let run = numbered(tx, &id)?;
            if run.info.lifecycle == Lifecycle::Active {
                return Ok(());
            }
            tx.execute(
                "UPDATE runs SET lifecycle = 'active', deleted_at = NULL WHERE run_no = ?1",
                &[run.no.into()],
            )?;
            let summary = format!("run `{}` restored", run.info.name);
            events::append(tx, now, "run.restored", &subject(&id), &summary, &json!({}))
        })
        .await
    }

    /// Removes a tag, which must be there.
    pub async fn delete_run_tag(&self, id: RunId, key: String) -> Result<()> {
        self.write(move |tx| {
            let run = active(tx, &id)?;
            let deleted = tx.execute(
                "DELETE FROM tags WHERE run_no = ?1 AND key = ?2",
                &[run.no.into(), (&key).into()],
            )?;
            if deleted == 0 {
                return Err(Error::NoTag {
                    key,
                    of: format!("run with id {id}"),
                });
            }
            Ok(())
        })
        .await
    }
}

/// The run of this id, deleted or not, if there is one.
pub(crate) fn find(tx: &Tx<'_>, id: &RunId) -> Result<Option<Numbered>> {
    let sql = format!("{COLUMNS} FROM runs WHERE run_id = ?1");
    tx.query_opt(&sql, &[id.as_str().into()], read)
}

/// The run of this id, deleted or not.
pub(crate) fn numbered(tx: &Tx<'_>, id: &RunId) -> Result<Numbered> {
    find(tx, id)?.ok_or_else(|| Error::NotFound {
        noun: "run",
        id: id.to_string(),
    })
}

/// The run of this id; only an active one can be changed.
pub(crate) fn active(tx: &Tx<'_>, id: &RunId) -> Result<Numbered> {
    let run = numbered(tx, id)?;
    match run.info.lifecycle {
        Lifecycle::Active => Ok(run),
        Lifecycle::Deleted => Err(Error::Invalid {
            message: format!("The run {id} must be in the 'active' state. Current state is deleted."),
        }),
    }
}

/// Keys and values of the record with this number.
pub(crate) fn pairs(tx: &Tx<'_>, sql: &str, no: i64) -> Result<Vec<Tag>> {
    tx.query(sql, &[no.into()], |row| {
        Ok(Tag {
            key: row.get(0)?,
            value: row.get(1)?,
        })
    })
}

/// Clients look for a run's name in either place.
fn set_name(tx: &Tx<'_>, no: i64, name: &str) -> Result<()> {
    log_batch::set_tag(
        tx,
        no,
        &Tag {
            key: NAME_TAG.into(),
            value: name.into(),
        },
    )
}

fn read(row: &Row<'_>) -> Result<Numbered> {
    let status: String = row.get(5)?;
    Ok(Numbered {
        no: row.get(0)?,
        info: RunInfo {
            id: json::from_word(row, 1, "run id")?,
            experiment_id: ExperimentId::new(row.get(2)?),
            name: row.get(3)?,
            user_id: row.get(4)?,
            status: RunStatus::from_name(&status).unwrap_or(RunStatus::Running),
            start_time: Millis(row.get(6)?),
            end_time: row.get::<Option<i64>>(7)?.map(Millis),
            lifecycle: experiments::lifecycle(&row.get::<String>(8)?),
            artifact_uri: row.get(9)?,
        },
    })
}

fn subject(id: &RunId) -> String {
    format!("run/{id}")
}
