//! What pipelines did for runs.

use lathe_types::executions::Execution;
use lathe_types::{Millis, RunId};
use serde_json::{Value as Json, json as object};

use crate::{Result, Store, events, json};

impl Store {
    /// Keeps what a pipeline did for a run.
    pub async fn record_execution(&self, execution: Execution) -> Result<()> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO executions (run_id, body) VALUES (?1, ?2)
                 ON CONFLICT (run_id) DO UPDATE SET body = excluded.body",
                &[execution.run_id.as_str().into(), json::text(&execution)],
            )?;
            Ok(())
        })
        .await
    }

    /// What the pipeline did for a run, if it was made by one.
    pub async fn find_execution(&self, run: RunId) -> Result<Option<Execution>> {
        self.read(move |tx| {
            tx.query_opt(
                "SELECT body FROM executions WHERE run_id = ?1",
                &[run.as_str().into()],
                |row| json::column(row, 0, "execution"),
            )
        })
        .await
    }

    /// Keeps with every model version of a run what its reproduction showed; returns these versions.
    pub async fn record_reproduction(
        &self,
        run: RunId,
        shown: Json,
        summary: String,
        now: Millis,
    ) -> Result<Vec<(String, u32)>> {
        self.write(move |tx| {
            let versions = tx.query(
                "SELECT model_versions.name, model_versions.version, version_facts.facts FROM model_versions
                 LEFT JOIN version_facts ON version_facts.model = model_versions.name
                 AND version_facts.version = model_versions.version WHERE model_versions.run_id = ?1
                 ORDER BY model_versions.name, model_versions.version",
                &[run.as_str().into()],
                |row| {
                    let facts = json::column_opt::<Json>(row, 2, "version's facts")?;
                    Ok((row.get::<String>(0)?, row.get::<i64>(1)?, facts))
                },
            )?;
            let mut kept = Vec::new();
            for (model, version, facts) in versions {
                let mut facts = facts.unwrap_or_else(|| object!({}));
                facts["reproduction"] = shown.clone();
                tx.execute(
                    "INSERT INTO version_facts (model, version, facts) VALUES (?1, ?2, ?3)
                     ON CONFLICT (model, version) DO UPDATE SET facts = excluded.facts",
                    &[(&model).into(), version.into(), json::text(&facts)],
                )?;
                kept.push((model, version as u32));
            }
            events::append(tx, now, "run.reproduced", &format!("run/{run}"), &summary, &shown)?;
            Ok(kept)
        })
        .await
    }
}
