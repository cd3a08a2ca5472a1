use std::collections::BTreeMap;

use lathe_types::metrics::NewMetric;
use lathe_types::runs::{LogBatch, NAME_TAG, RunTag};
use lathe_types::tags::Tag;
use lathe_types::{LoggedModelId, RunId};

use super::active;
use crate::arrivals::{self, Backlog};
use crate::histories::{self, Point};
use crate::{Error, Result, Store, Tx, Value, logged_models, params, rows};

/// Bounds the list that a tag of MLflow's older clients grows by every model.
const MODEL_HISTORY_BYTES_MAX: usize = 1 << 20;

impl Store {
    /// Logs everything in the batch to an active run, or nothing.
    pub async fn log_batch(&self, id: RunId, batch: LogBatch) -> Result<()> {
        let backlog = self.backlog();
        self.write(move |tx| {
            let only_metrics = batch.params().is_empty()
                && batch.tags().is_empty()
                && batch.metrics().iter().all(|metric| metric.model_id.is_none());
            // What it refuses is told by what follows.
            if only_metrics
                && !batch.metrics().is_empty()
                && arrivals::append_to(tx, &backlog, &id, batch.metrics().iter().map(NewMetric::metric))?
            {
                return Ok(());
            }
            let run = active(tx, &id)?;
            params::insert(tx, &params::OF_RUN, run.no, batch.params())?;
            insert_metrics(tx, &backlog, run.no, batch.metrics())?;
            set_tags(tx, run.no, batch.tags().iter().map(RunTag::tag))
        })
        .await
    }

    /// Appends a model to the list that older clients keep in a tag of the run.
    pub async fn append_model_history(&self, id: RunId, model: serde_json::Value) -> Result<()> {
        const KEY: &str = "mlflow.log-model.history";
        self.write(move |tx| {
            let run = active(tx, &id)?;
            let before = tx.query_opt(
                "SELECT value FROM tags WHERE run_no = ?1 AND key = ?2",
                &[run.no.into(), KEY.into()],
                |row| row.get::<String>(0),
            )?;
            let mut models: Vec<serde_json::Value> = match before {
                Some(text) => crate::json::parse(&text, "history of models")?,
                None => Vec::new(),
            };
            models.push(model);
            let value = serde_json::Value::from(models).to_string();
            if MODEL_HISTORY_BYTES_MAX < value.len() {
                return Err(Error::Invalid {
                    message: format!("run `{id}` has too many models in its tag `{KEY}`"),
                });
            }
            set_tag(
                tx,
                run.no,
                &Tag {
                    key: KEY.into(),
                    value,
                },
            )
        })
        .await
    }
}

/// Sets a tag; the one that repeats the run's name changes the name.
pub(super) fn set_tag(tx: &Tx<'_>, no: i64, tag: &Tag) -> Result<()> {
    set_tags(tx, no, [tag])
}

/// Sets tags; of several values for one key the last one counts.
pub(super) fn set_tags<'a>(tx: &Tx<'_>, no: i64, tags: impl IntoIterator<Item = &'a Tag>) -> Result<()> {
    let tags: BTreeMap<&str, &str> = tags
        .into_iter()
        .map(|tag| (tag.key.as_str(), tag.value.as_str()))
        .collect();
    let values: Vec<Value> = tags
        .iter()
        .flat_map(|(key, value)| [no.into(), (*key).into(), (*value).into()])
        .collect();
    let after = "ON CONFLICT (run_no, key) DO UPDATE SET value = excluded.value";
    rows::insert(tx, "tags (run_no, key, value)", 3, &values, after)?;
    if let Some(name) = tags.get(NAME_TAG) {
        tx.execute(
            "UPDATE runs SET name = ?2 WHERE run_no = ?1",
            &[no.into(), (*name).into()],
        )?;
    }
    Ok(())
}

fn insert_metrics(tx: &Tx<'_>, backlog: &Backlog, no: i64, metrics: &[NewMetric]) -> Result<()> {
    arrivals::append(tx, backlog, no, metrics.iter().map(NewMetric::metric))?;
    for new in metrics {
        if let Some(model_id) = &new.model_id {
            insert_model_metric(
                tx,
                model_id,
                new,
                histories::columns(no, &new.metric().key, &Point::of(new.metric())),
            )?;
        }
    }
    Ok(())
}

fn insert_model_metric(
    tx: &Tx<'_>,
    model_id: &LoggedModelId,
    new: &NewMetric,
    row: [Value; 6],
) -> Result<()> {
    let model_no = logged_models::number(tx, model_id)?;
    let [run_no, key, at, step, value, is_nan] = row;
    let dataset = new.dataset.as_ref();
    tx.execute(
        "INSERT INTO logged_model_metrics (model_no, run_no, key, at, step, value, is_nan, dataset_name, dataset_digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (model_no, key, at, step, run_no) DO UPDATE
         SET value = excluded.value, is_nan = excluded.is_nan, dataset_name = excluded.dataset_name,
             dataset_digest = excluded.dataset_digest",
        &[
            model_no.into(),
            run_no,
            key,
            at,
            step,
            value,
            is_nan,
            dataset.map(|dataset| dataset.name.as_str()).into(),
            dataset.and_then(|dataset| dataset.digest.as_deref()).into(),
        ],
    )?;
    Ok(())
}
