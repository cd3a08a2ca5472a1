use serde_json::{Value, json};

use crate::app::{App, NOW, app};

async fn model(app: &App, body: Value) -> String {
    let reply = app.post("logged-models", body).await;
    reply["model"]["info"]["model_id"].as_str().unwrap().to_owned()
}

async fn patch(app: &App, path: &str, body: Value) -> (u16, Value) {
    let (status, reply) = app
        .send("PATCH", &format!("/api/2.0/mlflow/{path}"), &body.to_string())
        .await;
    (status.as_u16(), reply)
}

#[tokio::test]
async fn a_logged_model_is_pending_until_it_is_finalized() {
    let app = app();
    let body =
        json!({"experiment_id": "0", "name": "l", "model_type": "t", "params": [{"key": "p", "value": "1"}]});
    let id = model(&app, body).await;
    let path = format!("logged-models/{id}");
    let params = json!({"params": [{"key": "q", "value": "2"}]});
    app.post(&format!("{path}/params"), params).await;
    let tags = json!({"tags": [{"key": "a/b", "value": "c"}]});
    assert_eq!(patch(&app, &format!("{path}/tags"), tags).await.0, 200);
    assert_eq!(
        app.get(&path).await["model"],
        json!({
            "info": {
                "model_id": id, "experiment_id": "0", "name": "l", "model_type": "t", "source_run_id": "",
                "creation_timestamp_ms": NOW, "last_updated_timestamp_ms": NOW,
                "artifact_uri": format!("mlflow-artifacts:/0/models/{id}/artifacts"),
                "status": "LOGGED_MODEL_PENDING", "tags": [{"key": "a/b", "value": "c"}],
            },
            "data": {"params": [{"key": "p", "value": "1"}, {"key": "q", "value": "2"}]},
        })
    );
    let (_, ready) = patch(&app, &path, json!({"status": "LOGGED_MODEL_READY"})).await;
    assert_eq!(ready["model"]["info"]["status"], "LOGGED_MODEL_READY");
    assert_eq!(patch(&app, &path, json!({"status": "READY"})).await.0, 400);
    for (expected, method, path) in [
        (200, "DELETE", format!("{path}/tags/a/b")),
        (404, "DELETE", format!("{path}/tags/a/b")),
        (200, "DELETE", path.clone()),
        (404, "DELETE", path.clone()),
        (404, "GET", path.clone()),
        (200, "GET", format!("{path}?allow_deleted=true")),
        (404, "GET", "logged-models/x".into()),
    ] {
        let (status, reply) = app.send(method, &format!("/api/2.0/mlflow/{path}"), "").await;
        assert_eq!(status, expected, "{method} {path}: {reply}");
    }
}

#[tokio::test]
async fn a_bad_logged_model_is_refused_whole() {
    let app = app();
    let many: Vec<_> = (0..101)
        .map(|i| json!({"key": format!("p{i}"), "value": "1"}))
        .collect();
    for body in [
        json!({"name": "l"}),
        json!({"experiment_id": "0", "name": "a/b"}),
        json!({"experiment_id": "0", "params": many}),
        json!({"experiment_id": "0", "params": [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]}),
    ] {
        assert_eq!(
            app.refused("logged-models", &body.to_string()).await.0,
            400,
            "{body}"
        );
    }
    let found = app
        .post("logged-models/search", json!({"experiment_ids": ["0"]}))
        .await;
    assert_eq!(found, json!({}));
}

#[tokio::test]
async fn a_metric_of_a_model_shows_up_on_its_run_and_on_the_model_with_its_dataset() {
    let app = app();
    let run = app.post("runs/create", json!({"experiment_id": "0"})).await;
    let run = run["run"]["info"]["run_id"].clone();
    let id = model(
        &app,
        json!({"experiment_id": "0", "name": "l", "source_run_id": run}),
    )
    .await;
    let metric = json!({
        "key": "acc", "value": 0.5, "timestamp": 1, "step": 3, "model_id": id,
        "dataset_name": "d", "dataset_digest": "1",
    });
    app.post("runs/log-batch", json!({"run_id": run, "metrics": [metric]}))
        .await;
    app.post(
        "runs/outputs",
        json!({"run_id": run, "models": [{"model_id": id, "step": "3"}]}),
    )
    .await;
    app.post(
        "runs/log-inputs",
        json!({"run_id": run, "models": [{"model_id": id}]}),
    )
    .await;
    let found = app
        .get(&format!("runs/get?run_id={}", run.as_str().unwrap()))
        .await;
    assert_eq!(found["run"]["data"]["metrics"][0]["value"], 0.5);
    assert_eq!(
        found["run"]["outputs"],
        json!({"model_outputs": [{"model_id": id, "step": 3}]})
    );
    assert_eq!(
        found["run"]["inputs"],
        json!({"model_inputs": [{"model_id": id}]})
    );
    let found = app.get(&format!("logged-models/{id}")).await;
    assert_eq!(
        found["model"]["data"]["metrics"],
        json!([{"key": "acc", "value": 0.5, "timestamp": 1, "step": 3, "run_id": run, "model_id": id,
                "dataset_name": "d", "dataset_digest": "1"}])
    );
    let unknown = json!({"run_id": run, "key": "x", "value": 1, "timestamp": 1, "model_id": format!("m-{}", "0".repeat(32))});
    assert_eq!(app.refused("runs/log-metric", &unknown.to_string()).await.0, 404);
}

#[tokio::test]
async fn logged_models_are_found_and_sorted_by_metrics_on_one_dataset() {
    let app = app();
    let run = app.post("runs/create", json!({"experiment_id": "0"})).await;
    let run = run["run"]["info"]["run_id"].clone();
    for (name, on_train, on_test) in [("a", 1.0, 2.0), ("b", 2.0, 1.0)] {
        let id = model(&app, json!({"experiment_id": "0", "name": name})).await;
        for (dataset, value, step) in [("train", on_train, 1), ("test", on_test, 2)] {
            let metric = json!({"run_id": run, "key": "acc", "value": value, "timestamp": 1, "step": step,
                                "model_id": id, "dataset_name": dataset});
            app.post("runs/log-metric", metric).await;
        }
    }
    model(
        &app,
        json!({"experiment_id": "0", "name": "c", "tags": [{"key": "t", "value": "x"}]}),
    )
    .await;
    let by =
        |dataset: &str| json!([{"field_name": "metrics.acc", "ascending": false, "dataset_name": dataset}]);
    let none = json!([]);
    for (filter, datasets, order_by, found) in [
        ("", none.clone(), json!([{"field_name": "name"}]), "a b c"),
        ("", none.clone(), by("train"), "b a c"),
        ("", none.clone(), by("test"), "a b c"),
        (
            "metrics.acc > 1.5",
            json!([{"dataset_name": "train"}]),
            none.clone(),
            "b",
        ),
        (
            "metrics.acc > 1.5",
            none.clone(),
            json!([{"field_name": "name"}]),
            "a b",
        ),
        (
            "tags.t = 'x' AND attributes.status = 'PENDING'",
            none.clone(),
            none.clone(),
            "c",
        ),
        (
            "name IN ('a', 'c')",
            none.clone(),
            json!([{"field_name": "name", "ascending": false}]),
            "c a",
        ),
    ] {
        let body =
            json!({"experiment_ids": ["0"], "filter": filter, "datasets": datasets, "order_by": order_by});
        let reply = app.post("logged-models/search", body.clone()).await;
        let models = reply["models"].as_array().unwrap().iter();
        let names: Vec<_> = models
            .map(|model| model["info"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), found, "{body}");
    }
    for bad in [
        json!({"experiment_ids": ["0"], "order_by": [{"field_name": "nothing"}]}),
        json!({"experiment_ids": ["0"], "datasets": [{}]}),
        json!({"experiment_ids": ["0"], "filter": "metrics.acc = 'x'"}),
    ] {
        assert_eq!(
            app.refused("logged-models/search", &bad.to_string()).await.0,
            400,
            "{bad}"
        );
    }
}
