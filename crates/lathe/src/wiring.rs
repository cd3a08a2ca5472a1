//! How the rooms are joined into a process: the store below, the HTTP faces above, the loop beside them, one bounded
//! channel of samples from serving to monitoring.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use lathe_blob::{ArtifactPath, Artifacts};
use lathe_server::access::Login;
use lathe_server::connections::{self, Patience};
use lathe_server::inference::{Deployments, ModelLimits, Payload, PayloadCounts};
use lathe_server::webhooks::{Sender, WebhookRules};
use lathe_server::{AppState, Framing, Modules, Options};
use lathe_store::{Location, Store};
use lathe_types::samples::Sample;
use tokio::sync::mpsc;

use crate::clock;
use crate::exit::hint;
use crate::jobs::{self, Context as JobContext};
use crate::payloads;
use crate::settings::cache_folder;

/// Samples on their way from answers to windows; more than this and samples are dropped, and the
/// log says so.
const SAMPLES_MAX: usize = 65_536;

/// The parts of a process that keeps records.
pub struct Parts {
    /// What handlers see.
    pub state: AppState,
    /// What the watcher reads.
    pub samples: mpsc::Receiver<Sample>,
    /// What is written to files, and where it is counted.
    pub payloads: (mpsc::Receiver<Payload>, PayloadCounts),
}

impl Parts {
    /// Says whether people log in, which may take a look at the records first.
    pub fn set_login(&mut self, login: Login) {
        let mut options = Options::clone(&self.state.options);
        options.login = login;
        self.state.options = Arc::new(options);
    }
}

/// What the command line may say about the server's parts.
#[derive(Clone)]
pub struct PartOptions {
    /// Where new experiments keep their artifacts.
    pub default_artifact_root: String,
    /// Host names beside loopback.
    pub allowed_hosts: Vec<String>,
    /// Which receivers of events may be called.
    pub webhooks: WebhookRules,
    /// Whether values that are too long are cut.
    pub truncate_long_values: bool,
    /// Origins whose pages may write.
    pub allowed_origins: Vec<String>,
    /// Whether Host and Origin are looked at.
    pub guarded: bool,
    /// Who may show the page in a frame.
    pub framing: Framing,
    /// The path that everything also lies under.
    pub static_prefix: String,
    /// The faces of the process.
    pub modules: Modules,
    /// Whether people log in.
    pub login: Login,
    /// What models may do.
    pub models: ModelLimits,
}

impl Default for PartOptions {
    fn default() -> Self {
        Self {
            default_artifact_root: "mlflow-artifacts:/".into(),
            allowed_hosts: Vec::new(),
            webhooks: WebhookRules::default(),
            truncate_long_values: true,
            allowed_origins: Vec::new(),
            guarded: true,
            framing: Framing::SameOrigin,
            static_prefix: String::new(),
            modules: Modules::default(),
            login: Login::Local,
            models: ModelLimits::default(),
        }
    }
}

/// Opens the records and joins the parts over them.
pub fn open_parts(database: &Location, artifacts: &str, options: PartOptions) -> anyhow::Result<Parts> {
    if let Location::Sqlite(path) = database
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
    }
    let store = Store::open(database).map_err(|error| {
        let what_now = match database {
            Location::Sqlite(_) => "`lathe doctor` says what is wrong",
            Location::Postgres(_) => "check that the database is there, runs, and lets this user in",
        };
        anyhow::Error::new(error).context(hint("the records cannot be opened", what_now))
    })?;
    let artifacts = open_artifacts(artifacts, vec![options.default_artifact_root.clone()])?;
    let (sender, samples) = mpsc::channel(SAMPLES_MAX);
    let (payload_sender, payloads) = mpsc::channel(payloads::WAITING_MAX);
    let payload_counts = PayloadCounts::default();
    let deployments = Deployments::new(
        store.clone(),
        artifacts.clone(),
        sender,
        (payload_sender, payload_counts.clone()),
        clock::now,
        options.models,
    );
    let webhooks = Sender::new(options.webhooks);
    let options = Options {
        default_artifact_root: options.default_artifact_root,
        allowed_hosts: options.allowed_hosts,
        allowed_origins: options.allowed_origins,
        guarded: options.guarded,
        framing: options.framing,
        static_prefix: options.static_prefix,
        modules: options.modules,
        login: options.login,
        truncate_long_values: options.truncate_long_values,
        ..Options::new(env!("CARGO_PKG_VERSION"), clock::now)
    };
    Ok(Parts {
        state: AppState {
            store,
            artifacts,
            deployments,
            webhooks,
            options: Arc::new(options),
        },
        samples,
        payloads: (payloads, payload_counts),
    })
}

/// What the environment says about object stores.
pub fn blob_settings() -> lathe_blob::Settings {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    lathe_blob::Settings::from_environment(environment)
}

/// Opens the artifacts at a folder or an object store; `roots` are the object stores that clients are told to use.
pub fn open_artifacts(url: &str, roots: Vec<String>) -> anyhow::Result<Artifacts> {
    let settings = blob_settings();
    // Without a home nothing is cached for longer than this machine runs.
    let cache = cache_folder().unwrap_or_else(|_| std::env::temp_dir().join("lathe"));
    let artifacts = Artifacts::open(url, &settings, cache.join("artifacts"), roots)?;
    if let Some(folder) = artifacts.local_path(&ArtifactPath::default()) {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
    }
    Ok(artifacts)
}

/// The repository's own store, used in this process.
pub struct Embedded {
    /// Runs what is asynchronous.
    pub runtime: tokio::runtime::Runtime,
    /// Every face of the server, without a socket.
    pub router: axum::Router,
    state: AppState,
}

impl Embedded {
    /// Opens the store, and makes it if it is not there.
    pub fn open(database: &Path, artifacts: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let parts = {
            let _inside = runtime.enter();
            open_parts(
                &Location::Sqlite(database.to_owned()),
                &artifacts.to_string_lossy(),
                PartOptions::default(),
            )?
        };
        let router = lathe_server::router(parts.state.clone());
        Ok(Self {
            runtime,
            router,
            state: parts.state,
        })
    }

    /// Answers the same API on a loopback port, for the Python client in the stages; returns its URL.
    pub fn listen(&self) -> anyhow::Result<String> {
        let listener = self
            .runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let router = self.router.clone();
        self.runtime.spawn(connections::serve(
            listener,
            router,
            Patience::default(),
            None,
            std::future::pending(),
        ));
        Ok(format!("http://{address}"))
    }

    /// Works on jobs until the guard is dropped.
    pub fn work_on_jobs(&self) -> Working {
        let context = JobContext {
            store: self.state.store.clone(),
            artifacts: self.state.artifacts.clone(),
            url: None,
            token: None,
            runtimes: None,
        };
        let store = self.state.store.clone();
        let handlers = jobs::handlers(&context);
        let task = self
            .runtime
            .spawn(lathe_automation::jobs::work(store, handlers, clock::now));
        Working(task)
    }
}

/// A worker that stops when this is dropped.
pub struct Working(tokio::task::JoinHandle<()>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.abort();
    }
}
