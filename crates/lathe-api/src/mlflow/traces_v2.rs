//! Traces on the wire, as clients before 3.0 send them.

use lathe_types::tags::Tag;
use lathe_types::traces::{self, TraceState};
use lathe_types::{ExperimentId, InputError, Millis};
use serde::{Deserialize, Serialize};

use super::traces::experiment_ids;
use super::{Int64, KeyValue};

/// `POST 2.0/mlflow/traces`
#[derive(Debug, Deserialize)]
pub struct StartTrace {
    /// Required.
    pub experiment_id: Option<String>,
    /// When it started.
    pub timestamp_ms: Option<Int64>,
    /// What the client says of it.
    #[serde(default)]
    pub request_metadata: Vec<KeyValue>,
    /// Its first tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

/// `PATCH 2.0/mlflow/traces/{id}`
#[derive(Debug, Deserialize)]
pub struct EndTrace {
    /// When it ended.
    pub timestamp_ms: Option<Int64>,
    /// How it ended.
    pub status: Option<String>,
    /// More of what the client says of it.
    #[serde(default)]
    pub request_metadata: Vec<KeyValue>,
    /// More tags.
    #[serde(default)]
    pub tags: Vec<KeyValue>,
}

impl EndTrace {
    /// The trace after its end.
    pub fn apply(self, mut to: traces::TraceInfo) -> Result<traces::TraceInfo, InputError> {
        let ended = self.timestamp_ms.map(|time| Millis(time.0));
        to.duration_ms = ended.map(|ended| ended.since(to.started_at).0).or(to.duration_ms);
        if let Some(status) = self.status {
            to.state = TraceState::parse("status", &status)?;
        }
        to.metadata
            .extend(self.request_metadata.into_iter().map(Tag::from));
        to.tags.extend(self.tags.into_iter().map(Tag::from));
        // Those that it has already are not told again.
        to.assessments = Vec::new();
        to.within_limits()
    }
}

/// `GET 2.0/mlflow/traces`
#[derive(Debug, Deserialize)]
pub struct SearchTracesV2 {
    /// Required.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
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

impl SearchTracesV2 {
    /// The experiments to look in.
    pub fn experiments(&mut self) -> Result<Vec<ExperimentId>, InputError> {
        if self.experiment_ids.is_empty() {
            return Err(InputError::Missing {
                parameter: "experiment_ids".into(),
            });
        }
        experiment_ids(std::mem::take(&mut self.experiment_ids))
    }
}

/// The answer where one trace is wanted.
#[derive(Debug, Serialize)]
pub struct TraceInfoReply {
    /// The trace.
    pub trace_info: TraceInfoV2,
}

/// The answer to a search.
#[derive(Debug, Serialize)]
pub struct TracePageV2 {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceInfoV2>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A trace in its older form.
#[derive(Debug, Serialize)]
pub struct TraceInfoV2 {
    /// Its id.
    pub request_id: String,
    /// Where it belongs.
    pub experiment_id: String,
    /// When it started.
    pub timestamp_ms: Millis,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time_ms: Option<i64>,
    /// How it ended.
    pub status: &'static str,
    /// What the client said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_metadata: Vec<KeyValue>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
}

impl From<traces::TraceInfo> for TraceInfoV2 {
    fn from(trace: traces::TraceInfo) -> Self {
        let status = match trace.state {
            TraceState::Unspecified => "TRACE_STATUS_UNSPECIFIED",
            state => state.as_str(),
        };
        // Clients of that time look here for what the newer form has fields for.
        let mut metadata: Vec<KeyValue> = trace.metadata.into_iter().map(KeyValue::from).collect();
        let previews = [
            ("mlflow.traceInputs", trace.request_preview),
            ("mlflow.traceOutputs", trace.response_preview),
        ];
        for (key, preview) in previews {
            if let Some(value) = preview.filter(|_| metadata.iter().all(|pair| pair.key != key)) {
                metadata.push(KeyValue {
                    key: key.into(),
                    value,
                });
            }
        }
        Self {
            request_id: trace.id.to_string(),
            experiment_id: trace.experiment_id.to_string(),
            timestamp_ms: trace.started_at,
            execution_time_ms: trace.duration_ms,
            status,
            request_metadata: metadata,
            tags: trace.tags.into_iter().map(KeyValue::from).collect(),
        }
    }
}
