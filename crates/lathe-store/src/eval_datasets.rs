//! Evaluation datasets and their records.

use std::collections::HashMap;

use lathe_types::eval_datasets::{EvalDataset, EvalRecord, NewEvalRecord, USER_TAG, digest, extend_schema};
use lathe_types::search::{Condition, EvalDatasetAttribute, Field, Order};
use lathe_types::tags::{Page, PageRequest, Tag};
use lathe_types::{ExperimentId, Millis};
use serde_json::Value as Json;

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, Value, experiments, json};

const COLUMNS: &str =
    "SELECT eval_datasets.dataset_id, eval_datasets.name, eval_datasets.digest, eval_datasets.record_schema,
            eval_datasets.created_at, eval_datasets.updated_at, eval_datasets.created_by, eval_datasets.updated_by,
            (SELECT COUNT(*) FROM eval_records AS c WHERE c.dataset_id = eval_datasets.dataset_id)
     FROM eval_datasets";
const RECORD: &str =
    "SELECT record_id, inputs, outputs, expectations, tags, source, created_at, updated_at, created_by,
                             updated_by
                      FROM eval_records";
const TAG: &str = "eval_dataset_tags AS t WHERE t.dataset_id = eval_datasets.dataset_id AND t.key = ";

/// Which datasets are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalDatasetSearch {
    /// Used in one of these; none: wherever.
    pub experiments: Vec<ExperimentId>,
    /// What they must be.
    pub conditions: Vec<Condition<EvalDatasetAttribute>>,
    /// What comes first; then the newest.
    pub order: Vec<Order<EvalDatasetAttribute>>,
    /// Which part.
    pub page: PageRequest,
}

impl Store {
    /// Makes a dataset without records.
    pub async fn create_eval_dataset(
        &self,
        id: String,
        name: String,
        tags: Vec<Tag>,
        experiments: Vec<ExperimentId>,
        now: Millis,
    ) -> Result<EvalDataset> {
        self.write(move |tx| {
            let user = tags.iter().find(|tag| tag.key == USER_TAG).map(|tag| &tag.value);
            tx.execute(
                "INSERT INTO eval_datasets (dataset_id, name, digest, created_at, updated_at, created_by, updated_by)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?5)",
                &[
                    (&id).into(),
                    (&name).into(),
                    digest(&name, now).into(),
                    now.0.into(),
                    user.map(String::as_str).into(),
                ],
            )?;
            set_tags(tx, &id, &tags)?;
            use_in(tx, &id, &experiments)?;
            get(tx, &id)
        })
        .await
    }

    /// The dataset without its records.
    pub async fn get_eval_dataset(&self, id: String) -> Result<EvalDataset> {
        self.read(move |tx| get(tx, &id)).await
    }

    /// Deletes a dataset with its records, if it is there.
    pub async fn delete_eval_dataset(&self, id: String) -> Result<()> {
        self.write(move |tx| {
            for part in [
                "DELETE FROM eval_records WHERE dataset_id = ?1",
                "DELETE FROM eval_dataset_experiments WHERE dataset_id = ?1",
                "DELETE FROM eval_dataset_tags WHERE dataset_id = ?1",
                "DELETE FROM eval_datasets WHERE dataset_id = ?1",
            ] {
                tx.execute(part, &[(&id).into()])?;
            }
            Ok(())
        })
        .await
    }

    /// The datasets that fit.
    pub async fn search_eval_datasets(&self, search: EvalDatasetSearch) -> Result<Page<EvalDataset>> {
        self.read(move |tx| {
            let mut sql = Sql::new(COLUMNS);
            sql.push(" WHERE 1 = 1");
            if !search.experiments.is_empty() {
                sql.push(
                    " AND EXISTS (SELECT 1 FROM eval_dataset_experiments AS x
                      WHERE x.dataset_id = eval_datasets.dataset_id AND x.experiment_id IN ",
                );
                sql.bind_list(search.experiments.iter().map(|id| id.number()));
                sql.push(")");
            }
            for condition in &search.conditions {
                sql.push(" AND ");
                match &condition.field {
                    Field::Attribute(attribute) => sql.test(column(*attribute), &condition.test),
                    Field::Tag(key) => sql.test_keyed(TAG, "t.value", key, &condition.test),
                    // The grammar has none of these for datasets.
                    Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => sql.push("1 = 1"),
                };
            }
            sql.push(" ORDER BY ");
            for order in &search.order {
                match &order.field {
                    Field::Attribute(attribute) => sql.order(column(*attribute), order.descending),
                    Field::Tag(key) => sql.order_keyed("t.value", TAG, key, order.descending),
                    Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => &mut sql,
                };
            }
            sql.push("eval_datasets.created_at DESC, eval_datasets.dataset_id");
            let found = sql.page(tx, search.page, read)?;
            Ok(Page {
                items: whole(tx, found.items)?,
                next: found.next,
            })
        })
        .await
    }

    /// Sets tags of a dataset.
    pub async fn set_eval_dataset_tags(
        &self,
        id: String,
        tags: Vec<Tag>,
        now: Millis,
    ) -> Result<EvalDataset> {
        self.write(move |tx| {
            get(tx, &id)?;
            set_tags(tx, &id, &tags)?;
            let user = tags.iter().find(|tag| tag.key == USER_TAG).map(|tag| &tag.value);
            tx.execute(
                "UPDATE eval_datasets SET updated_at = ?2, updated_by = COALESCE(?3, updated_by) WHERE dataset_id = ?1",
                &[(&id).into(), now.0.into(), user.map(String::as_str).into()],
            )?;
            get(tx, &id)
        })
        .await
    }

    /// Removes a tag, if it is there.
    pub async fn delete_eval_dataset_tag(&self, id: String, key: String) -> Result<()> {
        self.write(move |tx| {
            tx.execute(
                "DELETE FROM eval_dataset_tags WHERE dataset_id = ?1 AND key = ?2",
                &[id.into(), key.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Says that a dataset is used in experiments.
    pub async fn add_eval_dataset(&self, id: String, experiments: Vec<ExperimentId>) -> Result<EvalDataset> {
        self.write(move |tx| {
            get(tx, &id)?;
            use_in(tx, &id, &experiments)?;
            get(tx, &id)
        })
        .await
    }

    /// Says that a dataset is no longer used in experiments.
    pub async fn remove_eval_dataset(
        &self,
        id: String,
        experiments: Vec<ExperimentId>,
    ) -> Result<EvalDataset> {
        self.write(move |tx| {
            get(tx, &id)?;
            for experiment in &experiments {
                tx.execute(
                    "DELETE FROM eval_dataset_experiments WHERE dataset_id = ?1 AND experiment_id = ?2",
                    &[(&id).into(), experiment.number().into()],
                )?;
            }
            get(tx, &id)
        })
        .await
    }

    /// Adds records, or merges them with those of the same inputs; how many of each. `new_id` makes ids.
    pub async fn merge_eval_records(
        &self,
        id: String,
        records: Vec<NewEvalRecord>,
        new_id: impl Fn() -> String + Send + 'static,
        now: Millis,
    ) -> Result<(i64, i64)> {
        self.write(move |tx| {
            let dataset = get(tx, &id)?;
            let (mut inserted, mut updated) = (0, 0);
            for record in &records {
                let sql = format!("{RECORD} WHERE dataset_id = ?1 AND input_hash = ?2");
                match tx.query_opt(&sql, &[(&id).into(), record.hash().into()], read_record)? {
                    Some(known) => {
                        put_record(tx, &id, record.hash(), &record.merge(known, now))?;
                        updated += 1;
                    }
                    None => {
                        put_record(tx, &id, record.hash(), &record.create(new_id(), now))?;
                        inserted += 1;
                    }
                }
            }
            let user = records.iter().filter_map(NewEvalRecord::user).next_back();
            tx.execute(
                "UPDATE eval_datasets SET updated_at = ?2, digest = ?3, record_schema = ?4,
                                          updated_by = COALESCE(?5, updated_by) WHERE dataset_id = ?1",
                &[
                    (&id).into(),
                    now.0.into(),
                    digest(&dataset.name, now).into(),
                    extend_schema(dataset.schema.as_deref(), &records).into(),
                    user.into(),
                ],
            )?;
            Ok((inserted, updated))
        })
        .await
    }

    /// One page of records, the oldest first.
    pub async fn list_eval_records(&self, id: String, page: PageRequest) -> Result<Page<EvalRecord>> {
        self.read(move |tx| {
            get(tx, &id)?;
            let mut sql = Sql::new(RECORD);
            sql.push(" WHERE dataset_id = ")
                .bind(&id)
                .push(" ORDER BY record_no");
            sql.page(tx, page, read_record)
        })
        .await
    }

    /// Deletes records; how many there were.
    pub async fn delete_eval_records(&self, id: String, records: Vec<String>) -> Result<i64> {
        self.write(move |tx| {
            get(tx, &id)?;
            let mut deleted = 0;
            for records in records.chunks(500) {
                let mut sql = Sql::new("DELETE FROM eval_records WHERE dataset_id = ");
                sql.bind(&id).push(" AND record_id IN ").bind_list(records);
                deleted += sql.execute(tx)? as i64;
            }
            Ok(deleted)
        })
        .await
    }
}

fn column(attribute: EvalDatasetAttribute) -> &'static str {
    match attribute {
        EvalDatasetAttribute::Id => "eval_datasets.dataset_id",
        EvalDatasetAttribute::Name => "eval_datasets.name",
        EvalDatasetAttribute::CreatedBy => "eval_datasets.created_by",
        EvalDatasetAttribute::UpdatedBy => "eval_datasets.updated_by",
        EvalDatasetAttribute::CreatedAt => "eval_datasets.created_at",
        EvalDatasetAttribute::UpdatedAt => "eval_datasets.updated_at",
    }
}

fn set_tags(tx: &Tx<'_>, id: &str, tags: &[Tag]) -> Result<()> {
    for tag in tags {
        tx.execute(
            "INSERT INTO eval_dataset_tags (dataset_id, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (dataset_id, key) DO UPDATE SET value = excluded.value",
            &[id.into(), (&tag.key).into(), (&tag.value).into()],
        )?;
    }
    Ok(())
}

fn use_in(tx: &Tx<'_>, id: &str, experiments: &[ExperimentId]) -> Result<()> {
    for experiment in experiments {
        experiments::get_active(tx, *experiment)?;
        tx.execute(
            "INSERT INTO eval_dataset_experiments (dataset_id, experiment_id) VALUES (?1, ?2)
             ON CONFLICT (dataset_id, experiment_id) DO NOTHING",
            &[id.into(), experiment.number().into()],
        )?;
    }
    Ok(())
}

fn put_record(tx: &Tx<'_>, dataset: &str, hash: &str, record: &EvalRecord) -> Result<()> {
    let text = |json: &Option<Json>| -> Value { json.as_ref().map(Json::to_string).into() };
    tx.execute(
        "INSERT INTO eval_records (record_id, dataset_id, input_hash, inputs, outputs, expectations, tags, source,
                                   created_at, updated_at, created_by, updated_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (dataset_id, input_hash) DO UPDATE SET
             outputs = excluded.outputs, expectations = excluded.expectations, tags = excluded.tags,
             updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        &[
            (&record.id).into(),
            dataset.into(),
            hash.into(),
            record.inputs.to_string().into(),
            text(&record.outputs),
            text(&record.expectations),
            text(&record.tags),
            text(&record.source),
            record.created_at.0.into(),
            record.updated_at.0.into(),
            record.created_by.as_deref().into(),
            record.updated_by.as_deref().into(),
        ],
    )?;
    Ok(())
}

fn get(tx: &Tx<'_>, id: &str) -> Result<EvalDataset> {
    let sql = format!("{COLUMNS} WHERE eval_datasets.dataset_id = ?1");
    let mut found = whole(tx, tx.query(&sql, &[id.into()], read)?)?;
    found.pop().ok_or_else(|| Error::NotFound {
        noun: "evaluation dataset",
        id: id.to_owned(),
    })
}

/// Adds tags and experiments to datasets.
fn whole(tx: &Tx<'_>, mut datasets: Vec<EvalDataset>) -> Result<Vec<EvalDataset>> {
    let places: HashMap<String, usize> = datasets
        .iter()
        .enumerate()
        .map(|(at, dataset)| (dataset.id.clone(), at))
        .collect();
    let ids: Vec<String> = datasets.iter().map(|dataset| dataset.id.clone()).collect();
    for ids in ids.chunks(500) {
        let mut tags = Sql::new("SELECT dataset_id, key, value FROM eval_dataset_tags WHERE dataset_id IN ");
        tags.bind_list(ids).push(" ORDER BY dataset_id, key");
        let tags = tags.all(tx, |row| {
            let tag = Tag {
                key: row.get(1)?,
                value: row.get(2)?,
            };
            Ok((row.get::<String>(0)?, tag))
        })?;
        for (id, tag) in tags {
            datasets[places[&id]].tags.push(tag);
        }
        let mut used =
            Sql::new("SELECT dataset_id, experiment_id FROM eval_dataset_experiments WHERE dataset_id IN ");
        used.bind_list(ids).push(" ORDER BY dataset_id, experiment_id");
        let used = used.all(tx, |row| {
            Ok((row.get::<String>(0)?, ExperimentId::new(row.get(1)?)))
        })?;
        for (id, experiment) in used {
            datasets[places[&id]].experiments.push(experiment);
        }
    }
    Ok(datasets)
}

fn read(row: &Row<'_>) -> Result<EvalDataset> {
    Ok(EvalDataset {
        id: row.get(0)?,
        name: row.get(1)?,
        digest: row.get(2)?,
        schema: row.get(3)?,
        created_at: Millis(row.get(4)?),
        updated_at: Millis(row.get(5)?),
        created_by: row.get(6)?,
        updated_by: row.get(7)?,
        records: row.get(8)?,
        tags: Vec::new(),
        experiments: Vec::new(),
    })
}

fn read_record(row: &Row<'_>) -> Result<EvalRecord> {
    Ok(EvalRecord {
        id: row.get(0)?,
        inputs: json::column(row, 1, "record")?,
        outputs: json::column_opt(row, 2, "record")?,
        expectations: json::column_opt(row, 3, "record")?,
        tags: json::column_opt(row, 4, "record")?,
        source: json::column_opt(row, 5, "record")?,
        created_at: Millis(row.get(6)?),
        updated_at: Millis(row.get(7)?),
        created_by: row.get(8)?,
        updated_by: row.get(9)?,
    })
}
