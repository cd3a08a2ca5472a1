use std::path::Path;
use std::time::{Duration, Instant};

use lathe_data::{Recorded, ops, remove_path};
use lathe_types::executions::{StageExecution, StageOutcome, StageUsage, Undeclared};
use lathe_types::project::StageSpec;

use super::custody::Held;
use super::engine::{Engine, Local, Step};
use super::logs::StageLog;
use super::process::{self, Ending, Interruption, Job};
use super::schedule::Work;
use super::trace::Trace;
use super::watchdog::Watchdog;
use super::{StageEvent, TraceMode, Turn};
use crate::external::is_path;
use crate::lock::LockEntry;
use crate::plan::{Action, decide, in_another_environment, inputs_unchanged, kept};
use crate::record::{self, Done, execution_of};
use crate::snapshot::Snapshot;
use crate::stage::{Stage, joined};
use crate::{Error, Reason, Result, keep, run_cache};

/// How often to look whether an interruption came while nothing is executed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What executes commands: a program with its options, up to the one that a command follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell(Vec<String>);

impl Default for Shell {
    fn default() -> Self {
        Self::of("/bin/sh")
    }
}

impl Shell {
    /// The user's shell without what the user has it do at its start.
    pub fn of(program: &str) -> Self {
        let name = program.rsplit('/').next().unwrap_or_default().to_lowercase();
        let options: &[&str] = match name.as_str() {
            "bash" => &["--noprofile", "--norc", "-c"],
            "zsh" => &["--no-rcs", "-c"],
            "fish" => &["--no-config", "-c"],
            _ => &["-c"],
        };
        let words = std::iter::once(program).chain(options.iter().copied());
        Self(words.map(str::to_owned).collect())
    }
}

/// The one place where the commands of a stage are executed: in a folder, with an environment.
#[derive(Clone, Copy)]
pub struct Commands<'a> {
    /// The root of the repository, or of another checkout of it.
    pub root: &'a Path,
    /// What executes commands.
    pub shell: &'a Shell,
    /// Added to the environment.
    pub env: &'a [(String, String)],
    /// Ends them.
    pub interruption: &'a Interruption,
    /// Ends them if this process is killed.
    pub watchdog: &'a Watchdog,
}

/// What is to be executed.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The stage's address.
    pub stage: String,
    /// The folder, relative to the root.
    pub wdir: String,
    /// One shell each.
    pub commands: Vec<String>,
}

impl Commands<'_> {
    /// Executes the commands of a stage, one after the other, until one fails.
    pub fn execute(
        &self,
        orders: &Orders,
        timeout: Option<Duration>,
        show: &mut dyn FnMut(StageEvent),
    ) -> (StageUsage, Result<()>) {
        let folder = self.root.join(&orders.wdir);
        let address = orders.stage.clone();
        let mut env = vec![
            ("DVC_ROOT".to_owned(), self.root.display().to_string()),
            ("DVC_STAGE".to_owned(), address.clone()),
        ];
        env.extend(self.env.iter().cloned());
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut usage = StageUsage::default();
        for command in orders.commands.iter().cloned() {
            show(StageEvent::Command {
                stage: address.clone(),
                command: command.clone(),
            });
            let job = Job {
                shell: &self.shell.0,
                command: &command,
                folder: &folder,
                env: &env,
                deadline,
            };
            let ended = process::execute(job, self.interruption, self.watchdog, &mut |line| {
                show(StageEvent::Output {
                    stage: address.clone(),
                    line,
                });
            });
            let result = match ended {
                Err(source) => Err(Error::Start {
                    stage: address.clone(),
                    folder: folder.clone(),
                    source,
                }),
                Ok((ending, used)) => {
                    usage = usage.then(used);
                    match ending {
                        Ending::Success => Ok(()),
                        Ending::Failure(ending) => Err(Error::CommandFailed {
                            stage: address.clone(),
                            command,
                            ending,
                        }),
                        Ending::Interrupted => Err(Error::Interrupted {
                            stage: address.clone(),
                        }),
                    }
                }
            };
            if result.is_err() {
                return (usage, result);
            }
        }
        (usage, Ok(()))
    }
}

/// What came of a stage's turn.
pub struct Finished {
    /// For the record.
    pub execution: StageExecution,
    /// The new entry of the lock; nothing if it stays.
    pub entry: Option<LockEntry>,
    /// Why it failed.
    pub failure: Option<Error>,
    /// The repository's lock, until the entry is written.
    pub held: Option<Held>,
}

/// A stage whose turn has come.
pub struct OneStage<'a> {
    /// All that is being done.
    pub work: &'a Work<'a>,
    /// This stage.
    pub stage: &'a Stage,
    /// Its limits.
    pub limits: Option<&'a StageSpec>,
    /// Who hears what happens.
    pub show: &'a mut dyn FnMut(StageEvent),
}

/// What its commands took so far.
#[derive(Default)]
struct Effort {
    usage: Option<StageUsage>,
    attempts: u32,
    log: Option<String>,
    undeclared: Option<Undeclared>,
}

impl OneStage<'_> {
    /// Brings the stage up to date.
    pub fn take(mut self, turn: Turn) -> Finished {
        let started = Instant::now();
        let started_at = (self.work.options.now)();
        let mut effort = Effort::default();
        let mut reason = String::new();
        let mut known = turn.locked.clone();
        let result = self.bring_up_to_date(turn, &mut reason, &mut known, &mut effort);
        let outcome = result
            .as_ref()
            .map_or(StageOutcome::Failed, |(outcome, _)| *outcome);
        (self.show)(StageEvent::Finished {
            stage: self.stage.address(),
            outcome,
            took: started.elapsed(),
            usage: effort.usage,
        });
        let done = Done {
            reason,
            outcome,
            span: (started_at, (self.work.options.now)()),
            usage: effort.usage,
            attempts: effort.attempts,
            log: effort.log,
            undeclared: effort.undeclared,
        };
        let (entry, held, failure) = match result {
            Ok((_, Some((entry, held)))) => (Some(entry), Some(held), None),
            Ok((_, None)) => (None, None, None),
            Err(error) => (None, None, Some(error)),
        };
        let recorded = entry.clone().or(known).unwrap_or_else(|| LockEntry {
            cmd: self.stage.cmd.clone(),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
        });
        Finished {
            execution: execution_of(self.stage, &recorded, done),
            entry,
            failure,
            held,
        }
    }

    /// Takes the repository's lock.
    fn hold(&mut self) -> Result<Held> {
        let stage = self.stage.address();
        let Work {
            custody, commands, ..
        } = *self.work;
        let show = &mut self.show;
        let held = custody.hold(commands.interruption, &mut |text| {
            show(StageEvent::Note {
                stage: stage.clone(),
                text,
            });
        })?;
        held.ok_or(Error::Interrupted { stage })
    }

    fn bring_up_to_date(
        &mut self,
        turn: Turn,
        told: &mut String,
        known: &mut Option<LockEntry>,
        effort: &mut Effort,
    ) -> Result<(StageOutcome, Option<(LockEntry, Held)>)> {
        let Work {
            repo,
            project,
            options,
            ..
        } = *self.work;
        let stage = self.stage;
        let held = self.hold()?;
        let mut files = Snapshot::default();
        files.look_at(repo, project, stage, turn.locked.as_ref())?;
        let mut rules = super::rules_of(options);
        rules.force |= turn.forced;
        let action = match decide(stage, turn.locked.as_ref(), &files, rules, &turn.made) {
            Action::Keep => in_another_environment(stage, options.environment_changed(stage)),
            action => action,
        };
        let reason = match action {
            Action::Keep => {
                kept(stage.frozen).clone_into(told);
                if known.is_none() {
                    *known = Some(record::entry_of(stage, &files, false)?);
                }
                return Ok((StageOutcome::Unchanged, None));
            }
            Action::Verify(reason) => {
                *told = format!("{}, {reason}", kept(true));
                return Ok((StageOutcome::Unchanged, Some((self.verify()?, held))));
            }
            Action::Execute(reason) => reason,
        };
        *told = reason.to_string();
        (self.show)(StageEvent::Started {
            stage: stage.address(),
            reason: told.clone(),
        });
        let inputs = record::entry_of(stage, &files, true)?;
        *known = Some(LockEntry {
            outs: Vec::new(),
            ..inputs.clone()
        });
        let earlier = match reason {
            Reason::Forced | Reason::EnvironmentChanged => None,
            _ => self.find_earlier(turn.locked, &inputs, &mut files)?,
        };
        self.remove_outs()?;
        if let Some(earlier) = earlier {
            self.restore(&earlier)?;
            return Ok((StageOutcome::Restored, Some((self.keep()?, held))));
        }
        let commanding = self.work.custody.let_commands();
        drop(held);
        let executed = self.execute(effort);
        drop(commanding);
        executed?;
        let held = self.hold()?;
        Ok((StageOutcome::Executed, Some((self.keep()?, held))))
    }

    fn remove_outs(&self) -> Result<()> {
        let root = self.work.repo.root();
        for out in &self.stage.outs {
            if !is_path(&out.at) {
                if !out.persist {
                    self.work.project.reach().remove(&out.at)?;
                }
                continue;
            }
            let path = root.join(&out.at);
            if !out.persist {
                remove_path(&path)?;
            } else if path.exists() && self.work.repo.links_to_cache() {
                // What stays may be written to, and must not be the cache's own.
                ops::unprotect(self.work.repo, &path)?;
            }
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Error::write(parent))?;
            }
        }
        Ok(())
    }

    /// Executes the commands, again if they fail and may be retried.
    fn execute(&mut self, effort: &mut Effort) -> Result<()> {
        let address = self.stage.address();
        let options = self.work.options;
        let mut log = StageLog::create(self.work.repo.root(), options.logs.as_deref(), &address);
        effort.log = log.path.clone();
        let span = |span: lathe_types::Span| Duration::from_millis(span.0.max(0).unsigned_abs());
        let timeout = self.limits.and_then(|limits| limits.timeout).map(span);
        let retries = self.limits.map_or(0, |limits| limits.retries);
        let wait = self
            .limits
            .and_then(|limits| limits.retry_wait)
            .map_or(Duration::ZERO, span);
        loop {
            effort.attempts += 1;
            let trace = match options.trace {
                Some(_) => Some(Trace::start(self.work.repo.root())?),
                None => None,
            };
            let show = &mut self.show;
            let step = Step {
                stage: self.stage,
                timeout,
                commands: self.work.commands,
            };
            let engine: &dyn Engine = match &options.engine {
                Some(engine) => &*engine.0,
                None => &Local,
            };
            let (usage, result) = engine.execute(step, &mut |event| {
                match &event {
                    StageEvent::Command { command, .. } => log.line(&format!("> {command}")),
                    StageEvent::Output { line, .. } => log.line(line),
                    StageEvent::Note { text, .. } => log.line(&format!("# {text}")),
                    _ => {}
                }
                show(event);
            });
            effort.usage = Some(effort.usage.unwrap_or_default().then(usage));
            if let Some(trace) = trace {
                let undeclared = trace.end(self.stage)?;
                effort.undeclared = Some(undeclared);
            }
            let Err(error) = result else {
                return self.judge_undeclared(effort);
            };
            log.line(&format!("! {error}"));
            let may_retry = matches!(error, Error::CommandFailed { .. }) && effort.attempts <= retries;
            if !may_retry {
                return Err(error);
            }
            (self.show)(StageEvent::Retried {
                stage: address.clone(),
                problem: error.to_string(),
                attempt: effort.attempts + 1,
                wait,
            });
            let started = Instant::now();
            while started.elapsed() < wait && !self.work.commands.interruption.came() {
                std::thread::sleep(LOOK_EVERY.min(wait));
            }
            if self.work.commands.interruption.came() {
                return Err(Error::Interrupted { stage: address });
            }
            self.remove_outs()?;
        }
    }

    /// Tells what was not declared, and fails for it where that is asked for.
    fn judge_undeclared(&mut self, effort: &Effort) -> Result<()> {
        let Some(files) = effort
            .undeclared
            .as_ref()
            .filter(|files| !files.is_empty() || files.is_incomplete)
        else {
            return Ok(());
        };
        (self.show)(StageEvent::Undeclared {
            stage: self.stage.address(),
            files: files.clone(),
        });
        if self.work.options.trace == Some(TraceMode::Strict) && !files.is_empty() {
            let named = files.read.iter().chain(&files.written);
            return Err(Error::Undeclared {
                stage: self.stage.address(),
                files: named.map(|path| format!("`{path}`")).collect(),
            });
        }
        Ok(())
    }

    /// An execution that can stand for this one: the last, or one of the run cache.
    fn find_earlier(
        &self,
        locked: Option<LockEntry>,
        inputs: &LockEntry,
        files: &mut Snapshot,
    ) -> Result<Option<LockEntry>> {
        let stage = self.stage;
        if !stage.is_restorable() {
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
        if !self.work.options.run_cache || !stage.reads_only_files() {
            return Ok(None);
        }
        let repo = self.work.repo;
        let Some(found) = run_cache::find(repo, inputs)?.filter(has_all_outs) else {
            return Ok(None);
        };
        let is_held = || -> Result<bool> {
            for out in &found.outs {
                if !repo.cache().holds(&out.hashed.md5)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if !is_held()? {
            let Some(fetch) = &self.work.options.fetch else {
                return Ok(None);
            };
            let outs: Vec<_> = found
                .outs
                .iter()
                .map(|out| (joined(&stage.wdir, &out.path), out.hashed.clone()))
                .collect();
            (fetch.0)(&outs);
            if !is_held()? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    fn restore(&self, earlier: &LockEntry) -> Result<()> {
        let repo = self.work.repo;
        for out in &self.stage.outs {
            let Some(locked) = earlier.out(&out.path) else {
                continue;
            };
            ops::restore(repo, &Recorded::new(&locked.hashed), &repo.root().join(&out.at))?;
        }
        Ok(())
    }

    /// The entry of a frozen stage: its outputs as they are.
    fn verify(&self) -> Result<LockEntry> {
        self.keep_with(&|stage, path| Error::FrozenOutMissing { stage, path })
    }

    /// Puts the outputs into the cache and makes the entry of the lock.
    fn keep(&self) -> Result<LockEntry> {
        self.keep_with(&|stage, path| Error::MissingOut { stage, path })
    }

    fn keep_with(&self, missing: &dyn Fn(String, String) -> Error) -> Result<LockEntry> {
        let work = self.work;
        keep::keep(work.repo, work.project, self.stage, work.options.commit, missing)
    }
}
