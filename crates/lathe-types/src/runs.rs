//! Runs: one tracked execution, with its metrics, params, tags, inputs and outputs.

use std::collections::HashSet;

use crate::datasets::{DatasetInput, NewDatasetInput};
use crate::input::{check_key, check_length, truncate};
use crate::metrics::{Metric, NewMetric};
use crate::tags::Tag;
use crate::{ExperimentId, InputError, Lifecycle, LoggedModelId, Millis, RunId};

/// The tag that repeats a run's name.
pub const NAME_TAG: &str = "mlflow.runName";

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Being executed.
    Running,
    /// Waiting to be executed.
    Scheduled,
    /// Done.
    Finished,
    /// Broken off by an error.
    Failed,
    /// Broken off by somebody.
    Killed,
}

impl RunStatus {
    const ALL: [Self; 5] = [
        Self::Running,
        Self::Scheduled,
        Self::Finished,
        Self::Failed,
        Self::Killed,
    ];

    /// Reads the name that clients send in the field `parameter`.
    pub fn parse(parameter: &str, name: &str) -> Result<Self, InputError> {
        Self::from_name(name).ok_or_else(|| {
            InputError::invalid(
                parameter,
                name,
                "it must be one of `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED`, `KILLED`",
            )
        })
    }

    /// The status of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// `RUNNING`, `FINISHED`…
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Nothing more is expected of the run.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// What is known of a run without what it logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// Its name; need not be unique.
    pub name: String,
    /// Who started it, as the client said.
    pub user_id: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it started.
    pub start_time: Millis,
    /// When it ended.
    pub end_time: Option<Millis>,
    /// Deleted runs can be restored.
    pub lifecycle: Lifecycle,
    /// Where its artifacts are.
    pub artifact_uri: String,
}

/// A run with everything it logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run itself.
    pub info: RunInfo,
    /// The latest value of every metric, by key.
    pub metrics: Vec<Metric>,
    /// By key.
    pub params: Vec<Tag>,
    /// By key.
    pub tags: Vec<Tag>,
    /// What it read.
    pub datasets: Vec<DatasetInput>,
    /// The logged models that it read.
    pub models_in: Vec<String>,
    /// The logged models that it made, and at which step.
    pub models_out: Vec<(String, i64)>,
}

/// What a run starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// Its name.
    pub name: RunName,
    /// Who starts it.
    pub user_id: String,
    /// When it starts.
    pub start_time: Millis,
    /// Its first tags.
    pub tags: Vec<RunTag>,
}

/// The name of a run: what fits into the tag that repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// Checks a name.
    pub fn new(name: String) -> Result<Self, InputError> {
        check_length("run_name", &name, RunTag::VALUE_CHARS_MAX)?;
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a new run gets from its client's field and tags, which must agree; none: one is invented.
    pub fn choose(field: Option<String>, tags: &[RunTag]) -> Result<Option<Self>, InputError> {
        let field = field.filter(|name| !name.trim().is_empty());
        let tag = tags.iter().map(RunTag::tag).find(|tag| tag.key == NAME_TAG);
        let tag = tag.map(|tag| tag.value.clone()).filter(|name| !name.is_empty());
        match (field, tag) {
            (Some(field), Some(tag)) if field != tag => Err(InputError::invalid(
                "run_name",
                &field,
                format!(
                    "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{field}', mlflow.runName='{tag}')."
                ),
            )),
            (Some(name), _) | (None, Some(name)) => Self::new(name).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// What changes about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunChange {
    /// Another status.
    pub status: Option<RunStatus>,
    /// When it ended.
    pub end_time: Option<Millis>,
    /// Another name.
    pub name: Option<RunName>,
}

/// A tag of a run, within its limits. A value that is too long is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTag(Tag);

impl RunTag {
    const KEY_CHARS_MAX: usize = 250;
    const VALUE_CHARS_MAX: usize = 8_000;

    /// Checks the key, cuts the value.
    pub fn new(key: String, mut value: String) -> Result<Self, InputError> {
        check_key("key", &key, Self::KEY_CHARS_MAX)?;
        truncate(&mut value, Self::VALUE_CHARS_MAX);
        Ok(Self(Tag { key, value }))
    }

    /// Refuses a value that would be cut.
    pub fn check_value(value: &str) -> Result<(), InputError> {
        check_length("value", value, Self::VALUE_CHARS_MAX)
    }

    /// Key and value.
    pub fn tag(&self) -> &Tag {
        &self.0
    }
}

/// A param of a run or a logged model, within its limits. A value that is too long is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param(Tag);

impl Param {
    const KEY_CHARS_MAX: usize = 250;
    const VALUE_CHARS_MAX: usize = 6_000;

    /// Checks the key, cuts the value.
    pub fn new(key: String, mut value: String) -> Result<Self, InputError> {
        check_key("key", &key, Self::KEY_CHARS_MAX)?;
        truncate(&mut value, Self::VALUE_CHARS_MAX);
        Ok(Self(Tag { key, value }))
    }

    /// Refuses a value that would be cut.
    pub fn check_value(value: &str) -> Result<(), InputError> {
        check_length("value", value, Self::VALUE_CHARS_MAX)
    }

    /// Key and value.
    pub fn param(&self) -> &Tag {
        &self.0
    }
}

/// Everything one request logs to a run, within the limits clients are promised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogBatch {
    metrics: Vec<NewMetric>,
    params: Vec<Param>,
    tags: Vec<RunTag>,
}

impl LogBatch {
    const METRICS_MAX: usize = 1_000;
    const PARAMS_MAX: usize = 100;
    const TAGS_MAX: usize = 100;
    const ALL_MAX: usize = 1_000;

    /// Checks the counts, and that no param has two values.
    pub fn new(metrics: Vec<NewMetric>, params: Vec<Param>, tags: Vec<RunTag>) -> Result<Self, InputError> {
        for (what, max, got) in [
            ("metrics", Self::METRICS_MAX, metrics.len()),
            ("params", Self::PARAMS_MAX, params.len()),
            ("tags", Self::TAGS_MAX, tags.len()),
            (
                "metrics, params, and tags",
                Self::ALL_MAX,
                metrics.len() + params.len() + tags.len(),
            ),
        ] {
            if max < got {
                return Err(InputError::TooMany { what, max, got });
            }
        }
        let mut seen = HashSet::new();
        let twice = params.iter().filter(|param| !seen.insert(&param.0.key));
        let keys: Vec<String> = twice.map(|param| param.0.key.clone()).collect();
        if !keys.is_empty() {
            return Err(InputError::DuplicateParams { keys });
        }
        Ok(Self {
            metrics,
            params,
            tags,
        })
    }

    /// A batch of one metric.
    pub fn metric(metric: NewMetric) -> Self {
        Self {
            metrics: vec![metric],
            ..Self::default()
        }
    }

    /// A batch of one param.
    pub fn param(param: Param) -> Self {
        Self {
            params: vec![param],
            ..Self::default()
        }
    }

    /// A batch of one tag.
    pub fn tag(tag: RunTag) -> Self {
        Self {
            tags: vec![tag],
            ..Self::default()
        }
    }

    /// At most 1000.
    pub fn metrics(&self) -> &[NewMetric] {
        &self.metrics
    }

    /// At most 100, each key once.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// At most 100.
    pub fn tags(&self) -> &[RunTag] {
        &self.tags
    }
}

/// What a run read, within limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInputs {
    /// Datasets.
    pub datasets: Vec<NewDatasetInput>,
    /// Logged models.
    pub models: Vec<LoggedModelId>,
}

impl NewInputs {
    const DATASETS_MAX: usize = 1_000;

    /// Checks the counts.
    pub fn new(datasets: Vec<NewDatasetInput>, models: Vec<LoggedModelId>) -> Result<Self, InputError> {
        for (what, got) in [("datasets", datasets.len()), ("models", models.len())] {
            if Self::DATASETS_MAX < got {
                return Err(InputError::TooMany {
                    what,
                    max: Self::DATASETS_MAX,
                    got,
                });
            }
        }
        Ok(Self { datasets, models })
    }
}

/// A name for a run that got none: two words and a number, chosen by `bits`.
pub fn invent_name(bits: u64) -> RunName {
    let pick = |words: &[&'static str], bits: u64| words[(bits % words.len() as u64) as usize];
    let adjective = pick(&ADJECTIVES, bits & 0xffff);
    let noun = pick(&NOUNS, bits >> 16 & 0xffff);
    RunName(format!("{adjective}-{noun}-{}", (bits >> 32) % 1_000))
}

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "brave", "bright", "calm", "clever", "crisp", "eager", "fair", "fine", "gentle", "glad",
    "golden", "grand", "handy", "keen", "kind", "lively", "lucid", "merry", "mild", "neat", "noble", "proud",
    "quick", "quiet", "rapid", "sharp", "silver", "steady", "swift", "warm",
];
const NOUNS: [&str; 32] = [
    "ant", "badger", "bear", "bee", "crane", "crow", "deer", "dove", "eagle", "falcon", "finch", "fox",
    "goose", "hare", "hawk", "heron", "horse", "ibis", "jay", "lark", "lynx", "mole", "moose", "otter",
    "owl", "quail", "raven", "robin", "seal", "swan", "toad", "wren",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn param(key: &str) -> Param {
        Param::new(key.into(), "1".into()).unwrap()
    }

    #[test]
    fn a_batch_is_refused_when_it_is_too_large_or_contradicts_itself() {
        let metric = |i: usize| NewMetric::new(format!("m{i}"), 1.0, Millis(0), 0).unwrap();
        let metrics = |n| (0..n).map(metric).collect::<Vec<_>>();
        let params = |n| (0..n).map(|i| param(&format!("p{i}"))).collect::<Vec<_>>();
        assert!(LogBatch::new(metrics(1_000), vec![], vec![]).is_ok());
        assert!(LogBatch::new(metrics(1_001), vec![], vec![]).is_err());
        assert!(LogBatch::new(metrics(901), params(100), vec![]).is_err());
        assert!(LogBatch::new(vec![], params(101), vec![]).is_err());
        let twice = LogBatch::new(vec![], vec![param("a"), param("b"), param("a")], vec![]);
        assert_eq!(
            twice,
            Err(InputError::DuplicateParams {
                keys: vec!["a".into()]
            })
        );
    }

    #[test]
    fn a_name_comes_from_the_field_or_the_tag_but_not_from_two_that_differ() {
        let tags = |name: &str| vec![RunTag::new(NAME_TAG.into(), name.into()).unwrap()];
        let choose = |field: Option<&str>, tags: &[RunTag]| {
            RunName::choose(field.map(str::to_owned), tags).map(|name| name.map(|name| name.0))
        };
        assert_eq!(choose(None, &[]), Ok(None));
        assert_eq!(choose(Some(" "), &[]), Ok(None));
        assert_eq!(choose(Some("a"), &[]), Ok(Some("a".into())));
        assert_eq!(choose(None, &tags("b")), Ok(Some("b".into())));
        assert_eq!(choose(Some("b"), &tags("b")), Ok(Some("b".into())));
        assert!(choose(Some("a"), &tags("b")).is_err());
    }

    #[test]
    fn an_invented_name_depends_on_all_of_its_bits() {
        assert_ne!(invent_name(1), invent_name(2));
        assert_ne!(invent_name(1), invent_name(1 | 1 << 16));
        assert_ne!(invent_name(1), invent_name(1 | 1 << 32));
    }
}
