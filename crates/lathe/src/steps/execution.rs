//! One step on a worker: a folder of its own with the inputs, the commands, and the outputs sent to the remote.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use lathe_data::Repo;
use lathe_data::remote::Remote;
use lathe_pipeline::{Commands, Error, Interruption, Orders, Shell, StageEvent, Watchdog};
use lathe_types::executions::StageUsage;
use lathe_types::steps::{Step, StepFailure, StepFile, StepLine, StepResult};

use super::claim::Claim;
use super::is_outside;
use crate::exit::hinted;
use crate::{objects, python};

/// What the worker gives to each step.
pub struct Surroundings<'a> {
    /// The worker's own repository, whose cache and remote serve.
    pub repo: &'a Repo,
    /// Where data comes from and goes to.
    pub remote: &'a Remote,
    /// Where steps have their folders.
    pub folder: &'a Path,
    /// What the commands find in their environment, beside what the step says.
    pub env: &'a [(String, String)],
    /// Ends the worker.
    pub interruption: &'a Interruption,
}

/// The worker is asked to end, or the claim is lost: what was begun does not count.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// A folder that goes away with this.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = lathe_data::remove_path(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a step's folder stays");
        }
    }
}

impl Surroundings<'_> {
    /// Executes a step. An error means that the worker could not do its part; commands that fail are a result.
    pub fn execute(&self, claim: &Claim, step: &Step) -> anyhow::Result<StepResult> {
        let inputs = step.inputs.iter().map(|input| &input.path);
        for path in inputs.chain(&step.outs).chain([&step.wdir]) {
            refuse_outside(path)?;
        }
        let interruption = self.interruption.or(claim.lost.clone());
        let go_on = || match interruption.came() {
            true => Err(anyhow::Error::from(Stopped)),
            false => Ok(()),
        };
        let folder = Folder(self.folder.join(format!("{}-{}", claim.id, claim.attempt)));
        lathe_data::remove_path(&folder.0)?;
        std::fs::create_dir_all(&folder.0)
            .with_context(|| format!("failed to create `{}`", folder.0.display()))?;
        Repo::init(&folder.0)?;
        lathe_data::share_cache(self.repo.root(), &folder.0)?;
        let repo = Repo::discover(&folder.0)?;
        objects::bring(&repo, self.remote, &step.inputs)?;
        for input in &step.inputs {
            go_on()?;
            objects::place(&repo, input)?;
        }
        for out in &step.outs {
            if let Some(parent) = repo.root().join(out).parent() {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("failed to create `{}`", parent.display()))?;
            }
        }
        let wdir = repo.root().join(&step.wdir);
        std::fs::create_dir_all(&wdir).with_context(|| format!("failed to create `{}`", wdir.display()))?;
        let mut env = step.env.clone();
        env.extend(self.env.iter().cloned());
        if let Some((spec, project)) = &step.environment {
            refuse_outside(project)?;
            let python = python::prepare(Some(spec), &repo.root().join(project), &mut |line| {
                claim.say(&StepLine::Note(line.to_owned()));
            })?;
            env.extend(python.path().map(|path| ("PATH".to_owned(), path)));
        }
        go_on()?;
        let (usage, failure) = self.run(claim, step, &repo, &env, &interruption)?;
        let mut outs: Vec<StepFile> = Vec::new();
        if failure.is_none() {
            for out in &step.outs {
                go_on()?;
                outs.extend(objects::keep(&repo, out, true)?);
            }
            objects::send(&repo, self.remote, &outs)?;
        }
        Ok(StepResult { usage, outs, failure })
    }

    fn run(
        &self,
        claim: &Claim,
        step: &Step,
        repo: &Repo,
        env: &[(String, String)],
        interruption: &Interruption,
    ) -> anyhow::Result<(StageUsage, Option<StepFailure>)> {
        let shell = std::env::var("SHELL").unwrap_or_default();
        let shell = match shell.is_empty() {
            true => Shell::default(),
            false => Shell::of(&shell),
        };
        let lock = repo.tmp().join("step.lock");
        let lock = File::create(&lock).with_context(|| format!("failed to write `{}`", lock.display()))?;
        let watchdog = Watchdog::new(lock);
        let commands = Commands {
            root: repo.root(),
            shell: &shell,
            env,
            interruption,
            watchdog: &watchdog,
        };
        let orders = Orders {
            stage: step.stage.clone(),
            wdir: step.wdir.clone(),
            commands: step.commands.clone(),
        };
        let timeout = step
            .timeout
            .map(|timeout| Duration::from_millis(timeout.0.unsigned_abs()));
        let (usage, ended) = commands.execute(&orders, timeout, &mut |event| match event {
            StageEvent::Command { command, .. } => claim.say(&StepLine::Command(command)),
            StageEvent::Output { line, .. } => claim.say(&StepLine::Output(line)),
            _ => {}
        });
        let failure = match ended {
            Ok(()) => None,
            Err(Error::Interrupted { .. }) => return Err(Stopped.into()),
            Err(Error::CommandFailed { command, ending, .. }) => Some(StepFailure { command, ending }),
            Err(error) => return Err(error.into()),
        };
        Ok((usage, failure))
    }
}

/// What a step names lies in its folder.
fn refuse_outside(path: &str) -> anyhow::Result<()> {
    match is_outside(path) {
        false => Ok(()),
        true => Err(hinted(
            format!("the step names `{path}`, which is outside of its folder"),
            "execute the stage with `--engine local`",
        )),
    }
}
