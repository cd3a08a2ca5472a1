//! Traces: what one request did, as a tree of spans; here without the spans' bodies.

mod span_tree;
mod spans;

pub use span_tree::{SpanSummary, summarise};
pub use spans::{Cost, NewSpan, SpanHead, SpanId, SpanStatus, TokenUsage, Usage, trace_cost, trace_usage};

use std::fmt;

use crate::assessments::Assessment;
use crate::input::{check_key, check_length, truncate};
use crate::tags::Tag;
use crate::{ExperimentId, InputError, Millis};

/// The tag that holds a trace's name.
pub const NAME_TAG: &str = "mlflow.traceName";
/// The tag that says where a trace's files lie.
pub const ARTIFACTS_TAG: &str = "mlflow.artifactLocation";
/// The tag that says who keeps the spans: `TRACKING_STORE` once they are here.
pub const SPANS_TAG: &str = "mlflow.trace.spansLocation";
/// The metadata that names the run a trace was made in.
pub const RUN_METADATA: &str = "mlflow.sourceRun";
/// The metadata that names the session a trace belongs to.
pub const SESSION_METADATA: &str = "mlflow.trace.session";
/// The metadata that names whoever the application answered.
pub const USER_METADATA: &str = "mlflow.trace.user";
/// The metadata with the tokens of the whole trace, as JSON.
pub const USAGE_METADATA: &str = "mlflow.trace.tokenUsage";
/// The metadata with the cost of the whole trace, as JSON.
pub const COST_METADATA: &str = "mlflow.trace.cost";
/// The metadata in which a client says how many spans it will send, as JSON.
pub const SIZE_METADATA: &str = "mlflow.trace.sizeStats";

/// Tags of one trace at most, and its metadata.
const TAGS_MAX: usize = 1_000;
const TAG_VALUE_MAX: usize = 8_000;
const PREVIEW_MAX: usize = 10_000;
const SESSION_MAX: usize = 250;

/// Names one trace: `tr-` and 32 hex digits from today's clients, other words from older ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(String);

impl TraceId {
    /// Reads an id that a client gave in the field `parameter`. It becomes a folder's name.
    pub fn parse(parameter: &str, text: &str) -> Result<Self, InputError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let name = !matches!(text, "" | "." | "..") && text.len() <= 100 && text.chars().all(allowed);
        if !name {
            return Err(InputError::invalid(
                parameter,
                text,
                "a trace id has at most 100 letters, digits and `-`, `_`, `.`, `:`",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id of the trace with these bits in OpenTelemetry.
    pub fn from_otel(bits: u128) -> Self {
        Self(format!("tr-{bits:032x}"))
    }

    /// The id as clients see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a trace ended, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceState {
    /// Nobody said.
    Unspecified,
    /// Well.
    Ok,
    /// With an error.
    Error,
    /// It goes on.
    InProgress,
}

impl TraceState {
    const ALL: [Self; 4] = [Self::Unspecified, Self::Ok, Self::Error, Self::InProgress];

    /// Reads the name that clients send in the field `parameter`.
    pub fn parse(parameter: &str, name: &str) -> Result<Self, InputError> {
        match name {
            // Of the older API.
            "TRACE_STATUS_UNSPECIFIED" => Ok(Self::Unspecified),
            _ => Self::from_name(name).ok_or_else(|| {
                let reason = "it must be `OK`, `ERROR`, `IN_PROGRESS` or `STATE_UNSPECIFIED`";
                InputError::invalid(parameter, name, reason)
            }),
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
        }
    }
}

/// A trace without its spans.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceInfo {
    /// Its id.
    pub id: TraceId,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// What the application calls the request.
    pub client_request_id: Option<String>,
    /// The beginning of what was asked.
    pub request_preview: Option<String>,
    /// The beginning of what was answered.
    pub response_preview: Option<String>,
    /// When it started.
    pub started_at: Millis,
    /// How long it took, once it has ended.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub state: TraceState,
    /// What the client said of it once, by key.
    pub metadata: Vec<Tag>,
    /// What may still change, by key.
    pub tags: Vec<Tag>,
    /// What people and judges said of it, oldest first.
    pub assessments: Vec<Assessment>,
}

impl TraceInfo {
    /// Cuts what may be cut, and refuses what is too much.
    pub fn within_limits(mut self) -> Result<Self, InputError> {
        for (what, pairs) in [("tags", &mut self.tags), ("trace_metadata", &mut self.metadata)] {
            if TAGS_MAX < pairs.len() {
                return Err(InputError::Invalid {
                    parameter: what.into(),
                    value: pairs.len().to_string(),
                    reason: format!("a trace can have at most {TAGS_MAX}"),
                });
            }
            for pair in pairs {
                check_length(&format!("{what}.key"), &pair.key, 250)?;
                truncate(&mut pair.value, TAG_VALUE_MAX);
            }
        }
        if let Some(session) = self.metadata.iter_mut().find(|pair| pair.key == SESSION_METADATA) {
            truncate(&mut session.value, SESSION_MAX);
        }
        for preview in [&mut self.request_preview, &mut self.response_preview] {
            preview.iter_mut().for_each(|text| truncate(text, PREVIEW_MAX));
        }
        if let Some(id) = &self.client_request_id {
            check_length("client_request_id", id, 1_000)?;
        }
        Ok(self)
    }

    /// The value of a metadata key.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        value_of(&self.metadata, key)
    }

    /// The value of a tag.
    pub fn tag_value(&self, key: &str) -> Option<&str> {
        value_of(&self.tags, key)
    }

    /// How many spans the client said it will send.
    pub fn spans_expected(&self) -> usize {
        let stats = self
            .metadata_value(SIZE_METADATA)
            .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let spans = stats.as_ref().and_then(|stats| stats.get("num_spans")?.as_u64());
        spans.unwrap_or_default() as usize
    }
}

fn value_of<'a>(pairs: &'a [Tag], key: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|pair| pair.key == key)?;
    Some(&found.value)
}

/// The beginning of a text that describes what was asked or answered.
pub fn preview(text: &str) -> String {
    let mut text = text.to_owned();
    truncate(&mut text, 1_000);
    text
}

/// A tag that is set after the trace was made.
pub fn trace_tag(key: String, mut value: String) -> Result<Tag, InputError> {
    check_changeable(&key, "set")?;
    check_key("key", &key, 250)?;
    truncate(&mut value, TAG_VALUE_MAX);
    Ok(Tag { key, value })
}

/// The key of a tag that is to be deleted.
pub fn trace_tag_key(key: String) -> Result<String, InputError> {
    check_changeable(&key, "deleted")?;
    check_length("key", &key, 250)?;
    Ok(key)
}

/// What the server itself says of a trace is not the clients' to change.
fn check_changeable(key: &str, verb: &str) -> Result<(), InputError> {
    if matches!(key, SPANS_TAG | ARTIFACTS_TAG) {
        let reason = format!("Tag '{key}' is immutable and cannot be {verb} on a trace.");
        return Err(InputError::invalid("key", key, reason));
    }
    Ok(())
}

/// Which traces to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceDeletion {
    /// All of one experiment.
    pub experiment_id: ExperimentId,
    /// Only those that started by then.
    pub until: Option<Millis>,
    /// The oldest, at most so many.
    pub limit: Option<i64>,
    /// Only these.
    pub ids: Vec<TraceId>,
}

impl TraceDeletion {
    /// Checks that the client said which: either until when, or which ones.
    pub fn new(
        experiment_id: ExperimentId,
        until: Option<Millis>,
        limit: Option<i64>,
        ids: Vec<TraceId>,
    ) -> Result<Self, InputError> {
        let refuse = |parameter: &str, value: String, reason: &str| {
            Err(InputError::Invalid {
                parameter: parameter.into(),
                value,
                reason: reason.into(),
            })
        };
        match (&until, ids.is_empty()) {
            (None, true) => {
                return refuse(
                    "request_ids",
                    "[]".into(),
                    "Either `max_timestamp_millis` or `trace_ids` must be specified.",
                );
            }
            (Some(until), false) => {
                return refuse(
                    "max_timestamp_millis",
                    until.0.to_string(),
                    "Only one of `max_timestamp_millis` and `trace_ids` can be specified.",
                );
            }
            _ => {}
        }
        if limit.is_some() && !ids.is_empty() {
            return refuse(
                "max_traces",
                "set".into(),
                "`max_traces` can't be specified if `trace_ids` is specified.",
            );
        }
        if let Some(limit) = limit.filter(|limit| *limit <= 0) {
            return refuse(
                "max_traces",
                limit.to_string(),
                "`max_traces` must be a positive integer.",
            );
        }
        if 1_000 < ids.len() {
            return refuse(
                "request_ids",
                ids.len().to_string(),
                "at most 1000 traces can be deleted at once",
            );
        }
        Ok(Self {
            experiment_id,
            until,
            limit,
            ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_a_name_and_never_a_path() {
        for text in ["tr-0123456789abcdef0123456789abcdef", "abc", "trace_1.2:3"] {
            assert!(TraceId::parse("trace_id", text).is_ok(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "a\\b", "a b", "ü", "'", &"x".repeat(101)] {
            assert!(TraceId::parse("trace_id", text).is_err(), "{text}");
        }
        assert_eq!(
            TraceId::from_otel(255).as_str(),
            "tr-000000000000000000000000000000ff"
        );
    }

    #[test]
    fn a_deletion_says_either_until_when_or_which() {
        let id = || vec![TraceId::from_otel(1)];
        let new = |until: Option<i64>, limit, ids| {
            TraceDeletion::new(ExperimentId::DEFAULT, until.map(Millis), limit, ids).is_ok()
        };
        assert!(new(Some(5), None, vec![]) && new(Some(5), Some(1), vec![]) && new(None, None, id()));
        assert!(!new(None, None, vec![]) && !new(Some(5), None, id()) && !new(None, Some(1), id()));
        assert!(!new(Some(5), Some(0), vec![]));
    }
}
