use std::io::IsTerminal;
use std::time::Instant;

use anyhow::Context;
use lathe_pipeline::{ExecuteOptions, StageEvent};
use lathe_types::executions::{Execution, PATCH_ARTIFACT, StageExecution, StageOutcome};
use serde_json::json;

use super::Call;
use crate::client::Client;
use crate::exit::{Outcome, hinted};
use crate::project::ProjectFile;
use crate::python::{self, Python};
use crate::registration::{self, Registered};
use crate::terminal::{self, Style, number, paint};
use crate::tracking::{self, TrackedRun};
use crate::{background, clock, determinism, git};

/// A larger patch is not kept with the run.
const PATCH_BYTES_MAX: usize = 64 << 20;

/// Execute what changed in the pipeline, record the run, register its model.
///
/// Each stage is printed with the reason why it runs or does not. While it runs, unchanged MLflow code logs to the
/// recorded run: `MLFLOW_TRACKING_URI`, `MLFLOW_RUN_ID` and `MLFLOW_EXPERIMENT_NAME` are set for every stage.
///
/// Examples:
///   lathe run                         what changed, in the order of dependencies
///   lathe run train                   one stage and what it needs
///   lathe run --force                 everything
///   lathe run -S train.trees=200      with a parameter of params.yaml set first
///   lathe run --dry                   only say what would run
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Stages to bring up to date, with what they need; all if absent.
    targets: Vec<String>,
    /// Execute even what has not changed.
    #[arg(short, long)]
    force: bool,
    /// Only say what would run.
    #[arg(long)]
    dry: bool,
    /// Set a parameter in params.yaml first: `key=value`, the key dotted, the value as YAML.
    #[arg(short = 'S', long = "set-param", value_name = "KEY=VALUE")]
    set_params: Vec<String>,
    /// Execute although an earlier execution with the same inputs could be restored.
    #[arg(long)]
    no_run_cache: bool,
    /// Do not register models.
    #[arg(long)]
    no_register: bool,
    /// Set a variable in the environment of every stage: `NAME=VALUE`.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

/// Runs the pipeline.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let project = call.project()?;
    let repo = lathe_data::Repo::discover(&project.root)?;
    let quiet = call.json;
    let say = |line: &str| {
        if !quiet {
            println!("{line}");
        }
    };
    set_params(&args, &project)?;
    let pipelines = lathe_pipeline::Project::load(&repo)?;
    let plan = lathe_pipeline::plan_project(&repo, &pipelines, &options(&args))?;
    if args.dry || !plan.executes_anything() {
        if quiet {
            terminal::print_json(&json!({ "executed": 0, "stages": plan.lines() }))?;
        } else {
            print_plan(&plan.lines());
            println!(
                "{}",
                if args.dry {
                    "nothing was executed (--dry)"
                } else {
                    "everything is up to date"
                }
            );
        }
        return Ok(Outcome::Done);
    }

    let python = python::prepare(project.spec.environment.as_ref(), &project.root, &mut |line| {
        say(line)
    })?;
    let client = call.client_to_write()?;
    background::declare(&client, &project)?;
    let tracking_url = client.tracking_url()?;
    let checkout = git::checkout(&project.root);
    let run = tracking::start_run(
        &client,
        &project.spec.project.name,
        clock::now().0,
        &run_tags(&project, &python, checkout.as_ref()),
    )?;
    say(&format!(
        "run {} in experiment {}",
        run.run_id, project.spec.project.name
    ));

    let mut options = options(&args);
    options.env = stage_environment(&project, &run, &tracking_url);
    options
        .env
        .extend(python.path().map(|path| ("PATH".to_owned(), path)));
    let deterministic = project.spec.is_deterministic();
    if deterministic {
        let commit = checkout.as_ref().and_then(|checkout| checkout.commit.as_deref());
        let time = commit
            .map(|commit| git::commit_time_s(&project.root, commit))
            .transpose()?;
        options.env.extend(determinism::variables(time.as_deref()));
    }
    options.env.extend(variables(&args.variables)?);
    let patched = match &checkout {
        Some(git::Checkout { commit: Some(_), .. }) => keep_patch(&client, &project, &run, &say)?,
        _ => false,
    };
    options.now = clock::now;
    let mut stages: Vec<StageExecution> = Vec::new();
    let result = lathe_pipeline::execute(&repo, &pipelines, options, &mut |event| show(event, quiet));
    let failure = match result {
        Ok(report) => {
            stages = report.stages;
            None
        }
        Err(error) => Some(error),
    };
    let execution = Execution {
        run_id: lathe_types::RunId::parse(&run.run_id)?,
        project: project.spec.project.name.clone(),
        pipeline: "dvc.yaml".into(),
        commit: checkout.as_ref().and_then(|checkout| checkout.commit.clone()),
        dirty: checkout.is_some_and(|checkout| checkout.dirty),
        patched,
        deterministic,
        environment: python.record.clone(),
        stages,
        at: clock::now(),
    };
    client.post::<serde_json::Value>("/api/v1/executions", &execution)?;
    if let Some(error) = failure {
        if let lathe_pipeline::Error::Interrupted { stage } = &error {
            tracking::end_run(&client, &run, "KILLED", clock::now().0)?;
            eprintln!("interrupted in stage `{stage}`; stages finished before it are kept");
            return Ok(Outcome::Interrupted);
        }
        tracking::end_run(&client, &run, "FAILED", clock::now().0)?;
        return Err(error).with_context(|| format!("run {} failed", run.run_id));
    }
    let mut registered = Vec::new();
    if !args.no_register {
        registered = register_models(&client, &project, &run, &python, &execution.stages, &say)?;
    }
    tracking::end_run(&client, &run, "FINISHED", clock::now().0)?;

    let executed = execution
        .stages
        .iter()
        .filter(|stage| stage.outcome == StageOutcome::Executed)
        .count();
    if quiet {
        let models: Vec<_> = registered
            .iter()
            .map(|model| json!({ "model": model.model, "version": model.version, "facts": model.facts }))
            .collect();
        terminal::print_json(&json!({
            "run_id": run.run_id, "executed": executed, "stages": execution.stages, "registered": models,
        }))?;
    } else {
        println!(
            "{executed} stages executed in {:.1} s",
            started.elapsed().as_secs_f64()
        );
    }
    Ok(Outcome::Done)
}

fn options(args: &Args) -> ExecuteOptions {
    ExecuteOptions {
        targets: args.targets.clone(),
        force: args.force,
        run_cache: !args.no_run_cache,
        ..ExecuteOptions::default()
    }
}

fn set_params(args: &Args, project: &ProjectFile) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    for text in &args.set_params {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| hinted(format!("`-S {text}` sets nothing"), "write `-S key=value`"))?;
        changes.push((key.to_owned(), lathe_pipeline::parse_param(value)?));
    }
    if !changes.is_empty() {
        lathe_pipeline::set_params(&project.root.join("params.yaml"), &changes)?;
    }
    Ok(())
}

/// Keeps what the commit does not hold with the run, so that the run can be rebuilt; whether there was anything.
fn keep_patch(
    client: &Client,
    project: &ProjectFile,
    run: &TrackedRun,
    say: &dyn Fn(&str),
) -> anyhow::Result<bool> {
    let patch = git::uncommitted(&project.root)?;
    if patch.is_empty() {
        return Ok(false);
    }
    if PATCH_BYTES_MAX < patch.len() {
        say(&format!(
            "what git does not hold makes a patch of {} MiB; it is not kept, so this run cannot be rebuilt",
            patch.len() >> 20
        ));
        return Ok(false);
    }
    tracking::log_bytes(client, run, PATCH_ARTIFACT, patch)?;
    Ok(true)
}

fn variables(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(hinted(
                format!("`--env {text}` sets nothing"),
                "write `--env NAME=VALUE`",
            )),
        })
        .collect()
}

fn run_tags(
    project: &ProjectFile,
    python: &Python,
    checkout: Option<&git::Checkout>,
) -> Vec<(&'static str, String)> {
    let mut tags = vec![
        ("mlflow.source.name", "lathe run".to_owned()),
        ("mlflow.source.type", "PROJECT".to_owned()),
        ("lathe.project", project.spec.project.name.clone()),
        ("lathe.environment", python.record.digest.clone()),
    ];
    if let Some(checkout) = checkout {
        tags.push(("lathe.dirty", checkout.dirty.to_string()));
        if let Some(commit) = &checkout.commit {
            tags.push(("mlflow.source.git.commit", commit.clone()));
        }
    }
    tags
}

/// What every stage finds in its environment, so that unchanged MLflow code logs to this run.
fn stage_environment(project: &ProjectFile, run: &TrackedRun, tracking_url: &str) -> Vec<(String, String)> {
    [
        ("MLFLOW_TRACKING_URI", tracking_url),
        ("MLFLOW_RUN_ID", run.run_id.as_str()),
        ("MLFLOW_EXPERIMENT_NAME", project.spec.project.name.as_str()),
        // Otherwise the client draws progress bars for each artifact into the stage's log.
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("PYTHONUNBUFFERED", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn register_models(
    client: &Client,
    project: &ProjectFile,
    run: &TrackedRun,
    python: &Python,
    stages: &[StageExecution],
    say: &dyn Fn(&str),
) -> anyhow::Result<Vec<Registered>> {
    let mut registered = Vec::new();
    for (name, spec) in &project.spec.model {
        let made_now = stages.iter().any(|stage| {
            stage.outcome != StageOutcome::Unchanged && stage.outs.iter().any(|out| out.path == spec.path)
        });
        if !made_now {
            continue;
        }
        let model = registration::register(client, &project.root, name, spec, run, python)?;
        say(&format!(
            "registered {} version {}: {} engine, at most {} from Python on {} rows, {} ms a row",
            paint(name, Style::Strong),
            model.version,
            model.facts["runtime"].as_str().unwrap_or_default(),
            model.facts["parity"]["max_abs_diff"],
            model.facts["parity"]["rows"],
            number(model.facts["latency"]["p50_ms"].as_f64().unwrap_or_default()),
        ));
        registered.push(model);
    }
    Ok(registered)
}

/// A stage with its reason, one a line.
pub fn print_plan(lines: &[lathe_pipeline::PlanLine]) {
    for line in lines {
        let mark = if line.executes {
            paint("run ", Style::Warn)
        } else {
            paint("keep", Style::Good)
        };
        println!("{mark} {:<12} {}", line.stage, line.reason);
    }
}

fn show(event: StageEvent, quiet: bool) {
    match event {
        _ if quiet => {}
        StageEvent::Started { stage, reason } => {
            println!(
                "{} {} ({reason})",
                paint("run ", Style::Warn),
                paint(&stage, Style::Strong)
            );
        }
        StageEvent::Output { stage, line } => {
            let indent = if std::io::stdout().is_terminal() {
                "     │ ".to_owned()
            } else {
                format!("  {stage} | ")
            };
            println!("{}{line}", paint(&indent, Style::Faint));
        }
        StageEvent::Finished { stage, outcome, took } => {
            let (mark, word) = match outcome {
                StageOutcome::Executed => (paint("done", Style::Good), "executed"),
                StageOutcome::Unchanged => (paint("keep", Style::Good), "unchanged"),
                StageOutcome::Restored => (paint("keep", Style::Good), "restored from the run cache"),
                StageOutcome::Failed => (paint("FAIL", Style::Bad), "failed"),
            };
            println!(
                "{mark} {} {word} in {:.1} s",
                paint(&stage, Style::Strong),
                took.as_secs_f64()
            );
        }
    }
}
