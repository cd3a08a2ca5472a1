use std::fmt;

use serde::Serialize;

use crate::lock::LockEntry;
use crate::snapshot::Snapshot;
use crate::stage::{Stage, overlap};

/// Why a stage must be executed. Printed to people and asserted in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The caller asked for it.
    Forced,
    /// The lock has no entry of it.
    NeverExecuted,
    /// Its command is not the one in the lock.
    CommandChanged,
    /// It declares neither inputs nor outputs, or `always_changed`.
    AlwaysChanged,
    /// An input is not what it was.
    DepChanged {
        /// The input.
        path: String,
    },
    /// An input is not there.
    DepMissing {
        /// The input.
        path: String,
    },
    /// A parameter is not what it was.
    ParamChanged {
        /// The parameter.
        key: String,
    },
    /// A parameter is not there.
    ParamMissing {
        /// The parameter.
        key: String,
    },
    /// An output is not what it was.
    OutChanged {
        /// The output.
        path: String,
    },
    /// An output is not there.
    OutMissing {
        /// The output.
        path: String,
    },
    /// The cache does not hold an output.
    OutNotCached {
        /// The output.
        path: String,
    },
    /// A stage that it needs is executed.
    After {
        /// That stage.
        stage: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("forced"),
            Self::NeverExecuted => f.write_str("never executed"),
            Self::CommandChanged => f.write_str("command changed"),
            Self::AlwaysChanged => f.write_str("always executed"),
            Self::DepChanged { path } => write!(f, "`{path}` changed"),
            Self::DepMissing { path } => write!(f, "`{path}` is missing"),
            Self::ParamChanged { key } => write!(f, "param `{key}` changed"),
            Self::ParamMissing { key } => write!(f, "param `{key}` is missing"),
            Self::OutChanged { path } => write!(f, "output `{path}` is changed"),
            Self::OutMissing { path } => write!(f, "output `{path}` is missing"),
            Self::OutNotCached { path } => write!(f, "output `{path}` is not in the cache"),
            Self::After { stage } => write!(f, "after {stage}"),
        }
    }
}

/// What is done with each stage, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    stage: String,
    frozen: bool,
    reason: Option<Reason>,
}

/// A stage of a plan in words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanLine {
    /// The stage.
    pub stage: String,
    /// Why it is executed or not.
    pub reason: String,
    /// Whether it is.
    pub executes: bool,
}

impl Plan {
    /// Whether anything is to be done.
    pub fn executes_anything(&self) -> bool {
        self.steps.iter().any(|step| step.reason.is_some())
    }

    /// One line for each stage.
    pub fn lines(&self) -> Vec<PlanLine> {
        let lines = self.steps.iter().map(|step| PlanLine {
            stage: step.stage.clone(),
            reason: match &step.reason {
                Some(reason) => reason.to_string(),
                None => kept(step.frozen).to_owned(),
            },
            executes: step.reason.is_some(),
        });
        lines.collect()
    }
}

/// Why a stage is not executed.
pub fn kept(frozen: bool) -> &'static str {
    if frozen { "frozen" } else { "up to date" }
}

/// Decides what must be executed, and why. `stages` come in the order of their dependencies, each with its entry of
/// the lock. A stage that follows an executed one is planned too; if its inputs then turn out the same it is kept.
pub fn plan(stages: &[(&Stage, Option<LockEntry>)], files: &Snapshot, force: bool) -> Plan {
    let mut plan = Plan::default();
    let mut executed: Vec<&Stage> = Vec::new();
    for (stage, locked) in stages {
        let reason = if stage.frozen {
            None
        } else if force {
            Some(Reason::Forced)
        } else {
            upstream(stage, &executed).or_else(|| why_stale(stage, locked.as_ref(), files))
        };
        if reason.is_some() {
            executed.push(stage);
        }
        plan.steps.push(Step {
            stage: stage.name.clone(),
            frozen: stage.frozen,
            reason,
        });
    }
    plan
}

fn upstream(stage: &Stage, executed: &[&Stage]) -> Option<Reason> {
    let inputs = stage
        .deps
        .iter()
        .map(|dep| &dep.at)
        .chain(stage.params.iter().map(|file| &file.at));
    for path in inputs {
        for earlier in executed {
            if earlier.outs.iter().any(|out| overlap(&out.at, path)) {
                return Some(Reason::After {
                    stage: earlier.name.clone(),
                });
            }
        }
    }
    None
}

/// Why the stage's own state differs from the lock; the first difference found, in DVC's order.
pub fn why_stale(stage: &Stage, locked: Option<&LockEntry>, files: &Snapshot) -> Option<Reason> {
    let Some(locked) = locked else {
        return Some(Reason::NeverExecuted);
    };
    if !locked.has_command_of(stage) {
        return Some(Reason::CommandChanged);
    }
    if stage.is_callback() || stage.always_changed {
        return Some(Reason::AlwaysChanged);
    }
    stale_dep(stage, locked, files)
        .or_else(|| stale_param(stage, locked, files))
        .or_else(|| stale_out(stage, locked, files))
}

/// Whether command, deps and params are those of the lock.
pub fn inputs_unchanged(stage: &Stage, locked: &LockEntry, files: &Snapshot) -> bool {
    locked.has_command_of(stage)
        && stale_dep(stage, locked, files).is_none()
        && stale_param(stage, locked, files).is_none()
}

fn stale_dep(stage: &Stage, locked: &LockEntry, files: &Snapshot) -> Option<Reason> {
    for dep in &stage.deps {
        let path = dep.path.clone();
        let Some(content) = files.content(&dep.at) else {
            return Some(Reason::DepMissing { path });
        };
        if locked
            .dep(&path)
            .is_none_or(|locked| locked.hashed.md5 != content.hashed.md5)
        {
            return Some(Reason::DepChanged { path });
        }
    }
    None
}

fn stale_param(stage: &Stage, locked: &LockEntry, files: &Snapshot) -> Option<Reason> {
    for file in &stage.params {
        let Some(values) = files.values(file) else {
            return Some(Reason::DepMissing {
                path: file.path.clone(),
            });
        };
        let old = locked.params_of(&file.path).unwrap_or_default();
        for (key, value) in &values {
            let Some(value) = value else {
                return Some(Reason::ParamMissing { key: key.clone() });
            };
            if !old.iter().any(|(k, v)| k == key && v == *value) {
                return Some(Reason::ParamChanged { key: key.clone() });
            }
        }
        // Of a whole file a key that is gone is a change too.
        if file.keys.is_none() {
            let gone = old.iter().find(|(key, _)| !values.iter().any(|(k, _)| k == key));
            if let Some((key, _)) = gone {
                return Some(Reason::ParamMissing { key: key.clone() });
            }
        }
    }
    None
}

fn stale_out(stage: &Stage, locked: &LockEntry, files: &Snapshot) -> Option<Reason> {
    for out in &stage.outs {
        let path = out.path.clone();
        let locked = locked.out(&path);
        let Some(content) = files.content(&out.at) else {
            return Some(Reason::OutMissing { path });
        };
        if locked.is_none_or(|locked| locked.hashed.md5 != content.hashed.md5) {
            return Some(Reason::OutChanged { path });
        }
        if out.cache && locked.is_some_and(|locked| !files.cached.contains(&locked.hashed.md5)) {
            return Some(Reason::OutNotCached { path });
        }
    }
    None
}
