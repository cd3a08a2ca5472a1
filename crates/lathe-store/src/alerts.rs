//! Alerts: one unresolved alert of a kind for each deployment.

use lathe_types::Millis;
use lathe_types::alerts::{Alert, AlertKind, AlertState};
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, Value, events, json};

impl Store {
    /// Opens an alert (its id is given here); nothing if one of that kind is unresolved.
    pub async fn open_alert(&self, alert: Alert) -> Result<Option<Alert>> {
        self.write(move |tx| open(tx, alert)).await
    }

    /// The newest alerts, of one deployment or of all, newest first.
    pub async fn list_alerts(&self, deployment: Option<String>, limit: usize) -> Result<Vec<Alert>> {
        self.read(move |tx| {
            tx.query(
                "SELECT id, body FROM alerts WHERE deployment = ?1 OR CAST(?1 AS TEXT) IS NULL ORDER BY id DESC LIMIT ?2",
                &[deployment.into(), (limit as i64).into()],
                alert,
            )
        })
        .await
    }

    /// Notes that somebody has seen the alert.
    pub async fn acknowledge_alert(&self, id: i64, now: Millis) -> Result<Alert> {
        self.write(move |tx| {
            let found = tx.query_opt("SELECT id, body FROM alerts WHERE id = ?1", &[id.into()], alert)?;
            let mut found = found.ok_or_else(|| Error::NotFound {
                noun: "alert",
                id: id.to_string(),
            })?;
            if found.state == AlertState::Open {
                found.state = AlertState::Acknowledged;
                store(tx, &found)?;
                tell(tx, &found, "alert.acknowledged", now)?;
            }
            Ok(found)
        })
        .await
    }

    /// Resolves the unresolved alerts of a deployment, of one kind or of all; returns how many there were.
    pub async fn resolve_alerts(
        &self,
        deployment: &str,
        kind: Option<AlertKind>,
        now: Millis,
    ) -> Result<usize> {
        let deployment = deployment.to_owned();
        self.write(move |tx| resolve(tx, &deployment, kind, now)).await
    }
}

fn open(tx: &Tx<'_>, mut alert: Alert) -> Result<Option<Alert>> {
    let key: [Value; 2] = [(&alert.deployment).into(), json::word(&alert.kind)];
    let open = tx.query_opt(
        "SELECT 1 FROM alerts WHERE deployment = ?1 AND kind = ?2 AND state <> 'resolved'",
        &key,
        |_| Ok(()),
    )?;
    if open.is_some() {
        return Ok(None);
    }
    let [deployment, kind] = key;
    tx.execute(
        "INSERT INTO alerts (deployment, kind, state, body) VALUES (?1, ?2, ?3, '{}')",
        &[deployment.clone(), kind.clone(), json::word(&alert.state)],
    )?;
    let id = tx.query_opt(
        "SELECT MAX(id) FROM alerts WHERE deployment = ?1 AND kind = ?2",
        &[deployment, kind],
        |row| row.get(0),
    )?;
    alert.id = id.unwrap_or_default();
    store(tx, &alert)?;
    tell(tx, &alert, "alert.opened", alert.opened_at)?;
    Ok(Some(alert))
}

pub(crate) fn resolve(tx: &Tx<'_>, deployment: &str, kind: Option<AlertKind>, now: Millis) -> Result<usize> {
    let unresolved = tx.query(
        "SELECT id, body FROM alerts WHERE deployment = ?1 AND state <> 'resolved' ORDER BY id",
        &[deployment.into()],
        alert,
    )?;
    let mut resolved = 0;
    for mut alert in unresolved
        .into_iter()
        .filter(|alert| kind.is_none_or(|kind| kind == alert.kind))
    {
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        store(tx, &alert)?;
        tell(tx, &alert, "alert.resolved", now)?;
        resolved += 1;
    }
    Ok(resolved)
}

fn store(tx: &Tx<'_>, alert: &Alert) -> Result<()> {
    tx.execute(
        "UPDATE alerts SET state = ?2, body = ?3 WHERE id = ?1",
        &[alert.id.into(), json::word(&alert.state), json::text(alert)],
    )?;
    Ok(())
}

fn tell(tx: &Tx<'_>, alert: &Alert, kind: &str, now: Millis) -> Result<()> {
    let subject = format!("deployment/{}", alert.deployment);
    let data = json!({ "alert": alert.id, "kind": alert.kind, "cause": alert.diagnosis.cause });
    events::append(tx, now, kind, &subject, &alert.summary, &data)
}

fn alert(row: &Row<'_>) -> Result<Alert> {
    json::column(row, 1, "alert")
}
