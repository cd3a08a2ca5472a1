mod access;
mod drop_in;
mod only;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::ArgAction;
use clap::builder::{BoolishValueParser, FalseyValueParser};
use lathe_server::access::Login;
use lathe_server::inference::ModelLimits;
use lathe_server::webhooks::{self, WebhookRules};
use lathe_serving::Runtimes;
use lathe_store::Location;

use super::Call;
use super::store_args::StoreArgs;
use crate::exit::{Outcome, hint, hinted};
use crate::model_memory::MemoryArgs;
use crate::project::ProjectFile;
use crate::runtimes::RuntimeArgs;
use crate::tls::TlsArgs;
use crate::wiring::{self, PartOptions};
use crate::{clock, jobs, payloads, process, terminal};

/// Keep records, answer predictions, watch them, act on alerts: everything in one process.
///
/// In a project's folder it serves the project's own store and reads its `lathe.toml`. The options of `mlflow server`
/// that scripts carry are taken too.
///
/// Examples:
///   lathe server                                          http://127.0.0.1:5000 on .lathe/
///   lathe server --port 0                                 on a free port, which is printed
///   lathe server --backend-store-uri sqlite:///mlflow.db --artifacts-destination ./artifacts
///   PGPASSWORD=… lathe server --database postgresql://lathe@db.internal/lathe
///   lathe server --auth --host 0.0.0.0 --allowed-hosts ml.example
///   lathe server --only tracking,registry,ui
///   lathe server --auth --host 0.0.0.0 --allowed-hosts ml.example --tls-cert chain.pem --tls-key key.pem
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_help_flag = true)]
pub struct Args {
    /// The address to listen on.
    #[arg(short, long, env = "MLFLOW_HOST", default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 takes a free one.
    #[arg(short, long, env = "MLFLOW_PORT", default_value_t = 5000)]
    port: u16,
    #[command(flatten)]
    store: StoreArgs,
    /// Where new experiments keep their artifacts; through this server if absent.
    #[arg(long, env = "MLFLOW_DEFAULT_ARTIFACT_ROOT", value_name = "URI")]
    default_artifact_root: Option<String>,
    /// Schemes that webhooks may have, comma separated: `https`, and `http` for receivers on this machine.
    #[arg(
        long,
        env = "MLFLOW_WEBHOOK_ALLOWED_SCHEMES",
        value_delimiter = ',',
        default_value = "https",
        value_name = "SCHEMES"
    )]
    webhook_schemes: Vec<String>,
    /// Let webhooks lead to addresses behind the firewall, this machine included.
    #[arg(
        long,
        env = "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS",
        value_parser = FalseyValueParser::new()
    )]
    webhook_private_addresses: bool,
    /// Cut values of params (6000 characters) and tags (8000) that are too long; `false` refuses them.
    #[arg(
        long,
        env = "MLFLOW_TRUNCATE_LONG_VALUES",
        value_name = "BOOL",
        default_value = "true",
        action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    truncate_long_values: bool,
    /// The path that everything also lies under, as `/mlflow`; for a proxy that does not take it off.
    #[arg(long, env = "MLFLOW_STATIC_PREFIX", value_name = "PATH", value_parser = drop_in::static_prefix)]
    static_prefix: Option<String>,
    /// Only these modules, comma separated: tracking, registry, artifacts, inference, monitoring, automation, ui.
    #[arg(long, value_delimiter = ',', value_name = "MODULES", value_parser = only::parse)]
    only: Vec<only::Module>,
    #[command(flatten)]
    access: access::AccessArgs,
    #[command(flatten)]
    drop_in: drop_in::DropIn,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    runtimes: RuntimeArgs,
    /// Print help. (`-h` is the host, as in `mlflow server`.)
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Serves until asked to stop.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let project = ProjectFile::find(&call.folder)?;
    let (database, artifacts) = args.store.places(call)?;
    let auth = args.access.wants_auth() || args.drop_in.asks_for_auth()?;
    let address = address_of(&args, auth)?;
    for notice in args.drop_in.notices(args.store.backend_store_uri.as_deref()) {
        eprintln!("notice: {notice}");
    }
    let running = only::Running::choose(
        &args.only,
        args.drop_in.serves_artifacts(),
        args.drop_in.artifacts_only,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = process::Stop::listen()?;
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
            anyhow::Error::new(error).context(hint(
                format!("the address {address} cannot be used"),
                "stop what listens there, or choose another `--port` (0 takes a free one)",
            ))
        })?;
        let tls = args.tls.load(&call.folder)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        // What this server starts itself asks it on loopback, where no certificate has its name.
        let inner = match tls {
            Some(_) => Some(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?),
            None => None,
        };
        let inner_url = match &inner {
            Some(inner) => format!("http://{}", inner.local_addr()?),
            None => url.clone(),
        };
        let runtimes = args.runtimes.runtimes()?;
        let options = PartOptions {
            default_artifact_root: match args.default_artifact_root.clone() {
                Some(root) => absolute(root)?,
                None if running.modules.artifacts => "mlflow-artifacts:/".into(),
                // Clients on this machine reach the folder themselves.
                None => format!("file://{}", std::path::absolute(&artifacts)?.display()),
            },
            allowed_hosts: args.access.allowed_hosts.clone(),
            allowed_origins: args.access.cors_allowed_origins.clone(),
            guarded: !args.access.disable_security_middleware,
            framing: args.access.framing()?,
            static_prefix: args.static_prefix.clone().unwrap_or_default(),
            modules: running.modules,
            login: Login::Off,
            webhooks: WebhookRules {
                schemes: args.webhook_schemes.clone(),
                private_addresses: args.webhook_private_addresses,
            },
            truncate_long_values: args.truncate_long_values,
            models: ModelLimits {
                runtimes: runtimes.clone(),
                memory_bytes_max: args.memory.models_memory,
            },
        };
        let mut parts = wiring::open_parts(&database, &artifacts, options)?;
        if auth {
            let login = args.access.open_door(&parts.state.store).await?;
            parts.set_login(login);
        }
        let state = parts.state;
        if let Some(project) = &project {
            let root = project.root.to_string_lossy().into_owned();
            let name = project.spec.project.name.clone();
            state
                .store
                .declare_project(&name, root, project.spec.clone(), clock::now())
                .await?;
        }
        let context = jobs::Context {
            store: state.store.clone(),
            artifacts: state.artifacts.clone(),
            url: Some(inner_url),
            token: match &state.options.login {
                Login::On(door) => Some(door.internal_token().to_owned()),
                Login::Off | Login::Local => None,
            },
            // Judging a version executes nothing that it holds.
            runtimes: Some(Runtimes {
                python: None,
                ..runtimes
            }),
        };
        let mut loops = tokio::task::JoinSet::new();
        let (end_payloads, payloads_end) = tokio::sync::oneshot::channel();
        let (received, counts) = parts.payloads;
        let payloads = payloads::write(state.artifacts.clone(), counts, received, payloads_end);
        let payloads = tokio::spawn(payloads);
        loops.spawn(sweep(state.artifacts.clone()));
        loops.spawn(webhooks::deliver(
            state.store.clone(),
            state.webhooks.clone(),
            clock::now,
        ));
        if running.modules.inference {
            // Ready means ready: what is deployed answers from the first request on.
            state.deployments.refresh().await;
            loops.spawn(state.deployments.clone().follow());
        }
        // Whoever answers keeps what it answered.
        if running.monitoring || running.modules.inference {
            loops.spawn(lathe_automation::windows::watch(
                state.store.clone(),
                parts.samples,
                clock::now,
            ));
        }
        if running.automation {
            loops.spawn(lathe_automation::reconcile::run(state.store.clone(), clock::now));
            loops.spawn(lathe_automation::jobs::work(
                state.store.clone(),
                jobs::handlers(&context),
                clock::now,
            ));
        }

        announce(call, &url, started)?;
        let router = lathe_server::router(state);
        match inner {
            None => process::serve_until_stopped(listener, router, None, stop).await,
            Some(inner) => {
                tokio::join!(
                    process::serve_until_stopped(listener, router.clone(), tls, stop.clone()),
                    process::serve_until_stopped(inner, router, None, stop),
                );
            }
        }
        // Gone only if it broke off.
        let _ = end_payloads.send(());
        payloads.await.context("payloads were not written to the end")?;
        loops.shutdown().await;
        Ok(Outcome::Done)
    })
}

/// What ended processes left half written is taken away, beside the first answers.
async fn sweep(artifacts: lathe_blob::Artifacts) {
    // Of uploads in parts only a person knows which are given up: `lathe gc` takes them.
    let local = artifacts
        .local_path(&lathe_blob::ArtifactPath::default())
        .is_some();
    if local && let Err(error) = artifacts.sweep(clock::now(), lathe_types::Millis(0)).await {
        tracing::warn!(%error, "uploads that broke off are left on the disk");
    }
}

fn announce(call: &Call, url: &str, started: Instant) -> anyhow::Result<()> {
    if call.json {
        return terminal::print_json(
            &serde_json::json!({ "url": url, "ready_ms": started.elapsed().as_millis() }),
        );
    }
    println!(
        "lathe server is ready at {url} ({} ms)",
        started.elapsed().as_millis()
    );
    Ok(())
}

fn address_of(args: &Args, auth: bool) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let host = if args.host == "localhost" {
        "127.0.0.1"
    } else {
        args.host.as_str()
    };
    let address = (host, args.port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| {
            hinted(
                format!("`{}` is no address of this machine", args.host),
                "try `--host 127.0.0.1`",
            )
        })?;
    if !address.ip().is_loopback() && !auth && !args.access.no_auth_beyond_loopback {
        return Err(hinted(
            format!(
                "`{}` can be reached from other machines, and nobody has to log in",
                args.host
            ),
            "say `--auth`, or `--no-auth-beyond-loopback` if that is meant, or listen on 127.0.0.1 behind a proxy",
        ));
    }
    Ok(address)
}

/// `sqlite:///relative`, `sqlite:////absolute`, a plain path, or `postgresql://…`.
pub(super) fn database_at(uri: &str, password: Option<&str>) -> anyhow::Result<Location> {
    let path = match uri.split_once("://") {
        None => uri,
        Some(("sqlite", rest)) => rest.strip_prefix('/').unwrap_or(rest),
        Some((scheme, _)) if scheme.starts_with("postgres") => return Ok(Location::postgres(uri, password)?),
        Some((scheme, _)) => {
            return Err(hinted(
                format!("databases of the kind `{scheme}` are not supported"),
                "use `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`",
            ));
        }
    };
    if path.is_empty() || path.starts_with(":memory:") {
        return Err(hinted(
            "records in memory would be lost",
            "name a file: `sqlite:///lathe.db`",
        ));
    }
    Ok(Location::Sqlite(PathBuf::from(path)))
}

/// Where clients shall look, which may stand in other folders: a path without a scheme from here on.
fn absolute(root: String) -> anyhow::Result<String> {
    if root.contains(':') {
        return Ok(root);
    }
    Ok(std::path::absolute(root)?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_uri_reads_as_sqlalchemy_reads_it() {
        let printed = |uri: &str| database_at(uri, None).unwrap().to_string();
        assert_eq!(printed("sqlite:///a/b.db"), "a/b.db");
        assert_eq!(printed("sqlite:////a/b.db"), "/a/b.db");
        assert_eq!(printed("b.db"), "b.db");
        assert_eq!(
            printed("postgresql+psycopg2://u:p@h/d"),
            "postgresql://u@h:5432/d"
        );
        for uri in ["sqlite://", "sqlite:///:memory:", "mysql://x/y"] {
            assert!(database_at(uri, None).is_err(), "{uri}");
        }
    }
}
