//! What is known of every request from outside: its id, how long it took, how it ended.

mod metrics;

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

use crate::AppState;
use crate::access::normal_path;

pub use metrics::Requests;
pub(crate) use metrics::{Text, escaped, of_models, show};

const HEADER: &str = "x-request-id";

/// The id by which logs, the audit log and the answer name one request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Takes the id that a proxy gave, or makes one; answers carry it. Counts the request, and writes a line of it.
pub(crate) async fn tell(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_id(id));
    let id = match given {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().simple().to_string(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => normal_path(path.as_str(), &state.options.static_prefix),
        // The page and what does not exist: their paths are anybody's to invent.
        None => "other".to_owned(),
    };
    let counted = state.options.requests.begin();
    let mut response = next.run(request).await;
    drop(counted);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state
        .options
        .requests
        .answered(method.as_str(), &route, status, took);
    tracing::info!(
        target: "lathe::access",
        %method,
        route,
        status,
        ms = took.as_secs_f64() * 1_000.0,
        request_id = id,
        "answered"
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    !id.is_empty() && id.len() <= 128 && id.bytes().all(plain)
}
