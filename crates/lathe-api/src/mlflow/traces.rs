//! Traces on the wire, as clients from 3.0 on send them.

use std::collections::BTreeMap;

use lathe_types::search::{parse_trace_filter, parse_trace_order};
use lathe_types::tags::Tag;
use lathe_types::traces::{self, TraceDeletion, TraceId, TraceState};
use lathe_types::{ExperimentId, InputError, Millis, required};
use serde::{Deserialize, Serialize};

use super::assessments::Assessment;
use super::experiments::experiment_id;
use super::times::{Duration, Timestamp};
use super::{Bool, Int64};

/// Traces that one request may name.
const IDS_MAX: usize = 1_000;

/// `POST traces`, and the reply to it and to `GET traces/{id}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TraceMessage {
    /// Required.
    pub trace: Option<Trace>,
}

/// A trace. Its spans go another way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trace {
    /// Required.
    pub trace_info: Option<TraceInfo>,
}

/// A trace without its spans.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceInfo {
    /// Required.
    pub trace_id: Option<String>,
    /// What the application calls the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// Required.
    pub trace_location: Option<TraceLocation>,
    /// The beginning of what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_preview: Option<String>,
    /// The beginning of what was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_preview: Option<String>,
    /// When it started.
    pub request_time: Option<Timestamp>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_duration: Option<Duration>,
    /// `OK`, `ERROR`, `IN_PROGRESS`
    pub state: Option<String>,
    /// By key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "map")]
    pub trace_metadata: BTreeMap<String, String>,
    /// By key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "map")]
    pub tags: BTreeMap<String, String>,
    /// Oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub assessments: Vec<Assessment>,
}

/// Null is as good as absent.
pub(super) fn map<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Where a trace belongs.
#[derive(Debug, Serialize, Deserialize)]
pub struct TraceLocation {
    /// `MLFLOW_EXPERIMENT`
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The only place that traces have here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow_experiment: Option<MlflowExperiment>,
}

/// An experiment by its id.
#[derive(Debug, Serialize, Deserialize)]
pub struct MlflowExperiment {
    /// Required.
    pub experiment_id: Option<String>,
}

impl TraceLocation {
    fn experiment(id: ExperimentId) -> Self {
        Self {
            kind: Some("MLFLOW_EXPERIMENT".into()),
            mlflow_experiment: Some(MlflowExperiment {
                experiment_id: Some(id.to_string()),
            }),
        }
    }
}

pub(super) fn tags_of(pairs: BTreeMap<String, String>) -> Vec<Tag> {
    // Databases keep no NUL in a text.
    let clean = |text: String| text.replace('\0', "\u{fffd}");
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| Tag {
            key: clean(key),
            value: clean(value),
        })
        .collect()
}

impl TraceMessage {
    /// The trace that a client tells of; `assessment_id` makes ids for assessments without one.
    pub fn parse(self, mut assessment_id: impl FnMut() -> String) -> Result<traces::TraceInfo, InputError> {
        let missing = |parameter: &str| InputError::Missing {
            parameter: parameter.into(),
        };
        let trace = self.trace.ok_or_else(|| missing("trace"))?;
        let info = trace.trace_info.ok_or_else(|| missing("trace.trace_info"))?;
        let field = |name: &str| format!("trace.trace_info.{name}");
        let id = TraceId::parse(&field("trace_id"), &required(&field("trace_id"), info.trace_id)?)?;
        let location = info
            .trace_location
            .and_then(|location| location.mlflow_experiment);
        let experiment = location.ok_or_else(|| missing(&field("trace_location.mlflow_experiment")))?;
        let assessments = info.assessments.into_iter().map(|mut assessment| {
            assessment.trace_id = Some(id.to_string());
            assessment.parse(&id, &mut assessment_id)
        });
        traces::TraceInfo {
            experiment_id: experiment_id(experiment.experiment_id)?,
            client_request_id: info.client_request_id,
            request_preview: info.request_preview,
            response_preview: info.response_preview,
            started_at: info.request_time.unwrap_or_default().0,
            duration_ms: info.execution_duration.map(|duration| duration.0),
            state: match info.state {
                Some(name) => TraceState::parse(&field("state"), &name)?,
                None => TraceState::Unspecified,
            },
            metadata: tags_of(info.trace_metadata),
            tags: tags_of(info.tags),
            assessments: assessments.collect::<Result<_, _>>()?,
            id,
        }
        .within_limits()
    }
}

impl From<traces::TraceInfo> for TraceInfo {
    fn from(trace: traces::TraceInfo) -> Self {
        let map = |pairs: Vec<Tag>| pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
        Self {
            trace_id: Some(trace.id.to_string()),
            client_request_id: trace.client_request_id,
            trace_location: Some(TraceLocation::experiment(trace.experiment_id)),
            request_preview: trace.request_preview,
            response_preview: trace.response_preview,
            request_time: Some(Timestamp(trace.started_at)),
            execution_duration: trace.duration_ms.map(Duration),
            state: Some(trace.state.as_str().into()),
            trace_metadata: map(trace.metadata),
            tags: map(trace.tags),
            assessments: trace.assessments.into_iter().map(Assessment::from).collect(),
        }
    }
}

impl From<traces::TraceInfo> for TraceMessage {
    fn from(trace: traces::TraceInfo) -> Self {
        Self {
            trace: Some(Trace {
                trace_info: Some(trace.into()),
            }),
        }
    }
}

/// `GET traces/get`
#[derive(Debug, Deserialize)]
pub struct GetTrace {
    /// Required.
    pub trace_id: Option<String>,
    /// Also before all spans are here.
    pub allow_partial: Option<Bool>,
}

/// `GET traces/batchGet`, `POST traces/batchGetInfos`
#[derive(Debug, Deserialize)]
pub struct BatchGetTraces {
    /// Required.
    #[serde(default)]
    pub trace_ids: Vec<String>,
    /// Only those of these experiments.
    pub experiment_ids: Option<Vec<String>>,
}

impl BatchGetTraces {
    /// Which traces are wanted, and of which experiments.
    pub fn parse(self) -> Result<(Vec<TraceId>, Option<Vec<ExperimentId>>), InputError> {
        let ids = trace_ids("trace_ids", self.trace_ids)?;
        if ids.is_empty() {
            return Err(InputError::Missing {
                parameter: "trace_ids".into(),
            });
        }
        Ok((ids, self.experiment_ids.map(experiment_ids).transpose()?))
    }
}

/// The ids in a list of texts.
pub fn trace_ids(parameter: &str, ids: Vec<String>) -> Result<Vec<TraceId>, InputError> {
    if IDS_MAX < ids.len() {
        return Err(InputError::Invalid {
            parameter: parameter.into(),
            value: ids.len().to_string(),
            reason: format!("a request can name at most {IDS_MAX} traces"),
        });
    }
    ids.iter().map(|id| TraceId::parse(parameter, id)).collect()
}

/// The experiments in a list of texts.
pub fn experiment_ids(ids: Vec<String>) -> Result<Vec<ExperimentId>, InputError> {
    if IDS_MAX < ids.len() {
        return Err(InputError::Invalid {
            parameter: "experiment_ids".into(),
            value: ids.len().to_string(),
            reason: format!("a request can name at most {IDS_MAX} experiments"),
        });
    }
    ids.into_iter().map(|id| experiment_id(Some(id))).collect()
}

/// The answer to `traces/batchGetInfos`.
#[derive(Debug, Serialize)]
pub struct TraceInfos {
    /// In the order asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace_infos: Vec<TraceInfo>,
}

/// `POST traces/search`
#[derive(Debug, Deserialize)]
pub struct SearchTraces {
    /// Required.
    #[serde(default)]
    pub locations: Vec<TraceLocation>,
    /// Conditions.
    pub filter: Option<String>,
    /// How many traces a page may hold.
    pub max_results: Option<Int64>,
    /// Keys to sort by.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

impl SearchTraces {
    /// The experiments to look in.
    pub fn experiments(&mut self) -> Result<Vec<ExperimentId>, InputError> {
        if self.locations.is_empty() {
            return Err(InputError::Missing {
                parameter: "locations".into(),
            });
        }
        let places = std::mem::take(&mut self.locations).into_iter();
        let ids = places.filter_map(|location| location.mlflow_experiment?.experiment_id);
        experiment_ids(ids.collect())
    }
}

/// Filter and order of a search.
pub type TraceQuery = (
    Vec<lathe_types::search::TraceCondition>,
    Vec<lathe_types::search::TraceOrder>,
);

/// Reads the filter and the order of a search.
pub fn trace_query(filter: Option<&str>, order_by: &[String]) -> Result<TraceQuery, InputError> {
    Ok((
        parse_trace_filter(filter.unwrap_or_default())?,
        parse_trace_order(order_by)?,
    ))
}

/// The answer to `traces/search`.
#[derive(Debug, Serialize)]
pub struct TracePage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceInfo>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// `PATCH` and `DELETE traces/{id}/tags`
#[derive(Debug, Deserialize)]
pub struct TraceTag {
    /// Required.
    pub key: Option<String>,
    /// Any text.
    pub value: Option<String>,
}

/// `POST traces/delete-traces`
#[derive(Debug, Deserialize)]
pub struct DeleteTraces {
    /// Required.
    pub experiment_id: Option<String>,
    /// Those that started by then.
    pub max_timestamp_millis: Option<Int64>,
    /// The oldest, at most so many.
    pub max_traces: Option<Int64>,
    /// These.
    #[serde(default)]
    pub request_ids: Vec<String>,
    /// The newer name of `request_ids`.
    #[serde(default)]
    pub trace_ids: Vec<String>,
}

impl TryFrom<DeleteTraces> for TraceDeletion {
    type Error = InputError;

    fn try_from(mut request: DeleteTraces) -> Result<Self, InputError> {
        request.request_ids.append(&mut request.trace_ids);
        TraceDeletion::new(
            experiment_id(request.experiment_id)?,
            request.max_timestamp_millis.map(|time| Millis(time.0)),
            request.max_traces.map(|count| count.0),
            trace_ids("request_ids", request.request_ids)?,
        )
    }
}

/// The answer to `traces/delete-traces`.
#[derive(Debug, Serialize)]
pub struct DeletedTraces {
    /// How many there were.
    pub traces_deleted: i64,
}

/// `POST traces/link-to-run`
#[derive(Debug, Deserialize)]
pub struct LinkTraces {
    /// At most 100.
    #[serde(default)]
    pub trace_ids: Vec<String>,
    /// Required.
    pub run_id: Option<String>,
}

impl LinkTraces {
    const MAX: usize = 100;

    /// The traces.
    pub fn ids(&self) -> Result<Vec<TraceId>, InputError> {
        if Self::MAX < self.trace_ids.len() {
            return Err(InputError::Invalid {
                parameter: "trace_ids".into(),
                value: self.trace_ids.len().to_string(),
                reason: format!(
                    "Cannot link more than {} traces to a run in a single request. Provided {} traces.",
                    Self::MAX,
                    self.trace_ids.len()
                ),
            });
        }
        trace_ids("trace_ids", self.trace_ids.clone())
    }
}

/// `POST traces/link-prompts`
#[derive(Debug, Deserialize)]
pub struct LinkPrompts {
    /// Required.
    pub trace_id: Option<String>,
    /// Required.
    #[serde(default)]
    pub prompt_versions: Vec<PromptVersionRef>,
}

/// A version of a prompt.
#[derive(Debug, Deserialize)]
pub struct PromptVersionRef {
    /// Its prompt.
    pub name: Option<String>,
    /// Its number.
    pub version: Option<String>,
}

impl LinkPrompts {
    /// The prompt versions as `name/version`.
    pub fn prompts(&self) -> Result<Vec<String>, InputError> {
        if 100 < self.prompt_versions.len() {
            return Err(InputError::Invalid {
                parameter: "prompt_versions".into(),
                value: self.prompt_versions.len().to_string(),
                reason: "a request can link at most 100 prompts".into(),
            });
        }
        let prompts = self.prompt_versions.iter().map(|prompt| {
            let name = required("prompt_versions.name", prompt.name.clone())?;
            let version = required("prompt_versions.version", prompt.version.clone())?;
            if version.parse::<u32>().is_err() || 500 < name.len() {
                return Err(InputError::invalid(
                    "prompt_versions.version",
                    &version,
                    "it must be a whole number",
                ));
            }
            Ok(format!("{name}/{version}"))
        });
        prompts.collect()
    }
}

/// `POST traces/calculate-filter-correlation`
#[derive(Debug, Deserialize)]
pub struct CorrelateFilters {
    /// Required.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// Required.
    pub filter_string1: Option<String>,
    /// Required.
    pub filter_string2: Option<String>,
    /// What all traces are held to.
    pub base_filter: Option<String>,
}

/// The answer to `traces/calculate-filter-correlation`.
#[derive(Debug, Serialize)]
pub struct Correlation {
    /// From -1, never together, to 1, always together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npmi: Option<super::Double>,
    /// The same with half a trace more in every corner, so that few traces say less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npmi_smoothed: Option<super::Double>,
    /// Traces that fit the first filter.
    pub filter1_count: i64,
    /// Traces that fit the second filter.
    pub filter2_count: i64,
    /// Traces that fit both.
    pub joint_count: i64,
    /// Traces in all.
    pub total_count: i64,
}
