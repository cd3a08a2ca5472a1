use lathe_types::datasets::{Dataset, DatasetInput, DatasetSummary};
use lathe_types::runs::NewInputs;
use lathe_types::tags::{PageRequest, Tag};
use lathe_types::{ExperimentId, LoggedModelId, RunId};

use super::active;
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

pub(super) fn datasets(tx: &Tx<'_>, run_no: i64) -> Result<Vec<DatasetInput>> {
    let mut inputs = tx.query(
        "SELECT d.dataset_no, d.name, d.digest, d.source_type, d.source, d.dataset_schema, d.profile
         FROM run_datasets JOIN datasets AS d ON d.dataset_no = run_datasets.dataset_no
         WHERE run_datasets.run_no = ?1 ORDER BY d.dataset_no",
        &[run_no.into()],
        |row| {
            let dataset = Dataset {
                name: row.get(1)?,
                digest: row.get(2)?,
                source_type: row.get(3)?,
                source: row.get(4)?,
                schema: row.get(5)?,
                profile: row.get(6)?,
            };
            let tags = Vec::new();
            Ok((row.get::<i64>(0)?, DatasetInput { dataset, tags }))
        },
    )?;
    for (dataset_no, input) in &mut inputs {
        input.tags = tx.query(
            "SELECT key, value FROM run_dataset_tags WHERE run_no = ?1 AND dataset_no = ?2 ORDER BY key",
            &[run_no.into(), (*dataset_no).into()],
            |row| {
                Ok(Tag {
                    key: row.get(0)?,
                    value: row.get(1)?,
                })
            },
        )?;
    }
    Ok(inputs.into_iter().map(|(_, input)| input).collect())
}

pub(super) fn models_in(tx: &Tx<'_>, run_no: i64) -> Result<Vec<String>> {
    tx.query(
        "SELECT model_id FROM run_models WHERE run_no = ?1 AND direction = 'input' ORDER BY model_id",
        &[run_no.into()],
        |row| row.get(0),
    )
}

pub(super) fn models_out(tx: &Tx<'_>, run_no: i64) -> Result<Vec<(String, i64)>> {
    tx.query(
        "SELECT model_id, step FROM run_models WHERE run_no = ?1 AND direction = 'output' ORDER BY step, model_id",
        &[run_no.into()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
