use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::lock::LockEntry;
use crate::snapshot::Snapshot;
use crate::stage::Stage;

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
    /// It was executed in another environment.
    EnvironmentChanged,
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
            Self::EnvironmentChanged => f.write_str("environment changed"),
            Self::After { stage } => write!(f, "after {stage}"),
        }
    }
}

/// What is done with a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// Its commands are executed, unless an earlier execution can be restored.
    Execute(Reason),
    /// It is frozen, but its outputs are not those of the lock: they are hashed again.
    Verify(Reason),
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
    action: Action,
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
        self.steps.iter().any(|step| step.action != Action::Keep)
    }

    /// One line for each stage.
    pub fn lines(&self) -> Vec<PlanLine> {
        let lines = self.steps.iter().map(|step| PlanLine {
            stage: step.stage.clone(),
            reason: match &step.action {
                Action::Keep => kept(step.frozen).to_owned(),
                Action::Execute(reason) => reason.to_string(),
                Action::Verify(reason) => format!("{}, {reason}", kept(true)),
            },
            executes: matches!(step.action, Action::Execute(_)),
        });
        lines.collect()
    }
}

/// Why a stage is not executed.
pub fn kept(frozen: bool) -> &'static str {
    if frozen { "frozen" } else { "up to date" }
}

/// How strictly a stage is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Everything is executed.
    pub force: bool,
    /// Data that is not here counts as unchanged if nothing else changed.
    pub allow_missing: bool,
}

/// A stage with what is known of it.
pub struct Known<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// Its entry of the lock.
    pub locked: Option<LockEntry>,
    /// Whether its entry reads exactly as the files are now, so that only the cache is to be asked.
    pub is_same: bool,
    /// Stages of the plan that it needs, by position in it.
    pub needs: Vec<usize>,
    /// Whether it was executed in another environment.
    pub environment_changed: bool,
}

/// Decides what must be executed, and why. Stages come in the order of their dependencies. A stage that follows an
/// executed one is planned too; if its inputs then turn out the same it is kept.
pub fn plan(stages: &[Known<'_>], files: &Snapshot, rules: Rules) -> Plan {
    let mut plan = Plan::default();
    let mut made = HashMap::new();
    for known in stages {
        let after = known
            .needs
            .iter()
            .find(|index| matches!(plan.steps[**index].action, Action::Execute(_)))
            .map(|index| Reason::After {
                stage: plan.steps[*index].stage.clone(),
            });
        let action = match after {
            Some(reason) if !known.stage.frozen && !rules.force => Action::Execute(reason),
            _ if known.is_same
                && !known.environment_changed
                && !rules.force
                && !known.stage.always_changed
                && !known.stage.is_callback() =>
            {
                Action::Keep
            }
            _ => match decide(known.stage, known.locked.as_ref(), files, rules, &made) {
                Action::Keep => in_another_environment(known.stage, known.environment_changed),
                action => action,
            },
        };
        if rules.allow_missing {
            made.extend(made_by(known.stage, known.locked.as_ref()));
        }
        plan.steps.push(Step {
            stage: known.stage.address(),
            frozen: known.stage.frozen,
            action,
        });
    }
    plan
}

/// What is done with a stage that is up to date but for its environment.
pub fn in_another_environment(stage: &Stage, changed: bool) -> Action {
    if changed && !stage.frozen {
        Action::Execute(Reason::EnvironmentChanged)
    } else {
        Action::Keep
    }
}

/// What a stage made, by path from the root: data that is missing elsewhere is compared with it.
pub fn made_by(stage: &Stage, locked: Option<&LockEntry>) -> Vec<(String, String)> {
    let outs = stage.outs.iter().filter_map(|out| {
        let md5 = locked?.out(&out.path)?.hashed.md5.clone();
        Some((out.at.clone(), md5))
    });
    outs.collect()
}

/// Decides over one stage. `made` holds the hashes of what stages before it made.
pub fn decide(
    stage: &Stage,
    locked: Option<&LockEntry>,
    files: &Snapshot,
    rules: Rules,
    made: &HashMap<String, String>,
) -> Action {
    if stage.frozen {
        let command = locked.filter(|locked| !locked.has_command_of(stage));
        let reason = match command {
            _ if rules.force => Some(Reason::Forced),
            Some(_) => Some(Reason::CommandChanged),
            None => stale_out(stage, locked, files, rules.allow_missing),
        };
        return reason.map_or(Action::Keep, Action::Verify);
    }
    let reason = if rules.force {
        Some(Reason::Forced)
    } else {
        why_stale(stage, locked, files, rules.allow_missing, made)
    };
    reason.map_or(Action::Keep, Action::Execute)
}

/// Why the stage's own state differs from the lock; the first difference found, in DVC's order.
fn why_stale(
    stage: &Stage,
    locked: Option<&LockEntry>,
    files: &Snapshot,
    allow_missing: bool,
    made: &HashMap<String, String>,
) -> Option<Reason> {
    let Some(locked) = locked else {
        return Some(Reason::NeverExecuted);
    };
    if !locked.has_command_of(stage) {
        return Some(Reason::CommandChanged);
    }
    if stage.is_callback() || stage.always_changed {
        return Some(Reason::AlwaysChanged);
    }
    let missing = if allow_missing { Some(made) } else { None };
    stale_dep(stage, locked, files, missing)
        .or_else(|| stale_param(stage, locked, files))
        .or_else(|| stale_out(stage, Some(locked), files, allow_missing))
}

/// Whether command, deps and params are those of the lock.
pub fn inputs_unchanged(stage: &Stage, locked: &LockEntry, files: &Snapshot) -> bool {
    locked.has_command_of(stage)
        && stale_dep(stage, locked, files, None).is_none()
        && stale_param(stage, locked, files).is_none()
}

fn stale_dep(
    stage: &Stage,
    locked: &LockEntry,
    files: &Snapshot,
    missing: Option<&HashMap<String, String>>,
) -> Option<Reason> {
    for dep in &stage.deps {
        let path = dep.path.clone();
        let old = locked.dep(&path);
        let Some(now) = files.identity(&dep.at) else {
            // What is not here is as it was, unless its maker has made something else since.
            let Some(made) = missing else {
                return Some(Reason::DepMissing { path });
            };
            match (old, made.get(&dep.at)) {
                (Some(old), Some(now)) if old.hashed.md5 != *now => return Some(Reason::DepChanged { path }),
                (Some(_), _) => continue,
                (None, _) => return Some(Reason::DepMissing { path }),
            }
        };
        if old.is_none_or(|old| old.hashed.md5 != now) {
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

fn stale_out(
    stage: &Stage,
    locked: Option<&LockEntry>,
    files: &Snapshot,
    allow_missing: bool,
) -> Option<Reason> {
    for out in &stage.outs {
        let path = out.path.clone();
        let locked = locked.and_then(|locked| locked.out(&path));
        let Some(now) = files.identity(&out.at) else {
            if allow_missing && locked.is_some() {
                continue;
            }
            return Some(Reason::OutMissing { path });
        };
        if locked.is_none_or(|locked| locked.hashed.md5 != now) {
            return Some(Reason::OutChanged { path });
        }
        let is_cached = locked.is_some_and(|locked| files.cached.contains(&locked.hashed.md5));
        if out.cache && !is_cached && !allow_missing {
            return Some(Reason::OutNotCached { path });
        }
    }
    None
}
