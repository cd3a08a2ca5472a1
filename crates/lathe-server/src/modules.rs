//! Which faces a process has. What is off is told apart from what does not exist: with a reason, so that whoever
//! asked knows whom to ask instead.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lathe_types::ErrorKind;

use crate::access::normal_path;
use crate::{ApiError, AppState};

/// Which faces a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modules {
    /// Experiments, runs, logged models, traces.
    pub tracking: bool,
    /// Registered models, their versions, prompts.
    pub registry: bool,
    /// The artifact proxy.
    pub artifacts: bool,
    /// Predictions.
    pub inference: bool,
    /// The web page.
    pub ui: bool,
    /// Lathe's own API.
    pub api: bool,
    /// The options that turned faces off, for the message.
    pub reason: &'static str,
}

impl Default for Modules {
    fn default() -> Self {
        Self {
            tracking: true,
            registry: true,
            artifacts: true,
            inference: true,
            ui: true,
            api: true,
            reason: "",
        }
    }
}

impl Modules {
    /// The name of the module that a route belongs to, if that is off.
    fn off(&self, path: &str) -> Option<&'static str> {
        let api = path.strip_prefix("/api/");
        let mlflow = api.and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
        let (name, on) = match mlflow {
            Some(rest) if rest.starts_with("mlflow-artifacts/") => ("artifacts", self.artifacts),
            Some(rest)
                if ["mlflow/users/", "mlflow/roles/", "mlflow/server-info"]
                    .iter()
                    .any(|known| rest.starts_with(known)) =>
            {
                return None;
            }
            Some(rest)
                if [
                    "mlflow/registered-models/",
                    "mlflow/model-versions/",
                    "mlflow/webhooks",
                ]
                .iter()
                .any(|known| rest.starts_with(known)) =>
            {
                ("registry", self.registry)
            }
            Some(rest) if rest.starts_with("mlflow/") => ("tracking", self.tracking),
            _ if path.starts_with("/api/v1/session") || path == "/api/v1/about" => return None,
            _ if path.starts_with("/api/v1") || path == "/events" => ("api", self.api),
            _ if path == "/get-artifact" => ("tracking", self.tracking),
            _ if path == "/model-versions/get-artifact" => ("registry", self.registry),
            _ if path.starts_with("/v1/traces") => ("tracking", self.tracking),
            _ if [
                "/v2",
                "/v1/models",
                "/invocations",
                "/deployments/",
                "/inference.",
                "/grpc.",
            ]
            .iter()
            .any(|known| path.starts_with(known)) =>
            {
                ("inference", self.inference)
            }
            _ => return None,
        };
        (!on).then_some(name)
    }
}

/// Refuses what this process does not answer.
pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let modules = &state.options.modules;
    let off = match request.extensions().get::<MatchedPath>() {
        Some(path) => modules.off(&normal_path(path.as_str(), &state.options.static_prefix)),
        None if !modules.ui => Some("ui"),
        None => None,
    };
    match off {
        Some(name) => ApiError::new(
            ErrorKind::Unavailable,
            format!(
                "`{} {}` belongs to the module `{name}`, which is off here: this server was started with `{}`",
                request.method(),
                request.uri().path(),
                modules.reason
            ),
        )
        .into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_belongs_to_its_module() {
        let none = Modules {
            tracking: false,
            registry: false,
            artifacts: false,
            inference: false,
            ui: false,
            api: false,
            reason: "",
        };
        for (path, module) in [
            ("/api/2.0/mlflow/runs/create", Some("tracking")),
            ("/api/3.0/mlflow/traces/search", Some("tracking")),
            ("/api/2.0/mlflow/registered-models/create", Some("registry")),
            ("/api/2.0/mlflow-artifacts/artifacts/{*path}", Some("artifacts")),
            ("/api/2.0/mlflow/users/create", None),
            ("/api/v1/jobs", Some("api")),
            ("/api/v1/session", None),
            ("/v2/models/{name}/infer", Some("inference")),
            ("/v1/models/{name}", Some("inference")),
            ("/inference.GRPCInferenceService/{method}", Some("inference")),
            ("/health", None),
            ("/metrics", None),
        ] {
            assert_eq!(none.off(path), module, "{path}");
            assert_eq!(Modules::default().off(path), None, "{path}");
        }
    }
}
