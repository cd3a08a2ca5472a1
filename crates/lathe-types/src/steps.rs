//! A step: one stage of a pipeline as something that a worker on another machine can execute. It names its inputs by
//! hash and holds no data; what it makes is named by hash too. Both lie on a remote that both sides know.

use serde::{Deserialize, Serialize};

use crate::Span;
use crate::executions::StageUsage;
use crate::jobs::JobState;
use crate::project::EnvironmentSpec;

/// The kind of the jobs that steps are.
pub const STEP_KIND: &str = "step";

/// What a worker needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The project of `lathe.toml`.
    pub project: String,
    /// The run that the stage logs to.
    pub run_id: String,
    /// The stage's address, `train` or `sub/dvc.yaml:train`.
    pub stage: String,
    /// The folder that commands are executed in, relative to the repository; empty for its root.
    pub wdir: String,
    /// One shell each.
    pub commands: Vec<String>,
    /// Added to the environment of the commands. Whoever may claim steps can read it; others who look at jobs see the names.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The commands together are ended after this long.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// What the folder holds when the commands are begun.
    pub inputs: Vec<StepFile>,
    /// Where outputs are expected, relative to the repository.
    pub outs: Vec<String>,
    /// `[environment]`, and the project's folder, relative to the repository.
    #[serde(default)]
    pub environment: Option<(EnvironmentSpec, String)>,
}

/// A file or folder by hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Relative to the repository, `/` separated.
    pub path: String,
    /// md5 in hex, with `.dir` for a folder.
    pub md5: String,
    /// Bytes.
    pub size: u64,
    /// Files of a folder.
    #[serde(default)]
    pub nfiles: Option<u64>,
    /// A file that may be executed.
    #[serde(default)]
    pub is_exec: bool,
    /// Data, which may be linked; else code and the like, which is copied.
    #[serde(default)]
    pub is_data: bool,
}

/// What came of the commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// What they used.
    pub usage: StageUsage,
    /// What they made, all of it on the remote. Nothing if they failed.
    pub outs: Vec<StepFile>,
    /// The command that failed.
    #[serde(default)]
    pub failure: Option<StepFailure>,
}

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFailure {
    /// As executed.
    pub command: String,
    /// How it ended: "exited with code 1".
    pub ending: String,
}

/// A line of what is told while a step is executed. Its text is one of these in JSON on each line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepLine {
    /// A command is begun.
    Command(String),
    /// A command printed this.
    Output(String),
    /// The worker says this.
    Note(String),
}

/// A step that a worker has now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimedStep {
    /// The step's number.
    pub id: i64,
    /// Counts from 1.
    pub attempt: u32,
    /// What is to be done.
    pub step: Step,
}

/// Where a step stands, and what it told since it was last asked after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    /// As of the job that it is.
    pub state: JobState,
    /// Counts from 1; 0 before a worker had it.
    pub attempt: u32,
    /// Who has it.
    pub worker: Option<String>,
    /// In order; more may follow.
    pub output: Vec<StepOutput>,
    /// What came of it, once it is done.
    pub result: Option<StepResult>,
    /// Why it failed, or why the attempt before did.
    pub error: Option<String>,
}

/// A place in what a step told: the attempt, and bytes since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepPlace {
    /// Counts from 1.
    pub attempt: u32,
    /// Bytes.
    pub at: u64,
}

/// A piece of what a step told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepOutput {
    /// Where it begins.
    pub place: StepPlace,
    /// Whole lines.
    pub text: String,
}
