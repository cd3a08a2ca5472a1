//! The web UI, embedded in the binary. Every path that no other face has is a view of it.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::{ApiError, AppState};

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Files;

const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'";

/// What is shown when the binary was built without Node.
const WITHOUT_UI: &str = "<!doctype html><title>Lathe</title><p>This binary was built without the web UI. \
    The API answers all the same; build with Node 20 or newer to have the page.";

pub(crate) fn routes() -> Router<AppState> {
    Router::new().fallback(serve)
}

async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let api = ["api/", "ajax-api/", "v2/", "v1/"]
        .iter()
        .any(|face| path.starts_with(face));
    if api || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ApiError::no_endpoint(request.method(), path).into_response();
    }
    match Files::get(path).filter(|_| !path.is_empty()) {
        Some(file) => {
            // The name of an asset changes with its bytes.
            let cache = match path.starts_with("assets/") {
                true => "public, max-age=31536000, immutable",
                false => "no-cache",
            };
            let kind = file.metadata.mimetype().to_owned();
            (
                [
                    (header::CONTENT_TYPE, kind),
                    (header::CACHE_CONTROL, cache.to_owned()),
                ],
                file.data,
            )
                .into_response()
        }
        None if path.starts_with("assets/") => StatusCode::NOT_FOUND.into_response(),
        None => page(),
    }
}

fn page() -> Response {
    let html = Files::get("index.html").map(|file| String::from_utf8_lossy(&file.data).into_owned());
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(html.unwrap_or_else(|| WITHOUT_UI.into()))).into_response()
}
