//! Experiments and their tags.

mod search;

pub use search::ExperimentSearch;

use lathe_types::access::Resource;
use lathe_types::experiments::{Experiment, ExperimentName, ExperimentTag, NewExperiment};
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, Lifecycle, Millis};

use crate::{Error, Result, Row, Store, Tx, caller};

pub(crate) const COLUMNS: &str = "experiment_id, name, artifact_location, lifecycle, created_at, updated_at";

impl Store {
    /// Creates an experiment; its name must be free, also of deleted ones.
    pub async fn create_experiment(&self, new: NewExperiment, now: Millis) -> Result<ExperimentId> {
        self.write(move |tx| {
            check_name_is_free(tx, &new.name)?;
            let id = tx
                .query_opt(
                    "INSERT INTO experiments (name, artifact_location, lifecycle, created_at, updated_at)
                     VALUES (?1, ?2, 'active', ?3, ?3) RETURNING experiment_id",
                    &[
                        new.name.as_str().into(),
                        new.artifact_location.as_ref().map(|uri| uri.as_str()).into(),
                        now.0.into(),
                    ],
                    |row| Ok(ExperimentId::new(row.get(0)?)),
                )?
                .expect("an insert that returns has a row");
            for tag in &new.tags {
                set_tag(tx, id, tag)?;
            }
            caller::owns(tx, Resource::Experiment, &id.to_string())?;
            Ok(id)
        })
        .await
    }

    /// The experiment with this id, deleted or not.
    pub async fn get_experiment(&self, id: ExperimentId) -> Result<Experiment> {
        self.read(move |tx| get(tx, id)).await
    }

    /// The experiment of this name, deleted or not.
    pub async fn get_experiment_by_name(&self, name: String) -> Result<Experiment> {
        self.read(move |tx| {
            let found = tx.query_opt(
                "SELECT experiment_id FROM experiments WHERE name = ?1",
                &[(&name).into()],
                |row| Ok(ExperimentId::new(row.get(0)?)),
            )?;
            let id = found.ok_or(Error::NotFound {
                noun: "experiment name",
                id: name,
            })?;
            get(tx, id)
        })
        .await
    }

    /// Gives an experiment another name.
    pub async fn rename_experiment(&self, id: ExperimentId, name: ExperimentName, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let experiment = get_active(tx, id)?;
            if experiment.name == name.as_str() {
                return Ok(());
            }
            check_name_is_free(tx, &name)?;
            tx.execute(
                "UPDATE experiments SET name = ?2, updated_at = ?3 WHERE experiment_id = ?1",
                &[id.number().into(), name.as_str().into(), now.0.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Marks an experiment and its runs as deleted.
    pub async fn delete_experiment(&self, id: ExperimentId, now: Millis) -> Result<()> {
        self.write(move |tx| {
            set_lifecycle(tx, id, Lifecycle::Active, Lifecycle::Deleted, now)?;
            tx.execute(
                "UPDATE runs SET lifecycle = 'deleted', deleted_at = ?2 WHERE experiment_id = ?1 AND lifecycle = 'active'",
                &[id.number().into(), now.0.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Takes a deletion back, for the experiment and all its runs.
    pub async fn restore_experiment(&self, id: ExperimentId, now: Millis) -> Result<()> {
        self.write(move |tx| {
            set_lifecycle(tx, id, Lifecycle::Deleted, Lifecycle::Active, now)?;
            tx.execute(
                "UPDATE runs SET lifecycle = 'active', deleted_at = NULL WHERE experiment_id = ?1",
                &[id.number().into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Sets a tag of an active experiment.
    pub async fn set_experiment_tag(&self, id: ExperimentId, tag: ExperimentTag) -> Result<()> {
        self.write(move |tx| {
            get_active(tx, id)?;
            set_tag(tx, id, &tag)
        })
        .await
    }

    /// Removes a tag, which must be there.
    pub async fn delete_experiment_tag(&self, id: ExperimentId, key: String) -> Result<()> {
        self.write(move |tx| {
            get_active(tx, id)?;
            let deleted = tx.execute(
                "DELETE FROM experiment_tags WHERE experiment_id = ?1 AND key = ?2",
                &[id.number().into(), (&key).into()],
            )?;
            if deleted == 0 {
                return Err(Error::NoTag {
                    key,
                    of: format!("experiment with id {id}"),
                });
            }
            Ok(())
        })
        .await
    }
}

/// The experiment with this id, deleted or not.
pub(crate) fn get(tx: &Tx<'_>, id: ExperimentId) -> Result<Experiment> {
    let found = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM experiments WHERE experiment_id = ?1"),
        &[id.number().into()],
        experiment,
    )?;
    let mut experiment = found.ok_or_else(|| not_found(id))?;
    experiment.tags = tags(tx, id)?;
    Ok(experiment)
}

/// The experiment with this id; new things can only be put into an active one.
pub(crate) fn get_active(tx: &Tx<'_>, id: ExperimentId) -> Result<Experiment> {
    let experiment = get(tx, id)?;
    match experiment.lifecycle {
        Lifecycle::Active => Ok(experiment),
        Lifecycle::Deleted => Err(Error::Invalid {
            message: format!("The experiment {id} must be in the 'active' state. Current state is deleted."),
        }),
    }
}

/// Reads the columns `COLUMNS`; the tags come separately.
pub(crate) fn experiment(row: &Row<'_>) -> Result<Experiment> {
    Ok(Experiment {
        id: ExperimentId::new(row.get(0)?),
        name: row.get(1)?,
        artifact_location: row.get(2)?,
        lifecycle: lifecycle(&row.get::<String>(3)?),
        created_at: row.get::<Option<i64>>(4)?.map(Millis),
        updated_at: row.get::<Option<i64>>(5)?.map(Millis),
        tags: Vec::new(),
    })
}

/// The stored word of a lifecycle.
pub(crate) fn lifecycle(word: &str) -> Lifecycle {
    match word {
        "active" => Lifecycle::Active,
        _ => Lifecycle::Deleted,
    }
}

pub(crate) fn tags(tx: &Tx<'_>, id: ExperimentId) -> Result<Vec<Tag>> {
    tx.query(
        "SELECT key, value FROM experiment_tags WHERE experiment_id = ?1 ORDER BY key",
        &[id.number().into()],
        |row| {
            Ok(Tag {
                key: row.get(0)?,
                value: row.get(1)?,
            })
        },
    )
}

fn set_tag(tx: &Tx<'_>, id: ExperimentId, tag: &ExperimentTag) -> Result<()> {
    let Tag { key, value } = tag.tag();
    tx.execute(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
        &[id.number().into(), key.into(), value.into()],
    )?;
    Ok(())
}

fn set_lifecycle(tx: &Tx<'_>, id: ExperimentId, from: Lifecycle, to: Lifecycle, now: Millis) -> Result<()> {
    let changed = tx.execute(
        "UPDATE experiments SET lifecycle = ?3, updated_at = ?4 WHERE experiment_id = ?1 AND lifecycle = ?2",
        &[
            id.number().into(),
            from.as_str().into(),
            to.as_str().into(),
            now.0.into(),
        ],
    )?;
    // Clients expect that deleting twice fails as if the experiment had never been there.
    if changed == 0 { Err(not_found(id)) } else { Ok(()) }
}

fn check_name_is_free(tx: &Tx<'_>, name: &ExperimentName) -> Result<()> {
    let taken = tx.query_opt(
        "SELECT 1 FROM experiments WHERE name = ?1",
        &[name.as_str().into()],
        |_| Ok(()),
    )?;
    match taken {
        None => Ok(()),
        Some(()) => Err(Error::AlreadyExists {
            noun: "experiment",
            id: name.as_str().to_owned(),
        }),
    }
}

fn not_found(id: ExperimentId) -> Error {
    Error::NotFound {
        noun: "experiment",
        id: id.to_string(),
    }
}
