//! Removes for good what was deleted. Rows go first, in one transaction that leaves a tombstone for the artifacts; whoever
//! deletes those takes the tombstone away. So nothing is ever there by half, and an interruption loses nothing.

use lathe_types::{ExperimentId, Millis, RunId};

use crate::{Error, Result, Store, Tx, Value};

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub struct GcWanted {
    /// Only what was deleted before.
    pub before: Option<Millis>,
    /// Only these runs; they must be deleted.
    pub runs: Vec<RunId>,
    /// Only these experiments with all they hold; they must be deleted.
    pub experiments: Vec<ExperimentId>,
}

/// A kind of record that can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removable {
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
    /// An experiment.
    Experiment,
}

impl Removable {
    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::Experiment => "experiment",
        }
    }
}

/// A record that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Its kind.
    pub kind: Removable,
    /// Its id.
    pub id: String,
    /// Where its artifacts lie.
    pub location: Option<String>,
    /// Why it stays; none if it goes.
    pub kept_by: Option<String>,
}

/// A record that was deleted, as the database has it.
struct Found {
    no: i64,
    id: String,
    location: String,
    deleted_at: Option<i64>,
    experiment: i64,
}

impl Store {
    /// What would be removed, runs and logged models before their experiments; and what stays since something needs it.
    pub async fn gc_plan(&self, wanted: GcWanted) -> Result<Vec<Doomed>> {
        self.read(move |tx| plan(tx, &wanted)).await
    }

    /// Removes a record, if it is still deleted and nothing needs it; a tombstone stays for its artifacts.
    pub async fn bury(&self, doomed: Doomed) -> Result<bool> {
        self.write(move |tx| bury(tx, &doomed)).await
    }

    /// Artifacts that are still to be deleted.
    pub async fn tombstones(&self) -> Result<Vec<String>> {
        self.read(|tx| {
            tx.query(
                "SELECT location FROM artifact_tombstones ORDER BY location",
                &[],
                |row| row.get(0),
            )
        })
        .await
    }

    /// The artifacts are gone, or somebody else's.
    pub async fn remove_tombstone(&self, location: String) -> Result<()> {
        self.write(move |tx| {
            tx.execute(
                "DELETE FROM artifact_tombstones WHERE location = ?1",
                &[location.into()],
            )
            .map(drop)
        })
        .await
    }
}

const RUNS: &str =
    "SELECT run_no, run_id, artifact_uri, deleted_at, experiment_id FROM runs WHERE lifecycle = 'deleted'";
const MODELS: &str =
    "SELECT model_no, model_id, artifact_location, deleted_at, experiment_id FROM logged_models
                      WHERE deleted_at IS NOT NULL";
const EXPERIMENTS: &str =
    "SELECT experiment_id, CAST(experiment_id AS TEXT), '', updated_at, experiment_id FROM experiments
                           WHERE lifecycle = 'deleted'";

fn plan(tx: &Tx<'_>, wanted: &GcWanted) -> Result<Vec<Doomed>> {
    let experiments = found(tx, EXPERIMENTS)?;
    for id in &wanted.experiments {
        must_be_deleted(&experiments, "experiment", &id.to_string())?;
    }
    let runs = found(tx, RUNS)?;
    for id in &wanted.runs {
        must_be_deleted(&runs, "run", id.as_str())?;
    }
    let named = !wanted.runs.is_empty() || !wanted.experiments.is_empty();
    let old = |found: &Found| {
        wanted
            .before
            .is_none_or(|before| found.deleted_at.is_none_or(|at| at < before.0))
    };
    let of_wanted = |found: &Found| {
        wanted
            .experiments
            .iter()
            .any(|id| id.number() == found.experiment)
    };
    let goes = |found: &Found, by_id: bool| old(found) && (!named || by_id || of_wanted(found));
    let mut doomed = Vec::new();
    for run in runs {
        if goes(&run, wanted.runs.iter().any(|id| id.as_str() == run.id)) {
            doomed.push(judged(tx, Removable::Run, &run)?);
        }
    }
    for model in found(tx, MODELS)? {
        if goes(&model, false) {
            doomed.push(judged(tx, Removable::LoggedModel, &model)?);
        }
    }
    for experiment in experiments {
        let goes = goes(&experiment, false) && (wanted.runs.is_empty() || !wanted.experiments.is_empty());
        if !goes || experiment.no == 0 {
            continue;
        }
        // What it holds goes with it, deleted on its own or not.
        for (kind, sql) in [
            (
                Removable::Run,
                "SELECT run_no, run_id, artifact_uri, deleted_at, experiment_id FROM runs
                 WHERE experiment_id = ?1 ORDER BY run_id",
            ),
            (
                Removable::LoggedModel,
                "SELECT model_no, model_id, artifact_location, deleted_at, experiment_id FROM logged_models
                 WHERE experiment_id = ?1 ORDER BY model_id",
            ),
        ] {
            for held in tx.query(sql, &[experiment.no.into()], read)? {
                if !doomed.iter().any(|known: &Doomed| known.id == held.id) {
                    doomed.push(judged(tx, kind, &held)?);
                }
            }
        }
        doomed.push(judged(tx, Removable::Experiment, &experiment)?);
    }
    Ok(doomed)
}

fn must_be_deleted(found: &[Found], noun: &'static str, id: &str) -> Result<()> {
    match found.iter().any(|found| found.id == id) {
        true => Ok(()),
        false => Err(Error::Invalid {
            message: format!("{noun} `{id}` is not deleted; delete it first"),
        }),
    }
}

fn found(tx: &Tx<'_>, sql: &str) -> Result<Vec<Found>> {
    tx.query(sql, &[], read)
}

fn read(row: &crate::Row<'_>) -> Result<Found> {
    Ok(Found {
        no: row.get(0)?,
        id: row.get(1)?,
        location: row.get(2)?,
        deleted_at: row.get(3)?,
        experiment: row.get(4)?,
    })
}

fn judged(tx: &Tx<'_>, kind: Removable, found: &Found) -> Result<Doomed> {
    let kept_by = match kind {
        Removable::Experiment => None,
        Removable::Run | Removable::LoggedModel => needed_by(tx, kind, &found.id, &found.location)?,
    };
    Ok(Doomed {
        kind,
        id: found.id.clone(),
        location: Some(found.location.clone()).filter(|location| !location.is_empty()),
        kept_by,
    })
}

/// The registered version that came from the record or whose files lie with it.
fn needed_by(tx: &Tx<'_>, kind: Removable, id: &str, location: &str) -> Result<Option<String>> {
    let by_id = match kind {
        Removable::Run => "run_id = ?1",
        _ => "model_id = ?1",
    };
    let sql = format!(
        "SELECT name, version FROM model_versions
         WHERE {by_id} OR source = ?2 OR SUBSTR(source, 1, LENGTH(CAST(?3 AS TEXT))) = ?3 OR source = ?4
            OR SUBSTR(source, 1, LENGTH(CAST(?5 AS TEXT))) = ?5
         ORDER BY name, version LIMIT 1"
    );
    let scheme = match kind {
        Removable::Run => "runs",
        _ => "models",
    };
    let params: [Value; 5] = [
        id.into(),
        location.into(),
        format!("{}/", location.trim_end_matches('/')).into(),
        format!("{scheme}:/{id}").into(),
        format!("{scheme}:/{id}/").into(),
    ];
    tx.query_opt(&sql, &params, |row| {
        Ok(format!(
            "version {} of `{}`",
            row.get::<i64>(1)?,
            row.get::<String>(0)?
        ))
    })
}

fn bury(tx: &Tx<'_>, doomed: &Doomed) -> Result<bool> {
    let (find, removals): (&str, &[&str]) = match doomed.kind {
        Removable::Run => (
            "SELECT runs.run_no, runs.run_id, runs.artifact_uri, runs.deleted_at, runs.experiment_id FROM runs
             JOIN experiments ON experiments.experiment_id = runs.experiment_id
             WHERE runs.run_id = ?1 AND (runs.lifecycle = 'deleted' OR experiments.lifecycle = 'deleted')",
            &[
                "DELETE FROM metric_arrivals WHERE run_no = ?1",
                "DELETE FROM metric_blocks WHERE run_no = ?1",
                "DELETE FROM latest_metrics WHERE run_no = ?1",
                "DELETE FROM params WHERE run_no = ?1",
                "DELETE FROM tags WHERE run_no = ?1",
                "DELETE FROM run_dataset_tags WHERE run_no = ?1",
                "DELETE FROM run_datasets WHERE run_no = ?1",
                "DELETE FROM run_models WHERE run_no = ?1",
                "DELETE FROM logged_model_metrics WHERE run_no = ?1",
                "DELETE FROM trace_runs WHERE run_id IN (SELECT run_id FROM runs WHERE run_no = ?1)",
                "DELETE FROM imported_runs WHERE run_id IN (SELECT run_id FROM runs WHERE run_no = ?1)",
                "DELETE FROM runs WHERE run_no = ?1",
            ],
        ),
        Removable::LoggedModel => (
            "SELECT m.model_no, m.model_id, m.artifact_location, m.deleted_at, m.experiment_id FROM logged_models AS m
             JOIN experiments ON experiments.experiment_id = m.experiment_id
             WHERE m.model_id = ?1 AND (m.deleted_at IS NOT NULL OR experiments.lifecycle = 'deleted')",
            &[
                "DELETE FROM logged_model_params WHERE model_no = ?1",
                "DELETE FROM logged_model_tags WHERE model_no = ?1",
                "DELETE FROM logged_model_metrics WHERE model_no = ?1",
                "DELETE FROM run_models WHERE model_id IN (SELECT model_id FROM logged_models WHERE model_no = ?1)",
                "DELETE FROM logged_models WHERE model_no = ?1",
            ],
        ),
        Removable::Experiment => (
            "SELECT experiment_id, CAST(experiment_id AS TEXT), '', updated_at, experiment_id FROM experiments
             WHERE CAST(experiment_id AS TEXT) = ?1 AND lifecycle = 'deleted'
               AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.experiment_id = experiments.experiment_id)
               AND NOT EXISTS (SELECT 1 FROM logged_models AS m WHERE m.experiment_id = experiments.experiment_id)",
            &[
                "DELETE FROM span_attributes WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM span_contents WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM spans WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM assessments WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM trace_prompts WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM trace_runs WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM trace_metadata WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM trace_tags WHERE trace_no IN (SELECT trace_no FROM traces WHERE experiment_id = ?1)",
                "DELETE FROM traces WHERE experiment_id = ?1",
                "DELETE FROM online_scorings WHERE scorer_id IN (SELECT scorer_id FROM scorers WHERE experiment_id = ?1)",
                "DELETE FROM scorer_versions WHERE scorer_id IN (SELECT scorer_id FROM scorers WHERE experiment_id = ?1)",
                "DELETE FROM scorers WHERE experiment_id = ?1",
                "DELETE FROM eval_dataset_experiments WHERE experiment_id = ?1",
                "DELETE FROM datasets WHERE experiment_id = ?1",
                "DELETE FROM experiment_tags WHERE experiment_id = ?1",
                "DELETE FROM experiments WHERE experiment_id = ?1",
            ],
        ),
    };
    let Some(found) = tx.query_opt(find, &[(&doomed.id).into()], read)? else {
        return Ok(false);
    };
    if judged(tx, doomed.kind, &found)?.kept_by.is_some() {
        return Ok(false);
    }
    if !found.location.is_empty() {
        tx.execute(
            "INSERT INTO artifact_tombstones (location) VALUES (?1) ON CONFLICT DO NOTHING",
            &[found.location.into()],
        )?;
    }
    for removal in removals {
        tx.execute(removal, &[found.no.into()])?;
    }
    Ok(true)
}
