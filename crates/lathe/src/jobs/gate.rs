use anyhow::Context as _;
use lathe_automation::evidence::{self, Challenge};
use lathe_automation::gate;
use lathe_automation::jobs::JobDone;
use lathe_serving::Model;
use lathe_types::gates::{GateOutcome, GateVerdict};
use lathe_types::jobs::{Job, NewJob};
use lathe_types::project::{PerformanceSpec, ProjectSpec};
use lathe_types::samples::LabelledSample;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Context;
use crate::clock;
use crate::exit::hinted;

/// Labelled rows that candidate and champion are compared on, at most.
const CHALLENGE_ROWS_MAX: usize = 20_000;

#[derive(Deserialize)]
struct Payload {
    model: String,
    version: u32,
    /// The deployment that a version which passes goes to.
    #[serde(default)]
    then_deploy: Option<String>,
}

/// Judges a version: gathers the evidence, decides, records the verdict, and passes it on.
pub async fn execute(context: Context, job: Job) -> anyhow::Result<JobDone> {
    let payload: Payload =
        serde_json::from_value(job.payload).context("the job's payload is not a gate's")?;
    let (model, version) = (payload.model.as_str(), payload.version);
    let store = &context.store;
    let projects = store.list_projects().await?;
    let spec = projects
        .iter()
        .map(|project| &project.spec)
        .find(|spec| spec.gate.contains_key(model));
    let spec = spec.ok_or_else(|| {
        hinted(
            format!("no gate is declared for the model `{model}`"),
            format!("add `[gate.{model}]` to `lathe.toml`"),
        )
    })?;
    let candidate = store.get_version_facts(model, version).await?.ok_or_else(|| {
        hinted(
            format!("nothing is known of `{model}` version {version}"),
            "register it with `lathe run`",
        )
    })?;

    let (deployment, alias) = served_as(spec, model);
    let champion = store.find_model_alias(model, alias).await?;
    let champion = champion.filter(|champion| *champion != version);
    let champion_facts = match champion {
        Some(champion) => store.get_version_facts(model, champion).await?,
        None => None,
    };
    let challenge = match (champion, deployment) {
        (Some(champion), Some(deployment)) => {
            challenge(&context, spec, deployment, model, version, champion).await?
        }
        _ => None,
    };
    let evidence = evidence::assemble(
        version,
        &candidate,
        champion,
        champion_facts.as_ref(),
        challenge.as_ref(),
    );
    let (outcome, rules) = gate::decide(&spec.gate[model], &evidence)?;
    let mut verdict = GateVerdict {
        id: 0,
        model: model.to_owned(),
        version,
        champion,
        outcome,
        rules,
        evidence,
        at: clock::now(),
    };
    verdict.id = store.record_verdict(verdict.clone()).await?;

    let follow_ups = match &payload.then_deploy {
        Some(deployment) if outcome == GateOutcome::Pass => vec![NewJob {
            kind: "deploy".into(),
            key: format!("deploy/{deployment}"),
            payload: json!({ "deployment": deployment, "version": version }),
            cause: format!("job/{}", job.id),
            attempts_max: 3,
        }],
        _ => Vec::new(),
    };
    Ok(JobDone {
        result: serde_json::to_value(&verdict)?,
        follow_ups,
    })
}

/// The deployment that serves the model, and the alias it follows; `champion` where nothing serves it yet.
fn served_as<'a>(spec: &'a ProjectSpec, model: &str) -> (Option<&'a str>, &'a str) {
    let served = spec.deployment.iter().find_map(|(name, deployment)| {
        let (served, alias) = deployment.model_alias()?;
        (served == model).then_some((name.as_str(), alias))
    });
    served.map_or((None, "champion"), |(name, alias)| (Some(name), alias))
}

/// Both versions on the same rows: those of the newest window whose labels are in.
async fn challenge(
    context: &Context,
    spec: &ProjectSpec,
    deployment: &str,
    model: &str,
    candidate: u32,
    champion: u32,
) -> anyhow::Result<Option<Challenge>> {
    let Some(performance) = spec
        .monitor
        .get(deployment)
        .and_then(|monitor| monitor.performance.clone())
    else {
        return Ok(None);
    };
    let store = &context.store;
    let windows = store.list_windows(deployment, 100).await?;
    let Some(window) = windows
        .into_iter()
        .find(|window| window.closed && window.performance.is_some())
    else {
        return Ok(None);
    };
    let rows = store
        .labelled_samples(deployment, window.start, window.end, CHALLENGE_ROWS_MAX)
        .await?;
    let rows: Vec<LabelledSample> = rows.into_iter().filter(|row| row.label.is_some()).collect();
    let candidate = score(context, model, candidate, &rows, &performance).await?;
    let champion = score(context, model, champion, &rows, &performance).await?;
    Ok(Some(Challenge {
        start: window.start,
        end: window.end,
        rows: rows.len() as u64,
        candidate,
        champion,
    }))
}

/// The errors of one version on labelled rows.
async fn score(
    context: &Context,
    model: &str,
    version: u32,
    rows: &[LabelledSample],
    spec: &PerformanceSpec,
) -> anyhow::Result<Map<String, Value>> {
    let folder =
        lathe_server::inference::version_folder(&context.store, &context.artifacts, model, version).await?;
    let features: Vec<Map<String, Value>> = rows.iter().map(|row| row.sample.features.clone()).collect();
    let labels: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.label.as_ref()?.as_f64())
        .collect();
    anyhow::ensure!(labels.len() == rows.len(), "a label of `{model}` is not a number");
    let spec = spec.clone();
    let runtimes = context.runtimes.clone();
    let task = tokio::task::spawn_blocking(move || -> anyhow::Result<Map<String, Value>> {
        let runtimes = runtimes.map_or_else(crate::runtimes::by_default, Ok)?;
        let model = Model::load_with(&folder, &runtimes)?;
        let answers = model
            .predict(&crate::registration::table_of(&model, &features)?)?
            .numbers()?;
        let pairs: Vec<(f64, f64)> = answers.into_iter().zip(labels).collect();
        let performance = lathe_monitor::performance(&spec, &pairs, pairs.len() as u64);
        Ok(performance
            .metrics
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect())
    });
    task.await.context("the scoring was cut off")?
}
