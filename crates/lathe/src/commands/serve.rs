use std::time::Instant;

use anyhow::anyhow;
use lathe_serving::Model;

use super::Call;
use crate::exit::{Outcome, hint, hinted};
use crate::python_models::PythonArgs;
use crate::{clock, model_source, process, terminal};

/// Answer predictions for one model, and nothing else.
///
/// Open Inference Protocol v2 over REST (`/v2`) and gRPC, MLflow's `/invocations`, `/ping`, `/health`, KServe's
/// `/v1/models/NAME:predict`, all on one port.
///
/// Examples:
///   lathe serve ./model                                an MLflow model folder
///   lathe serve ./model --name bike-demand --port 0
///   lathe serve model.ubj                              a plain model file
///   lathe serve models:/bike-demand@champion           a version of the records
///   lathe serve ./model --allow-python                 any MLflow model; executes what it holds
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// An MLflow model folder, a model file of LightGBM (text), XGBoost (JSON, UBJSON), ONNX or scikit-learn (skops,
    /// pickle), `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, or `runs:/ID/NAME`.
    model: String,
    /// The name it answers to under `/v2/models`.
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
    python: PythonArgs,
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
    let source = model_source::find(call, &args.model)?;
    let path = source.path.clone();
    let python = args.python.permission()?;
    let reload =
        Box::new(move || Model::load_with(&path, python.as_ref()).map_err(|error| error.to_string()));
    let router = lathe_server::inference::standalone(&args.name, reload, clock::now)
        .map_err(|reason| anyhow!(reason).context(format!("the model `{}` cannot be served", args.model)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = process::Stop::listen()?;
        let listener = listen(args.host, args.port).await?;
        let url = format!("http://{}", listener.local_addr()?);
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
        if call.json {
            terminal::print_json(&told)?;
        } else {
            println!("{} is ready at {url} ({ready_ms} ms)", args.name);
        }
        match second {
            None => process::serve_until_stopped(listener, router, stop).await,
            Some(second) => {
                tokio::join!(
                    process::serve_until_stopped(listener, router.clone(), stop.clone()),
                    process::serve_until_stopped(second, router, stop),
                );
            }
        }
        Ok(Outcome::Done)
    })
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
