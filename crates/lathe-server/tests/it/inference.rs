use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use lathe_blob::ArtifactPath;
use lathe_types::Millis;
use lathe_types::deployments::{Fault, Role, RolloutState};
use serde_json::{Value, json};

use crate::app::{App, NOW, app};

/// A server on which `m` serves version 1, and knows version 2: both scikit-learn models with the columns a to d.
async fn serving() -> App {
    let app = app();
    app.post("registered-models/create", json!({"name": "m"})).await;
    for fixture in ["boosting", "forest"] {
        let run = app.post("runs/create", json!({"experiment_id": "0"})).await;
        let uri = run["run"]["info"]["artifact_uri"].as_str().unwrap().to_owned();
        copy_model(&app, fixture, uri.strip_prefix("mlflow-artifacts:/").unwrap()).await;
        let version =
            json!({"name": "m", "source": format!("{uri}/model"), "run_id": run["run"]["info"]["run_id"]});
        app.post("model-versions/create", version).await;
    }
    let spec = json!({
        "project": { "name": "p" },
        "deployment": { "m": {
            "model": "models:/m@champion",
            "rollout": [{ "shadow": "1s" }, { "canary": 50, "for": "1s" }, { "canary": 100 }],
        } },
    });
    let spec = serde_json::from_value(spec).unwrap();
    app.store
        .declare_project("p", "/nowhere".into(), spec, Millis(NOW))
        .await
        .unwrap();
    app.store.set_stable("m", 1, Millis(NOW)).await.unwrap();
    tokio::spawn(app.deployments.clone().follow());
    until(&app, "1", "1").await;
    app
}

pub async fn copy_model(app: &App, fixture: &str, under: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../lathe-serving/tests/fixtures")
        .join(fixture);
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = ArtifactPath::parse(&format!("{}/model/{name}", under.trim_start_matches('/'))).unwrap();
        app.artifacts
            .put(&path, std::fs::read(entry.path()).unwrap().as_slice(), None)
            .await
            .unwrap();
    }
}

/// Waits until exactly these versions answer: the stable one first.
async fn until(app: &App, first: &str, last: &str) {
    for _ in 0..200 {
        let (status, body) = app.send("GET", "/v2/models/m", "").await;
        let versions = body["versions"].as_array().cloned().unwrap_or_default();
        let settled = status == StatusCode::OK
            && versions.first().is_some_and(|version| version == first)
            && versions.last().is_some_and(|version| version == last);
        if settled {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("versions {first} to {last} never answered");
}

fn request() -> Value {
    let column =
        |name: &str, value: f64| json!({"name": name, "shape": [1], "datatype": "FP64", "data": [value]});
    json!({"id": "mine", "inputs": [column("d", 0.4), column("a", 0.1), column("b", 0.2), column("c", 0.3)]})
}

async fn infer(app: &App) -> (StatusCode, Value) {
    app.send("POST", "/v2/models/m/infer", &request().to_string())
        .await
}

#[tokio::test]
async fn every_face_gives_the_same_answer_and_an_id_for_it() {
    let mut app = serving().await;
    let (status, oip) = infer(&app).await;
    assert_eq!(
        (status, &oip["id"], &oip["model_version"]),
        (StatusCode::OK, &json!("mine"), &json!("1"))
    );
    let answer = oip["outputs"][0]["data"][0].as_f64().unwrap();
    for body in [
        json!({"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [[0.1, 0.2, 0.3, 0.4]]}}),
        json!({"dataframe_records": [{"d": 0.4, "c": 0.3, "b": 0.2, "a": 0.1}]}),
        json!({"instances": [[0.1, 0.2, 0.3, 0.4]]}),
        json!({"inputs": {"a": [0.1], "b": [0.2], "c": [0.3], "d": [0.4]}}),
    ] {
        let (status, reply) = app.send("POST", "/invocations", &body.to_string()).await;
        assert_eq!(
            (status, &reply["predictions"]),
            (StatusCode::OK, &json!([answer])),
            "{body}"
        );
        assert!(reply["prediction_ids"][0].is_string());
    }
    let sample = app.samples.recv().await.unwrap();
    assert_eq!(json!(sample.prediction_id), oip["parameters"]["prediction_id"]);
    assert_eq!(
        (sample.version, sample.role, sample.at),
        (1, Role::Stable, Millis(NOW))
    );
    assert_eq!(
        json!(sample.features),
        json!({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4})
    );
    assert_eq!(sample.prediction, json!(answer));
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_told_why_in_the_protocols_form() {
    let mut app = serving().await;
    let oip = async |path: &str, body: &str| {
        let (status, body) = app.send("POST", path, body).await;
        (
            status.as_u16(),
            body["error"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let one = |input: Value| json!({ "inputs": [input] }).to_string();
    let (status, told) = oip(
        "/v2/models/m/infer",
        &one(json!({"name": "a", "shape": [1], "datatype": "FP64", "data": [1]})),
    )
    .await;
    assert_eq!(
        (status, told.as_str()),
        (400, "the model needs the column `b`; it takes a, b, c, d")
    );
    let (status, told) = oip(
        "/v2/models/m/infer",
        &one(json!({"name": "a", "shape": [2], "datatype": "FP64", "data": [1]})),
    )
    .await;
    assert_eq!(
        (status, told.as_str()),
        (400, "input `a` has 1 values for the shape [2]")
    );
    let (status, told) = oip("/v2/models/m/infer", "{").await;
    assert!(status == 400 && told.contains("cannot be read"), "{told}");
    let (status, told) = oip("/v2/models/other/infer", &request().to_string()).await;
    assert_eq!(
        (status, told.as_str()),
        (404, "no model is called `other`; there is: m")
    );
    let (status, told) = oip("/v2/models/m/versions/9/infer", &request().to_string()).await;
    assert!(status == 404 && told.contains("version 9"), "{told}");
    let (status, body) = app
        .send(
            "POST",
            "/invocations",
            r#"{"dataframe_records": [{"a": "x", "b": 1, "c": 1, "d": 1}]}"#,
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["message"], "column `a`, row 0: \"x\" is not a double");
    let (status, body) = app
        .send("POST", "/invocations", r#"{"instances": [], "inputs": []}"#)
        .await;
    assert!(
        status == StatusCode::BAD_REQUEST && body["message"].as_str().unwrap().contains("exactly one of")
    );
    assert!(app.samples.try_recv().is_err(), "a refused request is no sample");
}

#[tokio::test]
async fn raw_tensors_are_taken_and_given() {
    let app = serving().await;
    let raw: Vec<u8> = [0.1f64, 0.2, 0.3, 0.4]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let header = json!({
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": 32}}],
        "parameters": {"binary_data_output": true},
    })
    .to_string();
    let (told, body) = app
        .send_raw(
            "/v2/models/m/infer",
            &[header.as_bytes(), &raw].concat(),
            header.len(),
        )
        .await;
    let (json_part, bytes) = body.split_at(told);
    let reply: Value = serde_json::from_slice(json_part).unwrap();
    assert_eq!(reply["outputs"][0]["parameters"]["binary_data_size"], 8);
    let answer = f64::from_le_bytes(bytes.try_into().unwrap());
    assert_eq!(json!(answer), infer(&app).await.1["outputs"][0]["data"][0]);
}

#[tokio::test]
async fn a_failing_canary_is_stood_in_for_and_counted() {
    let mut app = serving().await;
    let fault = Fault {
        delay_ms: 0,
        error_share: 1.0,
    };
    let rollout = app
        .store
        .start_rollout("m", 2, Some(fault), Millis(NOW))
        .await
        .unwrap();
    app.store
        .advance_rollout(rollout.id, 1, Millis(NOW))
        .await
        .unwrap();
    until(&app, "1", "2").await;
    for _ in 0..60 {
        let (status, body) = infer(&app).await;
        assert_eq!((status, &body["model_version"]), (StatusCode::OK, &json!("1")));
    }
    let stats = counted(&app, rollout.id, 1, Role::Canary).await;
    assert!(10 < stats.0 && stats.0 == stats.1, "{stats:?}");
    assert_eq!(app.samples.recv().await.unwrap().version, 1);
}

#[tokio::test]
async fn a_shadow_sees_every_request_and_answers_none() {
    let mut app = serving().await;
    let rollout = app.store.start_rollout("m", 2, None, Millis(NOW)).await.unwrap();
    // The shadow is not among the versions that answer, so its counts show that it has come.
    let mut asked = 0;
    while counted_now(&app, rollout.id, 0, Role::Shadow).await.0 == 0 {
        let (_, body) = infer(&app).await;
        assert_eq!(body["model_version"], "1");
        asked += 1;
        assert!(asked < 500, "the shadow never saw a request");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while let Ok(sample) = app.samples.try_recv() {
        assert_eq!(sample.role, Role::Stable);
    }
}

#[tokio::test]
async fn moving_the_split_drops_no_request() {
    let app = serving().await;
    let rollout = app.store.start_rollout("m", 2, None, Millis(NOW)).await.unwrap();
    let swap = async {
        app.store
            .advance_rollout(rollout.id, 1, Millis(NOW))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        app.store
            .promote_rollout(rollout.id, "passed".into(), Millis(NOW))
            .await
            .unwrap();
        until(&app, "2", "2").await;
    };
    let mut answered = 0;
    let traffic = async {
        loop {
            let (status, body) = infer(&app).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            answered += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = swap => {}
        () = traffic => {}
    }
    assert!(100 < answered, "{answered}");
    assert_eq!(
        app.store.find_model_alias("m", "champion").await.unwrap(),
        Some(2)
    );
}

#[tokio::test]
async fn an_alias_that_a_client_moves_takes_the_deployment_along() {
    let app = serving().await;
    let set = async |version: &str| {
        let body = json!({"name": "m", "alias": "champion", "version": version});
        app.post("registered-models/alias", body).await
    };
    set("2").await;
    until(&app, "2", "2").await;
    // Another alias is nobody's.
    app.post(
        "registered-models/alias",
        json!({"name": "m", "alias": "other", "version": "1"}),
    )
    .await;
    assert_eq!(app.store.get_deployment("m").await.unwrap().stable, Some(2));

    // Moved to the version on its way, that is promoted; moved elsewhere, the rollout ends.
    app.store.start_rollout("m", 1, None, Millis(NOW)).await.unwrap();
    set("1").await;
    let rollouts = app.store.list_rollouts("m", 9).await.unwrap();
    assert_eq!(rollouts[0].state, RolloutState::Promoted);
    assert!(rollouts[0].reason.as_ref().unwrap().contains("by hand"));
    until(&app, "1", "1").await;
    app.store.start_rollout("m", 2, None, Millis(NOW)).await.unwrap();
    let run = app.post("runs/create", json!({"experiment_id": "0"})).await;
    let uri = run["run"]["info"]["artifact_uri"].as_str().unwrap();
    let version =
        json!({"name": "m", "source": format!("{uri}/model"), "run_id": run["run"]["info"]["run_id"]});
    app.post("model-versions/create", version).await;
    set("3").await;
    let rollouts = app.store.list_rollouts("m", 9).await.unwrap();
    assert_eq!(rollouts[0].state, RolloutState::RolledBack);

    // Version 3 has no files: what answered before goes on, and the index says why.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (status, body) = infer(&app).await;
    assert_eq!(
        (status, &body["model_version"]),
        (StatusCode::OK, &json!("1")),
        "{body}"
    );
    let (_, index) = app.send("POST", "/v2/repository/index", "").await;
    let third = index
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["version"] == "3");
    assert_eq!(third.unwrap()["state"], "UNAVAILABLE", "{index}");
    assert_ne!(third.unwrap()["reason"], "");
    set("2").await;
    until(&app, "2", "2").await;
}

#[tokio::test]
async fn a_deployment_of_an_alias_that_is_there_answers_at_once() {
    let app = serving().await;
    app.post(
        "registered-models/alias",
        json!({"name": "m", "alias": "best", "version": "2"}),
    )
    .await;
    let spec = json!({ "project": { "name": "q" }, "deployment": { "n": { "model": "models:/m@best" } } });
    app.store
        .declare_project(
            "q",
            "/nowhere".into(),
            serde_json::from_value(spec).unwrap(),
            Millis(NOW),
        )
        .await
        .unwrap();
    assert_eq!(app.store.get_deployment("n").await.unwrap().stable, Some(2));
}

#[tokio::test]
async fn what_a_replica_reports_is_counted_and_watched() {
    let mut app = serving().await;
    infer(&app).await;
    let sample = app.samples.recv().await.unwrap();
    let stats = json!({"deployment": "m", "rollout": 7, "step": 1, "version": 2, "role": "canary",
        "requests": 5, "errors": 1, "latency": [0, 5]});
    let report = json!({"stats": [stats], "samples": [sample]});
    let (status, told) = app
        .send("POST", "/api/v1/serving/reports", &report.to_string())
        .await;
    assert_eq!((status, &told["samples"]), (StatusCode::OK, &json!(1)), "{told}");
    assert_eq!(app.samples.recv().await.unwrap(), sample);
    assert_eq!(counted_now(&app, 7, 1, Role::Canary).await, (5, 1));
    for (wrong, status) in [
        (
            json!({"stats": [{"deployment": "nobody", "rollout": 0, "step": 0, "version": 2, "role": "stable",
            "requests": 5, "errors": 1, "latency": []}]}),
            404,
        ),
        (
            json!({"stats": [{"deployment": "m", "rollout": 0, "step": 0, "version": 2, "role": "stable",
            "requests": 5, "errors": 1, "latency": vec![1; 200]}]}),
            400,
        ),
        (json!({"other": []}), 400),
    ] {
        let (told, body) = app
            .send("POST", "/api/v1/serving/reports", &wrong.to_string())
            .await;
        assert_eq!(told.as_u16(), status, "{wrong}: {body}");
    }
}

/// Requests and errors of a target, once they are written down.
async fn counted(app: &App, rollout: i64, step: usize, role: Role) -> (u64, u64) {
    for _ in 0..100 {
        let counts = counted_now(app, rollout, step, role).await;
        if 0 < counts.0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return counted_now(app, rollout, step, role).await;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    (0, 0)
}

async fn counted_now(app: &App, rollout: i64, step: usize, role: Role) -> (u64, u64) {
    let stats = app.store.target_stats("m", rollout, step).await.unwrap();
    stats
        .iter()
        .find(|target| target.role == role)
        .map_or((0, 0), |target| (target.requests, target.errors))
}
