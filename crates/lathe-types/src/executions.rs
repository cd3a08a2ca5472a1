//! What a pipeline did for a run: the stages with their inputs and outputs by hash, the environment, the commit.
//! This is what lineage walks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Millis, RunId};

/// Where a run keeps the changes that its commit does not hold.
pub const PATCH_ARTIFACT: &str = "lathe/uncommitted.patch";

/// A file or folder by hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedPath {
    /// Relative to the repository, `/` separated.
    pub path: String,
    /// md5 in hex, with `.dir` for a folder.
    pub md5: String,
    /// Bytes.
    pub size: u64,
}

/// What came of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageOutcome {
    /// Its commands ran.
    Executed,
    /// Nothing changed, nothing ran.
    Unchanged,
    /// An earlier execution with the same inputs was restored.
    Restored,
    /// Its commands failed.
    Failed,
}

/// One stage of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageExecution {
    /// The stage's address, `train` or `sub/dvc.yaml:train`.
    pub stage: String,
    /// Its command as executed.
    pub command: String,
    /// Why it ran or did not, in words for people.
    pub reason: String,
    /// What came of it.
    pub outcome: StageOutcome,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Millis,
    /// Inputs.
    pub deps: Vec<HashedPath>,
    /// Parameters by file and key.
    pub params: BTreeMap<String, Value>,
    /// Outputs.
    pub outs: Vec<HashedPath>,
    /// What its commands used; nothing if none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<StageUsage>,
    /// How often its commands were begun: more than once if they were retried.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Where what they printed is kept, relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What its commands read and wrote without declaring it, if that was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<Undeclared>,
}

/// Files of the repository that a stage read or wrote without declaring it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeclared {
    /// Read, and no input.
    pub read: Vec<String>,
    /// Written, still there, and no output.
    pub written: Vec<String>,
    /// So much happened that some of it was not seen.
    #[serde(default)]
    pub is_incomplete: bool,
}

impl Undeclared {
    /// Whether everything was declared.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.written.is_empty()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the commands of a stage used, with all that they started and waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageUsage {
    /// From start to end.
    pub wall_ms: u64,
    /// Of all processors, in the program and in the system.
    pub cpu_ms: u64,
    /// The most memory that one of the processes held; 0 if it is not known.
    pub memory_bytes_max: u64,
    /// Read by calls to the system, from the disk or from memory.
    pub read_bytes: u64,
    /// Written by calls to the system.
    pub written_bytes: u64,
}

impl StageUsage {
    /// Of this and, after it, another.
    pub fn then(self, other: Self) -> Self {
        Self {
            wall_ms: self.wall_ms + other.wall_ms,
            cpu_ms: self.cpu_ms + other.cpu_ms,
            memory_bytes_max: self.memory_bytes_max.max(other.memory_bytes_max),
            read_bytes: self.read_bytes + other.read_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

/// The interpreter and packages that stages ran in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// sha256 in hex over manager, interpreter version and lock file.
    pub digest: String,
    /// `uv`, or `none`.
    pub manager: String,
    /// The lock file, relative to the repository.
    pub lock_path: Option<String>,
    /// sha256 in hex of the lock file.
    pub lock_sha256: Option<String>,
    /// "Python 3.11.7".
    pub interpreter: Option<String>,
    /// "linux x86_64".
    pub platform: String,
}

/// One execution of a pipeline, recorded with its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The run that its stages logged to.
    pub run_id: RunId,
    /// The project of `lathe.toml`.
    pub project: String,
    /// The pipeline file, `dvc.yaml`.
    pub pipeline: String,
    /// The commit checked out, if there is one.
    pub commit: Option<String>,
    /// Whether files that git tracks differed from the commit.
    pub dirty: bool,
    /// Whether what git did not hold was kept as a patch, the run's artifact [`PATCH_ARTIFACT`].
    #[serde(default)]
    pub patched: bool,
    /// Whether its stages ran with what takes chance out of common libraries.
    #[serde(default)]
    pub deterministic: bool,
    /// Where it ran.
    pub environment: Environment,
    /// The stages in the order they were looked at.
    pub stages: Vec<StageExecution>,
    /// When it was recorded.
    pub at: Millis,
}
