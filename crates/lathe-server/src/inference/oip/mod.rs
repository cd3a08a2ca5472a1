//! The Open Inference Protocol v2 over REST, with its binary tensor extension, and what Triton's clients ask for beside
//! it: repository, statistics, configuration.

mod infer;
mod metadata;
mod repository;
mod request;

use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::deployments::Deployments;
use super::error_reply::ErrorReply;

pub(super) use metadata::{EXTENSIONS, output_shape, platform};

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
            ErrorReply::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path is not asked with this method",
            )
        })
}
