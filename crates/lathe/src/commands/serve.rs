use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use lathe_serving::Model;

use super::Call;
use crate::exit::{Outcome, hint};
use crate::{clock, process, terminal};

/// Answer predictions for one model, and nothing else.
///
/// Open Inference Protocol v2 under `/v2`, MLflow's `/invocations`, `/ping`, `/health`.
///
/// Examples:
///   lathe serve ./model                                an MLflow model folder
///   lathe serve ./model --name bike-demand --port 0
///   lathe serve model.ubj                              a plain model file
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// An MLflow model folder, or a model file of LightGBM (text), XGBoost (JSON, UBJSON) or scikit-learn (skops, pickle).
    model: PathBuf,
    /// The name it answers to under `/v2/models`.
    #[arg(long, default_value = "model")]
    name: String,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(short, long, default_value_t = 8080)]
    port: u16,
}

/// Serves until asked to stop.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let path = call.folder.join(&args.model);
    let model =
        Model::load(&path).with_context(|| format!("the model in `{}` cannot be served", path.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = format!("127.0.0.1:{}", args.port);
        let listener = tokio::net::TcpListener::bind(&address).await.map_err(|error| {
            anyhow::Error::new(error).context(hint(
                format!("the address {address} cannot be used"),
                "stop what listens there, or choose another `--port` (0 takes a free one)",
            ))
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = lathe_server::inference::standalone(&args.name, model, clock::now);
        if call.json {
            terminal::print_json(
                &serde_json::json!({ "url": url, "ready_ms": started.elapsed().as_millis() }),
            )?;
        } else {
            println!(
                "{} is ready at {url} ({} ms)",
                args.name,
                started.elapsed().as_millis()
            );
        }
        process::serve_until_stopped(listener, router).await?;
        Ok(Outcome::Done)
    })
}
