mod cache;
mod follow;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::anyhow;
use lathe_server::inference::{self, Deployments, ModelLimits};
use lathe_serving::{Facts, Model};
use tokio::sync::mpsc;

use self::follow::{Followed, Follower};
use super::Call;
use crate::exit::{Outcome, hint, hinted};
use crate::model_memory::MemoryArgs;
use crate::runtimes::RuntimeArgs;
use crate::settings::Place;
use crate::tls::TlsArgs;
use crate::{clock, model_source, process, terminal};

/// Samples that wait for the server to be told of them; while it is away for longer, more are dropped and counted.
const SAMPLES_MAX: usize = 16_384;

/// Answer predictions for one model, or for all deployments of a server, and nothing else.
///
/// Open Inference Protocol v2 over REST (`/v2`) and gRPC, MLflow's `/invocations`, `/ping`, `/health`, KServe's
/// `/v1/models/NAME:predict`, all on one port.
///
/// Examples:
///   lathe serve ./model                                an MLflow model folder
///   lathe serve ./model --name bike-demand --port 0
///   lathe serve model.ubj                              a plain model file
///   lathe serve models:/bike-demand@champion           a version of the records; follows the alias
///   lathe serve s3://bucket/models/bike                a folder or file in an object store
///   lathe serve graph:/score                           a graph of the records; follows its members
///   lathe serve --server http://ml.example:5000        every deployment of a server; goes on without it
///   lathe serve ./model --tls-cert chain.pem --tls-key key.pem
///   lathe serve ./model --allow-python                 any MLflow model; executes what it holds
///   lathe serve model.onnx --runtime onnxruntime       by ONNX Runtime, whatever the native engine knows
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// An MLflow model folder, a model file of LightGBM (text), XGBoost (JSON, UBJSON), CatBoost (cbm, JSON), ONNX or
    /// scikit-learn (skops, pickle), `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, `runs:/ID/NAME`,
    /// `graph:/NAME`, or the URL of a folder or file in an object store (`s3://…`, with the usual variables). Absent: every
    /// deployment and graph of the server.
    model: Option<String>,
    /// The name it answers to under `/v2/models`; deployments have theirs.
    #[arg(long, default_value = "model")]
    name: String,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// Listen beyond loopback although nobody has to log in: behind a proxy, or in a container.
    #[arg(long)]
    no_auth_beyond_loopback: bool,
    /// The port; 0 takes a free one.
    #[arg(short, long, default_value_t = 8080)]
    port: u16,
    /// A second port for gRPC clients that are set to one; the first takes gRPC too.
    #[arg(long)]
    grpc_port: Option<u16>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    runtimes: RuntimeArgs,
}

/// Serves until asked to stop.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    if !args.host.is_loopback() && !args.no_auth_beyond_loopback {
        return Err(hinted(
            format!(
                "`{}` can be reached from other machines, and nobody has to log in",
                args.host
            ),
            "say `--no-auth-beyond-loopback` if that is meant, or listen on 127.0.0.1 behind a proxy",
        ));
    }
    let Some(followed) = followed(&args, call)? else {
        return execute_alone(&args, call, started);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (sender, samples) = mpsc::channel(SAMPLES_MAX);
    // Of an alias alone the server keeps no samples.
    let sender = matches!(followed, Followed::Deployments).then_some(sender);
    let limits = ModelLimits {
        runtimes: args.runtimes.runtimes()?,
        memory_bytes_max: args.memory.models_memory,
    };
    let deployments = Deployments::told(sender, clock::now, limits);
    let handle = runtime.handle().clone();
    let mut follower = Follower::new(&call.place()?, followed, deployments.clone(), samples, handle)?;
    follower.begin()?;
    let stop = Arc::new(AtomicBool::new(false));
    let following = std::thread::spawn({
        let stop = stop.clone();
        move || follower.run(&stop)
    });
    let name = match args.model {
        Some(_) => args.name.as_str(),
        None => "what the server deploys",
    };
    let router = inference::alone(deployments);
    let served = runtime.block_on(answer(&args, call, name, started, router, None));
    stop.store(true, Ordering::SeqCst);
    following.thread().unpark();
    // Its last report ends or fails within seconds.
    following
        .join()
        .map_err(|_| anyhow!("following the server broke off"))?;
    served
}

/// What of the records is followed; none for a model that does not change.
fn followed(args: &Args, call: &Call) -> anyhow::Result<Option<Followed>> {
    let place = call.place()?;
    match &args.model {
        None if matches!(place, Place::Server(_)) => Ok(Some(Followed::Deployments)),
        None => Err(hinted(
            "neither a model nor a server to follow is named",
            "say `lathe serve MODEL`, or `lathe serve --server URL`",
        )),
        // Records that are not there are told of elsewhere.
        Some(_) if matches!(&place, Place::Embedded { database, .. } if !database.exists()) => Ok(None),
        Some(text) => {
            let name = args.name.clone();
            if let Some(graph) = text.strip_prefix("graph:/") {
                let graph = graph.to_owned();
                return Ok(Some(Followed::Graph { name, graph }));
            }
            Ok(
                model_source::alias_of(text).map(|(model, alias)| Followed::Alias {
                    name,
                    model: model.to_owned(),
                    alias: alias.to_owned(),
                }),
            )
        }
    }
}

fn execute_alone(args: &Args, call: &Call, started: Instant) -> anyhow::Result<Outcome> {
    if args.memory.models_memory.is_some() {
        return Err(hinted(
            "`--models-memory` lets models make room for each other, and one alone has nobody to make room for",
            "leave it out, or serve what a server deploys with `--server URL`",
        ));
    }
    let named = args.model.as_deref().unwrap_or_default();
    let source = model_source::find(call, named)?;
    let path = source.path.clone();
    let runtimes = args.runtimes.runtimes()?;
    let loaded = Arc::new(OnceLock::new());
    let told = loaded.clone();
    let reload = Box::new(move || {
        let model = Model::load_with(&path, &runtimes).map_err(|error| error.to_string())?;
        // Of what is loaded again the log tells.
        if told.set(model.facts().clone()).is_err()
            && let Some(choice) = model.facts().choice()
        {
            tracing::info!(
                runtime = choice.runtime,
                reason = choice.reason,
                "model loaded again"
            );
        }
        Ok(model)
    });
    let router = inference::standalone(&args.name, reload, clock::now)
        .map_err(|reason| anyhow!(reason).context(format!("the model `{named}` cannot be served")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let facts = loaded.get().map(|facts| &**facts);
    runtime.block_on(answer(args, call, &args.name, started, router, facts))
}

/// Answers until asked to stop.
async fn answer(
    args: &Args,
    call: &Call,
    name: &str,
    started: Instant,
    router: axum::Router,
    facts: Option<&Facts>,
) -> anyhow::Result<Outcome> {
    let stop = process::Stop::listen()?;
    let listener = listen(args.host, args.port).await?;
    let tls = args.tls.load(&call.folder)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let ready_ms = started.elapsed().as_millis();
    let mut told = serde_json::json!({ "url": url, "ready_ms": ready_ms });
    let second = match args.grpc_port {
        Some(port) => {
            let listener = listen(args.host, port).await?;
            told["grpc"] = listener.local_addr()?.to_string().into();
            Some(listener)
        }
        None => None,
    };
    if let Some(facts) = facts {
        told["runtime"] = facts.runtime().into();
        if let Some(choice) = facts.choice() {
            told["runtime_reason"] = choice.reason.as_str().into();
            told["runtime_measured"] = serde_json::to_value(choice.measured)?;
        }
    }
    if call.json {
        terminal::print_json(&told)?;
    } else {
        println!("{name} is ready at {url} ({ready_ms} ms)");
        if let Some(choice) = facts.and_then(Facts::choice) {
            println!("{} answers: {}", choice.runtime, choice.reason);
        }
    }
    match second {
        None => process::serve_until_stopped(listener, router, tls, stop).await,
        Some(second) => {
            tokio::join!(
                process::serve_until_stopped(listener, router.clone(), tls.clone(), stop.clone()),
                process::serve_until_stopped(second, router, tls, stop),
            );
        }
    }
    Ok(Outcome::Done)
}

async fn listen(host: std::net::IpAddr, port: u16) -> anyhow::Result<tokio::net::TcpListener> {
    let address = std::net::SocketAddr::new(host, port);
    tokio::net::TcpListener::bind(address).await.map_err(|error| {
        anyhow::Error::new(error).context(hint(
            format!("the address {address} cannot be used"),
            "stop what listens there, or choose another port (0 takes a free one)",
        ))
    })
}
