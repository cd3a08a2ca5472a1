//! A kept span in other forms: that of `traces.json`, where attributes are JSON in texts, and that of the web page.

use serde_json::{Value as Json, json};

use super::{AnyValue, KeyValue};

/// Turns a span as the store keeps it into its form in `traces.json`; none if it is no such span.
pub fn span_dict(content: &str) -> Option<Json> {
    let span: Json = serde_json::from_str(content).ok()?;
    let field = |name: &str| span.get(name).cloned().unwrap_or(Json::Null);
    let events = field("events");
    let events = events.as_array().into_iter().flatten().map(|event| {
        let attributes: serde_json::Map<String, Json> = pairs(event).collect();
        json!({
            "name": event.get("name"),
            "time_unix_nano": event.get("time_unix_nano"),
            "attributes": attributes,
        })
    });
    let links = field("links");
    let links = links.as_array().into_iter().flatten().map(|link| {
        let attributes: serde_json::Map<String, Json> = pairs(link).collect();
        json!({ "trace_id": link.get("trace_id"), "span_id": link.get("span_id"), "attributes": attributes })
    });
    let status = field("status");
    let attributes: serde_json::Map<String, Json> = pairs(&span)
        .map(|(key, value)| (key, value.to_string().into()))
        .collect();
    Some(json!({
        "trace_id": field("trace_id"),
        "span_id": field("span_id"),
        "parent_span_id": field("parent_span_id"),
        "name": field("name"),
        "start_time_unix_nano": field("start_time_unix_nano"),
        "end_time_unix_nano": field("end_time_unix_nano"),
        "events": events.collect::<Json>(),
        "status": {
            "code": status.get("code"),
            "message": status.get("message").cloned().unwrap_or_else(|| "".into()),
        },
        "attributes": attributes,
        "links": links.collect::<Json>(),
    }))
}

/// Turns a span as the store keeps it into its form for the web page: attributes are plain JSON.
pub fn span_plain(content: &str) -> Option<Json> {
    let span: Json = serde_json::from_str(content).ok()?;
    let events = span
        .get("events")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|event| {
            let attributes: serde_json::Map<String, Json> = pairs(event).collect();
            json!({
                "name": event.get("name"),
                "time_unix_nano": event.get("time_unix_nano"),
                "attributes": attributes,
            })
        });
    let attributes: serde_json::Map<String, Json> = pairs(&span).collect();
    let status = span.get("status");
    let of_status = |name: &str| {
        status
            .and_then(|status| status.get(name))
            .cloned()
            .unwrap_or_else(|| "".into())
    };
    Some(json!({
        "name": span.get("name"),
        "status": { "code": of_status("code"), "message": of_status("message") },
        "attributes": attributes,
        "events": events.collect::<Json>(),
    }))
}

/// The attributes of a span, an event or a link as plain JSON.
fn pairs(of: &Json) -> impl Iterator<Item = (String, Json)> + use<> {
    let pairs: Vec<KeyValue> = of
        .get("attributes")
        .and_then(|pairs| serde_json::from_value(pairs.clone()).ok())
        .unwrap_or_default();
    pairs
        .into_iter()
        .map(|pair| (pair.key, pair.value.as_ref().map_or(Json::Null, AnyValue::plain)))
}
