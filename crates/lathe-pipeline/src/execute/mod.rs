//! Executing what a plan says: stages beside one another where they do not need one another, each in its own process
//! group, the lock written as they finish.

mod custody;
mod engine;
mod guard;
mod locks;
mod logs;
mod one_stage;
mod process;
mod schedule;
mod trace;
mod watchdog;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lathe_data::{Hashed, Repo};
use lathe_types::Millis;
use lathe_types::executions::{StageExecution, StageOutcome, StageUsage, Undeclared};
use lathe_types::project::StageSpec;

pub use self::engine::{Engine, Step};
pub(crate) use self::locks::Locks;
pub use self::one_stage::{Commands, Orders, Shell};
pub use self::process::Interruption;
pub use self::watchdog::Watchdog;
use crate::error::similar;
use crate::lock::LockEntry;
use crate::plan::{Known, Rules, plan};
use crate::project::Selection;
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::{Error, Plan, Project, Result, record};

/// Outputs by path from the root, with what they were.
type OutsToFetch = [(String, Hashed)];

/// Brings outputs of an earlier execution into the cache.
#[derive(Clone)]
pub struct Fetch(pub Arc<dyn Fn(&OutsToFetch) + Send + Sync>);

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetch")
    }
}

/// What executes the commands of stages, if it is not this machine.
#[derive(Clone)]
pub struct Elsewhere(pub Arc<dyn Engine>);

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Elsewhere")
    }
}

/// What to bring up to date, and how.
#[derive(Debug, Clone)]
pub struct ExecuteOptions {
    /// Which stages.
    pub selection: Selection,
    /// Execute even what has not changed.
    pub force: bool,
    /// Execute what follows an executed stage even if its inputs did not change.
    pub force_downstream: bool,
    /// Restore an earlier execution with the same inputs in the place of executing again.
    pub run_cache: bool,
    /// Looks for outputs of an earlier execution elsewhere if the cache does not hold them.
    pub fetch: Option<Fetch>,
    /// Put outputs into the cache.
    pub commit: bool,
    /// Data that is not here counts as unchanged if nothing else changed.
    pub allow_missing: bool,
    /// What a failure does to the other stages.
    pub on_failure: OnFailure,
    /// How many stages are executed at once.
    pub jobs: usize,
    /// What executes commands.
    pub shell: Shell,
    /// Where stages are executed; here if absent.
    pub engine: Option<Elsewhere>,
    /// Added to the environment of the stages' processes.
    pub env: Vec<(String, String)>,
    /// The environment that stages are executed in, and those that they were executed in.
    pub environment: Option<EnvironmentMark>,
    /// Whether to watch what stages read and write, and what follows from it. Then they are executed one by one.
    pub trace: Option<TraceMode>,
    /// Retries, timeouts and resources by stage, group or address.
    pub limits: BTreeMap<String, StageSpec>,
    /// How much there is of each resource that stages may ask for.
    pub resources: BTreeMap<String, u32>,
    /// The folder, relative to the repository, that keeps what each stage prints.
    pub logs: Option<PathBuf>,
    /// What the clock says; the epoch if nobody passes one in.
    pub now: fn() -> Millis,
}

impl Default for ExecuteOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            force: false,
            force_downstream: false,
            run_cache: true,
            fetch: None,
            commit: true,
            allow_missing: false,
            on_failure: OnFailure::Stop,
            jobs: 1,
            shell: Shell::default(),
            engine: None,
            env: Vec::new(),
            environment: None,
            trace: None,
            limits: BTreeMap::new(),
            resources: BTreeMap::new(),
            logs: None,
            now: Millis::default,
        }
    }
}

/// The digest of an environment, and the digests of those that stages were executed in, by address.
#[derive(Debug, Clone)]
pub struct EnvironmentMark {
    /// Of the one that stages are executed in now.
    pub digest: String,
    /// What is known of earlier executions.
    pub known: BTreeMap<String, String>,
}

impl ExecuteOptions {
    /// Whether the stage was executed in another environment. One that nobody knows of counts as the same.
    fn environment_changed(&self, stage: &Stage) -> bool {
        let Some(mark) = &self.environment else {
            return false;
        };
        mark.known
            .get(&stage.address())
            .is_some_and(|known| *known != mark.digest)
    }
}

/// What follows from files that a stage reads or writes without declaring them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMode {
    /// They are told.
    Report,
    /// The stage fails.
    Strict,
}

/// What a failure does to the other stages. Those that are being executed are always let finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing more is begun.
    Stop,
    /// Whatever does not need the stage goes on.
    KeepGoing,
    /// Everything goes on.
    Ignore,
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
    /// A command of it is begun.
    Command {
        /// The stage.
        stage: String,
        /// What the shell is given.
        command: String,
    },
    /// A line that its commands printed.
    Output {
        /// The stage.
        stage: String,
        /// Without its end.
        line: String,
    },
    /// Where it is executed has something to say.
    Note {
        /// The stage.
        stage: String,
        /// What.
        text: String,
    },
    /// Its commands read or wrote what it does not declare.
    Undeclared {
        /// The stage.
        stage: String,
        /// What.
        files: Undeclared,
    },
    /// Its commands failed and are begun again.
    Retried {
        /// The stage.
        stage: String,
        /// What went wrong.
        problem: String,
        /// Which attempt comes now.
        attempt: u32,
        /// After how long.
        wait: Duration,
    },
    /// A stage is done with.
    Finished {
        /// The stage.
        stage: String,
        /// What came of it.
        outcome: StageOutcome,
        /// How long it took.
        took: Duration,
        /// What its commands used.
        usage: Option<StageUsage>,
    },
    /// A stage is not executed because one that it needs failed.
    Skipped {
        /// The stage.
        stage: String,
        /// The one that failed.
        failed: String,
    },
    /// Nothing new; what is being executed, now and then.
    Progress {
        /// Stages that are done with.
        done: usize,
        /// All stages.
        total: usize,
        /// Stages that are being executed, and for how long.
        running: Vec<(String, Duration)>,
    },
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// Every stage that was looked at, in order.
    pub stages: Vec<StageExecution>,
    /// Stages that failed, and why.
    pub failures: Vec<(String, Error)>,
    /// Stages that were not looked at because of that.
    pub skipped: Vec<String>,
}

impl Report {
    /// Whether Ctrl-C or a request to terminate ended it.
    pub fn was_interrupted(&self) -> bool {
        self.failures
            .iter()
            .any(|(_, error)| matches!(error, Error::Interrupted { .. }))
    }
}

/// Decides what [`execute`] would do, as far as that is known beforehand.
pub fn plan_project(repo: &Repo, project: &Project, options: &ExecuteOptions) -> Result<Plan> {
    let order = project.select(&options.selection)?;
    let positions: HashMap<usize, usize> = order.iter().enumerate().map(|(at, index)| (*index, at)).collect();
    let rules = rules_of(options);
    let mut locks = locks::Locks::new(repo.root());
    let mut files = Snapshot::default();
    let mut stages = Vec::with_capacity(order.len());
    for &index in &order {
        let stage = &project.stages[index];
        let lock = locks.of(stage)?;
        files.look_at_inputs(repo, project, stage)?;
        files.look_at_outs(repo, project, stage)?;
        // Writing is cheaper than reading: most stages are found unchanged without their entry being parsed.
        let now = record::entry_of(stage, &files, false)?;
        let mut is_same = lock.holds(&stage.name, &now);
        let mut locked = None;
        if is_same {
            for out in stage.outs.iter().filter(|out| out.cache) {
                if let Some(content) = files.content(&out.at) {
                    let md5 = content.hashed.md5.clone();
                    files.look_for(repo, &md5)?;
                    is_same &= files.cached.contains(&md5);
                }
            }
        }
        let environment_changed = options.environment_changed(stage);
        if !is_same || options.force || environment_changed {
            locked = lock.find(&stage.name)?;
            files.look_at(repo, project, stage, locked.as_ref())?;
        }
        let needs = if stage.frozen {
            &[][..]
        } else {
            &project.graph.needs[index]
        };
        stages.push(Known {
            stage,
            locked: if is_same && options.allow_missing {
                Some(now)
            } else {
                locked
            },
            is_same,
            environment_changed,
            needs: needs
                .iter()
                .filter_map(|needed| positions.get(needed).copied())
                .collect(),
        });
    }
    Ok(plan(&stages, &files, rules))
}

fn rules_of(options: &ExecuteOptions) -> Rules {
    Rules {
        force: options.force,
        allow_missing: options.allow_missing,
    }
}

/// Brings the selected stages up to date. The lock is written as they finish, so that what was done before a failure
/// stays done. An error means that nothing was begun; what fails later is in the report.
pub fn execute(
    repo: &Repo,
    project: &Project,
    options: ExecuteOptions,
    show: &mut dyn FnMut(StageEvent),
) -> Result<Report> {
    let order = project.select(&options.selection)?;
    let limits = limits_of(project, &options)?;
    let guard = guard::only_one(repo)?;
    let custody = custody::Custody::new(repo);
    let interruption = Interruption::watch().map_err(Error::read(repo.root()))?;
    let watchdog = Watchdog::new(guard.try_clone().map_err(Error::read(repo.root()))?);
    let commands = Commands {
        root: repo.root(),
        shell: &options.shell,
        env: &options.env,
        interruption: &interruption,
        watchdog: &watchdog,
    };
    let report = schedule::run(
        &schedule::Work {
            repo,
            project,
            options: &options,
            order: &order,
            limits: &limits,
            custody: &custody,
            commands,
        },
        show,
    );
    drop(watchdog);
    drop(guard);
    report
}

/// The limits of each stage; those that name no stage are an error, and so are those that nothing can meet.
fn limits_of(project: &Project, options: &ExecuteOptions) -> Result<HashMap<usize, StageSpec>> {
    let mut limits = HashMap::new();
    for (name, spec) in &options.limits {
        let mut is_known = false;
        for (index, stage) in project.stages.iter().enumerate() {
            let is_exact = stage.address() == *name;
            let is_group = stage.group() == Some(name) || stage.name == *name;
            if is_exact || (is_group && !limits.contains_key(&index)) {
                limits.insert(index, spec.clone());
            }
            is_known |= is_exact || is_group;
        }
        if !is_known {
            let names: Vec<String> = project.stages.iter().map(Stage::address).collect();
            return Err(Error::UnknownLimits {
                stage: name.clone(),
                similar: similar(name, names.iter().map(String::as_str)),
            });
        }
        for (resource, &asked) in &spec.resources {
            let there = options.resources.get(resource).copied();
            if there.is_none_or(|there| there < asked) {
                return Err(Error::Resources {
                    stage: name.clone(),
                    resource: resource.clone(),
                    asked,
                    there,
                });
            }
        }
    }
    Ok(limits)
}

/// What is known of a stage when its turn comes.
struct Turn {
    index: usize,
    locked: Option<LockEntry>,
    /// Executed whatever its inputs are.
    forced: bool,
    /// Hashes of what the stages that it needs made.
    made: HashMap<String, String>,
}
