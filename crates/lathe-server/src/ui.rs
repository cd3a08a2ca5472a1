//! The web UI, embedded in the binary. Every path that no other face has is a view of it.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::{ApiError, AppState, Options};

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Files;

const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'self'; form-action 'self'";

/// What is shown when the binary was built without Node.
const WITHOUT_UI: &str = "<!doctype html><title>Lathe</title><p>This binary was built without the web UI. \
    The API answers all the same; build with Node 20 or newer to have the page.";

pub(crate) fn routes() -> Router<AppState> {
    Router::new().fallback(serve)
}

async fn serve(State(state): State<AppState>, request: Request) -> Response {
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
        None => page(&state.options),
    }
}

fn page(options: &Options) -> Response {
    let html = Files::get("index.html").map(|file| String::from_utf8_lossy(&file.data).into_owned());
    let html = html.unwrap_or_else(|| WITHOUT_UI.into());
    let policy = match options.guarded {
        true => format!("{POLICY}; {}", options.framing.ancestors()),
        false => POLICY.to_owned(),
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(under(&options.static_prefix, &html))).into_response()
}

/// The page for a server whose paths all begin with `prefix`: its own code asks for it in the `meta` element.
fn under(prefix: &str, html: &str) -> String {
    if prefix.is_empty() {
        return html.to_owned();
    }
    html.replace("=\"/assets/", &format!("=\"{prefix}/assets/"))
        .replace(
            "<head>",
            &format!("<head><meta name=\"lathe-prefix\" content=\"{prefix}\" />"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_finds_its_files_and_its_api_under_a_prefix() {
        let html = "<head><script src=\"/assets/a.js\"></script></head>";
        assert_eq!(under("", html), html);
        assert_eq!(
            under("/ml", html),
            "<head><meta name=\"lathe-prefix\" content=\"/ml\" /><script src=\"/ml/assets/a.js\"></script></head>"
        );
    }
}
