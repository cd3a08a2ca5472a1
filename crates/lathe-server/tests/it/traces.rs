use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, app};

async fn v3(app: &App, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, reply) = app
        .send(method, &format!("/api/3.0/mlflow/{path}"), &body.to_string())
        .await;
    (status.as_u16(), reply)
}

fn told(id: &str, more: Value) -> Value {
    let mut info = json!({
        "trace_id": id,
        "trace_location": { "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": "0" } },
        "request_time": "2026-01-02T03:04:05.678Z",
        "execution_duration": "1.5s",
        "state": "OK",
    });
    for (key, value) in more.as_object().unwrap() {
        info[key] = value.clone();
    }
    json!({ "trace": { "trace_info": info } })
}

#[tokio::test]
async fn a_trace_is_told_read_changed_and_deleted() {
    let app = app();
    let more = json!({ "tags": { "mlflow.traceName": "n", "k": "v" }, "trace_metadata": { "m": "1" } });
    let (status, reply) = v3(&app, "POST", "traces", told("tr-1", more)).await;
    assert_eq!(status, 200, "{reply}");
    let info = &reply["trace"]["trace_info"];
    assert_eq!(info["request_time"], "2026-01-02T03:04:05.678Z");
    assert_eq!(
        (&info["execution_duration"], &info["state"]),
        (&json!("1.500s"), &json!("OK"))
    );
    assert_eq!(
        info["tags"]["mlflow.artifactLocation"],
        "mlflow-artifacts:/0/traces/tr-1/artifacts"
    );
    // No spans came, so the client keeps them with its artifacts.
    assert!(info["tags"]["mlflow.trace.spansLocation"].is_null());
    assert_eq!(v3(&app, "GET", "traces/tr-1", json!({})).await, (200, reply));
    assert_eq!(
        v3(
            &app,
            "GET",
            "traces/get?trace_id=tr-1&allow_partial=False",
            json!({})
        )
        .await
        .0,
        404
    );
    let infos = json!({ "trace_ids": ["tr-9", "tr-1"] });
    let (_, found) = v3(&app, "POST", "traces/batchGetInfos", infos).await;
    assert_eq!(found["trace_infos"].as_array().unwrap().len(), 1);
    let tag = json!({ "key": "mlflow.trace.spansLocation", "value": "x" });
    assert_eq!(v3(&app, "PATCH", "traces/tr-1/tags", tag).await.0, 400);
    assert_eq!(
        v3(&app, "DELETE", "traces/tr-1/tags", json!({ "key": "k" }))
            .await
            .0,
        200
    );
    assert_eq!(
        v3(&app, "DELETE", "traces/tr-1/tags", json!({ "key": "k" }))
            .await
            .0,
        404
    );
    let gone = json!({ "experiment_id": "0", "request_ids": ["tr-1"] });
    assert_eq!(
        v3(&app, "POST", "traces/delete-traces", gone).await,
        (200, json!({ "traces_deleted": 1 }))
    );
    let (status, reply) = v3(&app, "GET", "traces/tr-1", json!({})).await;
    assert_eq!(
        (status, &reply["error_code"]),
        (404, &json!("RESOURCE_DOES_NOT_EXIST"))
    );
}

#[tokio::test]
async fn what_is_no_trace_is_refused_and_nothing_is_kept() {
    let app = app();
    for (body, code) in [
        (json!({}), 400),
        (json!({ "trace": {} }), 400),
        (told("../x", json!({})), 400),
        (told("tr-1", json!({ "request_time": "yesterday" })), 400),
        (told("tr-1", json!({ "execution_duration": "1e9s" })), 400),
        (told("tr-1", json!({ "state": "GREAT" })), 400),
        (told("tr-1", json!({ "tags": { "k": 5 } })), 400),
        (told("tr-1", json!({ "tags": { "k".repeat(300): "v" } })), 400),
        (
            told("tr-1", json!({ "assessments": [{ "assessment_name": "a" }] })),
            400,
        ),
        (
            told(
                "tr-1",
                json!({ "trace_location": { "mlflow_experiment": { "experiment_id": "77" } } }),
            ),
            404,
        ),
    ] {
        let (status, reply) = v3(&app, "POST", "traces", body.clone()).await;
        assert_eq!(status, code, "{body}: {reply}");
        assert!(reply["message"].is_string());
    }
    let all = json!({ "locations": [{ "mlflow_experiment": { "experiment_id": "0" } }] });
    assert_eq!(v3(&app, "POST", "traces/search", all).await, (200, json!({})));
    for more in [
        json!({ "max_results": 501 }),
        json!({ "filter": "a" }),
        json!({ "page_token": "x" }),
    ] {
        let mut body = json!({ "locations": [{ "mlflow_experiment": { "experiment_id": "0" } }] });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(
            v3(&app, "POST", "traces/search", body.clone()).await.0,
            400,
            "{body}"
        );
    }
    assert_eq!(v3(&app, "POST", "traces/search", json!({})).await.0, 400);
    assert_eq!(
        v3(&app, "POST", "traces/tr-1/assessments", json!({})).await.0,
        400
    );
    let link = json!({ "trace_ids": vec!["tr-1"; 101], "run_id": "0".repeat(32) });
    assert_eq!(v3(&app, "POST", "traces/link-to-run", link).await.0, 400);
}

#[tokio::test]
async fn clients_before_three_start_and_end_their_traces() {
    let app = app();
    let pair = |key: &str, value: &str| json!([{ "key": key, "value": value }]);
    let body = json!({ "experiment_id": "0", "timestamp_ms": 1_000, "tags": pair("a", "1"), "request_metadata": pair("m", "1") });
    let started = app.post("traces", body).await;
    let id = started["trace_info"]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(started["trace_info"]["status"], "IN_PROGRESS");
    let body = json!({ "timestamp_ms": 1_250, "status": "OK", "tags": pair("b", "2") });
    let (status, ended) = app
        .send(
            "PATCH",
            &format!("/api/2.0/mlflow/traces/{id}"),
            &body.to_string(),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{ended}");
    assert_eq!(ended["trace_info"]["execution_time_ms"], 250);
    assert_eq!(app.get(&format!("traces/{id}/info")).await, ended);
    let tags = ended["trace_info"]["tags"].as_array().unwrap();
    assert!(
        tags.contains(&pair("a", "1")[0]) && tags.contains(&pair("b", "2")[0]),
        "{tags:?}"
    );
    let found = app
        .get("traces?experiment_ids=0&filter=status%20%3D%20%27OK%27&max_results=5")
        .await;
    assert_eq!(found["traces"][0], ended["trace_info"]);
}

#[tokio::test]
async fn figures_over_traces_are_counted_by_what_they_have_in_common() {
    let app = app();
    for (id, seconds, state, team) in [
        ("tr-1", "1s", "OK", "blue"),
        ("tr-2", "3s", "OK", "red"),
        ("tr-3", "5s", "ERROR", "blue"),
    ] {
        let more = json!({
            "execution_duration": seconds, "state": state, "tags": { "mlflow.traceName": "answer", "team": team },
        });
        assert_eq!(v3(&app, "POST", "traces", told(id, more)).await.0, 200);
    }
    let ask = |metric: &str, aggregations: Value, more: Value| {
        let mut query = json!({
            "experiment_ids": ["0"], "view_type": "TRACES", "metric_name": metric, "aggregations": aggregations,
        });
        for (key, value) in more.as_object().unwrap() {
            query[key] = value.clone();
        }
        query
    };
    let latency = json!([
        { "aggregation_type": "AVG" }, { "aggregation_type": "PERCENTILE", "percentile_value": 50 }
    ]);
    let query = ask(
        "latency",
        latency,
        json!({ "filters": ["trace.tag.team = 'blue'"] }),
    );
    let (status, found) = v3(&app, "POST", "traces/metrics", query).await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(
        found,
        json!({ "data_points": [{ "metric_name": "latency", "values": { "AVG": 3000.0, "P50.0": 3000.0 } }] })
    );
    let count = json!([{ "aggregation_type": "COUNT" }]);
    let by_state = json!({ "dimensions": ["trace_status"], "max_results": 1 });
    let (_, page) = v3(
        &app,
        "POST",
        "traces/metrics",
        ask("trace_count", count.clone(), by_state),
    )
    .await;
    let first = &page["data_points"][0];
    assert_eq!(
        (&first["dimensions"]["trace_status"], &first["values"]["COUNT"]),
        (&json!("ERROR"), &json!(1.0))
    );
    assert!(page["next_page_token"].is_string());
    for wrong in [
        ask("nothing", count.clone(), json!({})),
        ask("trace_count", count.clone(), json!({ "filters": ["drop table"] })),
        ask("trace_count", count, json!({ "time_interval_seconds": 60 })),
        ask(
            "latency",
            json!([{ "aggregation_type": "PERCENTILE", "percentile_value": 101 }]),
            json!({}),
        ),
    ] {
        assert_eq!(
            v3(&app, "POST", "traces/metrics", wrong.clone()).await.0,
            400,
            "{wrong}"
        );
    }
}
