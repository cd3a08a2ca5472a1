use axum::extract::{FromRequestParts, Path as Axum};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// What the path of a request names. What cannot be read is told as every other error is.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Axum::from_request_parts(parts, state).await {
            Ok(Axum(named)) => Ok(Self(named)),
            Err(rejection) => Err(ApiError::invalid(rejection.body_text())),
        }
    }
}
