//! The Open Inference Protocol v2 over gRPC, on the port of the REST faces: `inference.GRPCInferenceService` as Triton
//! speaks it, `grpc.health.v1.Health` and `grpc.reflection`. Framing, compression and trailers are `tonic`'s.

mod calls;
mod convert;
mod reflection;
mod service;

use axum::Router;
use axum::extract::FromRef;
use axum::extract::State;
use axum::http::{Request, Uri};
use axum::response::Response;
use axum::routing::post;

use super::deployments::Deployments;

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .route("/inference.GRPCInferenceService/{method}", post(call))
        // Told apart because not everybody who may ask a model may take it away.
        .route("/inference.GRPCInferenceService/RepositoryModelLoad", post(call))
        .route(
            "/inference.GRPCInferenceService/RepositoryModelUnload",
            post(call),
        )
        .route("/grpc.health.v1.Health/{method}", post(call))
        .route("/grpc.reflection.v1.ServerReflection/{method}", post(call))
        .route("/grpc.reflection.v1alpha.ServerReflection/{method}", post(call))
}

async fn call(
    State(deployments): State<Deployments>,
    uri: Uri,
    request: Request<axum::body::Body>,
) -> Response {
    let method = uri.path().to_owned();
    service::dispatch(deployments, &method, request).await
}
