//! Another MLflow server, as any client sees it: JSON calls, and files by its artifact proxy.

use std::io::Read;

use anyhow::Context;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use crate::client::segment;
use crate::exit::{hint, hinted};

/// No answer of the API is longer; files stream past it.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// A call that says nothing for so long has failed.
const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// The server.
pub struct Remote {
    url: String,
    agent: Agent,
    authorization: Option<String>,
}

/// Who to be there: as the Python client is told.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`
    pub basic: Option<(String, String)>,
    /// `MLFLOW_TRACKING_TOKEN`
    pub token: Option<String>,
}

impl Remote {
    pub fn new(url: &str, credentials: &Credentials) -> Self {
        use base64::Engine;
        let basic = credentials.basic.as_ref().map(|(user, password)| {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {text}")
        });
        let bearer = credentials.token.as_ref().map(|token| format!("Bearer {token}"));
        Self {
            url: url.trim_end_matches('/').to_owned(),
            agent: Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(std::time::Duration::from_secs(10)))
                .timeout_recv_response(Some(CALL_TIMEOUT))
                .build()
                .into(),
            authorization: basic.or(bearer),
        }
    }

    /// POST `/api/2.0/mlflow/PATH`, which must succeed.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post(format!("{}/api/2.0/mlflow/{path}", self.url))
            .header("content-type", "application/json");
        self.answer(path, request, serde_json::to_vec(body)?)?
            .with_context(|| format!("`{path}` is not there"))
    }

    /// GET `/api/2.0/mlflow/PATH?…`; nothing if there is no such thing.
    pub fn find(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Option<Value>> {
        let query: Vec<String> = query
            .iter()
            .map(|(key, value)| format!("{key}={}", segment(value)))
            .collect();
        let request = Request::get(format!("{}/api/2.0/mlflow/{path}?{}", self.url, query.join("&")));
        self.answer(path, request, Vec::new())
    }

    /// What lies in a folder of the server's own artifacts.
    pub fn list_files(&self, folder: &str) -> anyhow::Result<Value> {
        let url = format!(
            "{}/api/2.0/mlflow-artifacts/artifacts?path={}",
            self.url,
            segment(folder)
        );
        self.answer(folder, Request::get(url), Vec::new())?
            .with_context(|| format!("`{folder}` is not there"))
    }

    /// As [`Remote::find`], of what must be there.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.find(path, query)?
            .ok_or_else(|| anyhow::anyhow!("`{}` knows no such thing: `{path}`", self.url))
    }

    /// The bytes of a file at `get-artifact` of a run.
    pub fn read_artifact(&self, run: &str, path: &str) -> anyhow::Result<(impl Read + use<>, u64)> {
        self.read(&format!("/get-artifact?run_id={run}&path={}", segment(path)))
    }

    /// The bytes of a file below the server's own artifacts.
    pub fn read_file(&self, path: &str) -> anyhow::Result<(impl Read + use<>, u64)> {
        self.read(&format!("/api/2.0/mlflow-artifacts/artifacts/{}", escaped(path)))
    }

    fn read(&self, path: &str) -> anyhow::Result<(impl Read + use<>, u64)> {
        let request = self.signed(Request::get(format!("{}{path}", self.url)));
        let response = self
            .agent
            .run(request.body(())?)
            .map_err(|error| self.away(error))?;
        anyhow::ensure!(
            response.status().is_success(),
            "`{path}` was answered with {}",
            response.status()
        );
        let size = response
            .body()
            .content_length()
            .context("a file of unknown length")?;
        Ok((response.into_body().into_reader(), size))
    }

    /// Sends a file to the server's artifact proxy, as it comes.
    pub fn put_file(&self, path: &str, mut bytes: impl Read, size: u64) -> anyhow::Result<()> {
        let url = format!(
            "{}/api/2.0/mlflow-artifacts/artifacts/{}",
            self.url,
            escaped(path)
        );
        let request = self
            .signed(Request::put(url))
            // Without it the body would go in chunks, which servers behind WSGI cannot read.
            .header("content-length", size)
            .header("content-type", "application/octet-stream");
        let body = ureq::SendBody::from_reader(&mut bytes);
        let mut response = self
            .agent
            .run(request.body(body)?)
            .map_err(|error| self.away(error))?;
        let status = response.status();
        if !status.is_success() {
            let said = response
                .body_mut()
                .with_config()
                .limit(ANSWER_BYTES_MAX)
                .read_to_string()?;
            return Err(self.refused(path, status.as_u16(), &said));
        }
        Ok(())
    }

    fn answer(
        &self,
        path: &str,
        request: ureq::http::request::Builder,
        body: Vec<u8>,
    ) -> anyhow::Result<Option<Value>> {
        let request = self.signed(request).body(body)?;
        let mut response = self.agent.run(request).map_err(|error| self.away(error))?;
        let status = response.status();
        let said = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()?;
        match status.as_u16() {
            200..300 => {
                let answer = serde_json::from_str(&said);
                Ok(Some(answer.with_context(|| {
                    format!("the answer to `{path}` is not JSON")
                })?))
            }
            404 => Ok(None),
            status => Err(self.refused(path, status, &said)),
        }
    }

    fn signed(&self, request: ureq::http::request::Builder) -> ureq::http::request::Builder {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn refused(&self, path: &str, status: u16, said: &str) -> anyhow::Error {
        let message = serde_json::from_str::<Value>(said)
            .ok()
            .and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
        let message = message.unwrap_or_else(|| format!("status {status}"));
        let told = format!("`{}` refused `{path}`: {message}", self.url);
        match status {
            401 | 403 => hinted(
                told,
                "set `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`",
            ),
            _ => anyhow::anyhow!(told),
        }
    }

    fn away(&self, error: ureq::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(hint(
            format!("the server `{}` cannot be reached", self.url),
            "check its address",
        ))
    }
}

/// A path with each of its parts escaped.
fn escaped(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(segment).collect();
    parts.join("/")
}
