//! What describes and watches the server: the table of access, OpenAPI, metrics.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use lathe_server::inference;
use lathe_types::Millis;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{NOW, app_with};

/// Every route of the router, found by asking it: paths by what it says of itself, methods by which are not answered
/// with 405.
async fn routes(router: &Router) -> BTreeSet<(String, String)> {
    let told = format!("{router:?}");
    let mut paths = BTreeSet::new();
    for piece in told.split('"') {
        // The page answers what nothing else does, and is told as `/`.
        if piece.starts_with('/') && piece != "/" && !piece.contains("__private") {
            paths.insert(piece.to_owned());
        }
    }
    assert!(30 < paths.len(), "{paths:?}");
    let mut routes = BTreeSet::new();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let filled: String = path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let request = Request::builder()
                .method(method)
                .uri(&filled)
                .header(header::HOST, "localhost")
                .body(Body::empty())
                .unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            if response.status() != StatusCode::METHOD_NOT_ALLOWED {
                routes.insert((method.to_owned(), path.clone()));
            }
        }
    }
    routes
}

/// Methods and paths that a description has.
fn operations(description: &Value) -> BTreeSet<(String, String)> {
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    described
}

#[tokio::test]
async fn every_route_has_a_line_in_the_table_of_access() {
    let open = app_with(|_| {});
    let missing: Vec<String> = routes(&open.router)
        .await
        .into_iter()
        .filter(|(method, path)| !lathe_server::access::is_listed(method, path))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert!(
        missing.is_empty(),
        "say in `lathe-server/src/access/lines.rs` what these need of whoever asks, since nobody may use them \
         where people log in:\n{}",
        missing.join("\n")
    );
}

#[tokio::test]
async fn every_route_of_lathes_own_api_is_described_and_every_description_has_a_route() {
    let app = app_with(|_| {});
    let (_, description) = app.send("GET", "/api/v1/openapi.json", "").await;
    assert_eq!(
        (&description["openapi"], &description["info"]["version"]),
        (&json!("3.1.0"), &json!("0.0.0-test"))
    );
    let described = operations(&description);
    let there: BTreeSet<_> = routes(&app.router)
        .await
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/v1/"))
        .collect();
    let undescribed: Vec<_> = there.difference(&described).collect();
    let invented: Vec<_> = described.difference(&there).collect();
    assert!(
        undescribed.is_empty() && invented.is_empty(),
        "put these into `lathe-server/src/v1/openapi.json`: {undescribed:?}; take these out: {invented:?}"
    );
}

#[tokio::test]
async fn every_route_of_the_inference_faces_is_described_and_every_description_has_a_route() {
    let app = app_with(|_| {});
    let (_, description) = app.send("GET", "/v2/openapi.json", "").await;
    assert_eq!(
        (&description["openapi"], &description["info"]["version"]),
        (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION")))
    );
    // The verb of KServe's first protocol is a part of what the router takes for the name, or for the version.
    let described: BTreeSet<_> = operations(&description)
        .into_iter()
        .map(|(method, path)| (method, path.trim_end_matches(":predict").to_owned()))
        .collect();
    let limits = inference::ModelLimits::default();
    let alone = inference::alone(inference::Deployments::told(None, || Millis(NOW), limits));
    let there: BTreeSet<_> = routes(&alone)
        .await
        .into_iter()
        .filter(|(_, path)| !path.starts_with("/inference.") && !path.starts_with("/grpc."))
        .collect();
    let undescribed: Vec<_> = there.difference(&described).collect();
    let invented: Vec<_> = described.difference(&there).collect();
    assert!(
        undescribed.is_empty() && invented.is_empty(),
        "put these into `lathe-server/src/inference/openapi.json`: {undescribed:?}; take these out: {invented:?}"
    );
    let missing: Vec<_> = described
        .difference(&routes(&app.router).await)
        .cloned()
        .collect();
    assert!(missing.is_empty(), "`lathe server` does not have {missing:?}");
    let text = description.to_string();
    for reference in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(description.pointer(pointer).is_some(), "`{pointer}` is not there");
    }
}

#[tokio::test]
async fn metrics_tell_routes_by_their_templates() {
    let app = app_with(|_| {});
    for id in ["1", "2", "3"] {
        app.send("GET", &format!("/api/v1/jobs/{id}"), "").await;
        app.send("GET", &format!("/nowhere/{id}"), "").await;
    }
    let request = Request::builder()
        .uri("/metrics")
        .header("x-request-id", "abc-1")
        .body(Body::empty())
        .unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "abc-1");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for line in [
        r#"lathe_http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="404"} 3"#,
        r#"lathe_http_requests_total{method="GET",route="other",status="200"} 3"#,
        r#"lathe_build_info{version="0.0.0-test"} 1"#,
        "lathe_http_requests_in_flight 1",
        "lathe_store_queue_depth 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
}
