//! How commands reach the records: the same API calls, over HTTP to a server, or in this process on the repository's
//! own store.

use anyhow::{Context, anyhow};
use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use crate::exit::hint;
use crate::settings::Place;
use crate::tls::trust;
use crate::wiring::Embedded;

/// A client of the API.
pub enum Client {
    /// Over HTTP.
    Remote {
        /// Without a slash at the end.
        url: String,
        /// Keeps connections open.
        agent: ureq::Agent,
        /// Says who asks, as the header `Authorization` does.
        authorization: Option<String>,
    },
    /// In this process.
    Embedded(Embedded),
}

/// The variable that holds the token of `lathe` commands.
pub const TOKEN_VARIABLE: &str = "LATHE_TOKEN";

/// Who asks: `LATHE_TOKEN`, else what the `mlflow` client goes by.
fn authorization() -> Option<String> {
    if let Some(token) = token() {
        return Some(format!("Bearer {token}"));
    }
    let name = variable("MLFLOW_TRACKING_USERNAME")?;
    let password = variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
    Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
}

/// The token of the caller, if there is one.
pub fn token() -> Option<String> {
    variable(TOKEN_VARIABLE).or_else(|| variable("MLFLOW_TRACKING_TOKEN"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An answer: status and body.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// The server said no.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    message: String,
}

impl Client {
    /// Connects to the place; an embedded store is opened, and made if it is not there.
    pub fn open(place: &Place) -> anyhow::Result<Self> {
        Self::open_within(place, std::time::Duration::from_secs(120))
    }

    /// As [`Client::open`], with another patience for each call to a server.
    pub fn open_within(place: &Place, patience: std::time::Duration) -> anyhow::Result<Self> {
        match place {
            Place::Server(url) => {
                let mut agent = ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .timeout_global(Some(patience));
                // To read what the system trusts takes longer than many a command.
                if url.starts_with("https:") {
                    agent = agent.tls_config(trust());
                }
                Ok(Self::Remote {
                    url: url.clone(),
                    agent: agent.build().into(),
                    authorization: authorization(),
                })
            }
            Place::Embedded { database, artifacts } => {
                Ok(Self::Embedded(Embedded::open(database, artifacts)?))
            }
        }
    }

    /// Where the Python client finds the same records; an embedded store starts to listen on loopback.
    pub fn tracking_url(&self) -> anyhow::Result<String> {
        match self {
            Self::Remote { url, .. } => Ok(url.clone()),
            Self::Embedded(embedded) => embedded.listen(),
        }
    }

    /// GET; the answer as `T`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None)
    }

    /// GET; nothing if the server knows no such thing.
    pub fn find<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        match self.get(path) {
            Ok(value) => Ok(Some(value)),
            Err(error)
                if error
                    .downcast_ref::<Refused>()
                    .is_some_and(|refused| refused.status == 404) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// GET; the answer's bytes.
    pub fn get_bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.send(Method::GET, path, None)?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(&answer).into());
        }
        Ok(answer.body)
    }

    /// POST with a JSON body; the answer as `T`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.call(
            Method::POST,
            path,
            Some(("application/json", serde_json::to_vec(body)?)),
        )
    }

    /// PUT with a JSON body; the answer is not looked at.
    pub fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<()> {
        self.call::<Value>(
            Method::PUT,
            path,
            Some(("application/json", serde_json::to_vec(body)?)),
        )
        .map(drop)
    }

    /// PATCH with a JSON body; the answer as `T`.
    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.call(
            Method::PATCH,
            path,
            Some(("application/json", serde_json::to_vec(body)?)),
        )
    }

    /// DELETE; the answer is not looked at.
    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call::<Value>(Method::DELETE, path, None).map(drop)
    }

    /// PUT of a file's bytes.
    pub fn put_bytes(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.call::<Value>(Method::PUT, path, Some(("application/octet-stream", bytes)))
            .map(drop)
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<T> {
        let answer = self.send(method.clone(), path, body)?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(&answer).into());
        }
        let bytes = if answer.body.is_empty() {
            b"null"
        } else {
            answer.body.as_slice()
        };
        serde_json::from_slice(bytes)
            .with_context(|| format!("the answer to `{method} {path}` is not what was expected"))
    }

    fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method);
        if let Some((content_type, _)) = &body {
            request = request.header("content-type", *content_type);
        }
        let bytes = body.map(|(_, bytes)| bytes).unwrap_or_default();
        match self {
            Self::Remote {
                url,
                agent,
                authorization,
            } => {
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization);
                }
                let request = request
                    .uri(format!("{url}{path}"))
                    .body(bytes)
                    .map_err(|error| not_an_address(url, error))?;
                let mut response = agent
                    .run(request)
                    .map_err(|error| unreachable_server(url, error))?;
                let status = response.status().as_u16();
                let body = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
                Ok(Answer { status, body })
            }
            Self::Embedded(embedded) => embedded.runtime.block_on(async {
                let request = request
                    .uri(path)
                    .header("host", "localhost")
                    .body(Body::from(bytes))?;
                let response = embedded.router.clone().oneshot(request).await?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await?.to_bytes().to_vec();
                Ok(Answer { status, body })
            }),
        }
    }
}

fn not_an_address(url: &str, error: axum::http::Error) -> anyhow::Error {
    anyhow!(error).context(hint(
        format!("`{url}` is not the address of a server"),
        "write it as `http://127.0.0.1:5000`",
    ))
}

fn unreachable_server(url: &str, error: ureq::Error) -> anyhow::Error {
    anyhow!(error).context(hint(
        format!("the server `{url}` cannot be reached"),
        "start it with `lathe server`, or name another one with `--server`, `LATHE_SERVER` or `[project] server`",
    ))
}

fn refusal(answer: &Answer) -> Refused {
    let told = serde_json::from_slice::<Value>(&answer.body).ok();
    let message = told
        .as_ref()
        .and_then(|body| body.get("message"))
        .and_then(Value::as_str);
    let message = match message {
        Some(message) => message.to_owned(),
        None => format!("the server answered with status {}", answer.status),
    };
    Refused {
        status: answer.status,
        message,
    }
}

/// A piece of a URL path.
pub fn segment(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(segment("a/b?c=é"), "a%2Fb%3Fc%3D%C3%A9");
    }

    #[test]
    fn an_unreachable_server_is_named_with_the_remedy() {
        let client = Client::open(&Place::Server("http://127.0.0.1:9".into())).unwrap();
        let error = client.get::<Value>("/health").unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
    }
}
