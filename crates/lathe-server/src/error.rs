use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lathe_types::{ErrorKind, IdError, InputError};
use serde_json::json;

/// An error in MLflow's form: `{"error_code": …, "message": …}` with the status that belongs to the code. Lathe's own
/// faces use the same form.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    code: &'static str,
    status: StatusCode,
    message: String,
}

impl ApiError {
    /// An error of this kind, with what is wrong and what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (code, status) = match kind {
            ErrorKind::InvalidInput => ("INVALID_PARAMETER_VALUE", StatusCode::BAD_REQUEST),
            ErrorKind::NotFound => ("RESOURCE_DOES_NOT_EXIST", StatusCode::NOT_FOUND),
            ErrorKind::AlreadyExists => ("RESOURCE_ALREADY_EXISTS", StatusCode::BAD_REQUEST),
            ErrorKind::Conflict => ("RESOURCE_CONFLICT", StatusCode::CONFLICT),
            ErrorKind::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            ErrorKind::PermissionDenied => ("PERMISSION_DENIED", StatusCode::FORBIDDEN),
            ErrorKind::Exhausted => ("RESOURCE_EXHAUSTED", StatusCode::TOO_MANY_REQUESTS),
            // A status that clients do not try again by themselves: room has to be made first.
            ErrorKind::Full => ("RESOURCE_EXHAUSTED", StatusCode::INSUFFICIENT_STORAGE),
            ErrorKind::Unavailable => ("TEMPORARILY_UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            ErrorKind::NotImplemented => ("NOT_IMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
            ErrorKind::Internal => ("INTERNAL_ERROR", StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self {
            code,
            status,
            message: message.into(),
        }
    }

    /// There is nothing at this path. The code tells clients that they may try an older path.
    pub fn no_endpoint(method: &Method, path: &str) -> Self {
        Self {
            code: "ENDPOINT_NOT_FOUND",
            status: StatusCode::NOT_FOUND,
            message: format!("there is no `{method} /{path}` here"),
        }
    }

    /// The request is wrong: 400 INVALID_PARAMETER_VALUE.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The request can be read, but not kept: 422.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            ..Self::invalid(message)
        }
    }

    /// The request is larger than this server takes: 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::invalid(message)
        }
    }

    /// The message that the client sees.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<lathe_store::Error> for ApiError {
    fn from(error: lathe_store::Error) -> Self {
        if let lathe_store::Error::Unreachable { .. } = &error {
            // Where the database is, is for the log.
            tracing::warn!(error = &error as &dyn std::error::Error, "the database is away");
            return Self::new(
                ErrorKind::Unavailable,
                "the database cannot be reached; try again",
            );
        }
        match error.kind() {
            ErrorKind::Internal => {
                // The cause may name tables and paths: it is for the log, not for the client.
                tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
                Self::new(ErrorKind::Internal, "the server failed; its log says why")
            }
            kind => Self::new(kind, error.to_string()),
        }
    }
}

impl From<lathe_blob::Error> for ApiError {
    fn from(error: lathe_blob::Error) -> Self {
        match error.kind() {
            ErrorKind::Internal => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the artifact store failed"
                );
                Self::new(ErrorKind::Internal, "the server failed; its log says why")
            }
            kind @ (ErrorKind::Unavailable | ErrorKind::PermissionDenied) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    hint = error.hint(),
                    "the object store failed"
                );
                Self::new(kind, error.to_string())
            }
            kind => Self::new(kind, error.to_string()),
        }
    }
}

impl From<lathe_blob::PathError> for ApiError {
    fn from(error: lathe_blob::PathError) -> Self {
        // Clients look for these words and no others; what is wrong with it is for the log.
        tracing::debug!(%error, "a path was refused");
        Self::invalid("Invalid path")
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(json!({ "error_code": self.code, "message": self.message })),
        )
            .into_response()
    }
}
