//! HTTP: routes, the MLflow face, the inference face, Lathe's own `/api/v1`, the web UI. Handlers parse, call and
//! reply; rules live in `lathe-types`, SQL in `lathe-store`. It never decides what should happen next: that is
//! `lathe-automation`, which it meets only through rows.

mod error;
mod guard;
mod modules;
mod path;
mod routes;
mod telemetry;

pub mod access;
pub mod connections;
pub mod inference;
pub mod mlflow;
mod ui;
mod v1;
pub mod webhooks;

use std::sync::Arc;

use lathe_blob::Artifacts;
use lathe_store::Store;
use lathe_types::Millis;

pub use error::ApiError;
pub use guard::Framing;
pub use modules::Modules;
pub use routes::router;
pub use telemetry::Requests;

/// Everything a handler may need. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The records.
    pub store: Store,
    /// The bytes.
    pub artifacts: Artifacts,
    /// The models that answer.
    pub deployments: inference::Deployments,
    /// What calls receivers of events.
    pub webhooks: webhooks::Sender,
    /// What the binary decided at start.
    pub options: Arc<Options>,
}

/// What the binary decided at start.
#[derive(Clone)]
pub struct Options {
    /// This Lathe's version, told by `/api/v1/about`.
    pub lathe_version: &'static str,
    /// What the clock says. Handed in so that tests can set it.
    pub now: fn() -> Millis,
    /// Where new experiments keep their artifacts: `mlflow-artifacts:/`, or a location that clients reach themselves.
    pub default_artifact_root: String,
    /// Host names that may be asked for, beside loopback; `*` allows all. Guards against DNS rebinding.
    pub allowed_hosts: Vec<String>,
    /// Whether values of params and tags that are too long are cut; else they are refused.
    pub truncate_long_values: bool,
    /// Origins beside this server's own whose pages may write; `*` allows all.
    pub allowed_origins: Vec<String>,
    /// Whether Host and Origin are looked at, and protective headers sent.
    pub guarded: bool,
    /// Whether pages elsewhere may show this one in a frame.
    pub framing: Framing,
    /// The path that everything also lies under, as `/lathe`; empty: none.
    pub static_prefix: String,
    /// What this process answers.
    pub modules: Modules,
    /// Whether people log in.
    pub login: access::Login,
    /// Counts requests.
    pub requests: Arc<Requests>,
    /// What the audit log was told lately.
    pub told_lately: Arc<access::ToldLately>,
}

impl Options {
    /// A server that nobody configured.
    pub fn new(lathe_version: &'static str, now: fn() -> Millis) -> Self {
        Self {
            lathe_version,
            now,
            default_artifact_root: "mlflow-artifacts:/".into(),
            allowed_hosts: Vec::new(),
            truncate_long_values: true,
            allowed_origins: Vec::new(),
            guarded: true,
            framing: Framing::SameOrigin,
            static_prefix: String::new(),
            modules: Modules::default(),
            login: access::Login::Off,
            requests: Arc::default(),
            told_lately: Arc::default(),
        }
    }
}
