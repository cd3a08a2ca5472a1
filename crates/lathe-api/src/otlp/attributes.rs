//! What instrumentation of other makers calls the things that MLflow's clients and pages look for: the conventions of
//! OpenTelemetry for generative AI (`gen_ai.*`), OpenInference (`openinference.*`, `llm.*`, `input.value`) and
//! Traceloop (`traceloop.*`). What is there already is never changed.

use serde_json::{Value as Json, json};

use super::convert::{text, text_pair};
use super::{Any, AnyValue, ArrayValue, KeyValue, KeyValueList};

const INPUTS: [&str; 5] = [
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "gen_ai.tool.call.arguments",
    "input.value",
    "traceloop.entity.input",
];
const OUTPUTS: [&str; 5] = [
    "gen_ai.output.messages",
    "gen_ai.completion",
    "gen_ai.tool.call.result",
    "output.value",
    "traceloop.entity.output",
];
const MODELS: [&str; 4] = [
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
];
const PROVIDERS: [&str; 3] = ["gen_ai.provider.name", "gen_ai.system", "llm.provider"];
const TOKENS_IN: [&str; 3] = [
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
];
const TOKENS_OUT: [&str; 3] = [
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
];
const TOKENS_ALL: [&str; 3] = [
    "gen_ai.usage.total_tokens",
    "llm.usage.total_tokens",
    "llm.token_count.total",
];

/// Adds MLflow's names for what others call otherwise, and says which trace it is.
pub(super) fn translate(attributes: &mut Vec<KeyValue>, trace: &str) {
    attributes.retain(|pair| pair.key != "mlflow.traceRequestId");
    let mut added = vec![text_pair("mlflow.traceRequestId", trace)];
    let find = |key: &str| attributes.iter().find(|pair| pair.key == key);
    let first = |keys: &[&str]| keys.iter().find_map(|key| find(key));
    let missing = |key: &str| find(key).is_none();
    if missing("mlflow.spanType") {
        added.extend(kind(&find).map(|kind| text_pair("mlflow.spanType", kind)));
    }
    for (name, keys) in [("mlflow.spanInputs", &INPUTS), ("mlflow.spanOutputs", &OUTPUTS)] {
        if missing(name) {
            added.extend(first(keys).map(|pair| KeyValue {
                key: name.to_owned(),
                value: pair.value.as_ref().map(unpacked),
            }));
        }
    }
    for (name, keys) in [
        ("mlflow.llm.model", &MODELS[..]),
        ("mlflow.llm.provider", &PROVIDERS[..]),
    ] {
        if missing(name) {
            added.extend(first(keys).map(|pair| text_pair(name, text(pair.value.as_ref()))));
        }
    }
    if missing("mlflow.chat.tokenUsage") {
        let count =
            |keys: &[&str]| first(keys).and_then(|pair| text(pair.value.as_ref()).parse::<i64>().ok());
        let (read, written, all) = (count(&TOKENS_IN), count(&TOKENS_OUT), count(&TOKENS_ALL));
        if read.or(written).or(all).is_some() {
            let (read, written) = (read.unwrap_or_default(), written.unwrap_or_default());
            let usage = json!({
                "input_tokens": read,
                "output_tokens": written,
                "total_tokens": all.unwrap_or_else(|| read.saturating_add(written)),
            });
            added.push(KeyValue {
                key: "mlflow.chat.tokenUsage".into(),
                value: Some(any(&usage)),
            });
        }
    }
    attributes.extend(added);
}

/// What kind of step it is, in MLflow's words.
fn kind<'a>(find: &impl Fn(&str) -> Option<&'a KeyValue>) -> Option<&'static str> {
    let said = |key: &str| find(key).map(|pair| text(pair.value.as_ref()).to_ascii_lowercase());
    if let Some(operation) = said("gen_ai.operation.name") {
        return Some(match operation.as_str() {
            "chat" => "CHAT_MODEL",
            "text_completion" | "generate_content" => "LLM",
            "embeddings" => "EMBEDDING",
            "execute_tool" => "TOOL",
            "create_agent" | "invoke_agent" => "AGENT",
            _ => "UNKNOWN",
        });
    }
    if let Some(kind) = said("openinference.span.kind") {
        return Some(match kind.as_str() {
            "llm" => "LLM",
            "chain" => "CHAIN",
            "tool" => "TOOL",
            "agent" => "AGENT",
            "retriever" => "RETRIEVER",
            "embedding" => "EMBEDDING",
            "reranker" => "RERANKER",
            "guardrail" => "GUARDRAIL",
            "evaluator" => "EVALUATOR",
            _ => "UNKNOWN",
        });
    }
    let kind = said("traceloop.span.kind")?;
    Some(match kind.as_str() {
        "workflow" => "WORKFLOW",
        "task" => "TASK",
        "agent" => "AGENT",
        "tool" => "TOOL",
        _ => "UNKNOWN",
    })
}

/// JSON that was packed into a text, unpacked; any other text stays one.
fn unpacked(value: &AnyValue) -> AnyValue {
    let packed = match &value.value {
        Some(Any::Text(text)) if text.starts_with(['{', '[']) => serde_json::from_str::<Json>(text).ok(),
        _ => None,
    };
    packed.map_or_else(|| value.clone(), |json| any(&json))
}

fn any(json: &Json) -> AnyValue {
    let value = match json {
        Json::Null => None,
        Json::Bool(yes) => Some(Any::Bool(*yes)),
        Json::Number(number) => Some(match number.as_i64() {
            Some(number) => Any::Int(number),
            None => Any::Double(number.as_f64().unwrap_or_default()),
        }),
        Json::String(text) => Some(Any::Text(text.clone())),
        Json::Array(items) => Some(Any::List(ArrayValue {
            values: items.iter().map(any).collect(),
        })),
        Json::Object(fields) => Some(Any::Map(KeyValueList {
            values: fields
                .iter()
                .map(|(key, value)| KeyValue {
                    key: key.clone(),
                    value: Some(any(value)),
                })
                .collect(),
        })),
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(pairs: &[(&str, Json)]) -> Json {
        let mut attributes: Vec<KeyValue> = pairs
            .iter()
            .map(|(key, value)| KeyValue {
                key: (*key).to_owned(),
                value: Some(any(value)),
            })
            .collect();
        translate(&mut attributes, "tr-1");
        attributes
            .iter()
            .filter(|pair| pair.key.starts_with("mlflow."))
            .map(|pair| {
                (
                    pair.key.clone(),
                    pair.value.as_ref().map_or(Json::Null, AnyValue::plain),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn the_words_of_other_makers_become_those_that_clients_look_for() {
        let found = translated(&[
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.request.model", json!("m-1")),
            ("gen_ai.system", json!("openai")),
            ("gen_ai.usage.input_tokens", json!(3)),
            ("gen_ai.usage.output_tokens", json!(4)),
            ("gen_ai.input.messages", json!("[{\"role\": \"user\"}]")),
        ]);
        assert_eq!(
            found,
            json!({
                "mlflow.traceRequestId": "tr-1", "mlflow.spanType": "CHAT_MODEL",
                "mlflow.spanInputs": [{ "role": "user" }], "mlflow.llm.model": "m-1", "mlflow.llm.provider": "openai",
                "mlflow.chat.tokenUsage": { "input_tokens": 3, "output_tokens": 4, "total_tokens": 7 },
            })
        );
        let found = translated(&[
            ("openinference.span.kind", json!("TOOL")),
            ("output.value", json!("plain")),
        ]);
        assert_eq!(found["mlflow.spanType"], "TOOL");
        assert_eq!(found["mlflow.spanOutputs"], "plain");
    }

    #[test]
    fn what_is_there_stays_but_nobody_names_a_foreign_trace() {
        let found = translated(&[
            ("mlflow.spanType", json!("LLM")),
            ("openinference.span.kind", json!("TOOL")),
            ("mlflow.traceRequestId", json!("tr-of-somebody-else")),
        ]);
        assert_eq!(
            found,
            json!({ "mlflow.spanType": "LLM", "mlflow.traceRequestId": "tr-1" })
        );
    }
}
