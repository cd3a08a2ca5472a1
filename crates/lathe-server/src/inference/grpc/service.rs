//! Which method answers to which path, and how its messages travel.

use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::StreamExt;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::super::BODY_BYTES_MAX;
use super::super::deployments::Deployments;
use super::{calls, reflection};
use lathe_api::inference::{Message, ModelInferRequest, ModelStreamInferResponse};
use lathe_api::reflection::{ServerReflectionRequest, ServerReflectionResponse};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

/// Answers one call; a method that is not known is said to be unimplemented.
pub(super) async fn dispatch(deployments: Deployments, path: &str, request: Request<Body>) -> Response<Body> {
    let method = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/grpc.health.v1.Health/") {
        return match method {
            "Check" => unary(deployments, request, calls::health).await,
            _ => unimplemented(path),
        };
    }
    if path.starts_with("/grpc.reflection.") {
        return match reflection::is(path) {
            true => reflect(request).await,
            false => unimplemented(path),
        };
    }
    match method {
        "ServerLive" => unary(deployments, request, calls::server_live).await,
        "ServerReady" => unary(deployments, request, calls::server_ready).await,
        "ServerMetadata" => unary(deployments, request, calls::server_metadata).await,
        "ModelReady" => unary(deployments, request, calls::model_ready).await,
        "ModelMetadata" => unary(deployments, request, calls::model_metadata).await,
        "ModelConfig" => unary(deployments, request, calls::model_config).await,
        "ModelStatistics" => unary(deployments, request, calls::model_statistics).await,
        "ModelInfer" => unary(deployments, request, calls::infer).await,
        "ModelStreamInfer" => stream(deployments, request).await,
        "RepositoryIndex" => unary(deployments, request, calls::index).await,
        "RepositoryModelLoad" => unary(deployments, request, calls::load).await,
        "RepositoryModelUnload" => unary(deployments, request, calls::unload).await,
        _ => unimplemented(path),
    }
}

fn unimplemented(path: &str) -> Response<Body> {
    Status::unimplemented(format!("`{path}` is not offered here"))
        .into_http::<tonic::body::Body>()
        .map(Body::new)
}

fn grpc<Reply: Message + Default + 'static, Asked: Message + Default + 'static>()
-> Grpc<ProstCodec<Reply, Asked>> {
    let mut encodings = EnabledCompressionEncodings::default();
    encodings.enable(CompressionEncoding::Gzip);
    encodings.enable(CompressionEncoding::Deflate);
    Grpc::new(ProstCodec::default())
        .apply_compression_config(encodings, encodings)
        .apply_max_message_size_config(Some(BODY_BYTES_MAX), Some(BODY_BYTES_MAX))
}

struct Unary<F> {
    deployments: Deployments,
    call: F,
}

impl<Asked, Reply, F, Answered> UnaryService<Asked> for Unary<F>
where
    Asked: Send + 'static,
    F: Fn(Deployments, tonic::Request<Asked>) -> Answered,
    Answered: Future<Output = Result<Reply, Status>> + Send + 'static,
{
    type Response = Reply;
    type Future = Boxed<Reply>;

    fn call(&mut self, request: tonic::Request<Asked>) -> Self::Future {
        let answer = (self.call)(self.deployments.clone(), request);
        Box::pin(async move { answer.await.map(tonic::Response::new) })
    }
}

async fn unary<Asked, Reply, F, Answered>(
    deployments: Deployments,
    request: Request<Body>,
    call: F,
) -> Response<Body>
where
    Asked: Message + Default + Send + 'static,
    Reply: Message + Default + Send + 'static,
    F: Fn(Deployments, tonic::Request<Asked>) -> Answered,
    Answered: Future<Output = Result<Reply, Status>> + Send + 'static,
{
    let service = Unary { deployments, call };
    grpc::<Reply, Asked>()
        .unary(service, request)
        .await
        .map(Body::new)
}

struct Stream {
    deployments: Deployments,
}

type Replies<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;

impl StreamingService<ModelInferRequest> for Stream {
    type Response = ModelStreamInferResponse;
    type ResponseStream = Replies<ModelStreamInferResponse>;
    type Future = Boxed<Self::ResponseStream>;

    fn call(&mut self, request: tonic::Request<Streaming<ModelInferRequest>>) -> Self::Future {
        let deployments = self.deployments.clone();
        let (metadata, _, asked) = request.into_parts();
        // One after the other, in order: what is not read yet waits with the caller.
        let replies = asked.then(move |asked| {
            let (deployments, metadata) = (deployments.clone(), metadata.clone());
            async move {
                let asked = tonic::Request::from_parts(metadata, Default::default(), asked?);
                // A request that fails does not end the stream.
                Ok(match calls::infer(deployments, asked).await {
                    Ok(answer) => ModelStreamInferResponse {
                        error_message: String::new(),
                        infer_response: Some(answer),
                    },
                    Err(status) => ModelStreamInferResponse {
                        error_message: status.message().to_owned(),
                        infer_response: None,
                    },
                })
            }
        });
        Box::pin(async move { Ok(tonic::Response::new(Box::pin(replies) as Self::ResponseStream)) })
    }
}

async fn stream(deployments: Deployments, request: Request<Body>) -> Response<Body> {
    let service = Stream { deployments };
    grpc::<ModelStreamInferResponse, ModelInferRequest>()
        .streaming(service, request)
        .await
        .map(Body::new)
}

struct Reflection;

impl StreamingService<ServerReflectionRequest> for Reflection {
    type Response = ServerReflectionResponse;
    type ResponseStream = Replies<ServerReflectionResponse>;
    type Future = Boxed<Self::ResponseStream>;

    fn call(&mut self, request: tonic::Request<Streaming<ServerReflectionRequest>>) -> Self::Future {
        let replies = request.into_inner().map(|asked| reflection::tell(asked?));
        Box::pin(async move { Ok(tonic::Response::new(Box::pin(replies) as Self::ResponseStream)) })
    }
}

async fn reflect(request: Request<Body>) -> Response<Body> {
    grpc::<ServerReflectionResponse, ServerReflectionRequest>()
        .streaming(Reflection, request)
        .await
        .map(Body::new)
}
