//! What gates said, with everything they saw.

use lathe_types::gates::GateVerdict;
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, events, json};

impl Store {
    /// Keeps a verdict and returns its id.
    pub async fn record_verdict(&self, verdict: GateVerdict) -> Result<i64> {
        self.write(move |tx| record(tx, verdict)).await
    }

    /// The newest verdicts on a model, or on one version of it, newest first.
    pub async fn list_verdicts(
        &self,
        model: &str,
        version: Option<u32>,
        limit: usize,
    ) -> Result<Vec<GateVerdict>> {
        let model = model.to_owned();
        self.read(move |tx| {
            tx.query(
                "SELECT id, body FROM verdicts WHERE model = ?1 AND (version = ?2 OR CAST(?2 AS BIGINT) IS NULL)
                 ORDER BY id DESC LIMIT ?3",
                &[model.into(), version.into(), (limit as i64).into()],
                verdict,
            )
        })
        .await
    }

    /// The newest verdict on a version, if it was judged.
    pub async fn latest_verdict(&self, model: &str, version: u32) -> Result<Option<GateVerdict>> {
        Ok(self.list_verdicts(model, Some(version), 1).await?.pop())
    }
}

fn record(tx: &Tx<'_>, mut verdict: GateVerdict) -> Result<i64> {
    tx.execute(
        "INSERT INTO verdicts (model, version, body) VALUES (?1, ?2, '{}')",
        &[(&verdict.model).into(), verdict.version.into()],
    )?;
    let id = tx.query_opt(
        "SELECT MAX(id) FROM verdicts WHERE model = ?1 AND version = ?2",
        &[(&verdict.model).into(), verdict.version.into()],
        |row| row.get(0),
    )?;
    verdict.id = id.ok_or(Error::Closed)?;
    tx.execute(
        "UPDATE verdicts SET body = ?2 WHERE id = ?1",
        &[verdict.id.into(), json::text(&verdict)],
    )?;
    let failed: Vec<&str> = verdict
        .rules
        .iter()
        .filter(|rule| rule.outcome != lathe_types::gates::GateOutcome::Pass)
        .map(|rule| rule.reason.as_str())
        .collect();
    let word = serde_json::to_value(verdict.outcome).unwrap_or_default();
    let word = word.as_str().unwrap_or_default();
    let because = if failed.is_empty() {
        String::new()
    } else {
        format!(": {}", failed.join("; "))
    };
    let summary = format!(
        "gate of `{}` version {}: {word}{because}",
        verdict.model, verdict.version
    );
    let subject = format!("model/{}/{}", verdict.model, verdict.version);
    let data = json!({ "verdict": verdict.id, "outcome": verdict.outcome, "champion": verdict.champion });
    events::append(tx, verdict.at, "gate.decided", &subject, &summary, &data)?;
    Ok(verdict.id)
}

fn verdict(row: &Row<'_>) -> Result<GateVerdict> {
    json::column(row, 1, "verdict")
}
