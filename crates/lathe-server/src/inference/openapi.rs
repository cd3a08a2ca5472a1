//! The inference faces over HTTP described as OpenAPI 3.1. The description is a file; a test holds it to the routes.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the paths are, what they take and what they answer.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // Models lie one level deeper, so none can be called like it.
    Router::new().route("/v2/openapi.json", get(describe))
}

async fn describe() -> Response {
    let text = DESCRIPTION.replace("{{version}}", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
