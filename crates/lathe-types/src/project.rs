//! `lathe.toml`: what DVC's files do not say. Parsed by the binary, declared to the store as JSON, read by all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Span;
use crate::deployments::Step;
use crate::graphs::GraphSpec;

/// A whole `lathe.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// `[project]`
    pub project: ProjectSection,
    /// `[environment]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentSpec>,
    /// `[reproduce]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<ReproduceSpec>,
    /// `[stage.NAME]`, by stage, group or address
    #[serde(default)]
    pub stage: BTreeMap<String, StageSpec>,
    /// `[resources]`: how much there is of what stages ask for
    #[serde(default)]
    pub resources: BTreeMap<String, u32>,
    /// `[model.NAME]`
    #[serde(default)]
    pub model: BTreeMap<String, ModelSpec>,
    /// `[gate.NAME]`, by model name
    #[serde(default)]
    pub gate: BTreeMap<String, GateSpec>,
    /// `[deployment.NAME]`
    #[serde(default)]
    pub deployment: BTreeMap<String, DeploymentSpec>,
    /// `[graph.NAME]`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub graph: BTreeMap<String, GraphSpec>,
    /// `[monitor.NAME]`, by deployment name
    #[serde(default)]
    pub monitor: BTreeMap<String, MonitorSpec>,
    /// `[trigger.NAME]`
    #[serde(default)]
    pub trigger: BTreeMap<String, TriggerSpec>,
}

impl ProjectSpec {
    /// A project that declares nothing but its name.
    pub fn named(name: &str) -> Self {
        Self {
            project: ProjectSection {
                name: name.to_owned(),
                server: None,
                jobs: None,
                engine: None,
            },
            environment: None,
            reproduce: None,
            stage: BTreeMap::new(),
            resources: BTreeMap::new(),
            model: BTreeMap::new(),
            gate: BTreeMap::new(),
            deployment: BTreeMap::new(),
            graph: BTreeMap::new(),
            monitor: BTreeMap::new(),
            trigger: BTreeMap::new(),
        }
    }

    /// Whether stages run with what takes chance out of common libraries.
    pub fn is_deterministic(&self) -> bool {
        self.reproduce.as_ref().is_some_and(|spec| spec.deterministic)
    }
}

/// `[reproduce]`: what rebuilding a run is held to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReproduceSpec {
    /// Whether stages also run with fixed hash seed, time zone, locale and thread counts when they are first run.
    pub deterministic: bool,
    /// Metric, dotted key or column to how far a rebuilt number may lie from the recorded one: a number, or a share
    /// as `"1%"`.
    pub tolerance: BTreeMap<String, ToleranceSpec>,
}

/// `0.001` or `"1%"`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToleranceSpec {
    /// At most this far.
    Number(f64),
    /// A number or a percentage, as text.
    Text(String),
}

/// `[project]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSection {
    /// The project's name, and its experiment's.
    pub name: String,
    /// The server that keeps its records; without it the repository's own embedded store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How many stages are executed at once; one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<usize>,
    /// What executes the commands of stages; this machine if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
}

/// What executes the commands of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// This machine.
    Local,
    /// Whichever `lathe worker` takes them from the server.
    Worker,
}

/// `[stage.NAME]`: what DVC's files cannot say of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// How often its commands are begun again when they fail.
    #[serde(default)]
    pub retries: u32,
    /// How long to wait before that; not at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_wait: Option<Span>,
    /// Its commands are ended after this long, together; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What it needs of `[resources]` while it is executed.
    #[serde(default)]
    pub resources: BTreeMap<String, u32>,
}

/// `[environment]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// How stages get their interpreter.
    pub python: PythonSpec,
}

/// How stages get their interpreter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonSpec {
    /// What makes the environment.
    pub manager: PythonManager,
    /// The locked requirements, relative to the repository; for uv and venv.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// The manager's own lock, relative to the repository: `uv.lock`, `pixi.lock`, `environment.yml` of conda.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// An environment that is there and is used as it is; for venv and conda.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl PythonSpec {
    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<&'static str> {
        let given = (
            self.requirements.is_some(),
            self.lock.is_some(),
            self.path.is_some(),
        );
        match (self.manager, given) {
            (PythonManager::Uv, (true, false, false) | (false, true, false))
            | (PythonManager::Venv, (true, false, false) | (false, false, true))
            | (PythonManager::Conda, (false, true, false) | (false, false, true))
            | (PythonManager::Pixi, (false, _, false))
            | (PythonManager::None, (false, false, false)) => None,
            (PythonManager::Uv, _) => Some("needs `requirements` or `lock`, one of them"),
            (PythonManager::Venv, _) => Some("needs `requirements` or `path`, one of them"),
            (PythonManager::Conda, _) => Some("needs `lock` or `path`, one of them"),
            (PythonManager::Pixi, _) => Some("takes nothing but `lock`"),
            (PythonManager::None, _) => Some("takes nothing else"),
        }
    }
}

/// What makes the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PythonManager {
    /// uv, found on PATH or taken from its PyPI package.
    Uv,
    /// Python's own `venv` with pip.
    Venv,
    /// conda, mamba or micromamba, found on PATH.
    Conda,
    /// pixi, found on PATH.
    Pixi,
    /// The caller's own Python.
    None,
}

impl PythonManager {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Venv => "venv",
            Self::Conda => "conda",
            Self::Pixi => "pixi",
            Self::None => "none",
        }
    }
}

/// `[model.NAME]`: what a successful run registers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// An output of the pipeline: an MLflow model folder.
    pub path: String,
    /// A metrics file of the pipeline (JSON); its numbers are the gate's `candidate.metrics`.
    pub metrics: String,
    /// A CSV output of the pipeline with the training rows: the drift reference.
    pub reference: String,
    /// The column of the reference with the time of each row (ISO 8601), for seasonal comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Columns compared as categories although they hold numbers.
    #[serde(default)]
    pub categorical: Vec<String>,
}

/// `[gate.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSpec {
    /// Name to CEL expression; all must hold.
    pub rules: BTreeMap<String, String>,
}

/// `[deployment.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    /// What it serves: `models:/NAME@ALIAS`.
    pub model: String,
    /// The steps of a rollout, in order; without any, a new version takes all traffic at once.
    #[serde(default)]
    pub rollout: Vec<RolloutStepSpec>,
    /// A CEL expression over `canary` and `stable`; true rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// A step is not judged before the new version was asked this often; 50 if absent.
    #[serde(default = "min_requests_default")]
    pub min_requests: u64,
    /// Requests and answers that are kept as files; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payloads: Option<PayloadSpec>,
}

/// `[deployment.NAME.payloads]`: requests and answers that are kept as Parquet files on the artifact store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PayloadSpec {
    /// The share of requests, 0 to 1; all if absent.
    pub sample: f64,
    /// Columns that are left out.
    pub without: Vec<String>,
    /// A file is written once it has so many rows.
    pub file_rows: u64,
    /// A file is written once its first row is this old.
    pub file_age: Span,
}

impl Default for PayloadSpec {
    fn default() -> Self {
        Self {
            sample: 1.0,
            without: Vec::new(),
            file_rows: 50_000,
            file_age: Span(300_000),
        }
    }
}

fn min_requests_default() -> u64 {
    50
}

impl DeploymentSpec {
    /// The model's name and alias; none if `model` is not `models:/NAME@ALIAS`.
    pub fn model_alias(&self) -> Option<(&str, &str)> {
        self.model
            .strip_prefix("models:/")?
            .split_once('@')
            .filter(|(m, a)| !m.is_empty() && !a.is_empty())
    }

    /// The rollout's steps.
    pub fn steps(&self) -> Vec<Step> {
        self.rollout
            .iter()
            .map(|step| match *step {
                RolloutStepSpec::Shadow { shadow } => Step::Shadow { length: shadow },
                RolloutStepSpec::Canary { canary, length } => Step::Canary {
                    percent: canary,
                    length,
                },
            })
            .collect()
    }
}

/// `{ shadow = "10m" }` or `{ canary = 5, for = "10m" }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RolloutStepKeys", into = "RolloutStepKeys")]
pub enum RolloutStepSpec {
    /// Copies of the traffic.
    Shadow {
        /// For how long.
        shadow: Span,
    },
    /// A share of the traffic.
    Canary {
        /// Percent of the answers, 1 to 100.
        canary: u8,
        /// For how long; may be absent on the last step.
        length: Span,
    },
}

/// The keys of a step as written; one type, so that a wrong key is named in the error.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutStepKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<u8>,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    length: Option<Span>,
}

impl TryFrom<RolloutStepKeys> for RolloutStepSpec {
    type Error = &'static str;

    fn try_from(keys: RolloutStepKeys) -> Result<Self, Self::Error> {
        match (keys.shadow, keys.canary, keys.length) {
            (Some(shadow), None, None) => Ok(Self::Shadow { shadow }),
            (None, Some(canary @ 1..=100), length) => Ok(Self::Canary {
                canary,
                length: length.unwrap_or_default(),
            }),
            (None, Some(_), _) => Err("`canary` is a percentage from 1 to 100"),
            _ => Err("a rollout step is `{ shadow = \"10m\" }` or `{ canary = 5, for = \"10m\" }`"),
        }
    }
}

impl From<RolloutStepSpec> for RolloutStepKeys {
    fn from(step: RolloutStepSpec) -> Self {
        match step {
            RolloutStepSpec::Shadow { shadow } => Self {
                shadow: Some(shadow),
                canary: None,
                length: None,
            },
            RolloutStepSpec::Canary { canary, length } => Self {
                shadow: None,
                canary: Some(canary),
                length: (length != Span(0)).then_some(length),
            },
        }
    }
}

/// `[monitor.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorSpec {
    /// The length of a window.
    pub window: Span,
    /// When inputs count as drifted.
    #[serde(default)]
    pub drift: DriftSpec,
    /// When errors count as too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<PerformanceSpec>,
    /// Breached windows in a row before an alert opens; 2 if absent.
    #[serde(rename = "for", default = "two")]
    pub consecutive: u32,
}

fn two() -> u32 {
    2
}

/// When inputs count as drifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftSpec {
    /// Share of drifted columns that makes the window drifted, 0 to 1.
    pub share: f64,
    /// Greatest p-value that counts as significant.
    pub alpha: f64,
    /// Fewest rows of a window that are judged.
    pub min_rows: u64,
    /// Effect threshold of numeric columns, in reference standard deviations.
    pub numeric: f64,
    /// Effect threshold of categorical columns (Jensen-Shannon distance, natural logarithm).
    pub categorical: f64,
    /// Columns that are not judged.
    pub ignore: Vec<String>,
}

impl Default for DriftSpec {
    fn default() -> Self {
        Self {
            share: 0.5,
            alpha: 0.01,
            min_rows: 100,
            numeric: 0.1,
            categorical: 0.1,
            ignore: Vec::new(),
        }
    }
}

/// When errors count as too large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceSpec {
    /// `rmse`, `mae`, `bias`, or for classes that are numbers `accuracy`.
    pub metric: String,
    /// Values over this are a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Values under this are a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Share of labelled rows under which a window is not judged, 0 to 1; 0.5 if absent.
    #[serde(default = "half")]
    pub coverage: f64,
}

fn half() -> f64 {
    0.5
}

/// `[trigger.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerSpec {
    /// A CEL expression over `alert`.
    pub when: String,
    /// What follows.
    pub then: ActionSpec,
    /// Not again for this long after it last fired.
    #[serde(default)]
    pub cooldown: Span,
    /// How often at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
}

/// What a trigger does: run the pipeline, judge what it registered, roll it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The pipeline file.
    pub run: String,
    /// Parameters to set first: dotted key of params.yaml to a CEL expression over `alert`.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// The gate that judges the new version.
    pub gate: String,
    /// The deployment that it goes to.
    pub deploy: String,
}

/// How often at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Times in any seven days.
    pub per_week: u32,
}
