//! Logged models: their records and how they are searched.

use lathe_types::logged_models::{LoggedModel, LoggedModelStatus, NewLoggedModel};
use lathe_types::metrics::{DatasetName, ModelMetric};
use lathe_types::runs::{Param, RunTag};
use lathe_types::search::{Comparison, Condition, Field, LoggedModelAttribute, Order, Test};
use lathe_types::tags::{Page, PageRequest, Tag};
use lathe_types::{ExperimentId, LoggedModelId, Millis};

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, experiments, json, metrics, params, runs};

/// More metrics of one model are not shown.
const METRICS_MAX: i64 = 10_000;

const COLUMNS: &str =
    "SELECT models.model_no, models.model_id, models.experiment_id, models.name, models.model_type,
            models.source_run_id, models.status, models.status_message, models.artifact_location,
            models.created_at, models.updated_at
     FROM logged_models AS models";

/// Which logged models are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModelSearch {
    /// Models of these experiments; none: no models.
    pub experiments: Vec<ExperimentId>,
    /// What the models must be.
    pub conditions: Vec<Condition<LoggedModelAttribute>>,
    /// Only metrics that were computed on one of these count in conditions, and without conditions on metrics there
    /// must be such a metric; none: all count.
    pub datasets: Vec<DatasetName>,
    /// What comes first, and on which dataset a metric must have been computed; then the newest.
    pub order: Vec<(Order<LoggedModelAttribute>, Option<DatasetName>)>,
    /// Which part.
    pub page: PageRequest,
}

impl Store {
    /// Creates a logged model whose files are still to come.
    pub async fn create_logged_model(
        &self,
        new: NewLoggedModel,
        artifact_root: String,
        now: Millis,
    ) -> Result<LoggedModel> {
        self.write(move |tx| {
            let experiment = experiments::get_active(tx, new.experiment_id)?;
            let location = format!(
                "{}/models/{}/artifacts",
                experiment.artifact_uri(&artifact_root),
                new.id
            );
            tx.execute(
                "INSERT INTO logged_models (model_id, experiment_id, name, model_type, source_run_id, status,
                                            artifact_location, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING', ?6, ?7, ?7)",
                &[
                    new.id.as_str().into(),
                    new.experiment_id.number().into(),
                    new.name.as_str().into(),
                    new.model_type.as_deref().into(),
                    new.source_run_id.as_deref().into(),
                    location.into(),
                    now.0.into(),
                ],
            )?;
            let no = number(tx, &new.id)?;
            params::insert(tx, &params::OF_LOGGED_MODEL, no, &new.params)?;
            set_tags(tx, no, &new.tags)?;
            get(tx, &new.id, false)
        })
        .await
    }

    /// The logged model; a deleted one only if asked for.
    pub async fn get_logged_model(&self, id: LoggedModelId, allow_deleted: bool) -> Result<LoggedModel> {
        self.read(move |tx| get(tx, &id, allow_deleted)).await
    }

    /// Says that the files of a logged model are there, or will not come.
    pub async fn finalize_logged_model(
        &self,
        id: LoggedModelId,
        status: LoggedModelStatus,
        now: Millis,
    ) -> Result<LoggedModel> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            tx.execute(
                "UPDATE logged_models SET status = ?2, updated_at = ?3 WHERE model_no = ?1",
                &[no.into(), status.as_str().into(), now.0.into()],
            )?;
            get(tx, &id, false)
        })
        .await
    }

    /// Marks a logged model as deleted.
    pub async fn delete_logged_model(&self, id: LoggedModelId, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            tx.execute(
                "UPDATE logged_models SET deleted_at = ?2, updated_at = ?2 WHERE model_no = ?1",
                &[no.into(), now.0.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Adds params to a logged model.
    pub async fn log_logged_model_params(&self, id: LoggedModelId, params: Vec<Param>) -> Result<()> {
        self.write(move |tx| params::insert(tx, &params::OF_LOGGED_MODEL, number(tx, &id)?, &params))
            .await
    }

    /// Sets tags of a logged model.
    pub async fn set_logged_model_tags(
        &self,
        id: LoggedModelId,
        tags: Vec<RunTag>,
        now: Millis,
    ) -> Result<LoggedModel> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            set_tags(tx, no, &tags)?;
            touch(tx, no, now)?;
            get(tx, &id, false)
        })
        .await
    }

    /// Removes a tag, which must be there.
    pub async fn delete_logged_model_tag(&self, id: LoggedModelId, key: String, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let no = number(tx, &id)?;
            let deleted = tx.execute(
                "DELETE FROM logged_model_tags WHERE model_no = ?1 AND key = ?2",
                &[no.into(), (&key).into()],
            )?;
            if deleted == 0 {
                return Err(Error::NoTag {
                    key,
                    of: format!("logged model with id {id}"),
                });
            }
            touch(tx, no, now)
        })
        .await
    }

    /// The logged models that fit.
    pub async fn search_logged_models(&self, search: LoggedModelSearch) -> Result<Page<LoggedModel>> {
        if search.experiments.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        self.read(move |tx| {
            let found = sql(tx, &search).page(tx, search.page, read)?;
            let items = found.items.into_iter().map(|(no, model)| whole(tx, no, model));
            Ok(Page {
                items: items.collect::<Result<_>>()?,
                next: found.next,
            })
        })
        .await
    }
}

/// The number of a logged model that is not deleted.
pub(crate) fn number(tx: &Tx<'_>, id: &LoggedModelId) -> Result<i64> {
    let found = tx.query_opt(
        "SELECT model_no FROM logged_models WHERE model_id = ?1 AND deleted_at IS NULL",
        &[id.as_str().into()],
        |row| row.get(0),
    )?;
    found.ok_or_else(|| not_found(id))
}

pub(crate) fn get(tx: &Tx<'_>, id: &LoggedModelId, allow_deleted: bool) -> Result<LoggedModel> {
    let sql = format!("{COLUMNS} WHERE models.model_id = ?1 AND (?2 OR models.deleted_at IS NULL)");
    let found = tx.query_opt(&sql, &[id.as_str().into(), allow_deleted.into()], read)?;
    let (no, model) = found.ok_or_else(|| not_found(id))?;
    whole(tx, no, model)
}

fn whole(tx: &Tx<'_>, no: i64, mut model: LoggedModel) -> Result<LoggedModel> {
    model.params = runs::pairs(
        tx,
        "SELECT key, value FROM logged_model_params WHERE model_no = ?1 ORDER BY key",
        no,
    )?;
    model.tags = runs::pairs(
        tx,
        "SELECT key, value FROM logged_model_tags WHERE model_no = ?1 ORDER BY key",
        no,
    )?;
    model.metrics = tx.query(
        "SELECT m.key, m.value, m.is_nan, m.at, m.step, runs.run_id, m.dataset_name, m.dataset_digest
         FROM logged_model_metrics AS m JOIN runs ON runs.run_no = m.run_no
         WHERE m.model_no = ?1 ORDER BY m.key, m.at, m.step, m.run_no LIMIT ?2",
        &[no.into(), METRICS_MAX.into()],
        |row| {
            let dataset_name: Option<String> = row.get(6)?;
            let digest = row.get(7)?;
            Ok(ModelMetric {
                run_id: row.get(5)?,
                metric: metrics::metric(row, 0)?,
                dataset: dataset_name.map(|name| DatasetName { name, digest }),
            })
        },
    )?;
    Ok(model)
}

fn read(row: &Row<'_>) -> Result<(i64, LoggedModel)> {
    let status: String = row.get(6)?;
    let model = LoggedModel {
        id: json::from_word(row, 1, "logged model id")?,
        experiment_id: ExperimentId::new(row.get(2)?),
        name: row.get(3)?,
        model_type: row.get(4)?,
        source_run_id: row.get(5)?,
        status: LoggedModelStatus::from_word(&status).unwrap_or(LoggedModelStatus::Pending),
        status_message: row.get(7)?,
        artifact_location: row.get(8)?,
        created_at: Millis(row.get(9)?),
        updated_at: Millis(row.get(10)?),
        params: Vec::new(),
        tags: Vec::new(),
        metrics: Vec::new(),
    };
    Ok((row.get(0)?, model))
}

fn set_tags(tx: &Tx<'_>, no: i64, tags: &[RunTag]) -> Result<()> {
    for Tag { key, value } in tags.iter().map(RunTag::tag) {
        tx.execute(
            "INSERT INTO logged_model_tags (model_no, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (model_no, key) DO UPDATE SET value = excluded.value",
            &[no.into(), key.into(), value.into()],
        )?;
    }
    Ok(())
}

fn touch(tx: &Tx<'_>, no: i64, now: Millis) -> Result<()> {
    tx.execute(
        "UPDATE logged_models SET updated_at = ?2 WHERE model_no = ?1",
        &[no.into(), now.0.into()],
    )?;
    Ok(())
}

fn not_found(id: &LoggedModelId) -> Error {
    Error::NotFound {
        noun: "logged model",
        id: id.to_string(),
    }
}

const PARAM: &str = "logged_model_params AS p WHERE p.model_no = models.model_no AND p.key = ";
const TAG: &str = "logged_model_tags AS t WHERE t.model_no = models.model_no AND t.key = ";

fn sql(tx: &Tx<'_>, search: &LoggedModelSearch) -> Sql {
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE models.deleted_at IS NULL AND models.experiment_id IN ");
    sql.bind_list(search.experiments.iter().map(|id| id.number()));
    sql.push(" AND ")
        .visible_in(tx, "models.experiment_id", |sees| sees.logged_models);
    for condition in &search.conditions {
        sql.push(" AND ");
        restrict(&mut sql, condition, &search.datasets);
    }
    let by_metric = |condition: &Condition<_>| matches!(condition.field, Field::Metric(_));
    if !search.datasets.is_empty() && !search.conditions.iter().any(by_metric) {
        sql.push(
            " AND EXISTS (SELECT 1 FROM logged_model_metrics AS m WHERE m.model_no = models.model_no AND ",
        );
        computed_on_one_of(&mut sql, &search.datasets);
        sql.push(")");
    }
    sql.push(" ORDER BY ");
    for (order, dataset) in &search.order {
        sort(&mut sql, order, dataset.as_ref());
    }
    sql.push("models.created_at DESC, models.model_id");
    sql
}

fn restrict(sql: &mut Sql, condition: &Condition<LoggedModelAttribute>, datasets: &[DatasetName]) {
    let test = &condition.test;
    match &condition.field {
        Field::Attribute(attribute) => sql.test(column(*attribute), test),
        Field::Param(key) => sql.test_keyed(PARAM, "p.value", key, test),
        Field::Tag(key) => sql.test_keyed(TAG, "t.value", key, test),
        Field::Metric(key) => {
            sql.push("EXISTS (SELECT 1 FROM logged_model_metrics AS m WHERE m.model_no = models.model_no AND m.key = ")
                .bind(key);
            if !datasets.is_empty() {
                sql.push(" AND ");
                computed_on_one_of(sql, datasets);
            }
            sql.push(" AND (");
            let column = match test {
                Test::Number(Comparison::Unequal, _) => "m.is_nan = 1 OR m.value",
                _ => "m.is_nan = 0 AND m.value",
            };
            sql.test(column, test).push("))")
        }
        // The grammar has no datasets of models.
        Field::Dataset(_) => sql.push("FALSE"),
    };
}

fn sort(sql: &mut Sql, order: &Order<LoggedModelAttribute>, dataset: Option<&DatasetName>) {
    let descending = order.descending;
    match &order.field {
        Field::Attribute(attribute) => sql.order(column(*attribute), descending),
        Field::Param(key) => sql.order_keyed("p.value", PARAM, key, descending),
        Field::Tag(key) => sql.order_keyed("t.value", TAG, key, descending),
        Field::Metric(key) => {
            for (value, descending) in [("(SELECT m.is_nan", false), ("(SELECT m.value", descending)] {
                sql.push(value)
                    .push(" FROM logged_model_metrics AS m WHERE m.model_no = models.model_no AND m.key = ")
                    .bind(key);
                if let Some(dataset) = dataset {
                    sql.push(" AND ");
                    computed_on(sql, dataset);
                }
                sql.push(" ORDER BY m.step DESC, m.at DESC LIMIT 1)")
                    .push(if descending { " DESC" } else { " ASC" })
                    .push(" NULLS LAST, ");
            }
            sql
        }
        Field::Dataset(_) => sql,
    };
}

fn computed_on_one_of(sql: &mut Sql, datasets: &[DatasetName]) {
    sql.push("(FALSE");
    for dataset in datasets {
        sql.push(" OR ");
        computed_on(sql, dataset);
    }
    sql.push(")");
}

fn computed_on(sql: &mut Sql, dataset: &DatasetName) {
    sql.push("(m.dataset_name = ").bind(&dataset.name);
    if let Some(digest) = &dataset.digest {
        sql.push(" AND m.dataset_digest = ").bind(digest);
    }
    sql.push(")");
}

fn column(attribute: LoggedModelAttribute) -> &'static str {
    match attribute {
        LoggedModelAttribute::Id => "models.model_id",
        LoggedModelAttribute::Name => "models.name",
        LoggedModelAttribute::Type => "models.model_type",
        LoggedModelAttribute::Status => "models.status",
        LoggedModelAttribute::SourceRunId => "models.source_run_id",
        LoggedModelAttribute::ExperimentId => "CAST(models.experiment_id AS TEXT)",
        LoggedModelAttribute::ArtifactLocation => "models.artifact_location",
        LoggedModelAttribute::CreatedAt => "models.created_at",
        LoggedModelAttribute::UpdatedAt => "models.updated_at",
    }
}
