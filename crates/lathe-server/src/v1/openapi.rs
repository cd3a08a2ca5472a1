//! Lathe's own API described as OpenAPI 3.1. The description is a file; a test holds it to the routes.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::AppState;

/// What the paths are, what they take and what they answer.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/openapi.json", get(describe))
}

async fn describe(State(state): State<AppState>) -> Response {
    let text = DESCRIPTION.replace("{{version}}", state.options.lathe_version);
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
