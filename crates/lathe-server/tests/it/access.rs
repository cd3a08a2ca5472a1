//! Users and what they may do, through HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use lathe_server::access::{Door, Login};
use lathe_types::Millis;
use lathe_types::access::Permission;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, NOW, app_with};

pub const PASSWORD: &str = "correct horse battery";

/// A server where people log in, with the administrator `root`.
pub async fn guarded(default: Permission) -> App {
    let door = Arc::new(Door::new(default).unwrap());
    let hash = door.hasher().hash(PASSWORD.into()).await.unwrap();
    let app = app_with(|options| options.login = Login::On(door));
    app.store
        .create_first_user("root".into(), hash, Millis(NOW))
        .await
        .unwrap();
    app
}

/// Somebody who sends requests.
pub struct As<'a>(pub &'a App, pub String);

pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {text}")
}

impl<'a> As<'a> {
    pub fn user(app: &'a App, name: &str) -> Self {
        Self(app, basic(name, PASSWORD))
    }

    pub fn token(app: &'a App, token: &Value) -> Self {
        Self(app, format!("Bearer {}", token.as_str().unwrap()))
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &self.1)
            .body(Body::from(body.to_owned()))
            .unwrap();
        answer(self.0, request).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.send(method, path, &body.to_string()).await
    }

    /// Which must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.call(method, path, body.clone()).await;
        assert_eq!(status, 200, "{method} {path} {body}: {reply}");
        reply
    }

    pub async fn create_user(&self, name: &str, role: &str) {
        let user = json!({ "username": name, "password": PASSWORD, "role": role });
        self.ok("POST", "/api/v1/users", user).await;
    }

    pub async fn grant(&self, name: &str, resource: &str, id: &str, level: &str) -> u16 {
        let grant =
            json!({ "username": name, "resource_type": resource, "resource_id": id, "permission": level });
        let path = "/api/3.0/mlflow/users/permissions/grant";
        self.call("POST", path, grant).await.0
    }

    pub async fn experiment(&self, name: &str) -> String {
        let made = self.ok(
            "POST",
            "/api/2.0/mlflow/experiments/create",
            json!({ "name": name }),
        );
        made.await["experiment_id"].as_str().unwrap().to_owned()
    }

    pub async fn run(&self, experiment: &str) -> String {
        let made = self.ok(
            "POST",
            "/api/2.0/mlflow/runs/create",
            json!({ "experiment_id": experiment }),
        );
        made.await["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

async fn answer(app: &App, request: Request<Body>) -> (u16, Value) {
    let response = app.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (
        status.as_u16(),
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn nobody_gets_in_without_showing_who_they_are() {
    let app = guarded(Permission::Read).await;
    for path in ["/health", "/version", "/v2/health/live", "/"] {
        let (status, _) = app.send("GET", path, "").await;
        assert_eq!(status, 200, "{path}");
    }
    let request = Request::builder()
        .uri("/api/2.0/mlflow/experiments/search?max_results=5")
        .body(Body::empty())
        .unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"mlflow\"");
    for wrong in [
        basic("root", "correct horse batterY"),
        basic("nobody", PASSWORD),
        basic("root", ""),
        "Bearer lathe_0000".into(),
        "Bearer ".into(),
        "Basic ???".into(),
        "Digest x".into(),
        "x".into(),
    ] {
        let (status, reply) = As(&app, wrong.clone())
            .send("GET", "/api/v1/deployments", "")
            .await;
        assert_eq!(status, 401, "{wrong}: {reply}");
    }
    let root = As::user(&app, "root");
    root.ok("GET", "/api/v1/deployments", Value::Null).await;
    assert_eq!(root.send("GET", "/api/v1/nowhere", "").await.0, 404);
}

#[tokio::test]
async fn what_is_made_belongs_to_its_maker_and_to_whom_it_is_given() {
    let app = guarded(Permission::None).await;
    let root = As::user(&app, "root");
    for name in ["ann", "bob"] {
        root.create_user(name, "viewer").await;
    }
    let (ann, bob) = (As::user(&app, "ann"), As::user(&app, "bob"));
    let id = ann.experiment("hers").await;
    let run = ann.run(&id).await;
    let log = json!({ "run_id": run, "key": "a", "value": 1.0, "timestamp": 1, "step": 0 });
    let log_metric = "/api/2.0/mlflow/runs/log-metric";
    ann.ok("POST", log_metric, log.clone()).await;

    // Bob sees nothing of it, by no way of naming it.
    for (method, path, body) in [
        (
            "GET",
            format!("/api/2.0/mlflow/experiments/get?experiment_id={id}"),
            json!({}),
        ),
        (
            "GET",
            "/api/2.0/mlflow/experiments/get-by-name?experiment_name=hers".into(),
            json!({}),
        ),
        ("GET", format!("/api/2.0/mlflow/runs/get?run_id={run}"), json!({})),
        (
            "GET",
            format!("/ajax-api/2.0/mlflow/runs/get?run_uuid={run}"),
            json!({}),
        ),
        (
            "GET",
            format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=a"),
            json!({}),
        ),
        (
            "GET",
            format!("/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}&metric_key=a"),
            json!({}),
        ),
        (
            "GET",
            format!("/api/2.0/mlflow-artifacts/artifacts?path={id}/{run}/artifacts"),
            json!({}),
        ),
        (
            "GET",
            format!("/api/2.0/mlflow-artifacts/artifacts/{id}/{run}/artifacts/x"),
            json!({}),
        ),
        (
            "PUT",
            format!("/api/2.0/mlflow-artifacts/artifacts/{id}/{run}/artifacts/x"),
            json!({}),
        ),
        (
            "PUT",
            "/api/2.0/mlflow-artifacts/artifacts/99/x".into(),
            json!({}),
        ),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts".into(), json!({})),
        ("GET", format!("/get-artifact?run_uuid={run}&path=x"), json!({})),
        ("POST", log_metric.into(), log.clone()),
        (
            "POST",
            "/api/2.0/mlflow/runs/create".into(),
            json!({ "experiment_id": id }),
        ),
        (
            "POST",
            "/api/2.0/mlflow/runs/update".into(),
            json!({ "run_uuid": run, "status": "FAILED" }),
        ),
        (
            "POST",
            "/api/2.0/mlflow/experiments/delete".into(),
            json!({ "experiment_id": id }),
        ),
        (
            "POST",
            "/api/2.0/mlflow/experiments/create".into(),
            json!({ "name": "his", "artifact_location": format!("mlflow-artifacts:/{id}") }),
        ),
    ] {
        let (status, reply) = bob.call(method, &path, body).await;
        assert_eq!(
            (status, reply["error_code"].as_str()),
            (403, Some("PERMISSION_DENIED")),
            "{method} {path}: {reply}"
        );
    }
    // Nor does naming something of his own beside it help.
    let own = bob.experiment("bobs").await;
    let own_run = bob.run(&own).await;
    let two = format!(r#"{{"run_id":"{own_run}","run_id":"{run}","key":"a","value":1,"timestamp":1}}"#);
    assert_eq!(bob.send("POST", log_metric, &two).await.0, 403);
    let beside = format!("{log_metric}?run_id={own_run}");
    assert_eq!(bob.call("POST", &beside, log.clone()).await.0, 403);

    let found = |reply: Value, field: &str| reply[field].as_array().map_or(0, Vec::len);
    let search = "/api/2.0/mlflow/experiments/search";
    let page = json!({ "max_results": 1 });
    let first = bob.ok("POST", search, page.clone()).await;
    assert_eq!(
        (
            first["experiments"][0]["name"].as_str(),
            &first["next_page_token"]
        ),
        (Some("bobs"), &Value::Null)
    );
    assert_eq!(
        found(
            root.ok("POST", search, json!({ "max_results": 9 })).await,
            "experiments"
        ),
        3
    );
    let runs = json!({ "experiment_ids": [id, own] });
    let search_runs = "/api/2.0/mlflow/runs/search";
    assert_eq!(found(bob.ok("POST", search_runs, runs.clone()).await, "runs"), 1);
    assert_eq!(found(ann.ok("POST", search_runs, runs.clone()).await, "runs"), 1);
    assert_eq!(found(root.ok("POST", search_runs, runs.clone()).await, "runs"), 2);

    // Only who manages it gives it on.
    assert_eq!(bob.grant("bob", "experiment", &id, "READ").await, 403);
    assert_eq!(ann.grant("bob", "experiment", &id, "READ").await, 200);
    assert_eq!(ann.grant("bob", "experiment", &id, "EDIT").await, 400);
    bob.ok(
        "GET",
        &format!("/api/2.0/mlflow/runs/get?run_id={run}"),
        Value::Null,
    )
    .await;
    assert_eq!(bob.call("POST", log_metric, log.clone()).await.0, 403);
    assert_eq!(found(bob.ok("POST", search_runs, runs.clone()).await, "runs"), 2);
    // A veto on all runs beats what the experiment allows.
    assert_eq!(root.grant("bob", "run", "*", "DENY").await, 200);
    assert_eq!(
        bob.call(
            "GET",
            &format!("/api/2.0/mlflow/runs/get?run_id={run}"),
            Value::Null
        )
        .await
        .0,
        403
    );
    assert_eq!(found(bob.ok("POST", search_runs, runs).await, "runs"), 0);
}

#[tokio::test]
async fn models_and_prompts_are_granted_by_name_and_found_by_those_who_may() {
    let app = guarded(Permission::Read).await;
    let root = As::user(&app, "root");
    for name in ["ann", "bob"] {
        root.create_user(name, "viewer").await;
    }
    let (ann, bob) = (As::user(&app, "ann"), As::user(&app, "bob"));
    let create = "/api/2.0/mlflow/registered-models/create";
    let prompt = json!({ "name": "p", "tags": [{ "key": "mlflow.prompt.is_prompt", "value": "true" }] });
    ann.ok("POST", create, json!({ "name": "m" })).await;
    ann.ok("POST", create, prompt).await;
    let rename = "/api/2.0/mlflow/registered-models/rename";
    assert_eq!(
        bob.call("POST", rename, json!({ "name": "m", "new_name": "x" }))
            .await
            .0,
        403
    );
    ann.ok("POST", rename, json!({ "name": "m", "new_name": "m2" }))
        .await;
    assert_eq!(ann.grant("bob", "registered_model", "m2", "DENY").await, 200);
    let names = async |user: &As<'_>, query: &str| {
        let reply = user
            .ok(
                "GET",
                &format!("/api/2.0/mlflow/registered-models/search?{query}"),
                Value::Null,
            )
            .await;
        let models = reply["registered_models"].as_array().cloned().unwrap_or_default();
        models
            .iter()
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let prompts = "filter=tags.%60mlflow.prompt.is_prompt%60%20%3D%20'true'";
    assert_eq!(names(&ann, "").await, ["m2"]);
    assert!(names(&bob, "").await.is_empty());
    assert_eq!(names(&bob, prompts).await, ["p"]);
    assert_eq!(root.grant("bob", "prompt", "*", "DENY").await, 200);
    assert!(names(&bob, prompts).await.is_empty());
    // A name that is given again brings no old rights along.
    ann.ok(
        "DELETE",
        "/api/2.0/mlflow/registered-models/delete",
        json!({ "name": "m2" }),
    )
    .await;
    root.ok("POST", create, json!({ "name": "m2" })).await;
    let set = json!({ "name": "m2", "key": "k", "value": "v" });
    assert_eq!(
        ann.call("POST", "/api/2.0/mlflow/registered-models/set-tag", set)
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn what_a_user_may_not_see_is_not_in_the_feed_nor_on_the_way_back() {
    let app = guarded(Permission::None).await;
    let root = As::user(&app, "root");
    root.create_user("ann", "editor").await;
    root.create_user("bob", "editor").await;
    let (ann, bob) = (As::user(&app, "ann"), As::user(&app, "bob"));
    let run = ann.run(&ann.experiment("hers").await).await;
    let model = json!({ "name": "hers" });
    ann.ok("POST", "/api/2.0/mlflow/registered-models/create", model)
        .await;
    let version = json!({ "name": "hers", "source": "s3://bucket/m", "run_id": run });
    ann.ok("POST", "/api/2.0/mlflow/model-versions/create", version)
        .await;
    let subjects = async |who: &As<'_>, path: &str| {
        let feed = who.ok("GET", path, json!({})).await;
        let events = feed["events"].as_array().unwrap().iter();
        events
            .map(|event| event["subject"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for path in ["/api/v1/events", "/api/v1/events?after=0"] {
        let hers = subjects(&ann, path).await;
        assert!(
            hers.contains(&format!("run/{run}")) && hers.contains(&"model/hers/1".to_owned()),
            "{hers:?}"
        );
        assert!(subjects(&bob, path).await.is_empty());
    }
    for of in [run.as_str(), "models:/hers/1"] {
        let path = format!("/api/v1/lineage?of={of}");
        ann.ok("GET", &path, json!({})).await;
        assert_eq!(bob.call("GET", &path, json!({})).await.0, 404, "{of}");
    }
    // A model that is shared leads to a run that is not.
    assert_eq!(root.grant("bob", "registered_model", "hers", "READ").await, 200);
    let way = bob
        .ok("GET", "/api/v1/lineage?of=models:/hers/1", json!({}))
        .await;
    assert_eq!(way["nodes"].as_array().unwrap().len(), 1, "{way}");
    assert_eq!(subjects(&bob, "/api/v1/events").await, ["model/hers/1"]);
}

#[tokio::test]
async fn spans_join_a_trace_of_another_experiment_only_with_its_permission() {
    let app = guarded(Permission::None).await;
    let root = As::user(&app, "root");
    root.create_user("ann", "editor").await;
    root.create_user("bob", "editor").await;
    let (ann, bob) = (As::user(&app, "ann"), As::user(&app, "bob"));
    let hers = ann.experiment("hers").await;
    let his = bob.experiment("his").await;
    let send = async |who: &As<'_>, experiment: &str, span: &str| {
        let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
            "traceId": "0123456789abcdef0123456789abcdef", "spanId": span, "name": "step",
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
        }] }] }] });
        let request = Request::builder()
            .method("POST")
            .uri("/v1/traces")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &who.1)
            .header("x-mlflow-experiment-id", experiment)
            .body(Body::from(spans.to_string()))
            .unwrap();
        answer(&app, request).await.0
    };
    assert_eq!(send(&ann, &hers, "0000000000000001").await, 200);
    assert_eq!(send(&bob, &his, "0000000000000002").await, 403);
    assert_eq!(root.grant("bob", "experiment", &hers, "EDIT").await, 200);
    assert_eq!(send(&bob, &his, "0000000000000002").await, 200);
    // Told of again as if it were his.
    root.create_user("eve", "editor").await;
    let eve = As::user(&app, "eve");
    let own = eve.experiment("own").await;
    let told = json!({ "trace": { "trace_info": {
        "trace_id": "tr-0123456789abcdef0123456789abcdef", "state": "ERROR", "request_time": "2026-01-02T03:04:05Z",
        "trace_location": { "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": own } },
    } } });
    assert_eq!(eve.call("POST", "/api/3.0/mlflow/traces", told).await.0, 403);

    // Figures over traces leave out what may not be seen.
    let query = json!({
        "experiment_ids": [hers], "view_type": "TRACES", "metric_name": "trace_count",
        "aggregations": [{ "aggregation_type": "COUNT" }],
    });
    let path = "/api/3.0/mlflow/traces/metrics";
    let found = ann.ok("POST", path, query.clone()).await;
    assert_eq!(found["data_points"][0]["values"]["COUNT"], 1.0, "{found}");
    assert_eq!(eve.ok("POST", path, query).await, json!({}));
}
