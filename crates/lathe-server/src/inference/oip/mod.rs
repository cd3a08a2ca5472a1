//! The Open Inference Protocol v2 over REST, with its binary tensor extension, and what Triton's clients ask for beside
//! it: repository, statistics, configuration.

mod infer;
mod metadata;
mod repository;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::answer::{Refusal, unread};
use super::deployments::{Deployments, Live};

pub(super) use metadata::{EXTENSIONS, output_shape};

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/", get(metadata::server))
        .route("/v2/health/live", get(async || Json(json!({ "live": true }))))
        .route("/v2/health/ready", get(metadata::server_ready))
        .route("/v2/models", get(metadata::models))
        .route("/v2/models/stats", get(metadata::all_stats))
        .route("/v2/models/{name}", get(metadata::model))
        .route("/v2/models/{name}/ready", get(metadata::model_ready))
        .route("/v2/models/{name}/config", get(metadata::config))
        .route("/v2/models/{name}/stats", get(metadata::stats))
        .route("/v2/models/{name}/infer", post(infer::infer))
        .route("/v2/models/{name}/versions/{version}", get(metadata::version))
        .route(
            "/v2/models/{name}/versions/{version}/ready",
            get(metadata::version_ready),
        )
        .route(
            "/v2/models/{name}/versions/{version}/config",
            get(metadata::version_config),
        )
        .route(
            "/v2/models/{name}/versions/{version}/stats",
            get(metadata::version_stats),
        )
        .route(
            "/v2/models/{name}/versions/{version}/infer",
            post(infer::infer_version),
        )
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/{repository}/index", post(repository::index_of))
        .route("/v2/repository/models/{name}/load", post(repository::load))
        .route("/v2/repository/models/{name}/unload", post(repository::unload))
        .route(
            "/v2/repository/{repository}/models/{name}/load",
            post(repository::load_of),
        )
        .route(
            "/v2/repository/{repository}/models/{name}/unload",
            post(repository::unload_of),
        )
        .method_not_allowed_fallback(async || {
            OipError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path is not asked with this method",
            )
        })
}

/// An error in the protocol's form.
pub(super) struct OipError {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u64>,
}

impl OipError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_s: None,
        }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for OipError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<BytesRejection> for OipError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), unread(&rejection))
    }
}

impl From<Refusal> for OipError {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.status();
        let retry_after_s = refusal.retry_after_s();
        Self {
            status,
            message: refusal.message(),
            retry_after_s,
        }
    }
}

fn find(deployments: &Deployments, name: &str) -> Result<Arc<Live>, OipError> {
    Ok(deployments.find(name)?)
}
