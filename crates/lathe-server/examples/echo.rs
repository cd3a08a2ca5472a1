//! The least that a server can do with a request: read its body, send it back. `bench/serving` measures against it.

use axum::http::header;
use axum::routing::post;
use bytes::Bytes;

#[tokio::main]
async fn main() {
    let echo = async |body: Bytes| ([(header::CONTENT_TYPE, "application/json")], body);
    let router = axum::Router::new().route("/v2/models/{name}/infer", post(echo));
    let port = std::env::args().nth(1).expect("a port");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .expect("a free port");
    println!("ready");
    axum::serve(listener, router).await.expect("connections");
}
