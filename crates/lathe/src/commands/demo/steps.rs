//! The steps, in the order of the loop. Each returns a line about what it saw, or the error that ends the demo.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use lathe_types::Millis;
use lathe_types::alerts::Alert;
use lathe_types::deployments::RolloutState;
use lathe_types::gates::{GateOutcome, GateVerdict};
use lathe_types::lineage::LineageGraph;
use serde_json::Value;

use super::replay::{self, Pace};
use super::story::Story;
use super::walk::{MODEL, Walk};
use crate::python;

/// The pip package that `dvc status` is asked of.
const DVC: &str = "dvc==3.67.1";

/// Every step of the loop.
pub fn all(walk: &mut Walk, story: &mut Story) -> anyhow::Result<()> {
    // Fetched beside the first run, so that its download is not waited for.
    let fetch = {
        let folder = walk.folder.clone();
        std::thread::spawn(move || python::run_tool(DVC, &["dvc", "--version"], &folder))
    };
    story.step("run", |story| run(walk, story))?;
    story.step("again", |_| run_again(walk))?;
    story.step("dvc", |_| {
        fetch.join().map_err(|_| anyhow!("fetching dvc panicked"))??;
        let said = python::run_tool(DVC, &["dvc", "status"], &walk.folder)?;
        ensure!(said.contains("up to date"), "`dvc status` says: {said}");
        Ok(((), format!("pip dvc agrees: {}", said.trim())))
    })?;
    story.step("server", |_| start_server(walk))?;
    story.step("track", |_| search_runs(walk))?;
    story.step("gate", |story| gate(walk, story))?;
    story.step("serve", |story| serve(walk, story))?;
    story.step("watch", |story| watch(walk, story))?;
    story.step("retrain", |story| retrain(walk, story))?;
    story.step("promote", |story| promote(walk, story))?;
    story.step("stop", |story| stop_broken(walk, story))?;
    story.step("roll back", |story| roll_back_slow(walk, story))?;
    story.step("lineage", |story| lineage(walk, story))?;
    Ok(())
}

fn run(walk: &Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.lathe(&["run"], 0, story)?;
    let metrics: Value = serde_json::from_slice(&std::fs::read(walk.folder.join("metrics.json"))?)?;
    crate::process::output_of("git", &["add", "--all"], &walk.folder)?;
    crate::git::commit_tracked(&walk.folder, "Train on 2011")?;
    Ok((
        (),
        format!(
            "3 stages executed on 2011, rmse {:.1} on its last 14 days; version 1 registered",
            number(&metrics, "rmse")?
        ),
    ))
}

fn run_again(walk: &Walk) -> anyhow::Result<((), String)> {
    let report: Value = walk.lathe_json(&["run"], 0)?;
    ensure!(
        report["executed"] == 0,
        "a second run executed {} stages",
        report["executed"]
    );
    let stages = report["stages"].as_array().context("the report has no stages")?;
    let reasons: Vec<String> = stages
        .iter()
        .map(|line| format!("{} {}", text(&line["stage"]), text(&line["reason"])))
        .collect();
    Ok(((), format!("nothing executed: {}", reasons.join(", "))))
}

fn start_server(walk: &mut Walk) -> anyhow::Result<((), String)> {
    let started = Instant::now();
    let log = std::fs::File::create(walk.folder.join(".lathe/server.log"))?;
    let port = walk.port.to_string();
    let mut child = walk
        .command(&["server", "--port", &port, "--json"])?
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("the server has no stdout")?;
    // The server's JSON is printed over several lines; it ends with a closing bracket.
    for part in BufReader::new(stdout).lines() {
        let part = part?;
        line.push_str(&part);
        if part == "}" {
            break;
        }
    }
    let told: Value =
        serde_json::from_str(&line).context("the server did not start; see `.lathe/server.log`")?;
    let url = told["url"]
        .as_str()
        .context("the server told no address")?
        .to_owned();
    walk.server = Some((child, url.clone()));
    walk.client()?.get::<Value>("/api/v1/about")?;
    Ok((
        (),
        format!("{url} is healthy after {} ms", started.elapsed().as_millis()),
    ))
}

/// What the Python client sees of the first run.
const SEARCH_RUNS: &str = "
import mlflow
runs = mlflow.search_runs(experiment_names=['bike-demand'])
run = runs.iloc[0]
history = mlflow.MlflowClient().get_metric_history(run.run_id, 'test_rmse')
print(len(runs), round(run['metrics.rmse'], 1), len(history), run['params.n_estimators'], run['tags.mlflow.source.git.commit'][:10])
";

fn search_runs(walk: &Walk) -> anyhow::Result<((), String)> {
    let project = crate::project::ProjectFile::discover(&walk.folder)?;
    let python = python::prepare(project.spec.environment.as_ref(), &project.root, &mut |_| {})?;
    let output = Command::new(python.interpreter())
        .args(["-c", SEARCH_RUNS])
        .env("MLFLOW_TRACKING_URI", walk.url().context("the server is not up")?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "Python failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let [runs, rmse, points, trees, commit] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        bail!("Python printed `{said}`");
    };
    ensure!(points == "30", "the curve has {points} points, 30 were logged");
    Ok((
        (),
        format!(
            "mlflow.search_runs() finds {runs} run: rmse {rmse}, {trees} trees, a curve of {points} points, commit {commit}"
        ),
    ))
}

fn gate(walk: &Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.lathe(&["gate", MODEL], 0, story)?;
    walk.lathe(&["deploy", MODEL], 0, story)?;
    let verdict = newest_verdict(walk, 1)?;
    ensure!(
        verdict.outcome == GateOutcome::Pass,
        "the verdict is {:?}",
        verdict.outcome
    );
    Ok((
        (),
        format!(
            "version 1 passed {} rules; `champion` names it",
            verdict.rules.len()
        ),
    ))
}

fn newest_verdict(walk: &Walk, version: u32) -> anyhow::Result<GateVerdict> {
    #[derive(serde::Deserialize)]
    struct Verdicts {
        verdicts: Vec<GateVerdict>,
    }
    let found: Verdicts = walk
        .client()?
        .get(&format!("/api/v1/models/{MODEL}/versions/{version}/verdicts"))?;
    found
        .verdicts
        .into_iter()
        .next()
        .with_context(|| format!("version {version} has no verdict"))
}

fn serve(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    let client = walk.client()?;
    let ready = format!("/v2/models/{MODEL}");
    let deadline = Instant::now() + Duration::from_secs(10);
    let metadata: Value = loop {
        match client.get(&ready) {
            Ok(metadata) => break metadata,
            Err(error) if deadline < Instant::now() => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let facts: Value = client.get(&format!("/api/v1/models/{MODEL}/versions/1/facts"))?;
    let parity = &facts["parity"];
    ensure!(
        number(parity, "max_abs_diff")? <= 1e-9,
        "answers differ from Python's by {}",
        parity["max_abs_diff"]
    );
    story.detail(&format!(
        "{} inputs, platform {}, {:.3} ms a row",
        metadata["inputs"].as_array().map_or(0, Vec::len),
        text(&metadata["platform"]),
        number(&facts["latency"], "p50_ms")?
    ));
    let hours = replay::hours(
        &walk.folder.join("data/hour.csv"),
        Millis::parse("2012-01-01").unwrap_or_default(),
    )?;
    let (url, traffic) = (
        walk.url().context("the server is not up")?.to_owned(),
        walk.traffic.clone(),
    );
    walk.replay = Some(std::thread::spawn(move || replay::replay(&url, &hours, &traffic)));
    Ok((
        (),
        format!(
            "without Python, equal to it within {} on {} rows; the traffic of 2012 starts",
            parity["max_abs_diff"], parity["rows"]
        ),
    ))
}

fn watch(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.follow(story, |event| event.kind == "trigger.fired")?;
    walk.traffic.set_pace(Pace::Calm);
    let alert = newest_alert(walk, "performance")?;
    for line in &alert.diagnosis.evidence {
        story.detail(&format!("  evidence: {line}"));
    }
    Ok((
        (),
        format!(
            "alert {} after {} answers: {}",
            alert.id,
            walk.traffic.answered(),
            alert.summary
        ),
    ))
}

fn newest_alert(walk: &Walk, kind: &str) -> anyhow::Result<Alert> {
    #[derive(serde::Deserialize)]
    struct Alerts {
        alerts: Vec<Value>,
    }
    let found: Alerts = walk
        .client()?
        .get(&format!("/api/v1/alerts?deployment={MODEL}"))?;
    let alert = found.alerts.into_iter().find(|alert| alert["kind"] == kind);
    Ok(serde_json::from_value(alert.with_context(|| {
        format!("there is no alert of the kind {kind}")
    })?)?)
}

fn retrain(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.follow(story, |event| event.kind == "gate.decided")?;
    walk.traffic.set_pace(Pace::Brisk);
    let verdict = newest_verdict(walk, 2)?;
    ensure!(
        verdict.outcome == GateOutcome::Pass,
        "the retrained version did not pass: {:?}",
        verdict.rules
    );
    let challenge = &verdict.evidence["challenge"];
    Ok((
        (),
        format!(
            "version 2 on data up to the alert: rmse {:.1} against the champion's {:.1} on {} labelled rows of the newest window; gate passed",
            number(&challenge["candidate"], "rmse")?,
            number(&challenge["champion"], "rmse")?,
            challenge["rows"]
        ),
    ))
}

fn promote(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.follow(story, |event| {
        matches!(event.kind.as_str(), "rollout.promoted" | "rollout.rolled_back")
    })?;
    let rollout = walk.newest_rollout()?;
    ensure!(
        rollout.state == RolloutState::Promoted,
        "the rollout ended as {:?}: {:?}",
        rollout.state,
        rollout.reason
    );
    let alias: Value = walk.client()?.get(&format!(
        "/api/2.0/mlflow/registered-models/alias?name={MODEL}&alias=champion"
    ))?;
    ensure!(
        alias["model_version"]["version"] == "2",
        "`champion` is {}",
        alias["model_version"]["version"]
    );
    ensure!(
        walk.traffic.failed() == 0,
        "{} requests failed",
        walk.traffic.failed()
    );
    Ok((
        (),
        format!(
            "shadow, canary 20 %, 50 %, all: `champion` names version 2; {} requests, 0 failed",
            walk.traffic.answered()
        ),
    ))
}

fn stop_broken(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.lathe(&["run", "-S", "train.shuffle_labels=true"], 0, story)?;
    walk.lathe(&["gate", MODEL], 3, story)?;
    walk.lathe(&["deploy", MODEL], 3, story)?;
    let verdict = newest_verdict(walk, 3)?;
    let failed: Vec<&str> = verdict
        .rules
        .iter()
        .filter(|rule| rule.outcome == GateOutcome::Fail)
        .map(|rule| rule.rule.as_str())
        .collect();
    ensure!(!failed.is_empty(), "no rule failed: {:?}", verdict.rules);
    crate::process::output_of("git", &["checkout", "--quiet", "--", "."], &walk.folder)?;
    Ok((
        (),
        format!(
            "version 3, trained on shuffled labels (rmse {:.1}), failed {}; nothing moved",
            number(&verdict.evidence["candidate"]["metrics"], "rmse")?,
            failed.join(" and ")
        ),
    ))
}

fn roll_back_slow(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.lathe(
        &[
            "deploy",
            MODEL,
            "--version",
            "1",
            "--fault",
            "delay=40ms",
            "--wait",
        ],
        3,
        story,
    )?;
    let rollout = walk.newest_rollout()?;
    ensure!(
        rollout.state == RolloutState::RolledBack,
        "the rollout ended as {:?}",
        rollout.state
    );
    ensure!(
        walk.traffic.failed() == 0,
        "{} requests failed",
        walk.traffic.failed()
    );
    Ok((
        (),
        format!(
            "a version made slow on purpose was rolled back: {}",
            rollout.reason.unwrap_or_default()
        ),
    ))
}

fn lineage(walk: &mut Walk, story: &Story) -> anyhow::Result<((), String)> {
    walk.end_traffic()?;
    // The watcher keeps samples within moments.
    std::thread::sleep(Duration::from_millis(700));
    let id = walk.traffic.last_prediction_id();
    let graph: LineageGraph = walk.lathe_json(&["lineage", &id], 0)?;
    let kinds: Vec<&str> = graph.nodes.iter().map(|node| node.kind.as_str()).collect();
    for wanted in [
        "prediction",
        "deployment",
        "model version",
        "run",
        "stage",
        "data",
        "environment",
        "commit",
    ] {
        ensure!(
            kinds.contains(&wanted),
            "the way back from {id} has no {wanted}: {kinds:?}"
        );
    }
    walk.lathe(&["lineage", &id], 0, story)?;
    let titles: Vec<String> = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.kind.as_str(), "model version" | "run" | "commit"))
        .map(|node| format!("{} {}", node.kind, node.title))
        .collect();
    Ok((
        (),
        format!(
            "{id} leads back to {}; {} answers and {} labels until {}, 0 failed",
            titles.join(", "),
            walk.traffic.answered(),
            walk.traffic.labels(),
            walk.traffic.at().to_string().chars().take(10).collect::<String>()
        ),
    ))
}

fn number(value: &Value, key: &str) -> anyhow::Result<f64> {
    value[key]
        .as_f64()
        .with_context(|| format!("`{key}` is not a number"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
