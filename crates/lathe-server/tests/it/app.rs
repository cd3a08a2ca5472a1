//! One server per test, and the few words that tests speak to it with.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use lathe_blob::Artifacts;
use lathe_server::{AppState, Options, inference};
use lathe_store::{Location, Store};
use lathe_types::Millis;
use serde_json::Value;
use tower::ServiceExt;

/// What every clock says here.
pub const NOW: i64 = 1_700_000_000_000;

/// A server in a folder that goes away with it.
pub struct App {
    pub router: Router,
    pub store: Store,
    pub deployments: inference::Deployments,
    pub artifacts: Artifacts,
    /// What answers were recorded.
    pub samples: tokio::sync::mpsc::Receiver<lathe_types::samples::Sample>,
    _folder: tempfile::TempDir,
}

/// A fresh server.
pub fn app() -> App {
    app_with(|_| {})
}

/// A fresh server with other options.
pub fn app_with(choose: impl FnOnce(&mut Options)) -> App {
    let mut options = Options {
        allowed_hosts: vec!["*".into()],
        ..Options::new("0.0.0-test", || Millis(NOW))
    };
    choose(&mut options);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&location(folder.path())).unwrap();
    let artifacts = Artifacts::local(folder.path().join("artifacts"));
    let (samples, watched) = tokio::sync::mpsc::channel(1_000);
    let payloads = (
        tokio::sync::mpsc::channel(1).0,
        inference::PayloadCounts::default(),
    );
    let deployments = inference::Deployments::new(
        store.clone(),
        artifacts.clone(),
        samples,
        payloads,
        || Millis(NOW),
        inference::ModelLimits::default(),
    );
    let state = AppState {
        store: store.clone(),
        artifacts: artifacts.clone(),
        deployments: deployments.clone(),
        webhooks: lathe_server::webhooks::Sender::new(lathe_server::webhooks::WebhookRules::default()),
        options: Arc::new(options),
    };
    App {
        router: lathe_server::router(state),
        store,
        deployments,
        artifacts,
        samples: watched,
        _folder: folder,
    }
}

impl App {
    /// Sends one request with a JSON body; the answer's status and JSON, `null` if it is none.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Posts a body whose first `length` bytes are JSON; the length of the JSON in the answer, and the answer.
    pub async fn send_raw(&self, path: &str, body: &[u8], length: usize) -> (usize, Vec<u8>) {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("inference-header-content-length", length)
            .body(Body::from(body.to_vec()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let length = response.headers()["inference-header-content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        (
            length,
            response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    /// `POST /api/2.0/mlflow/PATH`, which must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self
            .send("POST", &format!("/api/2.0/mlflow/{path}"), &body.to_string())
            .await;
        assert_eq!(status, StatusCode::OK, "{path} {body}: {reply}");
        reply
    }

    /// `GET /api/2.0/mlflow/PATH`, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, reply) = self.send("GET", &format!("/api/2.0/mlflow/{path}"), "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {reply}");
        reply
    }

    /// `POST /api/2.0/mlflow/PATH`, which must be refused: the status and MLflow's error code.
    pub async fn refused(&self, path: &str, body: &str) -> (u16, String) {
        let (status, reply) = self.send("POST", &format!("/api/2.0/mlflow/{path}"), body).await;
        assert!(reply["message"].is_string(), "{path} {body}: {status} {reply}");
        (status.as_u16(), reply["error_code"].as_str().unwrap().to_owned())
    }
}

/// A file in the folder, or a schema of the PostgreSQL server that `LATHE_TEST_POSTGRES` names.
fn location(folder: &std::path::Path) -> Location {
    let postgres = std::env::var("LATHE_TEST_POSTGRES").ok();
    Location::scratch(folder, postgres.as_deref()).unwrap()
}
