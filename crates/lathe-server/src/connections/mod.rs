//! Connections: HTTP/1.1 and HTTP/2, told apart by how they begin. Nobody holds a place for long by being slow: the
//! head of a request, its body and the reading of its answer each have their time.

mod body;
mod stream;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service as _;

use body::Timed;
use stream::Stream;

pub use tls::{Tls, TlsError};

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection has sent its first bytes.
    pub first_bytes: Duration,
    /// Until the head of the next request is there, idle time on a connection that is kept included.
    pub head: Duration,
    /// How long a body may keep us waiting; what arrives gives time back, see [`Patience::body_bytes_per_s`].
    pub body: Duration,
    /// A body that comes this fast never runs out of time.
    pub body_bytes_per_s: u32,
    /// Until a peer takes more of an answer that it does not read, and until it answers a ping over HTTP/2.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_bytes: Duration::from_secs(20),
            // Longer than load balancers keep idle connections, so that they close them, and never into a request.
            head: Duration::from_secs(75),
            body: Duration::from_secs(60),
            body_bytes_per_s: 1_024,
            write: Duration::from_secs(60),
        }
    }
}

/// Pauses after which a peer over HTTP/2 is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long nothing is accepted after the system refused a connection, as when it has no file descriptor left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Answers until `stop` is ready, then takes no more connections, and returns when the requests under way have ended.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let (open, closed) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Answers are written whole; a platform that cannot say so only answers later.
                let _ = stream.set_nodelay(true);
                let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
                let closed = closed.clone();
                tokio::spawn(async move {
                    match tls {
                        None => connection(stream, peer, router, patience, false, stopped).await,
                        Some(server) => secured(stream, peer, router, patience, server, stopped).await,
                    }
                    drop(closed);
                });
            }
            // The peer left before it was accepted.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    drop(closed);
    open.closed().await;
}

fn is_of_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn secured(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Patience,
    tls: Tls,
    mut stopped: watch::Receiver<bool>,
) {
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(patience.first_bytes, tls.accept(stream)) => greeted,
        () = asked(&mut stopped) => return,
    };
    match greeted {
        Ok(Ok(stream)) => connection(stream, peer, router, patience, true, stopped).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection does not speak TLS"),
        Err(_) => tracing::debug!(%peer, "a connection began with nothing"),
    }
}

async fn connection<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    patience: Patience,
    is_tls: bool,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let begun = tokio::time::timeout(patience.first_bytes, Stream::begin(stream, patience.write));
    let begun = tokio::select! {
        begun = begun => begun,
        () = asked(&mut stopped) => return,
    };
    let Ok(Ok((stream, is_http2))) = begun else {
        tracing::debug!(%peer, "a connection began with nothing");
        return;
    };
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        answer(router.clone(), request, peer, patience, is_tls)
    });
    let stream = TokioIo::new(stream);
    let ended = match is_http2 {
        false => {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(patience.head);
            until_asked(http.serve_connection(stream, service), stopped).await
        }
        true => {
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(patience.write);
            until_asked(http.serve_connection(stream, service), stopped).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

/// Serves a connection to its end; when the server stops, to the end of the requests that it has.
async fn until_asked<C: GracefulConnection>(
    serving: C,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), C::Error> {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = asked(&mut stopped) => {}
    }
    serving.as_mut().graceful_shutdown();
    serving.await
}

/// Waits until the server stops.
async fn asked(stopped: &mut watch::Receiver<bool>) {
    // The sender only goes away after the connections.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The path whose requests go on for as long as the client likes.
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    patience: Patience,
    is_tls: bool,
) -> Result<Response, Infallible> {
    let (mut parts, incoming) = request.into_parts();
    if is_tls {
        // As a proxy says it that speaks TLS for a server.
        let forwarded = HeaderValue::from_static("https");
        parts.headers.insert("x-forwarded-proto", forwarded);
    }
    parts.extensions.insert(ConnectInfo(peer));
    if incoming.is_end_stream() || parts.uri.path() == STREAM {
        return router.call(Request::from_parts(parts, Body::new(incoming))).await;
    }
    let is_grpc = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let too_slow = Arc::new(AtomicBool::new(false));
    let body = Body::new(Timed::new(incoming, patience, too_slow.clone()));
    let reply = router.call(Request::from_parts(parts, body)).await?;
    Ok(match too_slow.load(Ordering::Relaxed) && !is_grpc {
        true => late(),
        false => reply,
    })
}

/// Whichever protocol it is, its clients find the words where they look for them.
fn late() -> Response {
    let told = "the body came too slowly, or not at all; send it in one go";
    let body = json!({ "error": told, "error_code": "BAD_REQUEST", "message": told });
    let close = [(header::CONNECTION, "close")];
    (StatusCode::REQUEST_TIMEOUT, close, axum::Json(body)).into_response()
}
