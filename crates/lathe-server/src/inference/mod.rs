//! The inference faces: Open Inference Protocol v2 over REST and gRPC, MLflow's `/invocations`, KServe's `:predict`.
//! Every answer carries a prediction id, by which a label can follow later.

mod answer;
mod answerer;
mod deployments;
mod error_reply;
mod follow;
mod graph;
mod grpc;
mod invocations;
mod kserve;
mod lane;
mod loaded_graph;
mod metrics;
mod oip;
mod openapi;
mod payloads;
mod sent;
mod shelf;
mod source;
mod split;
mod statistics;
mod tensor;
mod tensors;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Json, Router};
use lathe_types::Millis;

use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

use crate::{AppState, telemetry};

pub use deployments::{Deployments, ModelLimits, Reload};
pub use loaded_graph::LoadedGraph;
pub use payloads::{Kept, Payload, PayloadCounts};
pub use source::version_folder;
pub(crate) use source::{artifact_path, location_of_version, place_of};
pub use split::{Counts, Folders, Split};
pub(crate) use statistics::Traffic;

/// Requests larger than this are refused.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Answers from this size on are compressed for callers that take that.
const COMPRESS_BYTES_MIN: u16 = 4_096;

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .merge(oip::routes())
        .merge(grpc::routes())
        .merge(invocations::routes())
        .merge(kserve::routes())
        .merge(openapi::routes())
        // Layers added one by one would each box the future of every request.
        .layer(
            ServiceBuilder::new()
                .layer(CompressionLayer::new().compress_when(worth_compressing()))
                // The limit counts what is unpacked, so a bomb goes no further than a large body.
                .layer(RequestDecompressionLayer::new())
                .layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
}

/// Small answers are not worth the time; gRPC compresses its messages itself.
fn worth_compressing() -> impl Predicate {
    SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::GRPC)
}

impl FromRef<AppState> for Deployments {
    fn from_ref(state: &AppState) -> Self {
        state.deployments.clone()
    }
}

async fn metrics(State(deployments): State<Deployments>) -> Response {
    telemetry::of_models(&deployments)
}

/// One model that answers to `name`, without records: what `lathe serve` runs. `reload` reads it, and reads it again
/// when a client asks for that.
pub fn standalone(name: &str, reload: Reload, now: fn() -> Millis) -> Result<Router, String> {
    Deployments::of_model(name, reload, now).map(alone)
}

/// The inference faces of these deployments, and nothing else.
pub fn alone(deployments: Deployments) -> Router {
    let healthy = axum::routing::get(async || "OK");
    Router::new()
        .merge(routes())
        .route("/health", healthy)
        .route("/version", axum::routing::get(async || env!("CARGO_PKG_VERSION")))
        .route("/metrics", axum::routing::get(metrics))
        .fallback(async |uri: Uri| {
            let told = format!("`{}` is no path of this server; see `/v2`", uri.path());
            (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": told })))
        })
        .with_state(deployments)
}
