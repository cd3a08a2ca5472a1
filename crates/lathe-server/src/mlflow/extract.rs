//! Reading a request as MLflow's server does, but strictly: fields come from the query of a GET and from the JSON
//! body of anything else; unknown fields are ignored; a value of a wrong type is an error, never dropped.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ApiError;

/// The fields of one request.
pub(crate) struct Message<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Message<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.method() == Method::GET {
            return query(request.uri().query().unwrap_or_default()).map(Self);
        }
        // DELETE and PATCH come without the header from some clients; a form that a browser sends is a POST.
        let needs_type = request.method() == Method::POST || request.method() == Method::PUT;
        if needs_type && !is_json(request.headers()) {
            return Err(ApiError::invalid(
                "Bad Request. Content-Type must be one of ['application/json'].",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let kind = match rejection.status() {
                axum::http::StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than this server accepts",
                _ => "the body broke off",
            };
            ApiError::invalid(kind)
        })?;
        body_fields(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let fields = serde_html_form::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let path = error.path().to_string();
        invalid_field(&path, None, &error.into_inner().to_string())
    })
}

fn body_fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = match body.trim_ascii() {
        b"" => b"{}",
        body => body,
    };
    // Without this, a list would be read as the fields in their order.
    if !body.starts_with(b"{") {
        return Err(ApiError::invalid("the body must be a JSON object"));
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
            return ApiError::invalid(format!("the body is not JSON: {error}"));
        }
        invalid_field(&path, value_at(body, &path).as_ref(), &error.to_string())
    })?;
    json.end()
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))?;
    Ok(fields)
}

fn invalid_field(path: &str, value: Option<&Value>, reason: &str) -> ApiError {
    // "… at line 1 column 20" says less than the path does.
    let reason = reason.split(" at line ").next().unwrap_or(reason);
    let value = value.map(|value| format!("{value} ")).unwrap_or_default();
    ApiError::invalid(format!(
        "Invalid value {value}for parameter '{path}' supplied: {reason}. See the API docs for more information about request parameters."
    ))
}

/// The value that a path like `metrics[3].value` names, for the message.
fn value_at(body: &[u8], path: &str) -> Option<Value> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let pointer: String = path
        .split(['.', '['])
        .map(|part| format!("/{}", part.trim_end_matches(']')))
        .collect();
    let value = json.pointer(&pointer)?;
    let short = !value.is_array() && !value.is_object() && value.to_string().len() <= 200;
    short.then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use lathe_api::mlflow::{Int64, KeyValue};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Wanted {
        name: Option<String>,
        max_results: Option<Int64>,
        whole: Option<bool>,
        #[serde(default)]
        keys: Vec<String>,
        #[serde(default)]
        tags: Vec<KeyValue>,
    }

    #[test]
    fn a_query_repeats_a_key_for_a_list_and_ignores_what_it_does_not_know() {
        let wanted: Wanted = query("keys=a&max_results=5&keys=b%20c&whole=true&name=x%3Dy&other=1").unwrap();
        assert_eq!(wanted.keys, ["a", "b c"]);
        assert_eq!(wanted.max_results, Some(Int64(5)));
        assert_eq!((wanted.name.as_deref(), wanted.whole), (Some("x=y"), Some(true)));
        assert_eq!(query::<Wanted>("keys=one").unwrap().keys, ["one"]);
        assert!(
            query::<Wanted>("max_results=x")
                .unwrap_err()
                .message()
                .contains("'max_results'")
        );
    }

    #[test]
    fn a_badly_typed_field_is_named_with_its_value() {
        let message = |body: &str| {
            body_fields::<Wanted>(body.as_bytes())
                .unwrap_err()
                .message()
                .to_owned()
        };
        let text = message(r#"{"tags":[{"key":"a","value":"b"},{"key":"c","value":1.5}]}"#);
        assert!(
            text.starts_with("Invalid value 1.5 for parameter 'tags[1].value' supplied"),
            "{text}"
        );
        assert!(message(r#"{"name":"a""#).starts_with("the body is not JSON"));
        assert!(message(r#"{"name":"a"} x"#).starts_with("the body is not JSON"));
        assert!(message(r#"["a"]"#).contains("must be a JSON object"));
        assert!(message(r#"{"max_results":1e20}"#).contains("'max_results'"));
    }

    #[test]
    fn null_is_as_good_as_absent_and_no_body_as_an_empty_one() {
        let wanted: Wanted = body_fields(br#"{"name":null,"max_results":null}"#).unwrap();
        assert!(wanted.name.is_none() && wanted.max_results.is_none());
        assert!(body_fields::<Wanted>(b"").unwrap().tags.is_empty());
    }
}
