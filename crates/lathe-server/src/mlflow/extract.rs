//! Where the fields of a request come from: the query of a GET, the JSON body of anything else.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use lathe_api::mlflow::{parse_body, parse_query};
use serde::de::DeserializeOwned;

use crate::ApiError;

/// The fields of one request.
pub(crate) struct Message<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Message<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.method() == Method::GET {
            return Ok(Self(parse_query(request.uri().query().unwrap_or_default())?));
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
        Ok(Self(parse_body(&body)?))
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
