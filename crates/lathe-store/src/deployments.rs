//! Deployments: which version answers at an endpoint, and what its targets did.

use lathe_types::Millis;
use lathe_types::deployments::{Deployment, LatencyHistogram, TargetStats};
use lathe_types::project::DeploymentSpec;
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, Value, events, graphs, json, models, rollouts};

const COLUMNS: &str = "SELECT name, spec, stable, previous, revision, updated_at FROM deployments";

impl Store {
    /// Every deployment, by name.
    pub async fn list_deployments(&self) -> Result<Vec<Deployment>> {
        self.read(|tx| {
            let names = tx.query("SELECT name FROM deployments ORDER BY name", &[], |row| {
                row.get::<String>(0)
            })?;
            names.iter().map(|name| get(tx, name)).collect()
        })
        .await
    }

    /// The deployment of this name.
    pub async fn get_deployment(&self, name: &str) -> Result<Deployment> {
        let name = name.to_owned();
        self.read(move |tx| get(tx, &name)).await
    }

    /// Lets `version` answer everything from now on; the version before becomes where a rollback goes.
    pub async fn set_stable(&self, name: &str, version: u32, now: Millis) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| set_stable(tx, &name, version, now)).await
    }

    /// Ends a running rollout; without one, moves the alias back to the version before.
    pub async fn roll_back_deployment(&self, name: &str, reason: String, now: Millis) -> Result<Deployment> {
        let name = name.to_owned();
        self.write(move |tx| {
            let deployment = get(tx, &name)?;
            match &deployment.rollout {
                Some(rollout) => rollouts::roll_back(tx, rollout.id, &reason, now)?,
                None => return_to_previous(tx, &deployment, &reason, now)?,
            }
            get(tx, &name)
        })
        .await
    }

    /// Adds counters to what is known of each target.
    pub async fn add_target_stats(&self, stats: Vec<TargetStats>) -> Result<()> {
        self.write(move |tx| stats.iter().try_for_each(|target| add_stats(tx, target)))
            .await
    }

    /// The counters of one step of a rollout; rollout 0, step 0 holds those outside of any.
    pub async fn target_stats(
        &self,
        deployment: &str,
        rollout: i64,
        step: usize,
    ) -> Result<Vec<TargetStats>> {
        let deployment = deployment.to_owned();
        self.read(move |tx| {
            tx.query(
                "SELECT deployment, rollout, step, version, role, requests, errors, latency
                 FROM target_stats WHERE deployment = ?1 AND rollout = ?2 AND step = ?3
                 ORDER BY version, role",
                &[deployment.into(), rollout.into(), (step as i64).into()],
                target_stats,
            )
        })
        .await
    }
}

/// Takes over what a project declares; the versions that answer stay.
pub(crate) fn declare(
    tx: &Tx<'_>,
    project: &str,
    name: &str,
    spec: &DeploymentSpec,
    now: Millis,
) -> Result<()> {
    let before = tx.query_opt(
        "SELECT project, spec FROM deployments WHERE name = ?1",
        &[name.into()],
        |row| {
            Ok((
                row.get::<String>(0)?,
                json::column::<DeploymentSpec>(row, 1, "deployment")?,
            ))
        },
    )?;
    match before {
        Some((owner, _)) if owner != project => {
            return Err(Error::Conflict {
                message: format!(
                    "the deployment `{name}` belongs to the project `{owner}`; choose another name"
                ),
            });
        }
        Some((_, stored)) if stored == *spec => return Ok(()),
        _ => graphs::expect_free(tx, name)?,
    }
    tx.execute(
        "INSERT INTO deployments (name, project, spec, revision, updated_at) VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT (name) DO UPDATE
         SET spec = excluded.spec, revision = deployments.revision + 1, updated_at = excluded.updated_at",
        &[name.into(), project.into(), json::text(spec), now.0.into()],
    )?;
    let summary = format!("deployment `{name}` declared: {}", spec.model);
    events::append(
        tx,
        now,
        "deployment.declared",
        &format!("deployment/{name}"),
        &summary,
        &json!({}),
    )?;
    // An alias that names a version already is answered for at once.
    if let Some((model, alias)) = spec.model_alias()
        && get(tx, name)?.stable.is_none()
        && let Some(version) = models::find_alias(tx, model, alias)?
    {
        set_stable(tx, name, version, now)?;
    }
    Ok(())
}

pub(crate) fn get(tx: &Tx<'_>, name: &str) -> Result<Deployment> {
    let found = tx.query_opt(&format!("{COLUMNS} WHERE name = ?1"), &[name.into()], deployment)?;
    let mut deployment = found.ok_or_else(|| Error::NotFound {
        noun: "deployment",
        id: name.to_owned(),
    })?;
    deployment.rollout = rollouts::find_running(tx, name)?;
    Ok(deployment)
}

pub(crate) fn touch(tx: &Tx<'_>, name: &str, now: Millis) -> Result<()> {
    tx.execute(
        "UPDATE deployments SET revision = revision + 1, updated_at = ?2 WHERE name = ?1",
        &[name.into(), now.0.into()],
    )?;
    Ok(())
}

pub(crate) fn set_stable(tx: &Tx<'_>, name: &str, version: u32, now: Millis) -> Result<()> {
    let before = get(tx, name)?;
    if before.stable == Some(version) {
        return Ok(());
    }
    tx.execute(
        "UPDATE deployments SET previous = stable, stable = ?2, revision = revision + 1, updated_at = ?3
         WHERE name = ?1",
        &[name.into(), version.into(), now.0.into()],
    )?;
    let summary = match before.stable {
        Some(old) => format!("`{name}` is answered by version {version}, before by {old}"),
        None => format!("`{name}` is answered by version {version}"),
    };
    let data = json!({ "version": version, "previous": before.stable });
    events::append(
        tx,
        now,
        "deployment.swapped",
        &format!("deployment/{name}"),
        &summary,
        &data,
    )
}

/// Lets the deployments of an alias that was moved by itself be answered by the version that it names now.
pub(crate) fn follow_alias(tx: &Tx<'_>, model: &str, alias: &str, version: u32, now: Millis) -> Result<()> {
    let names = tx.query("SELECT name FROM deployments ORDER BY name", &[], |row| {
        row.get::<String>(0)
    })?;
    for name in names {
        let deployment = get(tx, &name)?;
        if deployment.spec.model_alias() != Some((model, alias)) {
            continue;
        }
        let reason = format!("`{model}@{alias}` was moved to version {version} by hand");
        match &deployment.rollout {
            Some(rollout) if rollout.to_version == version => {
                rollouts::promote(tx, rollout.id, &reason, now)?
            }
            Some(rollout) if deployment.stable != Some(version) => {
                rollouts::roll_back(tx, rollout.id, &reason, now)?;
            }
            _ => {}
        }
        set_stable(tx, &name, version, now)?;
    }
    Ok(())
}

fn return_to_previous(tx: &Tx<'_>, deployment: &Deployment, reason: &str, now: Millis) -> Result<()> {
    let name = &deployment.name;
    let Some(previous) = deployment.previous else {
        return Err(Error::Conflict {
            message: format!("`{name}` has no rollout under way and no version before the present one"),
        });
    };
    if let Some((model, alias)) = deployment.spec.model_alias() {
        models::set_alias(tx, model, alias, previous, now)?;
    }
    set_stable(tx, name, previous, now)?;
    let summary = format!("`{name}` rolled back to version {previous}: {reason}");
    let data = json!({ "version": previous, "reason": reason });
    events::append(
        tx,
        now,
        "rollout.rolled_back",
        &format!("deployment/{name}"),
        &summary,
        &data,
    )
}

fn deployment(row: &Row<'_>) -> Result<Deployment> {
    Ok(Deployment {
        name: row.get(0)?,
        spec: json::column(row, 1, "deployment")?,
        stable: row.get(2)?,
        previous: row.get(3)?,
        rollout: None,
        revision: row.get(4)?,
        updated_at: Millis(row.get(5)?),
    })
}

fn add_stats(tx: &Tx<'_>, stats: &TargetStats) -> Result<()> {
    let key: [Value; 5] = [
        (&stats.deployment).into(),
        stats.rollout.into(),
        (stats.step as i64).into(),
        stats.version.into(),
        json::word(&stats.role),
    ];
    let stored = tx.query_opt(
        "SELECT latency FROM target_stats
         WHERE deployment = ?1 AND rollout = ?2 AND step = ?3 AND version = ?4 AND role = ?5",
        &key,
        |row| json::column::<LatencyHistogram>(row, 0, "latency histogram"),
    )?;
    let mut latency = stored.unwrap_or_default();
    latency.merge(&stats.latency);
    let mut params = key.to_vec();
    params.extend([
        Value::Int(stats.requests as i64),
        Value::Int(stats.errors as i64),
        json::text(&latency),
    ]);
    tx.execute(
        "INSERT INTO target_stats (deployment, rollout, step, version, role, requests, errors, latency)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (deployment, rollout, step, version, role) DO UPDATE
         SET requests = target_stats.requests + excluded.requests,
             errors = target_stats.errors + excluded.errors, latency = excluded.latency",
        &params,
    )?;
    Ok(())
}

fn target_stats(row: &Row<'_>) -> Result<TargetStats> {
    Ok(TargetStats {
        deployment: row.get(0)?,
        rollout: row.get(1)?,
        step: row.get::<i64>(2)? as usize,
        version: row.get(3)?,
        role: json::from_word(row, 4, "target's role")?,
        requests: row.get::<i64>(5)? as u64,
        errors: row.get::<i64>(6)? as u64,
        latency: json::column(row, 7, "latency histogram")?,
    })
}
