//! Takes over records of another tracking server: with the ids, times and life cycles they had there. Taking over the
//! same record again changes nothing.

use std::collections::{BTreeMap, HashMap};

use lathe_types::experiments::Experiment;
use lathe_types::imports::{LeftOut, LoggedModelRecord, RegisteredRecord, RunPiece};
use lathe_types::models::ModelVersion;
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, Millis};

use crate::histories::{self, Point};
use crate::runs::insert_dataset;
use crate::{Result, Store, Tx, Value, graphs, logged_models, models};

impl Store {
    /// What runs that were taken over looked like where they came from, by id.
    pub async fn imported_runs(&self) -> Result<HashMap<String, String>> {
        self.read(|tx| {
            let marks = tx.query("SELECT run_id, mark FROM imported_runs", &[], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            Ok(marks.into_iter().collect())
        })
        .await
    }

    /// Takes an experiment over, under its own id if that is free. One of the same name is the same experiment: it gets
    /// the tags that it lacks.
    pub async fn import_experiment(&self, experiment: Experiment) -> Result<ExperimentId> {
        self.write(move |tx| {
            let known = tx.query_opt(
                "SELECT experiment_id FROM experiments WHERE name = ?1",
                &[(&experiment.name).into()],
                |row| row.get::<i64>(0),
            )?;
            let id = match known {
                Some(id) => id,
                None => insert_experiment(tx, &experiment)?,
            };
            for tag in &experiment.tags {
                tx.execute(
                    "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    &[id.into(), (&tag.key).into(), (&tag.value).into()],
                )?;
            }
            Ok(ExperimentId::new(id))
        })
        .await
    }

    /// Takes runs, or pieces of them, over: all or none.
    pub async fn import_runs(&self, pieces: Vec<RunPiece>) -> Result<()> {
        self.write(move |tx| pieces.iter().try_for_each(|piece| import_piece(tx, piece)))
            .await
    }

    /// Takes logged models over: all or none. Their runs must be there already.
    pub async fn import_logged_models(&self, records: Vec<LoggedModelRecord>) -> Result<()> {
        self.write(move |tx| {
            records
                .iter()
                .try_for_each(|record| import_logged_model(tx, record))
        })
        .await
    }

    /// Takes a registered model over, with its versions and aliases. What contradicts a model of that name that is here
    /// already is left out, and told.
    pub async fn import_registered_model(
        &self,
        record: RegisteredRecord,
        now: Millis,
    ) -> Result<Vec<LeftOut>> {
        self.write(move |tx| {
            let left_out = import_registered_model(tx, &record)?;
            // Graphs may have waited for an alias that came.
            graphs::follow(tx, now)?;
            Ok(left_out)
        })
        .await
    }

    /// Lets the server read artifacts at a place outside its own.
    pub async fn link_artifacts(&self, root: String) -> Result<()> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO artifact_links (root) VALUES (?1) ON CONFLICT DO NOTHING",
                &[root.into()],
            )
            .map(drop)
        })
        .await
    }

    /// The places outside its own where the server may read artifacts.
    pub async fn artifact_links(&self) -> Result<Vec<String>> {
        self.read(|tx| {
            tx.query("SELECT root FROM artifact_links ORDER BY root", &[], |row| {
                row.get(0)
            })
        })
        .await
    }
}

fn insert_experiment(tx: &Tx<'_>, experiment: &Experiment) -> Result<i64> {
    let number = experiment.id.number();
    let taken = tx.query_opt(
        "SELECT 1 FROM experiments WHERE experiment_id = ?1",
        &[number.into()],
        |row| row.get::<i64>(0),
    )?;
    let rest: [Value; 5] = [
        (&experiment.name).into(),
        experiment.artifact_location.as_deref().into(),
        experiment.lifecycle.as_str().into(),
        experiment.created_at.map(|at| at.0).into(),
        experiment.updated_at.map(|at| at.0).into(),
    ];
    if taken.is_none() {
        let mut row = vec![Value::Int(number)];
        row.extend(rest);
        tx.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &row,
        )?;
        if tx.is_postgres() {
            // There an id that was given does not move the counter of those that are invented.
            tx.query_opt(
                "SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'),
                               GREATEST((SELECT MAX(experiment_id) FROM experiments), 1))",
                &[],
                |_| Ok(()),
            )?;
        }
        return Ok(number);
    }
    let id = tx.query_opt(
        "INSERT INTO experiments (name, artifact_location, lifecycle, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5) RETURNING experiment_id",
        &rest,
        |row| row.get(0),
    )?;
    Ok(id.expect("an insert that returns has a row"))
}

fn import_piece(tx: &Tx<'_>, piece: &RunPiece) -> Result<()> {
    let run = &piece.run;
    let info = &run.info;
    let no: i64 = tx
        .query_opt(
            "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time, end_time, lifecycle, deleted_at,
                               artifact_uri)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (run_id) DO UPDATE
             SET name = excluded.name, status = excluded.status, end_time = excluded.end_time,
                 lifecycle = excluded.lifecycle, deleted_at = excluded.deleted_at, artifact_uri = excluded.artifact_uri
             RETURNING run_no",
            &[
                info.id.as_str().into(),
                info.experiment_id.number().into(),
                (&info.name).into(),
                (&info.user_id).into(),
                info.status.as_str().into(),
                info.start_time.0.into(),
                info.end_time.map(|at| at.0).into(),
                info.lifecycle.as_str().into(),
                piece.deleted_at.map(|at| at.0).into(),
                (&info.artifact_uri).into(),
            ],
            |row| row.get(0),
        )?
        .expect("an upsert that returns has a row");
    let mut histories: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for metric in &piece.history {
        histories.entry(&metric.key).or_default().push(Point::of(metric));
    }
    histories::add(tx, no, &mut Vec::from_iter(histories))?;
    let Some(mark) = &piece.mark else {
        return Ok(());
    };
    let latest = run
        .metrics
        .iter()
        .map(|last| (last.key.as_str(), Point::of(last)));
    histories::keep_latest(tx, no, latest)?;
    let pairs = [
        (
            "INSERT INTO params (run_no, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &run.params,
        ),
        (
            "INSERT INTO tags (run_no, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (run_no, key) DO UPDATE SET value = excluded.value",
            &run.tags,
        ),
    ];
    for (sql, pairs) in pairs {
        for Tag { key, value } in pairs {
            tx.execute(sql, &[no.into(), key.into(), value.into()])?;
        }
    }
    for dataset in &run.datasets {
        insert_dataset(tx, no, info.experiment_id, dataset)?;
    }
    let inputs = run.models_in.iter().map(|model| ("input", model, 0));
    let outputs = run
        .models_out
        .iter()
        .map(|(model, step)| ("output", model, *step));
    for (direction, model, step) in inputs.chain(outputs) {
        tx.execute(
            "INSERT INTO run_models (run_no, direction, model_id, step) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            &[no.into(), direction.into(), model.into(), step.into()],
        )?;
    }
    tx.execute(
        "INSERT INTO imported_runs (run_id, mark) VALUES (?1, ?2)
         ON CONFLICT (run_id) DO UPDATE SET mark = excluded.mark",
        &[info.id.as_str().into(), mark.into()],
    )
    .map(drop)
}

fn import_logged_model(tx: &Tx<'_>, record: &LoggedModelRecord) -> Result<()> {
    let model = &record.model;
    tx.execute(
        "INSERT INTO logged_models (model_id, experiment_id, name, model_type, source_run_id, status, status_message,
                                    artifact_location, created_at, updated_at, deleted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (model_id) DO UPDATE
         SET status = excluded.status, status_message = excluded.status_message, updated_at = excluded.updated_at,
             deleted_at = excluded.deleted_at, artifact_location = excluded.artifact_location",
        &[
            model.id.as_str().into(),
            model.experiment_id.number().into(),
            (&model.name).into(),
            model.model_type.as_deref().into(),
            model.source_run_id.as_deref().into(),
            model.status.as_str().into(),
            model.status_message.as_deref().into(),
            (&model.artifact_location).into(),
            model.created_at.0.into(),
            model.updated_at.0.into(),
            record.deleted_at.map(|at| at.0).into(),
        ],
    )?;
    let no = logged_models::number(tx, &model.id)?;
    let pairs = [
        (
            "INSERT INTO logged_model_params (model_no, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &model.params,
        ),
        (
            "INSERT INTO logged_model_tags (model_no, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (model_no, key) DO UPDATE SET value = excluded.value",
            &model.tags,
        ),
    ];
    for (sql, pairs) in pairs {
        for Tag { key, value } in pairs {
            tx.execute(sql, &[no.into(), key.into(), value.into()])?;
        }
    }
    for of_run in &model.metrics {
        let run = tx.query_opt(
            "SELECT run_no FROM runs WHERE run_id = ?1",
            &[(&of_run.run_id).into()],
            |row| row.get::<i64>(0),
        )?;
        // Its run was not taken over, which is told where runs are.
        let Some(run) = run else {
            continue;
        };
        let [run, key, at, step, value, is_nan] =
            histories::columns(run, &of_run.metric.key, &Point::of(&of_run.metric));
        let dataset = of_run.dataset.as_ref();
        tx.execute(
            "INSERT INTO logged_model_metrics (model_no, run_no, key, at, step, value, is_nan, dataset_name,
                                               dataset_digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            &[
                no.into(),
                run,
                key,
                at,
                step,
                value,
                is_nan,
                dataset.map(|dataset| dataset.name.as_str()).into(),
                dataset.and_then(|dataset| dataset.digest.as_deref()).into(),
            ],
        )?;
    }
    Ok(())
}

fn import_registered_model(tx: &Tx<'_>, record: &RegisteredRecord) -> Result<Vec<LeftOut>> {
    let model = &record.model;
    let name = &model.name;
    let mut left_out = Vec::new();
    let last = record
        .versions
        .iter()
        .map(|version| version.version)
        .max()
        .unwrap_or(0);
    tx.execute(
        "INSERT INTO registered_models (name, description, created_at, updated_at, versions)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE
         SET versions = CASE WHEN registered_models.versions < excluded.versions THEN excluded.versions
                             ELSE registered_models.versions END",
        &[
            name.into(),
            model.description.as_deref().into(),
            model.created_at.0.into(),
            model.updated_at.0.into(),
            i64::from(last).into(),
        ],
    )?;
    for Tag { key, value } in &model.tags {
        tx.execute(
            "INSERT INTO registered_model_tags (name, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &[name.into(), key.into(), value.into()],
        )?;
    }
    for version in &record.versions {
        if !import_version(tx, version)? {
            left_out.push(LeftOut::new(
                "model version",
                format!("{name}/{}", version.version),
                "another version with this number is here already and stays",
            ));
        }
    }
    for (alias, version) in &model.aliases {
        let added = tx.execute(
            "INSERT INTO model_aliases (name, alias, version) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &[name.into(), alias.into(), i64::from(*version).into()],
        )?;
        if added == 0 && models::find_alias(tx, name, alias)? != Some(*version) {
            left_out.push(LeftOut::new(
                "alias",
                format!("{name}@{alias}"),
                format!("it leads to another version than {version} here, and stays"),
            ));
        }
    }
    Ok(left_out)
}

/// Whether the version is here now; not if another one has its number.
fn import_version(tx: &Tx<'_>, version: &ModelVersion) -> Result<bool> {
    let id: [Value; 2] = [(&version.name).into(), i64::from(version.version).into()];
    let there = tx.query_opt(
        "SELECT created_at FROM model_versions WHERE name = ?1 AND version = ?2",
        &id,
        |row| row.get::<i64>(0),
    )?;
    if let Some(created_at) = there {
        return Ok(created_at == version.created_at.0);
    }
    let [name, number] = id;
    tx.execute(
        "INSERT INTO model_versions (name, version, created_at, updated_at, user_id, stage, description, source, run_id,
                                     run_link, model_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        &[
            name.clone(),
            number.clone(),
            version.created_at.0.into(),
            version.updated_at.0.into(),
            version.user_id.as_deref().into(),
            version.stage.as_str().into(),
            version.description.as_deref().into(),
            (&version.source).into(),
            version.run_id.as_deref().into(),
            version.run_link.as_deref().into(),
            version.model_id.as_deref().into(),
        ],
    )?;
    for Tag { key, value } in &version.tags {
        tx.execute(
            "INSERT INTO model_version_tags (name, version, key, value) VALUES (?1, ?2, ?3, ?4)",
            &[name.clone(), number.clone(), key.into(), value.into()],
        )?;
    }
    Ok(true)
}
