use std::collections::BTreeMap;

use lathe_types::datasets::{Dataset, DatasetInput, DatasetSummary};
use lathe_types::runs::NewInputs;
use lathe_types::tags::{PageRequest, Tag};
use lathe_types::{ExperimentId, LoggedModelId, RunId};

use super::active;
use super::whole::by_run;
use crate::sql::Sql;
use crate::{Result, Store, Tx, logged_models};

impl Store {
    /// Records what a run read.
    pub async fn log_inputs(&self, id: RunId, inputs: NewInputs) -> Result<()> {
        self.write(move |tx| {
            let run = active(tx, &id)?;
            for input in &inputs.datasets {
                insert_dataset(tx, run.no, run.info.experiment_id, input.input())?;
            }
            for model in &inputs.models {
                insert_model(tx, run.no, "input", model, 0)?;
            }
            Ok(())
        })
        .await
    }

    /// Records which logged models a run made, and at which step.
    pub async fn log_outputs(&self, id: RunId, models: Vec<(LoggedModelId, i64)>) -> Result<()> {
        self.write(move |tx| {
            let run = active(tx, &id)?;
            for (model, step) in &models {
                insert_model(tx, run.no, "output", model, *step)?;
            }
            Ok(())
        })
        .await
    }

    /// The datasets that runs of these experiments read, at most `limit`.
    pub async fn list_datasets(
        &self,
        experiments: Vec<ExperimentId>,
        limit: usize,
    ) -> Result<Vec<DatasetSummary>> {
        self.read(move |tx| {
            let mut sql = Sql::new(
                "SELECT DISTINCT d.experiment_id, d.name, d.digest, c.value
                 FROM datasets AS d JOIN run_datasets AS r ON r.dataset_no = d.dataset_no
                 LEFT JOIN run_dataset_tags AS c
                 ON c.run_no = r.run_no AND c.dataset_no = r.dataset_no AND c.key = 'mlflow.data.context'
                 WHERE d.experiment_id IN ",
            );
            sql.bind_list(experiments.iter().map(|id| id.number()));
            sql.push(" AND ").visible_in(tx, "d.experiment_id", |_| None);
            sql.push(" ORDER BY d.experiment_id, d.name, d.digest, c.value");
            let found = sql.page(tx, PageRequest { offset: 0, limit }, |row| {
                Ok(DatasetSummary {
                    experiment_id: ExperimentId::new(row.get(0)?),
                    name: row.get(1)?,
                    digest: row.get(2)?,
                    context: row.get(3)?,
                })
            })?;
            Ok(found.items)
        })
        .await
    }
}

/// A dataset is the same for every run of an experiment that names it by the same name and digest.
pub(crate) fn insert_dataset(
    tx: &Tx<'_>,
    run_no: i64,
    experiment: ExperimentId,
    input: &DatasetInput,
) -> Result<()> {
    let dataset = &input.dataset;
    let dataset_no: i64 = tx
        .query_opt(
            "INSERT INTO datasets (experiment_id, name, digest, source_type, source, dataset_schema, profile)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (experiment_id, name, digest) DO UPDATE SET name = excluded.name RETURNING dataset_no",
            &[
                experiment.number().into(),
                (&dataset.name).into(),
                (&dataset.digest).into(),
                (&dataset.source_type).into(),
                (&dataset.source).into(),
                dataset.schema.as_deref().into(),
                dataset.profile.as_deref().into(),
            ],
            |row| row.get(0),
        )?
        .expect("an upsert that returns has a row");
    let inserted = tx.execute(
        "INSERT INTO run_datasets (run_no, dataset_no) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        &[run_no.into(), dataset_no.into()],
    )?;
    // What a run read is written once: logging it again changes nothing.
    if inserted == 0 {
        return Ok(());
    }
    for tag in &input.tags {
        tx.execute(
            "INSERT INTO run_dataset_tags (run_no, dataset_no, key, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (run_no, dataset_no, key) DO UPDATE SET value = excluded.value",
            &[
                run_no.into(),
                dataset_no.into(),
                (&tag.key).into(),
                (&tag.value).into(),
            ],
        )?;
    }
    Ok(())
}

fn insert_model(tx: &Tx<'_>, run_no: i64, direction: &str, model: &LoggedModelId, step: i64) -> Result<()> {
    logged_models::number(tx, model)?;
    tx.execute(
        "INSERT INTO run_models (run_no, direction, model_id, step) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        &[
            run_no.into(),
            direction.into(),
            model.as_str().into(),
            step.into(),
        ],
    )?;
    Ok(())
}

/// The datasets of each of these runs.
pub(super) fn datasets(tx: &Tx<'_>, numbers: &[i64]) -> Result<BTreeMap<i64, Vec<DatasetInput>>> {
    let mut found = by_run(
        tx,
        "SELECT r.run_no, d.dataset_no, d.name, d.digest, d.source_type, d.source, d.dataset_schema, d.profile
         FROM run_datasets AS r JOIN datasets AS d ON d.dataset_no = r.dataset_no WHERE r.run_no IN ",
        " ORDER BY r.run_no, d.dataset_no",
        numbers,
        |row| {
            let dataset = Dataset {
                name: row.get(2)?,
                digest: row.get(3)?,
                source_type: row.get(4)?,
                source: row.get(5)?,
                schema: row.get(6)?,
                profile: row.get(7)?,
            };
            let tags = Vec::new();
            Ok((row.get::<i64>(1)?, DatasetInput { dataset, tags }))
        },
    )?;
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let tags = by_run(
        tx,
        "SELECT run_no, dataset_no, key, value FROM run_dataset_tags WHERE run_no IN ",
        " ORDER BY run_no, dataset_no, key",
        numbers,
        |row| {
            let tag = Tag {
                key: row.get(2)?,
                value: row.get(3)?,
            };
            Ok((row.get::<i64>(1)?, tag))
        },
    )?;
    for (run_no, tags) in tags {
        let inputs = found.entry(run_no).or_default();
        for (dataset_no, tag) in tags {
            if let Some((_, input)) = inputs.iter_mut().find(|(no, _)| *no == dataset_no) {
                input.tags.push(tag);
            }
        }
    }
    let of_run = |inputs: Vec<(i64, DatasetInput)>| inputs.into_iter().map(|(_, input)| input).collect();
    Ok(found
        .into_iter()
        .map(|(no, inputs)| (no, of_run(inputs)))
        .collect())
}
