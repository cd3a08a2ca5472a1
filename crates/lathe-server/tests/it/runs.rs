use serde_json::{Value, json};

use crate::app::{App, NOW, app};

async fn run(app: &App, body: Value) -> String {
    let reply = app.post("runs/create", body).await;
    reply["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

async fn get(app: &App, id: &str) -> Value {
    app.get(&format!("runs/get?run_id={id}")).await["run"].clone()
}

#[tokio::test]
async fn a_new_run_has_a_name_and_a_place_for_artifacts() {
    let app = app();
    let id = run(
        &app,
        json!({"experiment_id": "0", "run_name": "first", "start_time": "5", "user_id": "ada"}),
    )
    .await;
    assert_eq!(
        get(&app, &id).await,
        json!({
            "info": {
                "run_uuid": id, "run_id": id, "experiment_id": "0", "run_name": "first", "user_id": "ada",
                "status": "RUNNING", "start_time": 5, "lifecycle_stage": "active",
                "artifact_uri": format!("mlflow-artifacts:/0/{id}/artifacts"),
            },
            "data": {"tags": [{"key": "mlflow.runName", "value": "first"}]},
            "inputs": {},
            "outputs": {},
        })
    );
    let unnamed = run(&app, json!({"experiment_id": "0"})).await;
    let info = get(&app, &unnamed).await["info"].clone();
    assert!(info["run_name"].as_str().unwrap().contains('-'), "{info}");
    assert_eq!(info["start_time"], NOW);
    for body in [
        r#"{}"#,
        r#"{"experiment_id":"x"}"#,
        r#"{"experiment_id":"0","run_name":"a","tags":[{"key":"mlflow.runName","value":"b"}]}"#,
    ] {
        assert_eq!(app.refused("runs/create", body).await.0, 400, "{body}");
    }
    assert_eq!(
        app.refused("runs/create", r#"{"experiment_id":"7"}"#).await.0,
        404
    );
}

#[tokio::test]
async fn the_name_of_a_run_and_its_tag_stay_the_same() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    app.post(
        "runs/set-tag",
        json!({"run_id": id, "key": "mlflow.runName", "value": "a"}),
    )
    .await;
    assert_eq!(get(&app, &id).await["info"]["run_name"], "a");
    let reply = app
        .post("runs/update", json!({"run_uuid": id, "run_name": "b"}))
        .await;
    assert_eq!(reply["run_info"]["run_name"], "b");
    assert_eq!(get(&app, &id).await["data"]["tags"][0]["value"], "b");
}

#[tokio::test]
async fn the_feed_tells_when_a_run_starts_and_ends_and_nothing_in_between() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0", "run_name": "r"})).await;
    app.post(
        "runs/log-metric",
        json!({"run_id": id, "key": "a", "value": 1, "timestamp": 1}),
    )
    .await;
    for status in ["RUNNING", "FAILED", "FAILED"] {
        app.post(
            "runs/update",
            json!({"run_id": id, "status": status, "end_time": 9}),
        )
        .await;
    }
    let events = app.store.list_events(0, 10).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.kind.as_str(),
                event.subject.as_str(),
                event.summary.as_str(),
            )
        })
        .collect();
    let subject = format!("run/{id}");
    assert_eq!(
        told,
        [
            ("run.created", subject.as_str(), "run `r` started in `Default`"),
            ("run.finished", subject.as_str(), "run `r` ended: FAILED"),
        ]
    );
    assert_eq!(get(&app, &id).await["info"]["end_time"], 9);
    assert_eq!(
        app.refused(
            "runs/update",
            &json!({"run_id": id, "status": "NOPE"}).to_string()
        )
        .await
        .0,
        400
    );
}

#[tokio::test]
async fn a_batch_is_logged_whole_or_not_at_all() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    let batch = |metrics: Value, params: Value| json!({"run_id": id, "metrics": metrics, "params": params, "tags": [{"key": "t", "value": "1"}]});
    let good = batch(
        json!([{"key": "a", "value": "NaN", "timestamp": "1", "step": "2"}, {"key": "b", "value": "Infinity", "timestamp": 1}]),
        json!([{"key": "p", "value": "1"}]),
    );
    app.post("runs/log-batch", good.clone()).await;
    app.post("runs/log-batch", good).await;
    let metric = |key: &str| json!({"key": key, "value": 1, "timestamp": 1});
    for bad in [
        batch(
            json!([metric("x"), {"key": "y", "value": "abc", "timestamp": 1}]),
            json!([]),
        ),
        batch(
            json!([metric("x"), {"key": "y", "value": true, "timestamp": 1}]),
            json!([]),
        ),
        batch(json!([metric("x"), {"key": "y", "timestamp": 1}]), json!([])),
        batch(
            json!([metric("x"), {"key": "y", "value": 1, "timestamp": 1e20}]),
            json!([]),
        ),
        batch(json!([metric("x"), metric("../y")]), json!([])),
        batch(json!([metric("x")]), json!([{"key": "p", "value": "2"}])),
        batch(json!([metric("x")]), json!([{"key": "q", "value": 1.5}])),
        batch(
            json!([metric("x")]),
            json!([{"key": "q", "value": "1"}, {"key": "q", "value": "1"}]),
        ),
        batch(json!(vec![metric("x"); 1_001]), json!([])),
    ] {
        let text = bad.to_string();
        assert_eq!(
            app.refused("runs/log-batch", &text).await,
            (400, "INVALID_PARAMETER_VALUE".into()),
            "{text:.200}"
        );
    }
    assert_eq!(
        get(&app, &id).await["data"]["metrics"],
        json!([
            {"key": "a", "value": "NaN", "timestamp": 1, "step": 2},
            {"key": "b", "value": f64::MAX, "timestamp": 1, "step": 0},
        ])
    );
    assert_eq!(
        get(&app, &id).await["data"]["params"],
        json!([{"key": "p", "value": "1"}])
    );
}

#[tokio::test]
async fn an_error_in_a_batch_names_the_metric() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    let body = json!({"run_id": id, "metrics": [
        {"key": "a", "value": 1, "timestamp": 1}, {"key": "b;", "value": 1, "timestamp": 1}
    ]});
    let (_, reply) = app
        .send("POST", "/api/2.0/mlflow/runs/log-batch", &body.to_string())
        .await;
    let message = reply["message"].as_str().unwrap();
    assert!(
        message.starts_with("Invalid value \"b;\" for parameter 'metrics[1].key' supplied"),
        "{message}"
    );
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    app.post("runs/delete", json!({"run_id": id})).await;
    let tag = json!({"run_id": id, "key": "k", "value": "v"});
    assert_eq!(app.refused("runs/set-tag", &tag.to_string()).await.0, 400);
    assert_eq!(get(&app, &id).await["info"]["lifecycle_stage"], "deleted");
    app.post("runs/restore", json!({"run_id": id})).await;
    let told = app.store.latest_events(2).await.unwrap();
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["run.deleted", "run.restored"]);
    app.post("runs/set-tag", tag.clone()).await;
    app.post("runs/delete-tag", tag.clone()).await;
    assert_eq!(app.refused("runs/delete-tag", &tag.to_string()).await.0, 404);
    app.post("runs/restore", json!({"run_id": id})).await;
    for unknown in ["0".repeat(32), "no-such_run".into()] {
        assert_eq!(
            app.refused("runs/delete", &json!({"run_id": unknown}).to_string())
                .await,
            (404, "RESOURCE_DOES_NOT_EXIST".into())
        );
    }
    let odd = json!({"run_id": "../x"}).to_string();
    assert_eq!(
        app.refused("runs/delete", &odd).await,
        (400, "INVALID_PARAMETER_VALUE".into())
    );
}

#[tokio::test]
async fn the_latest_value_is_the_one_of_the_highest_step_and_a_repeated_one_counts_once() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    for (value, timestamp, step) in [(3, 30, 2), (1, 10, 1), (1, 10, 1), (2, 20, 1), (9, 90, 0)] {
        app.post(
            "runs/log-metric",
            json!({"run_id": id, "key": "m", "value": value, "timestamp": timestamp, "step": step}),
        )
        .await;
    }
    assert_eq!(get(&app, &id).await["data"]["metrics"][0]["value"], 3.0);
    let path = format!("metrics/get-history?run_id={id}&metric_key=m");
    let whole = app.get(&path).await;
    let values = |page: &Value| -> Vec<f64> {
        let metrics = page["metrics"].as_array().unwrap().iter();
        metrics.map(|metric| metric["value"].as_f64().unwrap()).collect()
    };
    assert_eq!(values(&whole), [1.0, 2.0, 3.0, 9.0]);
    assert_eq!(whole.get("next_page_token"), None);
    let first = app.get(&format!("{path}&max_results=3")).await;
    let token = first["next_page_token"].as_str().unwrap();
    let second = app
        .get(&format!(
            "{path}&max_results=3&page_token={}",
            token.replace('=', "%3D")
        ))
        .await;
    assert_eq!(
        (values(&first), values(&second)),
        (vec![1.0, 2.0, 3.0], vec![9.0])
    );
    let (status, _) = app
        .send("GET", &format!("/api/2.0/mlflow/{path}&max_results=0"), "")
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn histories_of_several_runs_are_thinned_out_but_keep_their_ends() {
    let app = app();
    let ids = [
        run(&app, json!({"experiment_id": "0"})).await,
        run(&app, json!({"experiment_id": "0"})).await,
    ];
    for id in &ids {
        let metrics: Vec<Value> = (0..100)
            .map(|step| json!({"key": "m", "value": step, "timestamp": step, "step": step}))
            .collect();
        app.post("runs/log-batch", json!({"run_id": id, "metrics": metrics}))
            .await;
    }
    let steps = |reply: &Value, id: &str| -> Vec<i64> {
        let metrics = reply["metrics"].as_array().unwrap().iter();
        let of_run = metrics.filter(|metric| metric["run_id"] == id);
        of_run.map(|metric| metric["step"].as_i64().unwrap()).collect()
    };
    let runs = format!("metric_key=m&run_ids={}&run_ids={}", ids[0], ids[1]);
    let path = "metrics/get-history-bulk-interval";
    let thin = app.get(&format!("{path}?{runs}&max_results=5")).await;
    for id in &ids {
        assert_eq!(steps(&thin, id), [0, 20, 40, 60, 99]);
    }
    let part = app.get(&format!("{path}?{runs}&start_step=10&end_step=12")).await;
    assert_eq!(steps(&part, &ids[1]), [10, 11, 12]);
    let (status, _) = app
        .send(
            "GET",
            &format!("/ajax-api/2.0/mlflow/{path}?{runs}&start_step=10"),
            "",
        )
        .await;
    assert_eq!(status, 400);
    let bulk = format!(
        "metrics/get-history-bulk?metric_key=m&run_id={}&run_id={}&max_results=150",
        ids[0], ids[1]
    );
    let bulk = app.get(&bulk).await;
    let mut points = [steps(&bulk, &ids[0]).len(), steps(&bulk, &ids[1]).len()];
    points.sort_unstable();
    assert_eq!(points, [50, 100], "run by run, in the order of their ids");
}

#[tokio::test]
async fn a_run_shows_the_datasets_that_it_read() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    let dataset = json!({"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "[]"});
    let input = json!({"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "train"}]});
    let body = json!({"run_id": id, "datasets": [input.clone()]});
    app.post("runs/log-inputs", body.clone()).await;
    app.post("runs/log-inputs", body).await;
    assert_eq!(
        get(&app, &id).await["inputs"],
        json!({"dataset_inputs": [input.clone()]})
    );
    let listed = app
        .post("experiments/search-datasets", json!({"experiment_ids": ["0"]}))
        .await;
    assert_eq!(
        listed,
        json!({"dataset_summaries": [{"experiment_id": "0", "name": "d", "digest": "1", "context": "train"}]})
    );
    let mut large = input.clone();
    large["dataset"]["digest"] = "2".into();
    large["dataset"]["profile"] = "x".repeat(5_000_000).into();
    app.post("runs/log-inputs", json!({"run_id": id, "datasets": [large]}))
        .await;
    let nameless = json!({"run_id": id, "datasets": [{"dataset": {"digest": "1"}}]});
    assert_eq!(app.refused("runs/log-inputs", &nameless.to_string()).await.0, 400);
}

#[tokio::test]
async fn an_older_client_keeps_its_models_in_a_tag() {
    let app = app();
    let id = run(&app, json!({"experiment_id": "0"})).await;
    for path in ["a", "b"] {
        let model = json!({"artifact_path": path, "flavors": {}, "utc_time_created": "x", "run_id": id});
        app.post(
            "runs/log-model",
            json!({"run_id": id, "model_json": model.to_string()}),
        )
        .await;
    }
    let tags = get(&app, &id).await["data"]["tags"].clone();
    let history: Value = serde_json::from_str(tags[0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(tags[0]["key"], "mlflow.log-model.history");
    assert_eq!(
        (
            history[0]["artifact_path"].as_str(),
            history[1]["artifact_path"].as_str()
        ),
        (Some("a"), Some("b"))
    );
    let body = json!({"run_id": id, "model_json": "{}"}).to_string();
    assert_eq!(app.refused("runs/log-model", &body).await.0, 400);
}
