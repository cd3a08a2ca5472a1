//! The way back from an answer: one read over the tables that every act left its rows in.

use lathe_types::executions::{Execution, HashedPath, StageOutcome};
use lathe_types::lineage::{LineageEdge, LineageGraph, LineageNode};
use lathe_types::samples::Sample;
use lathe_types::{PredictionId, RunId};
use serde_json::{Value as Json, json};

use crate::caller::Sees;
use crate::sql::Sql;
use crate::{Error, Result, Store, Tx, json as json_text, models};

/// Where a way back begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineageId {
    /// An answered row.
    Prediction(PredictionId),
    /// A run.
    Run(RunId),
    /// A model version.
    Version {
        /// The model.
        model: String,
        /// Its version.
        version: u32,
    },
    /// The version behind an alias.
    Alias {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
}

impl LineageId {
    /// Reads `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or a prediction's or run's id. Both have the same form:
    /// it is looked for as a prediction first.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::Invalid {
            message: format!(
                "`{text}` is neither a prediction id, a run id, `models:/NAME/VERSION` nor `models:/NAME@ALIAS`"
            ),
        };
        if let Some(rest) = text.strip_prefix("models:/") {
            if let Some((model, alias)) = rest.split_once('@') {
                return Ok(Self::Alias {
                    model: model.to_owned(),
                    alias: alias.to_owned(),
                });
            }
            let (model, version) = rest.rsplit_once('/').ok_or_else(invalid)?;
            let version = version.parse().map_err(|_| invalid())?;
            return Ok(Self::Version {
                model: model.to_owned(),
                version,
            });
        }
        PredictionId::parse(text)
            .map(Self::Prediction)
            .map_err(|_| invalid())
    }
}

impl Store {
    /// The way back from `id` to deployment, version, run, stages, data, environment and commit.
    pub async fn lineage(&self, id: LineageId) -> Result<LineageGraph> {
        self.read(move |tx| {
            let mut walk = Walk {
                tx,
                graph: LineageGraph::default(),
            };
            match &id {
                LineageId::Prediction(prediction) => walk.prediction_or_run(prediction)?,
                LineageId::Run(run) => walk.run(None, run.as_str())?,
                LineageId::Version { model, version } => walk.version(None, model, *version)?,
                LineageId::Alias { model, alias } => {
                    let version = models::find_alias(tx, model, alias)?;
                    let version = version.ok_or_else(|| Error::NotFound {
                        noun: "model alias",
                        id: format!("{model}@{alias}"),
                    })?;
                    walk.version(None, model, version)?;
                }
            }
            Ok(walk.graph)
        })
        .await
    }
}

/// What the caller may not see ends the way back, and is not there if the way began with it.
fn hidden(from: Option<(&str, &str)>, noun: &'static str, id: &str) -> Result<()> {
    match from {
        Some(_) => Ok(()),
        None => Err(Error::NotFound {
            noun,
            id: id.to_owned(),
        }),
    }
}

struct Walk<'a> {
    tx: &'a Tx<'a>,
    graph: LineageGraph,
}

impl Walk<'_> {
    /// Adds a node, unless it is there, and its edge. Returns its id.
    fn add(
        &mut self,
        from: Option<(&str, &str)>,
        kind: &str,
        key: &str,
        title: String,
        details: Json,
    ) -> String {
        let id = format!("{kind}/{key}");
        if !self.graph.nodes.iter().any(|node| node.id == id) {
            self.graph.nodes.push(LineageNode {
                kind: kind.to_owned(),
                id: id.clone(),
                title,
                details,
            });
        }
        if let Some((from, relation)) = from {
            self.graph.edges.push(LineageEdge {
                from: from.to_owned(),
                to: id.clone(),
                relation: relation.to_owned(),
            });
        }
        id
    }

    fn prediction_or_run(&mut self, id: &PredictionId) -> Result<()> {
        let found = self.tx.query_opt(
            "SELECT samples.body, labels.value FROM samples
             LEFT JOIN labels ON labels.prediction_id = samples.prediction_id WHERE samples.prediction_id = ?1",
            &[id.as_str().into()],
            |row| Ok((json_text::column::<Sample>(row, 0, "sample")?, json_text::column_opt::<Json>(row, 1, "label")?)),
        )?;
        let Some((sample, label)) = found else {
            return match RunId::parse(id.as_str()) {
                Ok(run) => self.run(None, run.as_str()),
                Err(_) => Err(Error::NotFound {
                    noun: "prediction",
                    id: id.to_string(),
                }),
            };
        };
        let details = json!({
            "at": sample.at.to_string(), "role": sample.role, "prediction": sample.prediction, "label": label,
            "latency_us": sample.latency_us, "features": sample.features,
        });
        let prediction = self.add(None, "prediction", id.as_str(), id.to_string(), details);
        let from = Some((prediction.as_str(), "answered by"));
        let name = &sample.deployment;
        if sample.members.is_empty() {
            let deployment = self.add(
                from,
                "deployment",
                name,
                name.clone(),
                json!({ "role": sample.role }),
            );
            return self.version(Some((&deployment, "served")), &sample.model, sample.version);
        }
        let details = json!({ "version": sample.version });
        let graph = self.add(
            from,
            "graph",
            name,
            format!("{name} version {}", sample.version),
            details,
        );
        for member in &sample.members {
            self.version(Some((&graph, "asked")), &member.model, member.version)?;
        }
        Ok(())
    }

    fn version(&mut self, from: Option<(&str, &str)>, model: &str, version: u32) -> Result<()> {
        let key = format!("{model}/{version}");
        let mut sql = Sql::new("SELECT m.name FROM registered_models AS m WHERE m.name = ");
        sql.bind(model).push(" AND ").visible_model(self.tx, "m.name");
        if sql.all(self.tx, |_| Ok(()))?.is_empty() && self.tx.caller().sees != Sees::default() {
            return hidden(from, "model version", &key);
        }
        let record = models::find_version(self.tx, model, version)?.ok_or_else(|| Error::NotFound {
            noun: "model version",
            id: key.clone(),
        })?;
        let details = json!({ "source": record.source, "aliases": record.aliases, "registered": record.created_at.to_string() });
        let node = self.add(
            from,
            "model version",
            &key,
            format!("{model} version {version}"),
            details,
        );
        match &record.run_id {
            Some(run) => self.run(Some((&node, "made by")), run),
            None => Ok(()),
        }
    }

    fn run(&mut self, from: Option<(&str, &str)>, run_id: &str) -> Result<()> {
        let mut sql = Sql::new("SELECT runs.run_id FROM runs WHERE runs.run_id = ");
        sql.bind(run_id)
            .push(" AND ")
            .visible_in(self.tx, "runs.experiment_id", |sees| sees.runs);
        if sql.all(self.tx, |_| Ok(()))?.is_empty() && self.tx.caller().sees != Sees::default() {
            return hidden(from, "prediction or run", run_id);
        }
        let found = self.tx.query_opt(
            "SELECT runs.name, runs.status, runs.start_time, experiments.name FROM runs
             JOIN experiments ON experiments.experiment_id = runs.experiment_id WHERE runs.run_id = ?1",
            &[run_id.into()],
            |row| {
                Ok((
                    row.get::<String>(0)?,
                    row.get::<String>(1)?,
                    row.get::<i64>(2)?,
                    row.get::<String>(3)?,
                ))
            },
        )?;
        let (name, status, started, experiment) = found.ok_or_else(|| Error::NotFound {
            noun: "prediction or run",
            id: run_id.to_owned(),
        })?;
        let started = lathe_types::Millis(started).to_string();
        let details =
            json!({ "run_id": run_id, "experiment": experiment, "status": status, "started": started });
        let run = self.add(from, "run", run_id, name, details);
        let execution = self.tx.query_opt(
            "SELECT body FROM executions WHERE run_id = ?1",
            &[run_id.into()],
            |row| json_text::column::<Execution>(row, 0, "execution"),
        )?;
        if let Some(execution) = execution {
            self.execution(&run, &execution);
        }
        Ok(())
    }

    fn execution(&mut self, run: &str, execution: &Execution) {
        for stage in &execution.stages {
            let outcome = match stage.outcome {
                StageOutcome::Executed => "executed",
                StageOutcome::Unchanged => "relied on",
                StageOutcome::Restored => "restored",
                StageOutcome::Failed => "failed at",
            };
            let details = json!({ "command": stage.command, "reason": stage.reason, "params": stage.params });
            let key = format!("{}/{}", execution.run_id, stage.stage);
            let node = self.add(Some((run, outcome)), "stage", &key, stage.stage.clone(), details);
            for dep in &stage.deps {
                self.data(&node, "read", dep);
            }
            for out in &stage.outs {
                self.data(&node, "wrote", out);
            }
        }
        let environment = &execution.environment;
        let short: String = environment.digest.chars().take(12).collect();
        let details = serde_json::to_value(environment).unwrap_or_default();
        let title = format!("{} {short}", environment.manager);
        self.add(
            Some((run, "ran in")),
            "environment",
            &environment.digest,
            title,
            details,
        );
        if let Some(commit) = &execution.commit {
            let short: String = commit.chars().take(12).collect();
            let title = if execution.dirty {
                format!("{short} with changes")
            } else {
                short
            };
            let details = json!({ "commit": commit, "dirty": execution.dirty, "project": execution.project });
            self.add(Some((run, "at")), "commit", commit, title, details);
        }
    }

    fn data(&mut self, stage: &str, relation: &str, path: &HashedPath) {
        let key = format!("{}@{}", path.path, path.md5);
        let details = json!({ "md5": path.md5, "size": path.size });
        self.add(Some((stage, relation)), "data", &key, path.path.clone(), details);
    }
}
