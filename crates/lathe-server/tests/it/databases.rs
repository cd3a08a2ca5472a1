//! What databases do differently by themselves, and must not do differently here.

use serde_json::{Value, json};

use crate::app::{App, app};

async fn names(app: &App, filter: &str) -> Vec<String> {
    let body = json!({ "filter": filter, "order_by": ["name ASC"], "max_results": 100 });
    let reply = app.post("experiments/search", body).await;
    let found = reply["experiments"].as_array().cloned().unwrap_or_default();
    found
        .iter()
        .map(|experiment| experiment["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn texts_sort_by_their_bytes_and_only_ascii_letters_have_two_cases() {
    let app = app();
    for name in ["a1", "B1", "É1", "é1", "_1", "a%2", r"a\3"] {
        app.post("experiments/create", json!({ "name": name })).await;
    }
    for (filter, expected) in [
        (
            "name != 'x'",
            vec!["B1", "Default", "_1", "a%2", "a1", r"a\3", "É1", "é1"],
        ),
        ("name LIKE 'a%'", vec!["a%2", "a1", r"a\3"]),
        ("name LIKE 'A%'", vec![]),
        ("name ILIKE 'A%'", vec!["a%2", "a1", r"a\3"]),
        ("name ILIKE 'É_'", vec!["É1"]),
        (r"name LIKE 'a\%'", vec![r"a\3"]),
        ("name ILIKE '_1'", vec!["B1", "_1", "a1", "É1", "é1"]),
    ] {
        assert_eq!(names(&app, filter).await, expected, "{filter}");
    }
}

async fn run(app: &App, name: &str, start_time: i64) -> String {
    let body = json!({ "experiment_id": "0", "run_name": name, "start_time": start_time });
    let run = app.post("runs/create", body).await;
    run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_batch_of_many_rows_keeps_every_point_and_the_latest_of_each_metric() {
    let app = app();
    let id = run(&app, "r", 1).await;
    let metrics: Vec<Value> = (0..500)
        .map(|n| {
            let value = if n == 499 { json!("NaN") } else { json!(n) };
            json!({ "key": format!("m{}", n % 7), "value": value, "timestamp": 1, "step": n / 7 })
        })
        .collect();
    let params: Vec<Value> = (0..100)
        .map(|n| json!({ "key": format!("p{n}"), "value": "v" }))
        .collect();
    let tags = json!([{ "key": "t", "value": "first" }, { "key": "u", "value": "u" }]);
    let mut batch = json!({ "run_id": id, "metrics": metrics, "params": params, "tags": tags });
    // The same again changes nothing.
    for _ in 0..2 {
        app.post("runs/log-batch", batch.clone()).await;
    }
    let data = app.get(&format!("runs/get?run_id={id}")).await["run"]["data"].clone();
    assert_eq!(data["params"].as_array().unwrap().len(), 100);
    let latest: Vec<(&str, &Value, i64)> = data["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            let key = metric["key"].as_str().unwrap();
            (key, &metric["value"], metric["step"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(latest[2], ("m2", &json!("NaN"), 71));
    assert_eq!(latest[1], ("m1", &json!(498.0), 71));
    assert_eq!(latest[3], ("m3", &json!(493.0), 70));
    let history = app
        .get(&format!("metrics/get-history?run_id={id}&metric_key=m0"))
        .await;
    assert_eq!(history["metrics"].as_array().unwrap().len(), 72);

    // One param of many contradicts: nothing of the batch is kept.
    batch["params"][63]["value"] = json!("other");
    batch["tags"][0]["value"] = json!("second");
    let refused = app.refused("runs/log-batch", &batch.to_string()).await;
    assert_eq!(refused, (400, "INVALID_PARAMETER_VALUE".into()));
    let after = app.get(&format!("runs/get?run_id={id}")).await["run"]["data"].clone();
    assert_eq!(after, data);
}

#[tokio::test]
async fn runs_along_a_metric_come_in_the_same_order_page_by_page() {
    let app = app();
    for (number, value) in [
        json!(3),
        json!(1),
        json!("NaN"),
        json!(3),
        json!(2),
        Value::Null,
        json!(0.5),
    ]
    .into_iter()
    .enumerate()
    {
        let id = run(&app, &number.to_string(), 100 + number as i64).await;
        if !value.is_null() {
            let metric = json!({ "key": "m", "value": value, "timestamp": 1, "step": 0 });
            let other = json!({ "key": "n", "value": number % 2, "timestamp": 1, "step": 0 });
            app.post(
                "runs/log-batch",
                json!({ "run_id": id, "metrics": [metric, other] }),
            )
            .await;
        }
    }
    for (filter, order, expected) in [
        ("metrics.m >= 1", vec!["metrics.m DESC"], "3 0 4 1"),
        (
            "metrics.m >= 1",
            vec!["metrics.m DESC", "start_time ASC"],
            "0 3 4 1",
        ),
        ("metrics.m > 0.5 AND metrics.n = 1", vec!["metrics.m"], "1 3"),
        ("metrics.m != 3", vec!["metrics.m"], "6 1 4 2"),
        ("", vec!["metrics.m DESC"], "3 0 4 1 6 2 5"),
        (
            "metrics.m >= 1",
            vec!["metrics.n DESC", "metrics.m DESC"],
            "3 1 0 4",
        ),
        ("attributes.start_time < 103.5", vec!["metrics.m"], "1 3 0 2"),
    ] {
        let (mut found, mut token) = (Vec::new(), Value::Null);
        loop {
            let body = json!({
                "experiment_ids": ["0"], "filter": filter, "order_by": order, "max_results": 2, "page_token": token,
            });
            let reply = app.post("runs/search", body).await;
            for run in reply["runs"].as_array().into_iter().flatten() {
                found.push(run["info"]["run_name"].as_str().unwrap().to_owned());
            }
            token = reply["next_page_token"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(found.join(" "), expected, "{filter} {order:?}");
    }
}

#[tokio::test]
async fn a_text_with_nul_is_refused_by_either() {
    let app = app();
    let id = run(&app, "r", 1).await;
    let body = json!({ "run_id": id, "key": "k", "value": "a\u{0}b" }).to_string();
    let refused = app.refused("runs/set-tag", &body).await;
    assert_eq!(refused, (400, "INVALID_PARAMETER_VALUE".into()));
    let body = json!({ "filter": "name = 'a\u{0}b'", "max_results": 1 }).to_string();
    let refused = app.refused("experiments/search", &body).await;
    assert_eq!(refused, (400, "INVALID_PARAMETER_VALUE".into()));
}
