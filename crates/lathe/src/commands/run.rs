use std::path::{Path, PathBuf};
use std::time::Instant;

use lathe_data::{Repo, RepoLock};
use lathe_pipeline::{
    EnvironmentMark, ExecuteOptions, OnFailure, Project, Report, Shell, StageEvent, TraceMode,
};
use lathe_types::executions::{Execution, PATCH_ARTIFACT, StageExecution, StageOutcome};
use serde_json::json;

use super::engine::{self, EngineArgs};
use super::selection::StageSelection;
use super::{Call, data};
use crate::client::{self, Client};
use crate::environment_marks::EnvironmentMarks;
use crate::exit::{Outcome, hinted};
use crate::project::ProjectFile;
use crate::python::{self, Python};
use crate::registration::{self, Registered};
use crate::settings::{self, STATE_FOLDER};
use crate::stage_view::{StageView, print_plan};
use crate::terminal::{self, Style, number, paint};
use crate::tracking::{self, TrackedRun};
use crate::{background, clock, determinism, external, git, sources};

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
///   lathe run sub/dvc.yaml:train      a stage of another pipeline file
///   lathe run -j 4                    up to four stages beside one another
///   lathe run --force                 everything
///   lathe run -S train.trees=200      with a parameter of params.yaml set first
///   lathe run --dry                   only say what would run
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub selection: StageSelection,
    /// Execute even what has not changed.
    #[arg(short, long)]
    pub force: bool,
    /// Execute what follows an executed stage even if its inputs turn out the same.
    #[arg(long)]
    force_downstream: bool,
    /// Only say what would run.
    #[arg(long)]
    pub dry: bool,
    /// Up to so many stages at once, those that do not need one another; lathe.toml's `[project] jobs` if absent,
    /// else one.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Go on with what does not need a stage that failed.
    #[arg(short, long, conflicts_with = "ignore_errors")]
    keep_going: bool,
    /// Go on whatever fails, and end well.
    #[arg(long)]
    ignore_errors: bool,
    /// Data that is not here counts as unchanged if nothing else changed.
    #[arg(long)]
    allow_missing: bool,
    /// Bring what is missing from the remote first: inputs, outputs, what earlier executions made.
    #[arg(long)]
    pull: bool,
    /// Tell which files of the repository stages read or write without declaring them; then one stage at a time.
    #[arg(long)]
    trace: bool,
    /// As `--trace`, and a stage that does so fails.
    #[arg(long)]
    strict: bool,
    /// As `--trace`, and add them to `deps` and `outs` of dvc.yaml.
    #[arg(long, conflicts_with = "strict")]
    fix: bool,
    /// Do not put outputs into the cache.
    #[arg(long)]
    no_commit: bool,
    /// Set a parameter first: `key=value` in params.yaml or `FILE:key=value`, the key dotted, the value as YAML.
    #[arg(short = 'S', long = "set-param", value_name = "KEY=VALUE")]
    pub set_params: Vec<String>,
    /// Execute although an earlier execution with the same inputs could be restored.
    #[arg(long)]
    no_run_cache: bool,
    /// Do not register models.
    #[arg(long)]
    no_register: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// Set a variable in the environment of every stage: `NAME=VALUE`.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Set a tag of the recorded run: `KEY=VALUE`.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
}

impl Args {
    /// The options that another process is given to execute the same, apart from params, tags and `jobs`.
    pub fn to_arguments(&self) -> Vec<String> {
        let flags = [
            (self.force, "--force"),
            (self.force_downstream, "--force-downstream"),
            (self.keep_going, "--keep-going"),
            (self.ignore_errors, "--ignore-errors"),
            (self.allow_missing, "--allow-missing"),
            (self.pull, "--pull"),
            (self.trace, "--trace"),
            (self.strict, "--strict"),
            (self.no_commit, "--no-commit"),
            (self.no_run_cache, "--no-run-cache"),
            (self.no_register, "--no-register"),
        ];
        let given = flags.into_iter().filter(|(is_given, _)| *is_given);
        let mut arguments: Vec<String> = given.map(|(_, flag)| flag.to_owned()).collect();
        arguments.extend(self.engine.to_argument());
        arguments.extend(self.variables.iter().map(|variable| format!("--env={variable}")));
        arguments.extend(self.selection.to_arguments());
        arguments
    }
}

/// How many runs keep their logs.
const LOGS_KEPT: usize = 50;

/// Runs the pipeline.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let (outcome, report) = carry_out(&args, call)?;
    if call.json {
        terminal::print_json(&report)?;
    }
    Ok(outcome)
}

/// Runs the pipeline; what came of it is returned for programs and told to people.
pub fn carry_out(args: &Args, call: &Call) -> anyhow::Result<(Outcome, serde_json::Value)> {
    let started = Instant::now();
    let project = call.project_or_repository()?;
    let repo = lathe_data::Repo::discover(&project.root)?;
    let quiet = call.json;
    let say = |line: &str| {
        if !quiet {
            tell!("{line}");
        }
    };
    set_params(args, &project)?;
    let lock = (!args.dry).then(|| RepoLock::acquire(&repo)).transpose()?;
    let pipelines = lathe_pipeline::Project::load(&repo)?.reaching(external::reach(&repo));
    let mut options = options(args, call, &project, repo.root());
    let settled = sources::prepare(call, &repo, &pipelines, &mut options, args.pull, lock.as_ref())?;
    for source in &settled {
        say(&format!("{} {}", paint("data", Style::Warn), source.line()));
    }
    let mut marks = EnvironmentMarks::load(&project.root);
    options.environment = environment_mark(&project, &marks)?;
    let plan = lathe_pipeline::plan_project(&repo, &pipelines, &options)?;
    drop(lock);
    if args.dry || !plan.executes_anything() {
        if !quiet {
            print_plan(&plan.lines());
            let ending = match (args.dry, settled.is_empty()) {
                (true, _) => "nothing was executed (--dry)",
                (false, true) => "everything is up to date",
                (false, false) => "no stage had to be executed",
            };
            tell!("{ending}");
        }
        return Ok((Outcome::Done, json!({ "executed": 0, "stages": plan.lines() })));
    }

    let watches = args.trace || args.strict || args.fix;
    let workers = args.engine.workers(call, &project, watches)?;
    let python = python::prepare(project.spec.environment.as_ref(), &project.root, &mut |line| {
        say(line)
    })?;
    settings::keep_state_out_of_git(&project.root)?;
    let client = call.client_to_write()?;
    background::declare(&client, &project)?;
    let tracking_url = client.tracking_url()?;
    let checkout = git::checkout(&project.root);
    let run = tracking::start_run(
        &client,
        &project.spec.project.name,
        clock::now().0,
        &run_tags(args, &project, &python, checkout.as_ref())?,
    )?;
    say(&format!(
        "run {} in experiment {}",
        run.run_id, project.spec.project.name
    ));

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
    if let Some(place) = workers {
        match engine::elsewhere(place, &repo, &project, &run.run_id, &options.env) {
            Ok(engine) => options.engine = Some(engine),
            Err(error) => {
                tracking::end_run(&client, &run, "FAILED", clock::now().0)?;
                return Err(error);
            }
        }
    }
    options.now = clock::now;
    options.logs = Some(logs_folder(&project.root, repo.root(), &run.run_id));
    let mut view = StageView::new(quiet, options.jobs);
    let digest = options.environment.as_ref().map(|mark| mark.digest.clone());
    let result = lathe_pipeline::execute(&repo, &pipelines, options, &mut |event| {
        if let (
            Some(digest),
            StageEvent::Finished {
                stage,
                outcome: StageOutcome::Executed,
                ..
            },
        ) = (&digest, &event)
        {
            marks.set(stage, digest);
        }
        view.show(event);
    });
    view.end();
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            tracking::end_run(&client, &run, "FAILED", clock::now().0)?;
            return Err(error.into());
        }
    };
    let pipeline_files: Vec<String> = pipelines
        .files()
        .iter()
        .map(|file| file.path.to_string())
        .collect();
    let execution = Execution {
        run_id: lathe_types::RunId::parse(&run.run_id)?,
        project: project.spec.project.name.clone(),
        pipeline: pipeline_files.join(", "),
        commit: checkout.as_ref().and_then(|checkout| checkout.commit.clone()),
        dirty: checkout.is_some_and(|checkout| checkout.dirty),
        patched,
        deterministic,
        environment: python.record.clone(),
        stages: report.stages.clone(),
        at: clock::now(),
    };
    client.post::<serde_json::Value>("/api/v1/executions", &execution)?;
    if args.fix {
        fix(&repo, &pipelines, &report, &say)?;
    }
    data::autostage(&repo, &data::written_by(&repo, pipelines.stages().iter()))?;
    record_values(&client, &run, &repo)?;
    let failed = !report.failures.is_empty();
    if failed && !args.ignore_errors || report.was_interrupted() {
        return fail(&client, &run, report, quiet);
    }
    let mut registered = Vec::new();
    if !args.no_register && !failed {
        registered = register_models(&client, &project, &run, &python, &execution.stages, &say)?;
    }
    let status = if failed { "FAILED" } else { "FINISHED" };
    tracking::end_run(&client, &run, status, clock::now().0)?;

    let executed = executed(&execution.stages);
    if !quiet {
        tell!(
            "{} executed in {:.1} s",
            lathe_data::counted(executed, "stage"),
            started.elapsed().as_secs_f64()
        );
    }
    let models: Vec<_> = registered
        .iter()
        .map(|model| json!({ "model": model.model, "version": model.version, "facts": model.facts }))
        .collect();
    let told = json!({
        "run_id": run.run_id, "executed": executed, "stages": execution.stages, "registered": models,
        "failed": failures(&report),
    });
    Ok((Outcome::Done, told))
}

/// The values of the files of params and metrics become the run's own, where its stages did not log them.
fn record_values(client: &Client, run: &TrackedRun, repo: &Repo) -> anyhow::Result<()> {
    let state = crate::revisions::state(repo, crate::revisions::WORKSPACE)?;
    let known = |values: Vec<(String, lathe_pipeline::Found)>| {
        let readable = values.into_iter().filter_map(|(_, value)| value.ok());
        readable.flat_map(|value| lathe_pipeline::flat(&value)).collect()
    };
    tracking::log_values(
        client,
        run,
        known(state.params(&[], false)?),
        known(state.metrics(&[])?),
        clock::now().0,
    )
}

/// What `[environment]` declares beside what stages were executed in; nothing if it declares nothing.
pub fn environment_mark(
    project: &ProjectFile,
    marks: &EnvironmentMarks,
) -> anyhow::Result<Option<EnvironmentMark>> {
    let digest = python::fingerprint(project.spec.environment.as_ref(), &project.root)?;
    Ok(digest.map(|digest| EnvironmentMark {
        digest,
        known: marks.known().clone(),
    }))
}

/// Adds to dvc.yaml what stages did not declare. The next run executes them with it.
fn fix(repo: &Repo, pipelines: &Project, report: &Report, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    for execution in &report.stages {
        let Some(files) = execution.undeclared.as_ref().filter(|files| !files.is_empty()) else {
            continue;
        };
        let Some(stage) = pipelines
            .stages()
            .iter()
            .find(|stage| stage.address() == execution.stage)
        else {
            continue;
        };
        lathe_pipeline::declare(repo, stage, &files.read, &files.written)?;
        say(&format!(
            "{}: added {} to {}",
            execution.stage,
            [files.read.as_slice(), files.written.as_slice()]
                .concat()
                .join(", "),
            stage.file
        ));
    }
    Ok(())
}

fn executed(stages: &[StageExecution]) -> usize {
    let executed = stages
        .iter()
        .filter(|stage| stage.outcome == StageOutcome::Executed);
    executed.count()
}

fn failures(report: &Report) -> Vec<serde_json::Value> {
    let failures = report.failures.iter();
    failures
        .map(|(stage, error)| json!({ "stage": stage, "problem": error.to_string() }))
        .collect()
}

/// Ends a run whose stages did not all succeed. The first failure becomes the command's.
fn fail(
    client: &Client,
    run: &TrackedRun,
    mut report: Report,
    quiet: bool,
) -> anyhow::Result<(Outcome, serde_json::Value)> {
    let interrupted = report.was_interrupted();
    let status = if interrupted { "KILLED" } else { "FAILED" };
    tracking::end_run(client, run, status, clock::now().0)?;
    let told = json!({
        "run_id": run.run_id, "executed": executed(&report.stages), "stages": report.stages, "registered": [],
        "failed": failures(&report), "skipped": report.skipped,
    });
    if !quiet && !report.skipped.is_empty() {
        tell!("not executed: {}", report.skipped.join(", "));
    }
    if interrupted {
        let stages: Vec<String> = report
            .failures
            .iter()
            .map(|(stage, _)| format!("`{stage}`"))
            .collect();
        eprintln!(
            "interrupted in {}; stages finished before it are kept",
            stages.join(", ")
        );
        return Ok((Outcome::Interrupted, told));
    }
    if quiet {
        terminal::print_json(&told)?;
    }
    let first = report.failures.remove(0).1;
    for (_, error) in &report.failures {
        eprintln!("{} {error}", paint("error:", Style::Bad));
    }
    Err(anyhow::Error::new(first).context(format!("run {} failed", run.run_id)))
}

fn options(args: &Args, call: &Call, project: &ProjectFile, root: &Path) -> ExecuteOptions {
    let shell = std::env::var("SHELL").unwrap_or_default();
    let on_failure = match (args.keep_going, args.ignore_errors) {
        (_, true) => OnFailure::Ignore,
        (true, false) => OnFailure::KeepGoing,
        (false, false) => OnFailure::Stop,
    };
    ExecuteOptions {
        selection: args.selection.select(call, root),
        force: args.force,
        force_downstream: args.force_downstream,
        trace: match (args.strict, args.trace || args.fix) {
            (true, _) => Some(TraceMode::Strict),
            (false, true) => Some(TraceMode::Report),
            (false, false) => None,
        },
        run_cache: !args.no_run_cache,
        commit: !args.no_commit,
        allow_missing: args.allow_missing,
        on_failure,
        jobs: args
            .jobs
            .map(usize::from)
            .or(project.spec.project.jobs)
            .unwrap_or(1),
        shell: if shell.is_empty() {
            Shell::default()
        } else {
            Shell::of(&shell)
        },
        limits: project.spec.stage.clone(),
        resources: project.spec.resources.clone(),
        ..ExecuteOptions::default()
    }
}

fn set_params(args: &Args, project: &ProjectFile) -> anyhow::Result<()> {
    let mut changes: Vec<(PathBuf, Vec<(String, serde_json::Value)>)> = Vec::new();
    for text in &args.set_params {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| hinted(format!("`-S {text}` sets nothing"), "write `-S key=value`"))?;
        let (file, key) = key.split_once(':').unwrap_or(("params.yaml", key));
        let path = project.root.join(file);
        let change = (key.to_owned(), lathe_pipeline::parse_param(value)?);
        match changes.iter_mut().find(|(known, _)| *known == path) {
            Some((_, of_file)) => of_file.push(change),
            None => changes.push((path, vec![change])),
        }
    }
    for (path, of_file) in changes {
        lathe_pipeline::set_params(&path, &of_file)?;
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

/// The folder for what this run's stages print, relative to the repository; those of old runs go.
fn logs_folder(project: &Path, repository: &Path, run_id: &str) -> PathBuf {
    let folder = project.join(STATE_FOLDER).join("logs");
    let mut kept: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    kept.sort();
    let surplus = (kept.len() + 1).saturating_sub(LOGS_KEPT);
    for (_, old) in kept.into_iter().take(surplus) {
        // What cannot be removed today is removed with the next run.
        let _ = std::fs::remove_dir_all(old);
    }
    let folder = folder.join(run_id);
    folder
        .strip_prefix(repository)
        .map_or(folder.clone(), Path::to_owned)
}

fn run_tags<'a>(
    args: &'a Args,
    project: &ProjectFile,
    python: &Python,
    checkout: Option<&git::Checkout>,
) -> anyhow::Result<Vec<(&'a str, String)>> {
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
    for given in &args.tags {
        let (key, value) = given
            .split_once('=')
            .ok_or_else(|| hinted(format!("`--tag {given}` sets nothing"), "write `--tag KEY=VALUE`"))?;
        tags.push((key, value.to_owned()));
    }
    Ok(tags)
}

/// What every stage finds in its environment, so that unchanged MLflow code logs to this run.
fn stage_environment(project: &ProjectFile, run: &TrackedRun, tracking_url: &str) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = [
        ("MLFLOW_TRACKING_URI", tracking_url),
        ("MLFLOW_RUN_ID", run.run_id.as_str()),
        ("MLFLOW_EXPERIMENT_NAME", project.spec.project.name.as_str()),
        // Otherwise the client draws progress bars for each artifact into the stage's log.
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("PYTHONUNBUFFERED", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    // Stages are let in as the command is.
    environment.extend(client::token().map(|token| ("MLFLOW_TRACKING_TOKEN".to_owned(), token)));
    environment
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
