//! The side of `lathe run`: sends what a stage reads to the remote, queues the step, passes on what its worker tells,
//! and brings what it made.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use lathe_data::Repo;
use lathe_data::remote::Remote;
use lathe_pipeline::{Engine, Error, Kind, StageEvent};
use lathe_types::executions::StageUsage;
use lathe_types::jobs::JobState;
use lathe_types::project::EnvironmentSpec;
use lathe_types::steps::{Step, StepFile, StepLine, StepPlace, StepProgress, StepResult};
use lathe_types::{RunId, Span};
use serde_json::{Value, json};

use super::{ASK_AGAIN, is_outside, may_pass};
use crate::client::Client;
use crate::commands::data::{Data, stores};
use crate::exit::hinted;
use crate::project::ProjectFile;
use crate::settings::Place;
use crate::{objects, python};

/// How often a step is looked at, in the beginning and later on.
const LOOK: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(400));
/// Nobody took the step so long: worth a word.
const UNUSUAL: Duration = Duration::from_secs(5);
/// A server that is away so long will not come back; steps are not wanted any longer then either.
const PATIENCE: Duration = Duration::from_secs(120);
/// The variables of a worker are its own.
const NOT_SENT: &[&str] = &["PATH", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"];

/// Lets workers execute stages.
pub struct WorkerEngine {
    place: Place,
    repo: Repo,
    remote: Remote,
    /// What is kept in the cache: it may be linked.
    data: Vec<PathBuf>,
    project: String,
    run_id: RunId,
    env: Vec<(String, String)>,
    environment: Option<(EnvironmentSpec, String)>,
    /// Sent with every stage, relative to the repository.
    files: Vec<String>,
}

/// Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

impl WorkerEngine {
    /// For one run. The records must be on a server, where workers find them.
    pub fn new(
        place: Place,
        repo: &Repo,
        project: &ProjectFile,
        run_id: RunId,
        env: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let settings = lathe_data::remote::find_remote(repo, None)
            .context("workers find data on a remote, and the repository has no default one")?;
        let data = Data::in_folder(repo.root())?;
        let from_root = |path: &std::path::Path| lathe_data::relative_path(path, repo.root());
        let mut files = Vec::new();
        let mut environment = None;
        if let Some(spec) = &project.spec.environment {
            for file in python::files_of(spec, &project.root)? {
                files.push(from_root(&file));
            }
            environment = Some((spec.clone(), from_root(&project.root)));
        }
        Ok(Self {
            place,
            repo: repo.clone(),
            remote: stores::open(&settings, None)?,
            data: data
                .all
                .into_iter()
                .filter(|out| out.is_cached)
                .map(|out| out.at)
                .collect(),
            project: project.spec.project.name.clone(),
            run_id,
            env: env
                .iter()
                .filter(|(name, _)| !NOT_SENT.contains(&name.as_str()))
                .cloned()
                .collect(),
            environment,
            files,
        })
    }

    /// What the stage finds in its folder: what it declares, and the files that say how to read that.
    fn inputs(&self, stage: &lathe_pipeline::Stage) -> anyhow::Result<Vec<StepFile>> {
        let mut paths: BTreeSet<&str> = BTreeSet::new();
        let files = stage.deps.iter().map(|dep| dep.at.as_str());
        // What lies behind URLs the commands get for themselves.
        paths.extend(files.filter(|at| Kind::of(at) == Kind::Path));
        paths.extend(stage.params.iter().map(|file| file.at.as_str()));
        paths.extend(
            stage
                .outs
                .iter()
                .filter(|out| out.persist)
                .map(|out| out.at.as_str()),
        );
        paths.extend(self.files.iter().map(String::as_str));
        paths.extend([&*stage.file, ".dvcignore"]);
        let places = paths
            .iter()
            .copied()
            .chain(stage.outs.iter().map(|out| out.at.as_str()));
        let places = places.chain([stage.wdir.as_str()]);
        if let Some(outside) = places.into_iter().find(|path| is_outside(path)) {
            return Err(hinted(
                format!("`{outside}` is outside of the repository, where a worker cannot put it"),
                "bring it in with `lathe import-url`, or execute the stage with `--engine local`",
            ));
        }
        let mut files = Vec::new();
        for path in paths {
            let at = self.repo.root().join(path);
            let is_data = self.data.iter().any(|data| at.starts_with(data));
            files.extend(objects::keep(&self.repo, path, is_data)?);
        }
        Ok(files)
    }

    fn carry_out(
        &self,
        step: lathe_pipeline::Step<'_>,
        show: &mut dyn FnMut(StageEvent),
    ) -> anyhow::Result<StepResult> {
        let stage = step.stage;
        let inputs = self.inputs(stage)?;
        objects::send(&self.repo, &self.remote, &inputs)?;
        let timeout = step
            .timeout
            .map(|timeout| Span(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)));
        let order = Step {
            project: self.project.clone(),
            run_id: self.run_id.to_string(),
            stage: stage.address(),
            wdir: stage.wdir.clone(),
            commands: stage.commands(),
            env: self.env.clone(),
            timeout,
            inputs,
            outs: stage.outs.iter().map(|out| out.at.clone()).collect(),
            environment: self.environment.clone(),
        };
        let client = Client::open(&self.place)?;
        // An attempt of the stage is a step of its own.
        let key = format!("{}/{:08x}", stage.address(), fastrand::u32(..));
        let queued: Value = client.post(
            "/api/v1/steps",
            &json!({ "key": key, "run_id": self.run_id.to_string(), "step": order }),
        )?;
        let id = queued["id"]
            .as_i64()
            .context("the server did not say which step it is")?;
        let result = self.follow(&client, id, step, show);
        if result.as_ref().is_err_and(|error| error.is::<Interrupted>()) {
            client
                .post::<Value>(&format!("/api/v1/steps/{id}/cancel"), &json!({}))
                .context("failed to take the step back; nobody executes it after two minutes")?;
        }
        let result = result?;
        if result.failure.is_none() {
            objects::bring(&self.repo, &self.remote, &result.outs)?;
            for out in &result.outs {
                let is_cached = stage.outs.iter().any(|own| own.at == out.path && own.cache);
                let out = StepFile {
                    is_data: is_cached,
                    ..out.clone()
                };
                objects::place(&self.repo, &out)?;
            }
        }
        Ok(result)
    }

    /// Passes on what is told until the step has ended.
    fn follow(
        &self,
        client: &Client,
        id: i64,
        step: lathe_pipeline::Step<'_>,
        show: &mut dyn FnMut(StageEvent),
    ) -> anyhow::Result<StepResult> {
        let stage = step.stage.address();
        let path = format!("/api/v1/steps/{id}/follow");
        let mut since = StepPlace::default();
        let mut told = Told::default();
        let queued_at = Instant::now();
        let mut answered_at = Instant::now();
        let mut pause = LOOK.0;
        loop {
            if step.commands.interruption.came() {
                return Err(Interrupted.into());
            }
            let following: StepProgress = match client.post(&path, &json!({ "since": since })) {
                Ok(following) => following,
                Err(error) if may_pass(&error) && answered_at.elapsed() < PATIENCE => {
                    std::thread::sleep(ASK_AGAIN);
                    continue;
                }
                Err(error) => return Err(error),
            };
            answered_at = Instant::now();
            let is_quiet = following.output.is_empty();
            for line in told.hear(&following) {
                show(event(&stage, line));
            }
            for piece in &following.output {
                since = StepPlace {
                    attempt: piece.place.attempt,
                    at: piece.place.at + u64::try_from(piece.text.len()).unwrap_or(0),
                };
                for line in piece.text.lines() {
                    let line = serde_json::from_str(line).context("what a worker told cannot be read")?;
                    show(event(&stage, line));
                }
            }
            if !is_quiet {
                pause = LOOK.0;
                continue;
            }
            match following.state {
                JobState::Done => {
                    return following.result.context("the step is done, and has no result");
                }
                JobState::Failed => {
                    let error = following.error.unwrap_or_default();
                    return Err(anyhow::anyhow!(error));
                }
                JobState::Queued | JobState::Running => {}
            }
            if following.state == JobState::Queued && UNUSUAL < queued_at.elapsed() && !told.waits {
                told.waits = true;
                let text = "waits for a worker; `lathe worker` starts one".to_owned();
                show(event(&stage, StepLine::Note(text)));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK.1);
        }
    }
}

/// What was said of a step already.
#[derive(Default)]
struct Told {
    waits: bool,
    /// The attempt, and whether its end was told.
    attempt: u32,
    error: Option<String>,
}

impl Told {
    fn hear(&mut self, following: &StepProgress) -> Vec<StepLine> {
        let mut lines = Vec::new();
        let is_open = matches!(following.state, JobState::Queued | JobState::Running);
        if self.error != following.error
            && is_open
            && let Some(problem) = &following.error
        {
            self.error.clone_from(&following.error);
            lines.push(StepLine::Note(format!("the worker could not do it: {problem}")));
        }
        if self.attempt < following.attempt && following.state != JobState::Queued {
            self.attempt = following.attempt;
            let again = match following.attempt {
                1 => String::new(),
                number => format!(", attempt {number}"),
            };
            match &following.worker {
                Some(worker) => lines.push(StepLine::Note(format!("worker {worker} has it{again}"))),
                None if 1 < following.attempt => {
                    lines.push(StepLine::Note(format!("another worker has it{again}")));
                }
                None => {}
            }
        }
        lines
    }
}

fn event(stage: &str, line: StepLine) -> StageEvent {
    let stage = stage.to_owned();
    match line {
        StepLine::Command(command) => StageEvent::Command { stage, command },
        StepLine::Output(line) => StageEvent::Output { stage, line },
        StepLine::Note(text) => StageEvent::Note { stage, text },
    }
}

impl Engine for WorkerEngine {
    fn execute(
        &self,
        step: lathe_pipeline::Step<'_>,
        show: &mut dyn FnMut(StageEvent),
    ) -> (StageUsage, lathe_pipeline::Result<()>) {
        let stage = step.stage.address();
        match self.carry_out(step, show) {
            Ok(result) => {
                let outcome = match result.failure {
                    None => Ok(()),
                    Some(failure) => Err(Error::CommandFailed {
                        stage,
                        command: failure.command,
                        ending: failure.ending,
                    }),
                };
                (result.usage, outcome)
            }
            Err(error) if error.is::<Interrupted>() => {
                (StageUsage::default(), Err(Error::Interrupted { stage }))
            }
            Err(error) => (
                StageUsage::default(),
                Err(Error::Elsewhere {
                    stage,
                    source: error.into(),
                }),
            ),
        }
    }
}
