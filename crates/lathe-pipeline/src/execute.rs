use std::time::{Duration, Instant};

use lathe_data::{Repo, remove_path};
use lathe_types::Millis;
use lathe_types::executions::{StageExecution, StageOutcome};

use crate::lock::{Lock, LockEntry};
use crate::plan::{inputs_unchanged, kept, plan, why_stale};
use crate::process::{self, Ending, Interruption};
use crate::record::{self, execution_of};
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::{Error, Plan, Project, Reason, Result, guard, run_cache};

/// What to bring up to date, and how.
#[derive(Debug, Clone)]
pub struct ExecuteOptions {
    /// Stages, with what they need; all if empty.
    pub targets: Vec<String>,
    /// Execute even what has not changed.
    pub force: bool,
    /// Restore an earlier execution with the same inputs in the place of executing again.
    pub run_cache: bool,
    /// Added to the environment of the stages' processes.
    pub env: Vec<(String, String)>,
    /// What the clock says; the epoch if nobody passes one in.
    pub now: fn() -> Millis,
}

impl Default for ExecuteOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            force: false,
            run_cache: true,
            env: Vec::new(),
            now: Millis::default,
        }
    }
}

/// What happens while a pipeline is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageEvent {
    /// A stage is begun.
    Started {
        /// The stage.
        stage: String,
        /// Why.
        reason: String,
    },
    /// A line that its commands printed.
    Output {
        /// The stage.
        stage: String,
        /// Without its end.
        line: String,
    },
    /// A stage is done with.
    Finished {
        /// The stage.
        stage: String,
        /// What came of it.
        outcome: StageOutcome,
        /// How long it took.
        took: Duration,
    },
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every stage that was looked at, in order.
    pub stages: Vec<StageExecution>,
}

/// Decides what [`execute`] would do, as far as that is known beforehand.
pub fn plan_project(repo: &Repo, project: &Project, options: &ExecuteOptions) -> Result<Plan> {
    let lock = Lock::load(repo.root())?;
    let mut files = Snapshot::default();
    let mut stages = Vec::new();
    for stage in project.in_order(&options.targets)? {
        let locked = lock.find(&stage.name)?;
        files.look_at(repo, stage, locked.as_ref())?;
        stages.push((stage, locked));
    }
    Ok(plan(&stages, &files, options.force))
}

/// Brings the wanted stages up to date, one after the other. The lock is written after each, so that what was done
/// before a failure stays done.
pub fn execute(
    repo: &Repo,
    project: &Project,
    options: ExecuteOptions,
    show: &mut dyn FnMut(StageEvent),
) -> Result<Report> {
    let stages = project.in_order(&options.targets)?;
    let _guard = guard::only_one(repo)?;
    let interruption = Interruption::watch().map_err(Error::read(repo.root()))?;
    let mut execution = Execution {
        repo,
        lock: Lock::load(repo.root())?,
        env: options.env.clone(),
        options,
        interruption,
        show,
    };
    let mut report = Report::default();
    for stage in stages {
        report.stages.push(execution.stage(stage)?);
    }
    Ok(report)
}

struct Execution<'a> {
    repo: &'a Repo,
    lock: Lock,
    env: Vec<(String, String)>,
    options: ExecuteOptions,
    interruption: Interruption,
    show: &'a mut dyn FnMut(StageEvent),
}

impl Execution<'_> {
    fn stage(&mut self, stage: &Stage) -> Result<StageExecution> {
        let started_at = (self.options.now)();
        let started = Instant::now();
        let locked = self.lock.find(&stage.name)?;
        let mut files = Snapshot::default();
        files.look_at(self.repo, stage, locked.as_ref())?;
        let reason = if stage.frozen {
            None
        } else if self.options.force {
            Some(Reason::Forced)
        } else {
            why_stale(stage, locked.as_ref(), &files)
        };
        let Some(reason) = reason else {
            self.finished(stage, StageOutcome::Unchanged, started);
            let entry = match locked {
                Some(entry) => entry,
                None => record::entry_of(stage, &files, false)?,
            };
            let reason = kept(stage.frozen).to_owned();
            let span = (started_at, (self.options.now)());
            return Ok(execution_of(stage, &entry, reason, StageOutcome::Unchanged, span));
        };
        (self.show)(StageEvent::Started {
            stage: stage.name.clone(),
            reason: reason.to_string(),
        });
        let done = self.bring_up_to_date(stage, locked, files);
        let outcome = done
            .as_ref()
            .map_or(StageOutcome::Failed, |(outcome, _)| *outcome);
        self.finished(stage, outcome, started);
        let (outcome, entry) = done?;
        let span = (started_at, (self.options.now)());
        Ok(execution_of(stage, &entry, reason.to_string(), outcome, span))
    }

    fn finished(&mut self, stage: &Stage, outcome: StageOutcome, started: Instant) {
        (self.show)(StageEvent::Finished {
            stage: stage.name.clone(),
            outcome,
            took: started.elapsed(),
        });
    }

    fn bring_up_to_date(
        &mut self,
        stage: &Stage,
        locked: Option<LockEntry>,
        files: Snapshot,
    ) -> Result<(StageOutcome, LockEntry)> {
        let inputs = record::entry_of(stage, &files, true)?;
        let earlier = self.find_earlier(stage, locked, &inputs, &files)?;
        for out in stage.outs.iter().filter(|out| !out.persist) {
            remove_path(&self.repo.root().join(&out.at))?;
        }
        let outcome = match earlier {
            Some(earlier) => {
                self.restore(stage, &earlier)?;
                StageOutcome::Restored
            }
            None => {
                self.run_commands(stage)?;
                StageOutcome::Executed
            }
        };
        Ok((outcome, self.keep(stage)?))
    }

    /// An execution that can stand for this one: the last, or one of the run cache.
    fn find_earlier(
        &self,
        stage: &Stage,
        locked: Option<LockEntry>,
        inputs: &LockEntry,
        files: &Snapshot,
    ) -> Result<Option<LockEntry>> {
        if self.options.force || !self.options.run_cache || !stage.is_repeatable() {
            return Ok(None);
        }
        let has_all_outs = |entry: &LockEntry| {
            stage.outs.len() == entry.outs.len()
                && stage.outs.iter().all(|out| entry.out(&out.path).is_some())
        };
        if let Some(locked) = locked.filter(has_all_outs) {
            let all_cached = locked
                .outs
                .iter()
                .all(|out| files.cached.contains(&out.hashed.md5));
            if all_cached && inputs_unchanged(stage, &locked, files) {
                return Ok(Some(locked));
            }
        }
        Ok(run_cache::find(self.repo, inputs)?.filter(has_all_outs))
    }

    fn restore(&self, stage: &Stage, earlier: &LockEntry) -> Result<()> {
        for out in &stage.outs {
            let Some(locked) = earlier.out(&out.path) else {
                continue;
            };
            let path = self.repo.root().join(&out.at);
            self.repo
                .cache()
                .checkout(&locked.hashed.md5, locked.hashed.is_exec, &path)?;
        }
        Ok(())
    }

    fn run_commands(&mut self, stage: &Stage) -> Result<()> {
        let folder = self.repo.root().join(&stage.wdir);
        for out in &stage.outs {
            if let Some(parent) = self.repo.root().join(&out.at).parent() {
                std::fs::create_dir_all(parent).map_err(Error::write(parent))?;
            }
        }
        let mut env = self.env.clone();
        env.push(("DVC_ROOT".to_owned(), self.repo.root().display().to_string()));
        env.push(("DVC_STAGE".to_owned(), stage.name.clone()));
        for command in stage.commands() {
            let show = &mut self.show;
            let ending = process::execute(&command, &folder, &env, &self.interruption, &mut |line| {
                show(StageEvent::Output {
                    stage: stage.name.clone(),
                    line,
                });
            });
            let ending = ending.map_err(|source| Error::Start {
                stage: stage.name.clone(),
                folder: folder.clone(),
                source,
            })?;
            match ending {
                Ending::Success => {}
                Ending::Failure(ending) => {
                    return Err(Error::CommandFailed {
                        stage: stage.name.clone(),
                        command,
                        ending,
                    });
                }
                Ending::Interrupted => {
                    return Err(Error::Interrupted {
                        stage: stage.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Puts the outputs into the cache and the stage into the lock.
    fn keep(&mut self, stage: &Stage) -> Result<LockEntry> {
        let mut files = Snapshot::default();
        files.look_at_inputs(self.repo, stage)?;
        files.look_at_outs(self.repo, stage)?;
        let entry = record::entry_of(stage, &files, true)?;
        for out in &stage.outs {
            let path = self.repo.root().join(&out.at);
            let content = files.content(&out.at).ok_or_else(|| Error::MissingOut {
                stage: stage.name.clone(),
                path: out.path.clone(),
            })?;
            if out.cache {
                self.repo.keep_out_of_git(&path)?;
            }
            if out.cache || stage.is_repeatable() {
                self.repo.cache().save(content, &path)?;
            }
        }
        self.lock.set(&stage.name, &entry)?;
        if stage.is_repeatable() {
            run_cache::save(self.repo, &entry)?;
        }
        Ok(entry)
    }
}
