//! The reconciler: compares what is with what `lathe.toml` declares, and acts through rows: rollouts go on or back,
//! alerts set triggers off.

use std::collections::BTreeSet;
use std::time::Duration;

use lathe_store::{Firing, Result, Store};
use lathe_types::Millis;
use lathe_types::alerts::AlertState;
use lathe_types::deployments::Deployment;
use lathe_types::jobs::NewJob;
use serde_json::json;

use crate::{rollout, trigger};

/// Steps end by time, so this is how late a step may end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Alerts that are looked at, the newest.
const ALERTS_MAX: usize = 50;

/// Reconciles until it is dropped.
pub async fn run(store: Store, now: fn() -> Millis) {
    let mut answered = BTreeSet::new();
    loop {
        for outcome in [
            advance_rollouts(&store, now).await,
            fire_triggers(&store, now, &mut answered).await,
        ] {
            if let Err(error) = outcome {
                tracing::error!(%error, "reconciling failed; trying again");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn advance_rollouts(store: &Store, now: fn() -> Millis) -> Result<()> {
    for deployment in store.list_deployments().await? {
        advance(store, &deployment, now).await?;
    }
    Ok(())
}

async fn advance(store: &Store, deployment: &Deployment, now: fn() -> Millis) -> Result<()> {
    let Some(rollout) = &deployment.rollout else {
        return Ok(());
    };
    let mut stats = Vec::new();
    for step in 0..=rollout.step {
        stats.extend(store.target_stats(&deployment.name, rollout.id, step).await?);
    }
    match rollout::decide(&deployment.spec, rollout, &stats, now()) {
        Ok(rollout::Decision::Wait) => Ok(()),
        Ok(rollout::Decision::Advance { step }) => store.advance_rollout(rollout.id, step, now()).await,
        Ok(rollout::Decision::Promote { reason }) => store.promote_rollout(rollout.id, reason, now()).await,
        Ok(rollout::Decision::RollBack { reason }) => {
            store.roll_back_rollout(rollout.id, reason, now()).await
        }
        // A version that cannot be judged must not take over.
        Err(error) => {
            store
                .roll_back_rollout(rollout.id, error.to_string(), now())
                .await
        }
    }
}

/// Every trigger answers every unresolved alert of its project once; one that was held back may still fire later.
async fn fire_triggers(
    store: &Store,
    now: fn() -> Millis,
    answered: &mut BTreeSet<(String, String, i64, bool)>,
) -> Result<()> {
    let alerts = store.list_alerts(None, ALERTS_MAX).await?;
    let mut unresolved: Vec<_> = alerts
        .into_iter()
        .filter(|alert| alert.state != AlertState::Resolved)
        .collect();
    unresolved.reverse();
    if unresolved.is_empty() {
        return Ok(());
    }
    for project in store.list_projects().await? {
        for (name, spec) in &project.spec.trigger {
            for alert in unresolved
                .iter()
                .filter(|alert| project.spec.deployment.contains_key(&alert.deployment))
            {
                let key = |fired| (project.name.clone(), name.clone(), alert.id, fired);
                if answered.contains(&key(true)) {
                    continue;
                }
                let since = Millis(now().0 - trigger::BUDGET_PERIOD.0.max(spec.cooldown.0));
                let fired = store.list_firings(&project.name, name, since).await?;
                let (job, reason) = match trigger::decide(spec, alert, &fired, now()) {
                    Ok(trigger::Decision::Ignore) => continue,
                    Ok(trigger::Decision::HoldBack { reason }) => (None, reason),
                    Ok(trigger::Decision::Fire { set, reason }) => {
                        let job = NewJob {
                            kind: "retrain".into(),
                            key: format!("retrain/{}", project.name),
                            payload: json!({
                                "project": project.name, "set": set,
                                "gate": spec.then.gate, "deploy": spec.then.deploy,
                            }),
                            cause: format!("alert/{}", alert.id),
                            attempts_max: 2,
                        };
                        (Some(job), reason)
                    }
                    Err(error) => (None, error.to_string()),
                };
                let fires = job.is_some();
                if !fires && answered.contains(&key(false)) {
                    continue;
                }
                let firing = Firing {
                    project: project.name.clone(),
                    trigger: name.clone(),
                    alert_id: alert.id,
                    job,
                    reason,
                };
                store.record_firing(firing, now()).await?;
                answered.insert(key(fires));
            }
        }
    }
    Ok(())
}
