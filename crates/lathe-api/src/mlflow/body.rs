//! Reading a request as MLflow's server does, but strictly: unknown fields are ignored; a value of a wrong type is an
//! error that names it, never dropped.

use lathe_types::InputError;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The fields in the query of a URL; a list repeats its key.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, InputError> {
    if form_urlencoded::parse(query.as_bytes()).any(|(_, value)| value.contains('\0')) {
        return Err(nul());
    }
    let fields = serde_html_form::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let path = error.path().to_string();
        let sent = form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| *key == path)
            .map(|(_, value)| Value::from(value.into_owned()));
        invalid_field(&path, sent.as_ref(), &error.into_inner().to_string())
    })
}

/// The fields in a JSON body.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, InputError> {
    let body = match body.trim_ascii() {
        b"" => b"{}",
        body => body,
    };
    // Without this, a list would be read as the fields in their order.
    if !body.starts_with(b"{") {
        return Err(invalid("the body must be a JSON object"));
    }
    if has_nul(body) {
        return Err(nul());
    }
    // Where a field is wrong is found out only when one is: keeping the path costs more than reading.
    if let Ok(fields) = serde_json::from_slice(body) {
        return Ok(fields);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let fields = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return invalid(format!("the body is not JSON: {error}"));
        }
        // An element that lacks something is shown with the whole list, as clients expect.
        if let Some((list, _)) = path.split_once('[').filter(|_| path.ends_with(']')) {
            let reason = format!("`{path}`: {error}");
            return invalid_field(list, value_at(body, list).as_ref(), &reason);
        }
        invalid_field(&path, value_at(body, &path).as_ref(), &error.to_string())
    })?;
    json.end()
        .map_err(|error| invalid(format!("the body is not JSON: {error}")))?;
    Ok(fields)
}

/// Whether a text in the JSON holds U+0000, which no database keeps.
fn has_nul(json: &[u8]) -> bool {
    let escape = b"\\u0000";
    let starts = json.windows(escape.len()).enumerate();
    starts.filter(|(_, window)| window == escape).any(|(start, _)| {
        let slashes = json[..start].iter().rev().take_while(|byte| **byte == b'\\');
        slashes.count() % 2 == 0
    })
}

fn nul() -> InputError {
    invalid("a text must not hold the character U+0000")
}

fn invalid_field(path: &str, value: Option<&Value>, reason: &str) -> InputError {
    // "… at line 1 column 20" says less than the path does.
    let reason = reason.split(" at line ").next().unwrap_or(reason);
    let value = value
        .map(|value| format!("{} ", shown(value)))
        .unwrap_or_default();
    invalid(format!(
        "Invalid value {value}for parameter '{path}' supplied: {reason}. See the API docs for more information about request parameters."
    ))
}

/// The value for a message: short, and with the keys of objects in order.
fn shown(value: &Value) -> String {
    const CHARS_MAX: usize = 1_000;
    let mut value = value.clone();
    value.sort_all_objects();
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The value that a path like `metrics[3].value` names, for the message.
fn value_at(body: &[u8], path: &str) -> Option<Value> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let pointer: String = path
        .split(['.', '['])
        .map(|part| format!("/{}", part.trim_end_matches(']')))
        .collect();
    json.pointer(&pointer).cloned()
}

fn invalid(reason: impl Into<String>) -> InputError {
    InputError::Request(reason.into())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::mlflow::{Int64, KeyValue};

    #[derive(Debug, Deserialize)]
    struct Wanted {
        name: Option<String>,
        max_results: Option<Int64>,
        whole: Option<bool>,
        #[serde(default)]
        keys: Vec<String>,
        #[serde(default, deserialize_with = "crate::mlflow::json::objects")]
        tags: Vec<KeyValue>,
    }

    #[test]
    fn a_query_repeats_a_key_for_a_list_and_ignores_what_it_does_not_know() {
        let wanted: Wanted =
            parse_query("keys=a&max_results=5&keys=b%20c&whole=true&name=x%3Dy&other=1").unwrap();
        assert_eq!(wanted.keys, ["a", "b c"]);
        assert_eq!(wanted.max_results, Some(Int64(5)));
        assert_eq!((wanted.name.as_deref(), wanted.whole), (Some("x=y"), Some(true)));
        assert_eq!(parse_query::<Wanted>("keys=one").unwrap().keys, ["one"]);
        assert!(
            parse_query::<Wanted>("max_results=x")
                .unwrap_err()
                .to_string()
                .contains("'max_results'")
        );
    }

    #[test]
    fn a_badly_typed_field_is_named_with_its_value() {
        let message = |body: &str| parse_body::<Wanted>(body.as_bytes()).unwrap_err().to_string();
        let text = message(r#"{"tags":[{"key":"a","value":"b"},{"key":"c","value":1.5}]}"#);
        assert!(
            text.starts_with("Invalid value 1.5 for parameter 'tags[1].value' supplied"),
            "{text}"
        );
        let text = message(r#"{"tags":[{"value":"b","key":"a"},["c"]]}"#);
        assert!(
            text.starts_with(
                r#"Invalid value [{"key":"a","value":"b"},["c"]] for parameter 'tags' supplied"#
            ),
            "{text}"
        );
        assert!(message(r#"{"name":"a""#).starts_with("the body is not JSON"));
        assert!(message(r#"{"name":"a"} x"#).starts_with("the body is not JSON"));
        assert!(message(r#"["a"]"#).contains("must be a JSON object"));
        assert!(message(r#"{"max_results":1e20}"#).contains("'max_results'"));
    }

    #[test]
    fn null_is_as_good_as_absent_and_no_body_as_an_empty_one() {
        let wanted: Wanted = parse_body(br#"{"name":null,"max_results":null}"#).unwrap();
        assert!(wanted.name.is_none() && wanted.max_results.is_none());
        assert!(parse_body::<Wanted>(b"").unwrap().tags.is_empty());
    }

    #[test]
    fn json_in_a_text_is_no_object_so_that_everyone_who_looks_sees_the_same_fields() {
        assert!(parse_body::<Wanted>(br#""{\"name\": \"a\"}""#).is_err());
    }

    #[test]
    fn a_text_with_the_character_that_ends_texts_is_refused() {
        assert!(parse_body::<Wanted>(br#"{"name":"a\u0000"}"#).is_err());
        assert!(parse_body::<Wanted>(br#"{"name":"a\\\u0000"}"#).is_err());
        assert!(parse_body::<Wanted>(br#"{"name":"a\\u0000"}"#).is_ok());
        assert!(parse_query::<Wanted>("name=a%00").is_err());
    }
}
