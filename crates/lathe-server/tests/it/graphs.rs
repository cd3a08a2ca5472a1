use std::time::Duration;

use axum::http::StatusCode;
use lathe_types::Millis;
use serde_json::{Value, json};

use crate::app::{App, NOW, app};
use crate::inference::copy_model;

/// A server that has every fixture as version 1 of a model with the alias `champion`, and answers for these graphs.
async fn serving(graphs: Value) -> App {
    let app = app();
    for fixture in ["boosting", "forest", "tree", "whole", "words"] {
        app.post("registered-models/create", json!({ "name": fixture }))
            .await;
        register(&app, fixture, fixture).await;
        let alias = json!({ "name": fixture, "alias": "champion", "version": "1" });
        app.post("registered-models/alias", alias).await;
    }
    declare(&app, graphs).await;
    app.deployments.refresh().await;
    app
}

async fn register(app: &App, model: &str, fixture: &str) {
    let run = app.post("runs/create", json!({ "experiment_id": "0" })).await;
    let uri = run["run"]["info"]["artifact_uri"].as_str().unwrap().to_owned();
    copy_model(app, fixture, uri.strip_prefix("mlflow-artifacts:/").unwrap()).await;
    let source = format!("{uri}/model");
    let version = json!({ "name": model, "source": source, "run_id": run["run"]["info"]["run_id"] });
    app.post("model-versions/create", version).await;
}

async fn declare(app: &App, graphs: Value) {
    let spec = json!({ "project": { "name": "p" }, "graph": graphs });
    let spec = serde_json::from_value(spec).unwrap();
    app.store
        .declare_project("p", "/nowhere".into(), spec, Millis(NOW))
        .await
        .unwrap();
}

/// Rows of which every second one has a greater `a`.
fn rows() -> Value {
    let rows: Vec<Value> = (0..8)
        .map(|n| json!([f64::from(n % 2), 0.1 * f64::from(n), -0.3, 0.2]))
        .collect();
    json!(rows)
}

async fn infer(app: &App, name: &str) -> Value {
    let data = rows();
    let tensor = json!({ "name": "rows", "shape": [8, 4], "datatype": "FP64", "data": data });
    let body = json!({ "inputs": [tensor] }).to_string();
    let (status, reply) = app.send("POST", &format!("/v2/models/{name}/infer"), &body).await;
    assert_eq!(status, StatusCode::OK, "{name}: {reply}");
    reply
}

async fn answers(app: &App, name: &str) -> Vec<Value> {
    infer(app, name).await["outputs"][0]["data"]
        .as_array()
        .unwrap()
        .clone()
}

/// What each fixture answers alone: a graph of one step.
async fn alone(app: &App, fixture: &str) -> Vec<Value> {
    answers(app, &format!("only-{fixture}")).await
}

fn with_each_alone(mut graphs: Value) -> Value {
    for fixture in ["boosting", "forest", "tree", "whole", "words"] {
        graphs[format!("only-{fixture}")] = json!({ "sequence": [format!("models:/{fixture}@champion")] });
    }
    graphs
}

fn numbers(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test]
async fn members_answer_together_as_each_does_alone() {
    let app = serving(with_each_alone(json!({
        "mean": { "ensemble": ["models:/boosting@champion", "models:/forest/1"], "combine": "mean", "weights": [3, 1] },
        "vote": { "ensemble": ["models:/whole@champion", "models:/whole/1"], "combine": "vote" },
        "switch": {
            "switch": "input.a > 0.5",
            "cases": { "true": "models:/boosting@champion" },
            "otherwise": "graph:/mean",
        },
    })))
    .await;
    let (boosting, forest) = (alone(&app, "boosting").await, alone(&app, "forest").await);
    let mean: Vec<f64> = numbers(&boosting)
        .iter()
        .zip(numbers(&forest))
        .map(|(a, b)| (3.0 * a + b) / 4.0)
        .collect();
    assert_eq!(numbers(&answers(&app, "mean").await), mean);
    assert_eq!(answers(&app, "vote").await, alone(&app, "whole").await);
    let chosen: Vec<f64> = (0..8)
        .map(|row| match row % 2 {
            1 => numbers(&boosting)[row],
            _ => mean[row],
        })
        .collect();
    let reply = infer(&app, "switch").await;
    assert_eq!(numbers(reply["outputs"][0]["data"].as_array().unwrap()), chosen);
    assert_eq!(reply["parameters"]["members"], "boosting/1, forest/1");
    let (_, metadata) = app.send("GET", "/v2/models/switch", "").await;
    assert_eq!(metadata["platform"], "lathe_graph");
    assert_eq!(metadata["properties"]["members"], "boosting/1, forest/1");
    let names: Vec<&Value> = metadata["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| &input["name"])
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn each_row_is_recorded_with_who_answered_it() {
    let mut app = serving(json!({
        "switch": {
            "switch": "input.a > 0.5",
            "cases": { "true": "models:/boosting@champion", "false": "models:/forest@champion" },
        },
    }))
    .await;
    let reply = infer(&app, "switch").await;
    for row in 0..8 {
        let sample = app.samples.recv().await.unwrap();
        let members: Vec<String> = sample.members.iter().map(ToString::to_string).collect();
        let expected = if row % 2 == 1 { "boosting/1" } else { "forest/1" };
        assert_eq!(
            (members, sample.deployment.as_str()),
            (vec![expected.to_owned()], "switch")
        );
        assert_eq!(sample.model, "switch");
        assert_eq!(sample.prediction, reply["outputs"][0]["data"][row]);
        assert_eq!(json!(sample.version.to_string()), reply["model_version"]);
    }
}

#[tokio::test]
async fn what_goes_wrong_in_a_member_is_told_with_its_name_in_the_protocols_form() {
    let app = serving(json!({
        "mean": { "ensemble": ["models:/words@champion", "models:/forest@champion"], "combine": "mean" },
        "narrow": { "sequence": ["models:/forest@champion", "models:/tree@champion"] },
        "switch": { "switch": "input.a", "cases": { "0": "models:/forest@champion" } },
        "score": { "sequence": ["models:/forest@champion"] },
    }))
    .await;
    // Members that do not fit together are found out by the input example, and replace nothing.
    let (status, reply) = app.send("GET", "/v2/models/narrow", "").await;
    assert_eq!(
        (status, &reply["error"]),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            &json!("no version of `narrow` answers yet")
        )
    );
    let (_, index) = app.send("POST", "/v2/repository/index", "").await;
    let reason = |name: &str| {
        let entry = index
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name)
            .unwrap();
        entry["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        reason("narrow"),
        "it cannot answer its own input example: step 2, `models:/tree/1`: it does not fit what the step before \
         answers: it takes 4 columns (a, b, c, d), and gets 1"
    );
    assert_eq!(
        reason("mean"),
        "it cannot answer its own input example: `models:/words/1`: it answers with words; a mean is of numbers"
    );

    let body = json!({ "instances": rows() }).to_string();
    let (status, reply) = app.send("POST", "/v1/models/switch:predict", &body).await;
    assert_eq!(
        (status, &reply["error"]),
        (
            StatusCode::BAD_REQUEST,
            &json!("row 1: the switch says `1`; its cases are 0")
        )
    );
    let (status, reply) = app.send("POST", "/deployments/switch/invocations", &body).await;
    assert_eq!(
        (status, &reply["error_code"]),
        (StatusCode::BAD_REQUEST, &json!("BAD_REQUEST"))
    );

    // A value that the model cannot bear is told with the row of the request, not of the part that the member saw.
    let mut rows: Vec<Value> = (0..4)
        .map(|_| json!({ "a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0 }))
        .collect();
    rows[2]["a"] = json!(0.0);
    rows[2]["b"] = json!(null);
    let other = json!({
        "switch": "input.a",
        "cases": { "1": "models:/forest@champion", "0": "models:/boosting@champion" },
    });
    declare(
        &app,
        json!({ "switch": other, "score": { "sequence": ["models:/forest@champion"] } }),
    )
    .await;
    app.deployments.refresh().await;
    let body = json!({ "dataframe_records": rows }).to_string();
    let (status, reply) = app.send("POST", "/deployments/switch/invocations", &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let told = reply["message"].as_str().unwrap();
    assert!(
        told.starts_with("case `0`, `models:/boosting/1`: column `b`, row 2"),
        "{told}"
    );
    // Graphs that are declared no more are gone.
    assert_eq!(
        app.send("GET", "/v2/models/narrow", "").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_deadline_is_the_whole_graphs() {
    let app = serving(json!({ "score": { "sequence": ["models:/forest@champion"] } })).await;
    let tensor = json!({ "name": "rows", "shape": [8, 4], "datatype": "FP64", "data": rows() });
    let body = json!({ "inputs": [tensor], "parameters": { "timeout": 1 } }).to_string();
    let (status, reply) = app.send("POST", "/v2/models/score/infer", &body).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(
        reply["error"],
        "step 1, `models:/forest/1`: the deadline passed before the model could answer"
    );
}

#[tokio::test]
async fn what_a_graph_and_its_members_did_is_counted() {
    let app = serving(json!({
        "mean": { "ensemble": ["models:/boosting@champion", "models:/forest@champion"], "combine": "mean" },
    }))
    .await;
    let stats = async || {
        let (_, told) = app.send("GET", "/v2/models/mean/stats", "").await;
        let of = |entry: &Value| {
            let name = entry["name"].as_str().unwrap().to_owned();
            (
                name,
                entry["inference_count"].as_u64().unwrap(),
                entry["inference_stats"]["success"]["count"].as_u64().unwrap(),
            )
        };
        told["model_stats"]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect::<Vec<_>>()
    };
    let before = stats().await;
    let names: Vec<&str> = before.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["mean", "mean/boosting", "mean/forest"]);
    assert_eq!((before[0].1, before[0].2), (0, 0));
    infer(&app, "mean").await;
    for ((name, rows, requests), (_, rows_before, requests_before)) in stats().await.into_iter().zip(before) {
        assert_eq!((rows - rows_before, requests - requests_before), (8, 1), "{name}");
    }
}

#[tokio::test]
async fn a_member_that_is_swapped_fails_no_request_and_one_that_cannot_be_loaded_replaces_nothing() {
    let app = serving(json!({
        "mean": { "ensemble": ["models:/boosting@champion", "models:/forest@champion"], "combine": "mean" },
    }))
    .await;
    register(&app, "forest", "tree").await;
    // The files of version 3 are where this server reads none.
    let source = json!({ "name": "forest", "source": "s3://bucket/forest" });
    app.post("model-versions/create", source).await;
    tokio::spawn(app.deployments.clone().follow());
    let set = async |version: &str| {
        let body = json!({ "name": "forest", "alias": "champion", "version": version });
        app.post("registered-models/alias", body).await;
    };
    let swaps = async {
        for version in ["2", "1", "3"] {
            set(version).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    let mut seen = Vec::new();
    let traffic = async {
        loop {
            let reply = infer(&app, "mean").await;
            let members = reply["parameters"]["members"].as_str().unwrap().to_owned();
            if seen.last() != Some(&members) {
                seen.push(members);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = swaps => {}
        () = traffic => {}
    }
    assert_eq!(
        seen,
        [
            "boosting/1, forest/1",
            "boosting/1, forest/2",
            "boosting/1, forest/1"
        ]
    );
    let (_, index) = app.send("POST", "/v2/repository/index", "").await;
    let failing = index
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["state"] == "UNAVAILABLE")
        .unwrap();
    let reason = failing["reason"].as_str().unwrap();
    assert!(
        failing["name"] == "mean" && reason.starts_with("`models:/forest/3`: "),
        "{failing}"
    );
}

#[tokio::test]
async fn a_graph_without_all_its_members_says_which_is_missing() {
    let app = serving(json!({ "score": { "sequence": ["models:/forest@soon"] } })).await;
    let (status, reply) = app.send("GET", "/v2/models/score", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        reply["error"],
        "no version of `score` answers yet: its member `models:/forest@soon` names none"
    );
    let (_, listed) = app.send("GET", "/api/v1/deployments", "").await;
    let graph = &listed["graphs"][0];
    assert_eq!(
        (&graph["missing"], &graph["ready"]),
        (&json!("models:/forest@soon"), &json!(false))
    );
    app.post(
        "registered-models/alias",
        json!({ "name": "forest", "alias": "soon", "version": "1" }),
    )
    .await;
    app.deployments.refresh().await;
    infer(&app, "score").await;
    let (_, listed) = app.send("GET", "/api/v1/deployments", "").await;
    let graph = &listed["graphs"][0];
    assert_eq!(graph["members"], json!([{ "model": "forest", "version": 1 }]));
    assert_eq!(
        (&graph["ready"], &graph["executes_code"]),
        (&json!(true), &json!(false))
    );
    let traffic = (&graph["answered"], &graph["failed"]);
    assert_eq!(traffic, (&json!(1), &json!(0)));
    assert!(0.0 < graph["latency_us_mean"].as_f64().unwrap(), "{graph}");
}
