//! Spans as the store keeps them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lathe_types::traces::{Cost, NewSpan, SpanHead, SpanId, SpanStatus, TokenUsage, TraceId};
use serde_json::{Value as Json, json};

use super::attributes::translate;
use super::json::wire_pairs;
use super::{Any, AnyValue, ExportTraceServiceRequest, KeyValue, Span};

/// Spans of one request at most.
const SPANS_MAX: usize = 100_000;
/// Attributes of one span that can be searched by; more are kept, not found.
const SEARCHED_MAX: usize = 128;
/// The part of an attribute that can be searched by.
const SEARCHED_CHARS_MAX: usize = 4_000;
const NAME_CHARS_MAX: usize = 1_000;
/// Values within values. Each is several levels of JSON, and readers stop at a hundred.
const DEPTH_MAX: usize = 20;

/// Every span of a request, or why one of them cannot be kept.
pub fn new_spans(request: ExportTraceServiceRequest) -> Result<Vec<NewSpan>, String> {
    let mut spans = Vec::new();
    for from_process in request.resource_spans {
        let resource: Vec<(String, String)> = from_process
            .resource
            .iter()
            .flat_map(|resource| &resource.attributes)
            .map(|pair| (clean(&pair.key), text(pair.value.as_ref())))
            .collect();
        for span in from_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            if spans.len() == SPANS_MAX {
                return Err(format!("a request can have at most {SPANS_MAX} spans"));
            }
            spans.push(new_span(span, &resource)?);
        }
    }
    Ok(spans)
}

fn new_span(mut span: Span, resource: &[(String, String)]) -> Result<NewSpan, String> {
    let trace = TraceId::from_otel(u128::from_be_bytes(id("trace_id", &span.trace_id)?));
    let id_of_span = u64::from_be_bytes(id("span_id", &span.span_id)?);
    let parent = match span.parent_span_id.as_slice() {
        [] => None,
        // Some exporters write a root's parent as zeros.
        bytes if bytes.iter().all(|byte| *byte == 0) => None,
        bytes => Some(SpanId::from_bits(u64::from_be_bytes(id(
            "parent_span_id",
            bytes,
        )?))),
    };
    let started_at_ns = time("start_time_unix_nano", span.start_time_unix_nano)?;
    let ended_at_ns = time("end_time_unix_nano", span.end_time_unix_nano)?;
    translate(&mut span.attributes, trace.as_str());
    let events = span.events.iter_mut().map(|event| &mut event.attributes);
    let links = span.links.iter_mut().map(|link| &mut link.attributes);
    for pairs in events.chain(links).chain([&mut span.attributes]) {
        let values = pairs.iter_mut().filter_map(|pair| pair.value.as_mut());
        values.for_each(|value| bound_depth(value, DEPTH_MAX));
    }
    let attributes: Vec<(String, String)> = span
        .attributes
        .iter()
        .take(SEARCHED_MAX)
        .map(|pair| {
            let key = clean(&pair.key).chars().take(250).collect();
            let value: String = text(pair.value.as_ref())
                .chars()
                .take(SEARCHED_CHARS_MAX)
                .collect();
            (key, value)
        })
        .collect();
    let find = |key: &str| span.attributes.iter().find(|pair| pair.key == key);
    let said = |key: &str| {
        find(key)
            .map(|pair| text(pair.value.as_ref()))
            .filter(|text| !text.is_empty())
    };
    let short = |text: String| -> String { text.chars().take(250).collect() };
    let status = match span.status.as_ref().map(|status| status.code) {
        Some(1) => SpanStatus::Ok,
        Some(2) => SpanStatus::Error,
        _ => SpanStatus::Unset,
    };
    let head = SpanHead {
        id: SpanId::from_bits(id_of_span),
        parent,
        name: clean(&span.name).chars().take(NAME_CHARS_MAX).collect(),
        kind: said("mlflow.spanType").map_or_else(|| "UNKNOWN".into(), short),
        status,
        started_at_ns,
        ended_at_ns: (ended_at_ns != 0).then_some(ended_at_ns),
        tokens: said("mlflow.chat.tokenUsage").and_then(|json| TokenUsage::from_json(&json)),
        cost: said("mlflow.llm.cost").and_then(|json| Cost::from_json(&json)),
        model: said("mlflow.llm.model").map(short),
        provider: said("mlflow.llm.provider").map(short),
    };
    Ok(NewSpan {
        trace,
        content: content(&span, &head).to_string(),
        head,
        attributes,
        resource: resource.to_vec(),
    })
}

/// An id of the right length that is not zero, as OpenTelemetry demands.
fn id<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], String> {
    let id: [u8; N] = bytes
        .try_into()
        .map_err(|_| format!("`{field}` has {} bytes, it must have {N}", bytes.len()))?;
    if id.iter().all(|byte| *byte == 0) {
        return Err(format!("`{field}` is zero"));
    }
    Ok(id)
}

fn time(field: &str, ns: u64) -> Result<i64, String> {
    i64::try_from(ns).map_err(|_| format!("`{field}` lies beyond the year 2262"))
}

/// What lies too deep becomes a text of JSON.
fn bound_depth(value: &mut AnyValue, left: usize) {
    if left == 0 && matches!(value.value, Some(Any::List(_) | Any::Map(_))) {
        value.value = Some(Any::Text(value.plain().to_string()));
        return;
    }
    match &mut value.value {
        Some(Any::List(list)) => list
            .values
            .iter_mut()
            .for_each(|value| bound_depth(value, left - 1)),
        Some(Any::Map(map)) => {
            let values = map.values.iter_mut().filter_map(|pair| pair.value.as_mut());
            values.for_each(|value| bound_depth(value, left - 1));
        }
        _ => {}
    }
}

/// A text is itself, anything else its JSON.
pub(super) fn text(value: Option<&AnyValue>) -> String {
    match value.map(AnyValue::plain) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => clean(&text),
        Some(other) => other.to_string(),
    }
}

/// Databases keep no NUL in a text.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The span as protocol buffers have it in JSON.
fn content(span: &Span, head: &SpanHead) -> Json {
    let mut json = json!({
        "trace_id": STANDARD.encode(&span.trace_id),
        "span_id": STANDARD.encode(&span.span_id),
        "name": span.name,
        "start_time_unix_nano": head.started_at_ns,
        "attributes": wire_pairs(&span.attributes),
    });
    if head.parent.is_some() {
        json["parent_span_id"] = STANDARD.encode(&span.parent_span_id).into();
    }
    if !span.trace_state.is_empty() {
        json["trace_state"] = span.trace_state.as_str().into();
    }
    if span.kind != 0 {
        json["kind"] = span.kind.into();
    }
    if let Some(ended) = head.ended_at_ns {
        json["end_time_unix_nano"] = ended.into();
    }
    if !span.events.is_empty() {
        let events = span.events.iter().map(|event| {
            json!({
                "time_unix_nano": event.time_unix_nano,
                "name": event.name,
                "attributes": wire_pairs(&event.attributes),
            })
        });
        json["events"] = events.collect();
    }
    if !span.links.is_empty() {
        let links = span.links.iter().map(|link| {
            json!({
                "trace_id": STANDARD.encode(&link.trace_id),
                "span_id": STANDARD.encode(&link.span_id),
                "attributes": wire_pairs(&link.attributes),
            })
        });
        json["links"] = links.collect();
    }
    let code = match head.status {
        SpanStatus::Unset => "STATUS_CODE_UNSET",
        SpanStatus::Ok => "STATUS_CODE_OK",
        SpanStatus::Error => "STATUS_CODE_ERROR",
    };
    let mut status = json!({ "code": code });
    if let Some(message) = span
        .status
        .as_ref()
        .map(|status| &status.message)
        .filter(|text| !text.is_empty())
    {
        status["message"] = message.as_str().into();
    }
    json["status"] = status;
    json
}

/// An attribute with a text as its value.
pub(super) fn text_pair(key: &str, text: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::Text(text.into())),
        }),
    }
}
