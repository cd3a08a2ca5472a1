use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{Refusal, unread};

/// An error as the Open Inference Protocol and KServe's first protocol both tell it: `{"error": "…"}`.
pub(super) struct ErrorReply {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u64>,
}

impl ErrorReply {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_s: None,
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ErrorReply {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<BytesRejection> for ErrorReply {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), unread(&rejection))
    }
}

impl From<Refusal> for ErrorReply {
    fn from(refusal: Refusal) -> Self {
        Self {
            retry_after_s: refusal.retry_after_s(),
            ..Self::new(refusal.status(), refusal.message())
        }
    }
}
