//! Rollouts: a version on its way to answering everything. A deployment has at most one running.

use lathe_types::Millis;
use lathe_types::deployments::{Fault, Rollout, RolloutState};
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, alerts, deployments, events, json, models};

const COLUMNS: &str = "SELECT id, deployment, from_version, to_version, step, step_started_at, started_at,
                              finished_at, state, reason, fault
                       FROM rollouts";

impl Store {
    /// Begins with the first step. A conflict if one is running, or nothing answers yet.
    pub async fn start_rollout(
        &self,
        name: &str,
        to_version: u32,
        fault: Option<Fault>,
        now: Millis,
    ) -> Result<Rollout> {
        let name = name.to_owned();
        self.write(move |tx| start(tx, &name, to_version, fault, now))
            .await
    }

    /// Goes on to `step`.
    pub async fn advance_rollout(&self, id: i64, step: usize, now: Millis) -> Result<()> {
        self.write(move |tx| advance(tx, id, step, now)).await
    }

    /// Moves the alias: the new version answers everything. Alerts on the old one are resolved.
    pub async fn promote_rollout(&self, id: i64, reason: String, now: Millis) -> Result<()> {
        self.write(move |tx| promote(tx, id, &reason, now)).await
    }

    /// Ends the rollout; the alias never moved.
    pub async fn roll_back_rollout(&self, id: i64, reason: String, now: Millis) -> Result<()> {
        self.write(move |tx| roll_back(tx, id, &reason, now)).await
    }

    /// The rollouts of a deployment, newest first.
    pub async fn list_rollouts(&self, name: &str, limit: usize) -> Result<Vec<Rollout>> {
        let name = name.to_owned();
        self.read(move |tx| {
            let sql = format!("{COLUMNS} WHERE deployment = ?1 ORDER BY id DESC LIMIT ?2");
            tx.query(&sql, &[name.into(), (limit as i64).into()], rollout)
        })
        .await
    }
}

pub(crate) fn find_running(tx: &Tx<'_>, name: &str) -> Result<Option<Rollout>> {
    tx.query_opt(
        &format!("{COLUMNS} WHERE deployment = ?1 AND state = 'running'"),
        &[name.into()],
        rollout,
    )
}

fn get_running(tx: &Tx<'_>, id: i64) -> Result<Rollout> {
    let found = tx.query_opt(&format!("{COLUMNS} WHERE id = ?1"), &[id.into()], rollout)?;
    let found = found.ok_or_else(|| Error::NotFound {
        noun: "rollout",
        id: id.to_string(),
    })?;
    match found.state {
        RolloutState::Running => Ok(found),
        _ => Err(Error::Conflict {
            message: format!("rollout {id} has ended already"),
        }),
    }
}

fn start(tx: &Tx<'_>, name: &str, to_version: u32, fault: Option<Fault>, now: Millis) -> Result<Rollout> {
    let deployment = deployments::get(tx, name)?;
    if let Some(running) = &deployment.rollout {
        return Err(Error::Conflict {
            message: format!(
                "`{name}` is rolling out version {} already; wait for it or `lathe rollback {name}`",
                running.to_version
            ),
        });
    }
    let Some(from_version) = deployment.stable else {
        return Err(Error::Conflict {
            message: format!("`{name}` has no version to roll out against"),
        });
    };
    tx.execute(
        "INSERT INTO rollouts (deployment, from_version, to_version, step, step_started_at, started_at, state, fault)
         VALUES (?1, ?2, ?3, 0, ?4, ?4, 'running', ?5)",
        &[
            name.into(),
            from_version.into(),
            to_version.into(),
            now.0.into(),
            fault.map_or(crate::Value::Null, |fault| json::text(&fault)),
        ],
    )?;
    deployments::touch(tx, name, now)?;
    let started = find_running(tx, name)?.ok_or(Error::Closed)?;
    let summary = format!("`{name}`: rollout of version {to_version} started, {from_version} still answers");
    tell(tx, &started, "rollout.started", &summary, now)?;
    Ok(started)
}

fn advance(tx: &Tx<'_>, id: i64, step: usize, now: Millis) -> Result<()> {
    let running = get_running(tx, id)?;
    tx.execute(
        "UPDATE rollouts SET step = ?2, step_started_at = ?3 WHERE id = ?1",
        &[id.into(), (step as i64).into(), now.0.into()],
    )?;
    deployments::touch(tx, &running.deployment, now)?;
    let summary = format!(
        "`{}`: version {} goes on to step {}",
        running.deployment,
        running.to_version,
        step + 1
    );
    tell(tx, &Rollout { step, ..running }, "rollout.step", &summary, now)
}

pub(crate) fn promote(tx: &Tx<'_>, id: i64, reason: &str, now: Millis) -> Result<()> {
    let running = get_running(tx, id)?;
    let deployment = deployments::get(tx, &running.deployment)?;
    finish(tx, &running, RolloutState::Promoted, reason, now)?;
    if let Some((model, alias)) = deployment.spec.model_alias() {
        models::set_alias(tx, model, alias, running.to_version, now)?;
    }
    deployments::set_stable(tx, &running.deployment, running.to_version, now)?;
    alerts::resolve(tx, &running.deployment, None, now)?;
    let summary = format!(
        "`{}`: version {} promoted: {reason}",
        running.deployment, running.to_version
    );
    tell(tx, &running, "rollout.promoted", &summary, now)
}

pub(crate) fn roll_back(tx: &Tx<'_>, id: i64, reason: &str, now: Millis) -> Result<()> {
    let running = get_running(tx, id)?;
    finish(tx, &running, RolloutState::RolledBack, reason, now)?;
    deployments::touch(tx, &running.deployment, now)?;
    let summary = format!(
        "`{}`: version {} rolled back: {reason}",
        running.deployment, running.to_version
    );
    tell(tx, &running, "rollout.rolled_back", &summary, now)
}

fn finish(tx: &Tx<'_>, rollout: &Rollout, state: RolloutState, reason: &str, now: Millis) -> Result<()> {
    tx.execute(
        "UPDATE rollouts SET state = ?2, reason = ?3, finished_at = ?4 WHERE id = ?1",
        &[rollout.id.into(), json::word(&state), reason.into(), now.0.into()],
    )?;
    Ok(())
}

fn tell(tx: &Tx<'_>, rollout: &Rollout, kind: &str, summary: &str, now: Millis) -> Result<()> {
    let subject = format!("deployment/{}", rollout.deployment);
    let data = json!({ "rollout": rollout.id, "version": rollout.to_version, "step": rollout.step });
    events::append(tx, now, kind, &subject, summary, &data)
}

fn rollout(row: &Row<'_>) -> Result<Rollout> {
    Ok(Rollout {
        id: row.get(0)?,
        deployment: row.get(1)?,
        from_version: row.get(2)?,
        to_version: row.get(3)?,
        step: row.get::<i64>(4)? as usize,
        step_started_at: Millis(row.get(5)?),
        started_at: Millis(row.get(6)?),
        finished_at: row.get::<Option<i64>>(7)?.map(Millis),
        state: json::from_word(row, 8, "rollout's state")?,
        reason: row.get(9)?,
        fault: json::column_opt(row, 10, "fault")?,
    })
}
