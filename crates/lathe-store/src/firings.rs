//! What triggers did about alerts: each trigger fires once for each alert at most.

use lathe_types::Millis;
use lathe_types::jobs::NewJob;
use serde_json::json;

use crate::{Result, Store, events, jobs};

/// A trigger's answer to an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The project that declares the trigger.
    pub project: String,
    /// The trigger.
    pub trigger: String,
    /// The alert it answers.
    pub alert_id: i64,
    /// The job that follows; none if it was held back.
    pub job: Option<NewJob>,
    /// Why, in words for people.
    pub reason: String,
}

impl Store {
    /// When a trigger fired since `since`, oldest first.
    pub async fn list_firings(&self, project: &str, trigger: &str, since: Millis) -> Result<Vec<Millis>> {
        let (project, trigger) = (project.to_owned(), trigger.to_owned());
        self.read(move |tx| {
            tx.query(
                "SELECT at FROM trigger_firings
                 WHERE project = ?1 AND trigger_name = ?2 AND fired = 1 AND ?3 <= at ORDER BY at",
                &[project.into(), trigger.into(), since.0.into()],
                |row| Ok(Millis(row.get(0)?)),
            )
        })
        .await
    }

    /// Notes a trigger's answer and queues its job, in one transaction; false if the alert was answered already. An
    /// answer that was held back can still become a firing.
    pub async fn record_firing(&self, firing: Firing, now: Millis) -> Result<bool> {
        self.write(move |tx| {
            let fresh = tx.execute(
                "INSERT INTO trigger_firings (project, trigger_name, alert_id, fired, reason, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (project, trigger_name, alert_id)
                 DO UPDATE SET fired = excluded.fired, reason = excluded.reason, at = excluded.at
                 WHERE trigger_firings.fired = 0 AND excluded.fired = 1",
                &[
                    (&firing.project).into(),
                    (&firing.trigger).into(),
                    firing.alert_id.into(),
                    firing.job.is_some().into(),
                    (&firing.reason).into(),
                    now.0.into(),
                ],
            )?;
            if fresh == 0 {
                return Ok(false);
            }
            let kind = if firing.job.is_some() {
                "trigger.fired"
            } else {
                "trigger.suppressed"
            };
            let summary = format!("trigger `{}`: {}", firing.trigger, firing.reason);
            let data = json!({ "project": firing.project, "alert": firing.alert_id });
            events::append(
                tx,
                now,
                kind,
                &format!("trigger/{}", firing.trigger),
                &summary,
                &data,
            )?;
            if let Some(job) = &firing.job {
                jobs::enqueue(tx, job, now)?;
            }
            Ok(true)
        })
        .await
    }
}
