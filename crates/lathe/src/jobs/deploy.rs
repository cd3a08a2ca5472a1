use anyhow::Context as _;
use lathe_automation::jobs::JobDone;
use lathe_store::models;
use lathe_types::deployments::Fault;
use lathe_types::gates::GateOutcome;
use lathe_types::jobs::Job;
use serde::Deserialize;
use serde_json::json;

use super::Context;
use crate::clock;

#[derive(Deserialize)]
struct Payload {
    deployment: String,
    version: u32,
    #[serde(default)]
    fault: Option<Fault>,
    #[serde(default)]
    ungated: bool,
}

/// Brings a version to its deployment: at once where nothing answers yet, else by a rollout.
pub async fn execute(context: Context, job: Job) -> anyhow::Result<JobDone> {
    let payload: Payload =
        serde_json::from_value(job.payload).context("the job's payload is not a deployment")?;
    let store = &context.store;
    let deployment = store.get_deployment(&payload.deployment).await?;
    let (model, alias) = deployment
        .spec
        .model_alias()
        .context("the deployment names no alias")?;
    let (model, alias) = (model.to_owned(), alias.to_owned());
    let version = payload.version;
    if !payload.ungated
        && let Some(refused) = refusal(&context, &model, version).await?
    {
        return Ok(JobDone {
            result: json!({ "refused": refused }),
            follow_ups: Vec::new(),
        });
    }
    let now = clock::now();
    if deployment.stable.is_none() {
        let (model, alias) = (model.clone(), alias.clone());
        store
            .write(move |tx| models::set_alias(tx, &model, &alias, version, now))
            .await?;
        store.set_stable(&payload.deployment, version, now).await?;
        return Ok(JobDone {
            result: json!({ "rollout": null, "version": version }),
            follow_ups: Vec::new(),
        });
    }
    if deployment.stable == Some(version) {
        let refused = format!("version {version} answers already");
        return Ok(JobDone {
            result: json!({ "refused": refused }),
            follow_ups: Vec::new(),
        });
    }
    let rollout = store
        .start_rollout(&payload.deployment, version, payload.fault, now)
        .await?;
    Ok(JobDone {
        result: json!({ "rollout": rollout, "version": version }),
        follow_ups: Vec::new(),
    })
}

/// Why a version may not be deployed; none if its newest verdict is a pass. A model without a gate may always.
async fn refusal(context: &Context, model: &str, version: u32) -> anyhow::Result<Option<String>> {
    let projects = context.store.list_projects().await?;
    if !projects
        .iter()
        .any(|project| project.spec.gate.contains_key(model))
    {
        return Ok(None);
    }
    Ok(match context.store.latest_verdict(model, version).await? {
        Some(verdict) if verdict.outcome == GateOutcome::Pass => None,
        Some(_) => Some(format!("version {version} of `{model}` did not pass its gate")),
        None => Some(format!(
            "version {version} of `{model}` has not been judged; run `lathe gate {model}`"
        )),
    })
}
