use std::collections::BTreeMap;

use lathe_types::Millis;
use lathe_types::executions::{HashedPath, StageExecution, StageOutcome, StageUsage, Undeclared};

use crate::lock::{LockEntry, LockedParams, LockedPath, Mark};
use crate::snapshot::Snapshot;
use crate::stage::{Stage, joined};
use crate::yaml::{Node, Value};
use crate::{Error, Result};

const DEFAULT_PARAMS: &str = "params.yaml";

/// The stage's entry of the lock as the files are now. All inputs must be there if they are `needed`; an output that
/// is not there has no hash.
pub fn entry_of(stage: &Stage, files: &Snapshot, needed: bool) -> Result<LockEntry> {
    let mut deps = Vec::new();
    for dep in &stage.deps {
        match files.entry(&dep.path, &dep.at) {
            Some(entry) => deps.push(entry),
            None if needed => {
                return Err(Error::MissingDep {
                    stage: stage.address(),
                    path: dep.path.clone(),
                });
            }
            None => {}
        }
    }
    deps.sort_by(|a, b| a.path.cmp(&b.path));
    let mut outs: Vec<LockedPath> = stage
        .outs
        .iter()
        .map(|out| {
            let nothing = || LockedPath {
                path: out.path.clone(),
                hashed: lathe_data::Hashed {
                    md5: String::new(),
                    size: 0,
                    nfiles: None,
                    is_exec: false,
                },
                mark: Mark::Md5,
            };
            files.entry(&out.path, &out.at).unwrap_or_else(nothing)
        })
        .collect();
    outs.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(LockEntry {
        cmd: stage.cmd.clone(),
        deps,
        params: params_of(stage, files, needed)?,
        outs,
    })
}

fn params_of(stage: &Stage, files: &Snapshot, needed: bool) -> Result<Vec<LockedParams>> {
    let mut params = Vec::new();
    for file in &stage.params {
        let Some(values) = files.values(file) else {
            if needed {
                return Err(Error::MissingDep {
                    stage: stage.address(),
                    path: file.path.clone(),
                });
            }
            continue;
        };
        let mut kept: Vec<(String, Node)> = Vec::new();
        for (key, value) in values {
            match value {
                Some(value) => kept.push((key, value.clone())),
                None if needed => {
                    return Err(Error::MissingParam {
                        stage: stage.address(),
                        file: file.path.clone(),
                        key,
                    });
                }
                None => {}
            }
        }
        kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        params.push((file.path.clone(), kept));
    }
    params.sort_by(|(a, _), (b, _)| (a != DEFAULT_PARAMS, a).cmp(&(b != DEFAULT_PARAMS, b)));
    Ok(params)
}

/// What came of a stage and what it took, for the record.
pub struct Done {
    /// Why it was executed or not.
    pub reason: String,
    /// What came of it.
    pub outcome: StageOutcome,
    /// When it began and ended.
    pub span: (Millis, Millis),
    /// What its commands used; nothing if none ran.
    pub usage: Option<StageUsage>,
    /// How often its commands were begun.
    pub attempts: u32,
    /// Where what they printed is kept.
    pub log: Option<String>,
    /// What its commands read and wrote without declaring it, if that was watched.
    pub undeclared: Option<Undeclared>,
}

/// What is recorded of the stage with the run.
pub fn execution_of(stage: &Stage, entry: &LockEntry, done: Done) -> StageExecution {
    let paths = |locked: &[LockedPath]| {
        locked
            .iter()
            .map(|path| HashedPath {
                path: joined(&stage.wdir, &path.path),
                md5: path.hashed.md5.clone(),
                size: path.hashed.size,
            })
            .collect()
    };
    let mut params = BTreeMap::new();
    for (file, values) in &entry.params {
        for (key, value) in values {
            flatten(
                &format!("{}:{key}", joined(&stage.wdir, file)),
                value,
                &mut params,
            );
        }
    }
    StageExecution {
        stage: stage.address(),
        command: stage.command_text(),
        reason: done.reason,
        outcome: done.outcome,
        started_at: done.span.0,
        ended_at: done.span.1,
        deps: paths(&entry.deps),
        params,
        outs: paths(&entry.outs),
        usage: done.usage,
        attempts: done.attempts,
        log: done.log,
        undeclared: done.undeclared,
    }
}

fn flatten(key: &str, value: &Node, params: &mut BTreeMap<String, serde_json::Value>) {
    match &value.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (inner, value) in entries {
                flatten(&format!("{key}.{}", inner.to_key()), value, params);
            }
        }
        _ => {
            params.insert(key.to_owned(), value.to_json());
        }
    }
}
