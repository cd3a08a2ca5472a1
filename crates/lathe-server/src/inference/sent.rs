use std::convert::Infallible;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;

/// What a client sent: the headers, and the body if it could be read whole. Taken out of the request, since a copy of the
/// headers costs as much as the answer of a small model.
pub(super) struct Sent {
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Bytes, BytesRejection>,
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Infallible;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Infallible> {
        let headers = std::mem::take(request.headers_mut());
        let body = Bytes::from_request(request, state).await;
        Ok(Self { headers, body })
    }
}
