//! Reads a database that MLflow's own server wrote, of any version from 1.27 on, and never writes to it. What a version
//! does not have is absent; what is not read is counted, so that nobody takes it for taken over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lathe_types::datasets::{Dataset, DatasetInput};
use lathe_types::experiments::Experiment;
use lathe_types::imports::{LeftOut, LoggedModelRecord, RegisteredRecord, RunPiece};
use lathe_types::logged_models::{LoggedModel, LoggedModelStatus};
use lathe_types::metrics::{DatasetName, Metric, ModelMetric};
use lathe_types::models::{ModelVersion, RegisteredModel, Stage};
use lathe_types::runs::{Run, RunInfo, RunStatus};
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, Lifecycle, LoggedModelId, Millis, RunId};

use crate::db::Foreign;
use crate::{Location, Result, Row, Tx, Value};

/// Points of a history that are handed on at once.
const POINTS_MAX: usize = 10_000;

/// Tables that are read; rows of all others are counted.
const READ: &[&str] = &[
    "alembic_version",
    "workspaces",
    "experiments",
    "experiment_tags",
    "runs",
    "tags",
    "params",
    "metrics",
    "latest_metrics",
    "datasets",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
];

/// The database.
pub struct MlflowDatabase {
    foreign: Foreign,
    columns: HashMap<String, BTreeSet<String>>,
}

/// What is known of a run before it is read.
#[derive(Debug, Clone)]
pub struct RunMark {
    /// Its id there.
    pub id: String,
    /// Changes when the run does.
    pub mark: String,
    /// Points in its histories.
    pub points: u64,
    /// Where its artifacts lie.
    pub artifact_uri: String,
}

impl MlflowDatabase {
    /// Opens it to read.
    pub fn open(location: &Location) -> Result<Self> {
        let foreign = Foreign::open(location)?;
        let mut columns: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (table, column) in foreign.columns()? {
            columns.entry(table).or_default().insert(column);
        }
        Ok(Self { foreign, columns })
    }

    /// Whether it is one of MLflow's.
    pub fn is_mlflow(&self) -> bool {
        self.has("runs", "run_uuid") && self.has("experiments", "lifecycle_stage")
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.columns
            .get(table)
            .is_some_and(|columns| columns.contains(column))
    }

    /// The column, or what stands for it where it is absent.
    fn or(&self, table: &str, column: &'static str, otherwise: &'static str) -> &'static str {
        if self.has(table, column) {
            column
        } else {
            otherwise
        }
    }

    /// Only what is not of another workspace.
    fn own(&self, table: &str) -> &'static str {
        match self.has(table, "workspace") {
            true => " WHERE workspace = 'default'",
            false => "",
        }
    }

    /// What is there and not read.
    pub fn left_out(&self) -> Result<Vec<LeftOut>> {
        let mut found = Vec::new();
        let tables: BTreeMap<_, _> = self.columns.iter().collect();
        for (table, columns) in tables {
            let plain = table
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !plain || table.starts_with("sqlite_") {
                continue;
            }
            let (condition, reason) = match READ.contains(&table.as_str()) {
                false => ("", "Lathe keeps nothing of this kind from other servers"),
                true if columns.contains("workspace") => (
                    " WHERE workspace <> 'default'",
                    "it belongs to another workspace than `default`",
                ),
                true => continue,
            };
            let count = self.count(&format!(
                "SELECT CAST(COUNT(*) AS BIGINT) FROM {table}{condition}"
            ))?;
            if 0 < count {
                found.push(LeftOut::new(table.clone(), format!("{count} rows"), reason));
            }
        }
        let deleted =
            "SELECT CAST(COUNT(*) AS BIGINT) FROM model_versions WHERE current_stage = 'Deleted_Internal'";
        if self.has("model_versions", "current_stage") && 0 < self.count(deleted)? {
            let count = self.count(deleted)?;
            found.push(LeftOut::new(
                "model versions",
                format!("{count} rows"),
                "they were deleted there",
            ));
        }
        Ok(found)
    }

    fn count(&self, sql: &str) -> Result<i64> {
        self.foreign
            .read(|tx| Ok(tx.query_opt(sql, &[], |row| row.get(0))?.unwrap_or(0)))
    }

    /// Every experiment, deleted ones too.
    pub fn experiments(&self) -> Result<Vec<Experiment>> {
        let sql = format!(
            "SELECT CAST(experiment_id AS BIGINT), name, artifact_location, lifecycle_stage, {}, {}
             FROM experiments{} ORDER BY experiment_id",
            self.or("experiments", "creation_time", "CAST(NULL AS BIGINT)"),
            self.or("experiments", "last_update_time", "CAST(NULL AS BIGINT)"),
            self.own("experiments"),
        );
        self.foreign.read(|tx| {
            let mut experiments = tx.query(&sql, &[], |row| {
                Ok(Experiment {
                    id: ExperimentId::new(row.get(0)?),
                    name: row.get(1)?,
                    artifact_location: row.get::<Option<String>>(2)?.filter(|text| !text.is_empty()),
                    lifecycle: lifecycle(row.get::<Option<String>>(3)?),
                    created_at: row.get::<Option<i64>>(4)?.map(Millis),
                    updated_at: row.get::<Option<i64>>(5)?.map(Millis),
                    tags: Vec::new(),
                })
            })?;
            for experiment in &mut experiments {
                experiment.tags = pairs(
                    tx,
                    "SELECT key, value FROM experiment_tags WHERE experiment_id = ?1 ORDER BY key",
                    experiment.id.number().into(),
                )?;
            }
            Ok(experiments)
        })
    }

    /// Every run with what it looks like, in the order they were started.
    pub fn runs(&self) -> Result<Vec<RunMark>> {
        let sql = format!(
            "SELECT run_uuid, status, end_time, lifecycle_stage, {}, artifact_uri FROM runs ORDER BY start_time, run_uuid",
            self.or("runs", "deleted_time", "CAST(NULL AS BIGINT)"),
        );
        self.foreign.read(|tx| {
            let counts = |sql: &str| -> Result<HashMap<String, i64>> {
                let counts = tx.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(counts.into_iter().collect())
            };
            let points = counts("SELECT run_uuid, CAST(COUNT(*) AS BIGINT) FROM metrics GROUP BY run_uuid")?;
            let params = counts("SELECT run_uuid, CAST(COUNT(*) AS BIGINT) FROM params GROUP BY run_uuid")?;
            let tags = counts(
                "SELECT run_uuid, CAST(COUNT(*) * 1000003 + SUM(LENGTH(COALESCE(value, ''))) AS BIGINT)
                 FROM tags GROUP BY run_uuid",
            )?;
            tx.query(&sql, &[], |row| {
                let id: String = row.get(0)?;
                let of = |counts: &HashMap<String, i64>| counts.get(&id).copied().unwrap_or(0);
                let mark = format!(
                    "{} {:?} {} {:?} {} {} {}",
                    row.get::<Option<String>>(1)?.unwrap_or_default(),
                    row.get::<Option<i64>>(2)?,
                    row.get::<Option<String>>(3)?.unwrap_or_default(),
                    row.get::<Option<i64>>(4)?,
                    of(&points),
                    of(&params),
                    of(&tags)
                );
                Ok(RunMark {
                    points: of(&points) as u64,
                    artifact_uri: row.get::<Option<String>>(5)?.unwrap_or_default(),
                    mark,
                    id,
                })
            })
        })
    }

    /// Reads a run and hands it on in pieces, the last of which has its mark.
    pub fn read_run(
        &self,
        wanted: &RunMark,
        mut hand_on: impl FnMut(RunPiece) -> Result<()>,
    ) -> Result<Option<LeftOut>> {
        let Ok(id) = RunId::parse(&wanted.id) else {
            return Ok(Some(LeftOut::new(
                "run",
                &wanted.id,
                "its id is not 32 hex digits",
            )));
        };
        let sql = format!(
            "SELECT CAST(experiment_id AS BIGINT), {}, user_id, status, start_time, end_time, lifecycle_stage, {},
                    artifact_uri FROM runs WHERE run_uuid = ?1",
            self.or("runs", "name", "CAST(NULL AS TEXT)"),
            self.or("runs", "deleted_time", "CAST(NULL AS BIGINT)"),
        );
        self.foreign.read(|tx| {
            let key: Value = wanted.id.as_str().into();
            let found = tx.query_opt(&sql, std::slice::from_ref(&key), |row| {
                let status: Option<String> = row.get(3)?;
                let info = RunInfo {
                    id: id.clone(),
                    experiment_id: ExperimentId::new(row.get(0)?),
                    name: row.get::<Option<String>>(1)?.unwrap_or_default(),
                    user_id: row.get::<Option<String>>(2)?.unwrap_or_default(),
                    status: RunStatus::from_name(status.as_deref().unwrap_or_default())
                        .unwrap_or(RunStatus::Finished),
                    start_time: Millis(row.get::<Option<i64>>(4)?.unwrap_or(0)),
                    end_time: row.get::<Option<i64>>(5)?.map(Millis),
                    lifecycle: lifecycle(row.get::<Option<String>>(6)?),
                    artifact_uri: row.get::<Option<String>>(8)?.unwrap_or_default(),
                };
                Ok((info, row.get::<Option<i64>>(7)?.map(Millis)))
            })?;
            let Some((info, deleted_at)) = found else {
                return Ok(Some(LeftOut::new("run", &wanted.id, "it was removed while it was read")));
            };
            let mut run = Run {
                info,
                metrics: Vec::new(),
                params: Vec::new(),
                tags: Vec::new(),
                datasets: Vec::new(),
                models_in: Vec::new(),
                models_out: Vec::new(),
            };
            let mut last: BTreeMap<String, Metric> = BTreeMap::new();
            let mut history = Vec::new();
            tx.for_each(
                "SELECT key, value, timestamp, step, CAST(CASE WHEN is_nan THEN 1 ELSE 0 END AS BIGINT) FROM metrics
                 WHERE run_uuid = ?1 ORDER BY key, timestamp, step",
                std::slice::from_ref(&key),
                |row| {
                    let point = point(row, 0)?;
                    note_last(&mut last, &point);
                    history.push(point);
                    if POINTS_MAX <= history.len() {
                        hand_on(RunPiece {
                            run: run.clone(),
                            deleted_at,
                            history: std::mem::take(&mut history),
                            mark: None,
                        })?;
                    }
                    Ok(())
                },
            )?;
            run.metrics = last.into_values().collect();
            run.params = pairs(tx, "SELECT key, value FROM params WHERE run_uuid = ?1", key.clone())?;
            run.tags = pairs(tx, "SELECT key, value FROM tags WHERE run_uuid = ?1", key.clone())?;
            if self.has("inputs", "input_uuid") {
                run.datasets = datasets(tx, key.clone())?;
                self.models_of(tx, key, &mut run)?;
            }
            hand_on(RunPiece {
                run,
                deleted_at,
                history,
                mark: Some(wanted.mark.clone()),
            })?;
            Ok(None)
        })
    }

    fn models_of(&self, tx: &Tx<'_>, run: Value, found: &mut Run) -> Result<()> {
        if !self.has("inputs", "step") {
            return Ok(());
        }
        tx.for_each(
            "SELECT destination_type, destination_id, step FROM inputs
             WHERE source_id = ?1 AND destination_type IN ('MODEL_INPUT', 'MODEL_OUTPUT') ORDER BY step, destination_id",
            &[run],
            |row| {
                let model: String = row.get(1)?;
                match row.get::<String>(0)?.as_str() {
                    "MODEL_INPUT" => found.models_in.push(model),
                    _ => found.models_out.push((model, row.get(2)?)),
                }
                Ok(())
            },
        )
    }

    /// Every logged model, deleted ones too; and those that cannot be read.
    pub fn logged_models(&self) -> Result<(Vec<LoggedModelRecord>, Vec<LeftOut>)> {
        let mut left_out = Vec::new();
        if !self.has("logged_models", "model_id") {
            return Ok((Vec::new(), left_out));
        }
        let records = self.foreign.read(|tx| {
            let mut records = Vec::new();
            tx.for_each(
                "SELECT model_id, CAST(experiment_id AS BIGINT), name, artifact_location, creation_timestamp_ms,
                        last_updated_timestamp_ms, CAST(status AS BIGINT), lifecycle_stage, model_type, source_run_id,
                        status_message
                 FROM logged_models ORDER BY creation_timestamp_ms, model_id",
                &[],
                |row| {
                    let id: String = row.get(0)?;
                    let Ok(id) = LoggedModelId::parse(&id) else {
                        left_out.push(LeftOut::new("logged model", id, "its id is not `m-` and 32 hex digits"));
                        return Ok(());
                    };
                    let updated_at = Millis(row.get(5)?);
                    let deleted = lifecycle(row.get::<Option<String>>(7)?) == Lifecycle::Deleted;
                    let status = match row.get::<i64>(6)? {
                        2 => LoggedModelStatus::Ready,
                        3 => LoggedModelStatus::Failed,
                        _ => LoggedModelStatus::Pending,
                    };
                    records.push(LoggedModelRecord {
                        model: LoggedModel {
                            id,
                            experiment_id: ExperimentId::new(row.get(1)?),
                            name: row.get(2)?,
                            model_type: row.get(8)?,
                            source_run_id: row.get(9)?,
                            status,
                            status_message: row.get(10)?,
                            artifact_location: row.get(3)?,
                            created_at: Millis(row.get(4)?),
                            updated_at,
                            params: Vec::new(),
                            tags: Vec::new(),
                            metrics: Vec::new(),
                        },
                        deleted_at: deleted.then_some(updated_at),
                    });
                    Ok(())
                },
            )?;
            for record in &mut records {
                let model = &mut record.model;
                let key: Value = model.id.as_str().into();
                model.params = pairs(
                    tx,
                    "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?1",
                    key.clone(),
                )?;
                model.tags = pairs(
                    tx,
                    "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?1",
                    key.clone(),
                )?;
                model.metrics = tx.query(
                    "SELECT metric_name, metric_value, metric_timestamp_ms, metric_step, CAST(0 AS BIGINT), run_id,
                            dataset_name, dataset_digest
                     FROM logged_model_metrics WHERE model_id = ?1",
                    &[key],
                    |row| {
                        let name: Option<String> = row.get(6)?;
                        let digest: Option<String> = row.get(7)?;
                        Ok(ModelMetric {
                            run_id: row.get(5)?,
                            metric: point(row, 0)?,
                            dataset: name.map(|name| DatasetName { name, digest }),
                        })
                    },
                )?;
            }
            Ok(records)
        })?;
        Ok((records, left_out))
    }

    /// Every registered model with its versions, prompts too.
    pub fn registered_models(&self) -> Result<Vec<RegisteredRecord>> {
        if !self.has("registered_models", "name") {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT name, description, creation_time, last_updated_time FROM registered_models{} ORDER BY name",
            self.own("registered_models")
        );
        self.foreign.read(|tx| {
            let mut records = tx.query(&sql, &[], |row| {
                let created_at = row.get::<Option<i64>>(2)?.unwrap_or(0);
                Ok(RegisteredRecord {
                    model: RegisteredModel {
                        name: row.get(0)?,
                        description: row.get(1)?,
                        created_at: Millis(created_at),
                        updated_at: Millis(row.get::<Option<i64>>(3)?.unwrap_or(created_at)),
                        tags: Vec::new(),
                        aliases: Vec::new(),
                        latest_versions: Vec::new(),
                    },
                    versions: Vec::new(),
                })
            })?;
            for record in &mut records {
                let name: Value = (&record.model.name).into();
                record.model.tags = pairs(
                    tx,
                    "SELECT key, value FROM registered_model_tags WHERE name = ?1",
                    name.clone(),
                )?;
                record.versions = versions(tx, &record.model.name)?;
                if self.has("registered_model_aliases", "alias") {
                    record.model.aliases = tx.query(
                        "SELECT alias, CAST(version AS BIGINT) FROM registered_model_aliases WHERE name = ?1",
                        &[name],
                        |row| Ok((row.get(0)?, row.get::<i64>(1)? as u32)),
                    )?;
                    let there =
                        |number: &u32| record.versions.iter().any(|version| version.version == *number);
                    record.model.aliases.retain(|(_, version)| there(version));
                }
            }
            Ok(records)
        })
    }
}

fn versions(tx: &Tx<'_>, name: &str) -> Result<Vec<ModelVersion>> {
    let mut versions = tx.query(
        "SELECT CAST(version AS BIGINT), creation_time, last_updated_time, user_id, current_stage, description, source,
                run_id, run_link
         FROM model_versions WHERE name = ?1 AND current_stage <> 'Deleted_Internal' ORDER BY version",
        &[name.into()],
        |row| {
            let created_at = row.get::<Option<i64>>(1)?.unwrap_or(0);
            let stage = row.get::<Option<String>>(4)?.unwrap_or_default();
            let source = row.get::<Option<String>>(6)?.unwrap_or_default();
            let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
            let model = source.strip_prefix("models:/").map(|path| path.trim_matches('/'));
            let model_id = model.and_then(|path| LoggedModelId::parse(path).ok());
            Ok(ModelVersion {
                name: name.to_owned(),
                version: row.get::<i64>(0)? as u32,
                created_at: Millis(created_at),
                updated_at: Millis(row.get::<Option<i64>>(2)?.unwrap_or(created_at)),
                user_id: row.get(3)?,
                stage: Stage::parse("stage", &stage).unwrap_or(Stage::None),
                description: row.get(5)?,
                run_id: filled(row.get(7)?),
                run_link: filled(row.get(8)?),
                model_id: model_id.map(|id| id.to_string()),
                source,
                tags: Vec::new(),
                aliases: Vec::new(),
            })
        },
    )?;
    for version in &mut versions {
        version.tags = tx.query(
            "SELECT key, COALESCE(value, '') FROM model_version_tags WHERE name = ?1 AND version = ?2",
            &[name.into(), i64::from(version.version).into()],
            tag,
        )?;
    }
    Ok(versions)
}

fn datasets(tx: &Tx<'_>, run: Value) -> Result<Vec<DatasetInput>> {
    let found = tx.query(
        "SELECT inputs.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,
                d.dataset_profile
         FROM inputs JOIN datasets AS d ON d.dataset_uuid = inputs.source_id
         WHERE inputs.destination_id = ?1 AND inputs.source_type = 'DATASET' AND inputs.destination_type = 'RUN'
         ORDER BY inputs.input_uuid",
        &[run],
        |row| {
            let dataset = Dataset {
                name: row.get(1)?,
                digest: row.get(2)?,
                source_type: row.get(3)?,
                source: row.get(4)?,
                schema: row.get(5)?,
                profile: row.get(6)?,
            };
            Ok((row.get::<String>(0)?, dataset))
        },
    )?;
    found
        .into_iter()
        .map(|(input, dataset)| {
            let sql = "SELECT name, value FROM input_tags WHERE input_uuid = ?1";
            let tags = pairs(tx, sql, input.into())?;
            Ok(DatasetInput { dataset, tags })
        })
        .collect()
}

/// Notes the point if it is the last of its metric: by step, then time, then value.
pub fn note_last(last: &mut BTreeMap<String, Metric>, point: &Metric) {
    let rank = |metric: &Metric| (metric.step, metric.at);
    match last.get_mut(&point.key) {
        None => {
            last.insert(point.key.clone(), point.clone());
        }
        Some(known) => {
            let later =
                rank(known) < rank(point) || (rank(known) == rank(point) && known.value < point.value);
            if later {
                *known = point.clone();
            }
        }
    }
}

/// Key, value, time, step and whether it is no number, from the column `at`.
fn point(row: &Row<'_>, at: usize) -> Result<Metric> {
    let is_nan = row.get::<i64>(at + 4)? != 0;
    let value = row.get::<Option<f64>>(at + 1)?;
    Ok(Metric {
        key: row.get(at)?,
        value: value.filter(|_| !is_nan).unwrap_or(f64::NAN),
        at: Millis(row.get(at + 2)?),
        step: row.get(at + 3)?,
    })
}

fn pairs(tx: &Tx<'_>, sql: &str, id: Value) -> Result<Vec<Tag>> {
    tx.query(sql, &[id], tag)
}

fn tag(row: &Row<'_>) -> Result<Tag> {
    Ok(Tag {
        key: row.get(0)?,
        value: row.get::<Option<String>>(1)?.unwrap_or_default(),
    })
}

fn lifecycle(word: Option<String>) -> Lifecycle {
    match word.as_deref() {
        Some("deleted") => Lifecycle::Deleted,
        _ => Lifecycle::Active,
    }
}
