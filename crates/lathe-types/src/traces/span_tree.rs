//! What spans say of the trace that they belong to.

use super::spans::{NewSpan, SpanHead, SpanStatus};
use super::{TraceId, TraceState, preview};
use crate::Millis;
use crate::input::check_key;
use crate::tags::Tag;

/// Attributes beginning so are tags of the trace, written on its root.
const TAG_ATTRIBUTE: &str = "mlflow.traceTag.";

/// What the spans of one request say of one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSummary {
    /// The trace.
    pub id: TraceId,
    /// When the first of them started.
    pub started_at: Millis,
    /// When the last of them ended.
    pub ended_at: Option<Millis>,
    /// How the root ended; none: the root is not among them.
    pub root_state: Option<TraceState>,
    /// What the root is called.
    pub root_name: Option<String>,
    /// The beginning of what the root was asked.
    pub request_preview: Option<String>,
    /// The beginning of what the root answered.
    pub response_preview: Option<String>,
    /// The session that one of them names.
    pub session: Option<String>,
    /// The user that one of them names.
    pub user: Option<String>,
    /// Tags from the root and from the process that made them.
    pub tags: Vec<Tag>,
    /// Whether any says how many tokens or dollars it took.
    pub has_usage: bool,
    /// Whether one of them tells the whole trace's name.
    pub name_tag: Option<String>,
}

/// Sums up spans of one trace; there is at least one.
pub fn summarise(id: TraceId, spans: &[NewSpan]) -> SpanSummary {
    let root = spans.iter().find(|span| span.head.parent.is_none());
    let started = spans.iter().map(|span| span.head.started_at_ns).min();
    let ended = spans.iter().filter_map(|span| span.head.ended_at_ns).max();
    let said = |keys: &[&str]| {
        let mut found = spans
            .iter()
            .flat_map(|span| keys.iter().filter_map(|key| span.attribute(key)));
        found.next().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut session = said(&["session.id", "gen_ai.conversation.id"]);
    if let Some(session) = &mut session {
        crate::input::truncate(session, 250);
    }
    let mut tags = tags_of(spans, root);
    let named = tags.iter().position(|tag| tag.key == super::NAME_TAG);
    SpanSummary {
        id,
        started_at: millis(started.unwrap_or_default()),
        ended_at: ended.map(millis),
        root_state: root.map(|root| state_of(&root.head)),
        root_name: root.map(|root| root.head.name.clone()),
        request_preview: root
            .and_then(|root| root.attribute("mlflow.spanInputs"))
            .map(preview),
        response_preview: root
            .and_then(|root| root.attribute("mlflow.spanOutputs"))
            .map(preview),
        session,
        user: said(&["user.id"]),
        has_usage: spans
            .iter()
            .any(|span| span.head.tokens.is_some() || span.head.cost.is_some()),
        name_tag: named.map(|at| tags.remove(at).value),
        tags,
    }
}

fn millis(ns: i64) -> Millis {
    Millis(ns.div_euclid(1_000_000))
}

fn state_of(root: &SpanHead) -> TraceState {
    match root.status {
        SpanStatus::Error => TraceState::Error,
        SpanStatus::Ok | SpanStatus::Unset => TraceState::Ok,
    }
}

/// What the root says goes before what its process says of itself; keys that no tag may have are left out.
fn tags_of(spans: &[NewSpan], root: Option<&NewSpan>) -> Vec<Tag> {
    let on_root = root.map(|root| root.attributes.as_slice()).unwrap_or_default();
    let from_root = on_root
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(TAG_ATTRIBUTE)?, value)));
    let resource = spans
        .iter()
        .map(|span| &span.resource)
        .find(|known| !known.is_empty());
    let from_process = resource
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with("telemetry.sdk.") && !key.starts_with("mlflow."))
        .map(|(key, value)| (key.as_str(), value));
    let mut tags: Vec<Tag> = Vec::new();
    for (key, value) in from_root.chain(from_process) {
        let known = tags.iter().any(|tag| tag.key == key);
        let ours = matches!(key, super::SPANS_TAG | super::ARTIFACTS_TAG);
        if known || ours || tags.len() == 100 || check_key("key", key, 250).is_err() {
            continue;
        }
        let mut value = value.clone();
        crate::input::truncate(&mut value, 8_000);
        tags.push(Tag {
            key: key.to_owned(),
            value,
        });
    }
    tags
}
