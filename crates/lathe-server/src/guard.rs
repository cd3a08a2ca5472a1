//! What a browser on this machine could be talked into: a page from elsewhere that reaches loopback by DNS rebinding,
//! or that posts across origins. Requests that name a foreign host, or writes from a foreign page, are refused.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lathe_types::ErrorKind;

use crate::{ApiError, AppState};

pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| text(request.headers(), header::HOST));
    let refused = match host {
        // HTTP/1.0 clients and in-process callers name no host; a browser always does.
        None => None,
        Some(host) if allowed(&host, &state.options.allowed_hosts) => {
            foreign_origin(&request, &host).then(|| "a page of another origin may not write here".to_owned())
        }
        Some(host) => Some(format!(
            "Invalid Host header: `{host}` is not a name of this server; start it with `--allowed-hosts {}` if it is",
            name_of(&host)
        )),
    };
    match refused {
        Some(message) => ApiError::new(ErrorKind::PermissionDenied, message).into_response(),
        None => next.run(request).await,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn allowed(host: &str, allowed: &[String]) -> bool {
    let name = name_of(host);
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    loopback
        || allowed
            .iter()
            .any(|known| known == "*" || known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name))
}

/// Whether a browser says that a page of another origin sends this change.
fn foreign_origin(request: &Request, host: &str) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let Some(origin) = text(request.headers(), header::ORIGIN) else {
        return false;
    };
    origin
        .split_once("://")
        .is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_named_hosts_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]:5000",
        ] {
            assert!(allowed(host, &[]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "[fe80::1]",
        ] {
            assert!(!allowed(host, &[]), "{host}");
        }
        let named = ["ml.example".to_owned()];
        assert!(allowed("ml.example:5000", &named) && !allowed("other.example", &named));
        assert!(allowed("anything", &["*".to_owned()]));
    }
}
