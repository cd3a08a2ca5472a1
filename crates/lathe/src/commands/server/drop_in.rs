//! The options of `mlflow server` beyond those that `lathe server` has of its own: scripts and images carry them. What
//! has a meaning here has it; the rest is taken with a notice.

use clap::builder::FalseyValueParser;

/// A path that begins with a slash, does not end with one, and needs no escaping.
pub fn static_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let broken = !text.starts_with('/') || text.ends_with('/') || text.contains("//") || text.contains("..");
    if !text.is_empty() && (broken || !text.bytes().all(plain)) {
        return Err(
            "it begins with `/`, does not end with it, and has letters, digits, `-`, `_` and `.`".into(),
        );
    }
    Ok(text.to_owned())
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of `mlflow server`")]
pub struct DropIn {
    /// The database of registered models: here it is the same as that of runs.
    #[arg(long, env = "MLFLOW_REGISTRY_STORE_URI", value_name = "URI")]
    registry_store_uri: Option<String>,
    /// Has no meaning here: one database is read and written.
    #[arg(long, env = "MLFLOW_READ_REPLICA_BACKEND_STORE_URI", value_name = "URI")]
    read_replica_backend_store_uri: Option<String>,
    /// Pass artifacts through this server; so it is unless `--no-serve-artifacts` is said.
    #[arg(long, env = "MLFLOW_SERVE_ARTIFACTS", num_args = 0..=1, default_missing_value = "true",
          value_parser = FalseyValueParser::new(), require_equals = true, overrides_with = "no_serve_artifacts")]
    serve_artifacts: Option<bool>,
    /// Do not: clients reach the artifact store themselves.
    #[arg(long, overrides_with = "serve_artifacts")]
    no_serve_artifacts: bool,
    /// Answer nothing but the artifact proxy.
    #[arg(long, env = "MLFLOW_ARTIFACTS_ONLY", value_parser = FalseyValueParser::new())]
    pub artifacts_only: bool,
    /// Has no meaning here: one process uses all cores.
    #[arg(short, long, env = "MLFLOW_WORKERS", value_name = "NUMBER")]
    workers: Option<String>,
    /// Has no meaning here.
    #[arg(
        long,
        env = "MLFLOW_GUNICORN_OPTS",
        value_name = "OPTIONS",
        allow_hyphen_values = true
    )]
    gunicorn_opts: Option<String>,
    /// Has no meaning here.
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    waitress_opts: Option<String>,
    /// Has no meaning here.
    #[arg(
        long,
        env = "MLFLOW_UVICORN_OPTS",
        value_name = "OPTIONS",
        allow_hyphen_values = true
    )]
    uvicorn_opts: Option<String>,
    /// Has no meaning here: nothing is reloaded; `-v` says more.
    #[arg(long)]
    dev: bool,
    /// `basic-auth` is the same as `--auth`.
    #[arg(long, value_name = "NAME")]
    app_name: Option<String>,
    /// Has no meaning here: `/metrics` is always there, and needs no folder.
    #[arg(long, env = "MLFLOW_EXPOSE_PROMETHEUS", value_name = "FOLDER")]
    expose_prometheus: Option<String>,
    /// Has no meaning here: traces stay in the database.
    #[arg(long, env = "MLFLOW_TRACE_ARCHIVAL_CONFIG", value_name = "FILE")]
    trace_archival_config: Option<String>,
    /// Has no meaning here: no secrets are kept.
    #[arg(long, value_name = "SECONDS")]
    secrets_cache_ttl: Option<String>,
    /// Has no meaning here: no secrets are kept.
    #[arg(long, value_name = "ENTRIES")]
    secrets_cache_max_size: Option<String>,
    /// Has no meaning here: there is one workspace.
    #[arg(long, env = "MLFLOW_WORKSPACE_STORE_URI", value_name = "URI")]
    workspace_store_uri: Option<String>,
    /// Has no meaning here: there is one workspace, `default`.
    #[arg(long, env = "MLFLOW_ENABLE_WORKSPACES", value_parser = FalseyValueParser::new(),
          overrides_with = "disable_workspaces")]
    enable_workspaces: bool,
    /// So it is.
    #[arg(long, overrides_with = "enable_workspaces")]
    disable_workspaces: bool,
}

impl DropIn {
    /// Whether artifacts pass through this server.
    pub fn serves_artifacts(&self) -> bool {
        !self.no_serve_artifacts && self.serve_artifacts.unwrap_or(true)
    }

    /// Whether people log in because MLflow's own app for it is asked for.
    pub fn asks_for_auth(&self) -> anyhow::Result<bool> {
        match self.app_name.as_deref() {
            None => Ok(false),
            Some("basic-auth") => Ok(true),
            Some(other) => Err(crate::exit::hinted(
                format!("there is no app `{other}`"),
                "`--app-name basic-auth` is known: it is the same as `--auth`",
            )),
        }
    }

    /// One line for each option that was given and does nothing.
    pub fn notices(&self, backend: Option<&str>) -> Vec<String> {
        let other_registry = self
            .registry_store_uri
            .as_deref()
            .is_some_and(|uri| Some(uri) != backend);
        let given = [
            (
                other_registry,
                "--registry-store-uri",
                "registered models are kept in the same database as runs",
            ),
            (
                self.read_replica_backend_store_uri.is_some(),
                "--read-replica-backend-store-uri",
                "one database is read and written",
            ),
            (self.workers.is_some(), "--workers", "one process uses all cores"),
            (
                self.gunicorn_opts.is_some(),
                "--gunicorn-opts",
                "there is no gunicorn",
            ),
            (
                self.waitress_opts.is_some(),
                "--waitress-opts",
                "there is no waitress",
            ),
            (
                self.uvicorn_opts.is_some(),
                "--uvicorn-opts",
                "there is no uvicorn",
            ),
            (self.dev, "--dev", "nothing is reloaded; `-v` says more"),
            (
                self.expose_prometheus.is_some(),
                "--expose-prometheus",
                "`/metrics` is always there, and needs no folder",
            ),
            (
                self.trace_archival_config.is_some(),
                "--trace-archival-config",
                "traces stay in the database",
            ),
            (
                self.secrets_cache_ttl.is_some() || self.secrets_cache_max_size.is_some(),
                "--secrets-cache-…",
                "no secrets are kept",
            ),
            (
                self.workspace_store_uri.is_some() || self.enable_workspaces && !self.disable_workspaces,
                "--enable-workspaces",
                "there is one workspace, `default`",
            ),
        ];
        given
            .into_iter()
            .filter(|(given, _, _)| *given)
            .map(|(_, option, reason)| format!("`{option}` does nothing here: {reason}"))
            .collect()
    }
}
