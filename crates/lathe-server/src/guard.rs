//! What a browser on this machine could be talked into: a page from elsewhere that reaches loopback by DNS rebinding,
//! or that posts across origins. Requests that name a foreign host, or writes from a foreign page, are refused; the
//! headers that keep browsers from guessing and framing are sent with every answer.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lathe_types::ErrorKind;

use crate::{ApiError, AppState, Options};

/// Whether pages elsewhere may show this server's page in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Only its own.
    SameOrigin,
    /// None.
    Deny,
    /// All.
    Anyone,
}

impl Framing {
    fn header(self) -> Option<HeaderValue> {
        match self {
            Self::SameOrigin => Some(HeaderValue::from_static("SAMEORIGIN")),
            Self::Deny => Some(HeaderValue::from_static("DENY")),
            Self::Anyone => None,
        }
    }

    /// The same for browsers that go by the content security policy.
    pub(crate) fn ancestors(self) -> &'static str {
        match self {
            Self::SameOrigin => "frame-ancestors 'self'",
            Self::Deny => "frame-ancestors 'none'",
            Self::Anyone => "frame-ancestors *",
        }
    }
}

pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let options = &state.options;
    if !options.guarded {
        return next.run(request).await;
    }
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| text(request.headers(), header::HOST));
    let origin = text(request.headers(), header::ORIGIN);
    let refused = match &host {
        // HTTP/1.0 clients and in-process callers name no host; a browser always does.
        None => None,
        // Load balancers ask by whatever address they know, and learn nothing here.
        Some(_) if is_probe(request.uri().path()) => None,
        Some(host) if host_is_allowed(host, &options.allowed_hosts) => {
            let foreign = origin
                .as_deref()
                .is_some_and(|origin| !origin_is_allowed(origin, host, &options.allowed_origins));
            (foreign && changes(request.method())).then(|| {
                "Cross-origin request blocked: a page of another origin may not write here; name it with `--cors-allowed-origins`"
                    .to_owned()
            })
        }
        Some(host) => Some(format!(
            "Invalid Host header - possible DNS rebinding attack detected: `{host}` is not a name of this server; start it with `--allowed-hosts {}` if it is",
            name_of(host)
        )),
    };
    let cross = origin.filter(|origin| {
        let same = host.as_deref().is_some_and(|host| is_same(origin, host));
        !same && listed(origin, &options.allowed_origins)
    });
    let preflight = *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned();
    let mut response = match refused {
        Some(message) => ApiError::new(ErrorKind::PermissionDenied, message).into_response(),
        None if preflight && cross.is_some() => StatusCode::NO_CONTENT.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    if let Some(origin) = cross {
        share(headers, &origin, options, preflight, asked);
    }
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    if let Some(value) = options.framing.header() {
        headers.insert(header::X_FRAME_OPTIONS, value);
    }
    response
}

/// Lets pages of another origin read the answer (Fetch standard, "CORS protocol").
fn share(
    headers: &mut HeaderMap,
    origin: &str,
    options: &Options,
    preflight: bool,
    asked: Option<HeaderValue>,
) {
    let anyone = options.allowed_origins.iter().any(|known| known == "*");
    let allowed = match anyone {
        true => Ok(HeaderValue::from_static("*")),
        false => HeaderValue::from_str(origin),
    };
    let Ok(allowed) = allowed else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("lathe-prediction-id, x-request-id"),
    );
    if !anyone {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    if preflight {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is_probe(path: &str) -> bool {
    path.ends_with("/health") || path.ends_with("/version")
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// An address of a private network, written as numbers: no name can be bound to it by somebody else's DNS.
fn is_private(name: &str) -> bool {
    match name.parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local(),
        Err(_) => false,
    }
}

/// Loopback always; then the named hosts, with or without their port, `*` for any part; without any, private
/// addresses.
fn host_is_allowed(host: &str, allowed: &[String]) -> bool {
    let name = name_of(host);
    is_loopback(name)
        || allowed.is_empty() && is_private(name)
        || allowed.iter().any(|known| fits(known, host) || fits(known, name))
}

fn is_same(origin: &str, host: &str) -> bool {
    origin
        .split_once("://")
        .is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
}

fn listed(origin: &str, allowed: &[String]) -> bool {
    allowed
        .iter()
        .any(|known| fits(known.trim_end_matches('/'), origin))
}

/// This server's own pages, those that were named, and on this machine those of other local servers.
fn origin_is_allowed(origin: &str, host: &str, allowed: &[String]) -> bool {
    let local = |text: &str| is_loopback(name_of(text));
    let from = origin.split_once("://").map_or("", |(_, from)| from);
    is_same(origin, host) || listed(origin, allowed) || local(from) && local(host)
}

/// Whether a text fits a pattern in which `*` stands for any text; upper and lower case are the same.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.trim().to_ascii_lowercase(), text.to_ascii_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_private_addresses_and_named_hosts_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]:5000",
            "0.0.0.0:5000",
            "192.168.1.4:5000",
            "10.0.0.1",
            "172.16.0.9",
            "[fd00::1]:80",
        ] {
            assert!(host_is_allowed(host, &[]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1.evil.example",
            "8.8.8.8",
            "172.32.0.1",
            "",
            "[2001:db8::1]",
        ] {
            assert!(!host_is_allowed(host, &[]), "{host}");
        }
        let named = |host: &str, list: &[&str]| {
            let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
            host_is_allowed(host, &list)
        };
        assert!(named("ml.example:5000", &["ml.example"]) && !named("other.example", &["ml.example"]));
        assert!(
            named("ml.example:5000", &["ml.example:5000"]) && !named("ml.example:81", &["ml.example:5000"])
        );
        assert!(named("a.ml.example", &["*.ml.example"]) && !named("ml.example.evil", &["*.ml.example"]));
        assert!(named("ml.example:7", &["ml.example:*"]) && !named("10.0.0.1", &["ml.example"]));
        assert!(named("anything", &["*"]) && named("localhost:1", &["ml.example"]));
    }

    #[test]
    fn only_own_and_named_pages_write() {
        let allowed = [
            "https://app.example".to_owned(),
            "https://*.lab.example".to_owned(),
        ];
        let may = |origin: &str, host: &str| origin_is_allowed(origin, host, &allowed);
        assert!(may("http://ml.example:5000", "ml.example:5000"));
        assert!(may("https://app.example", "ml.example"));
        assert!(may("https://x.lab.example", "ml.example"));
        assert!(may("http://localhost:3000", "127.0.0.1:5000"));
        assert!(!may("http://localhost:3000", "ml.example"));
        assert!(!may("https://app.example.evil", "ml.example"));
        assert!(!may("null", "ml.example") && !may("", "ml.example"));
    }
}
