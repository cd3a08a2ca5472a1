//! Searches through HTTP; what a filter means is tested where it is read.

use serde_json::{Value, json};

use crate::app::{App, app};

/// Runs `r0` to `r4`: metric `m` is their number, none for `r3`, NaN for `r4`; param `p q`, tag `k`.
async fn five_runs() -> App {
    let app = app();
    for number in 0..5 {
        let created = app
            .post(
                "runs/create",
                json!({"experiment_id": "0", "run_name": format!("r{number}"), "start_time": 100 + number}),
            )
            .await;
        let id = &created["run"]["info"]["run_id"];
        let metrics = match number {
            3 => json!([]),
            4 => json!([{"key": "m", "value": "NaN", "timestamp": 1}]),
            _ => json!([{"key": "m", "value": number, "timestamp": 1}]),
        };
        let tags = match number {
            0 => json!([]),
            _ => json!([{"key": "k", "value": format!("V{number}")}]),
        };
        app.post(
            "runs/log-batch",
            json!({"run_id": id, "metrics": metrics, "tags": tags, "params": [{"key": "p q", "value": format!("{number}")}]}),
        )
        .await;
        if number == 1 {
            app.post("runs/update", json!({"run_id": id, "status": "FINISHED"}))
                .await;
            app.post(
                "runs/log-inputs",
                json!({"run_id": id, "datasets": [{
                    "dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}"},
                    "tags": [{"key": "mlflow.data.context", "value": "train"}],
                }]}),
            )
            .await;
        }
    }
    app
}

fn names(reply: &Value) -> String {
    let runs = reply["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = runs
        .iter()
        .map(|run| run["info"]["run_name"].as_str().unwrap())
        .collect();
    names.join(" ")
}

#[tokio::test]
async fn a_filter_finds_the_runs_it_describes() {
    let app = five_runs().await;
    for (filter, found) in [
        ("", "r4 r3 r2 r1 r0"),
        ("metrics.m >= 1", "r2 r1"),
        ("metrics.m = 0", "r0"),
        ("metrics.m != 1", "r4 r2 r0"),
        ("metrics.m >= 0 AND metrics.m < 2", "r1 r0"),
        ("params.`p q` = '3'", "r3"),
        ("params.`p q` IN ('3', '1')", "r3 r1"),
        ("tags.k LIKE 'v%'", ""),
        ("tags.k ILIKE 'v%'", "r4 r3 r2 r1"),
        ("tags.k != 'V1'", "r4 r3 r2"),
        ("tags.k IS NULL", "r0"),
        ("tags.k IS NOT NULL AND metrics.m > 1", "r2"),
        ("status = 'FINISHED'", "r1"),
        ("attributes.run_name LIKE 'r_' AND start_time > 102", "r4 r3"),
        ("dataset.name = 'd' AND dataset.context = 'train'", "r1"),
        ("dataset.context = 'test'", ""),
        ("tags.k = 'x'' OR 1=1 --'", ""),
    ] {
        let reply = app
            .post("runs/search", json!({"experiment_ids": ["0"], "filter": filter}))
            .await;
        assert_eq!(names(&reply), found, "{filter}");
    }
    let none = app.post("runs/search", json!({"experiment_ids": ["9"]})).await;
    assert_eq!(none, json!({}));
    assert_eq!(app.post("runs/search", json!({})).await, json!({}));
}

#[tokio::test]
async fn sorting_puts_numbers_before_nan_before_nothing_both_ways() {
    let app = five_runs().await;
    for (order_by, found) in [
        (json!(["metrics.m"]), "r0 r1 r2 r4 r3"),
        (json!(["metrics.m DESC"]), "r2 r1 r0 r4 r3"),
        (json!(["tags.k DESC"]), "r4 r3 r2 r1 r0"),
        (json!(["tags.k ASC"]), "r1 r2 r3 r4 r0"),
        (json!(["status", "start_time ASC"]), "r1 r0 r2 r3 r4"),
    ] {
        let reply = app
            .post(
                "runs/search",
                json!({"experiment_ids": ["0"], "order_by": order_by}),
            )
            .await;
        assert_eq!(names(&reply), found, "{order_by}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_to_the_last() {
    let app = five_runs().await;
    let mut token = Value::Null;
    let mut pages = Vec::new();
    loop {
        let page = app
            .post(
                "runs/search",
                json!({"experiment_ids": ["0"], "max_results": 2, "page_token": token}),
            )
            .await;
        pages.push(names(&page));
        token = page["next_page_token"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(pages, ["r4 r3", "r2 r1", "r0"]);
    for bad in [
        json!({"experiment_ids": ["0"], "max_results": 50_001}),
        json!({"experiment_ids": ["0"], "max_results": 0}),
        json!({"experiment_ids": ["0"], "page_token": "x"}),
        json!({"experiment_ids": ["0"], "filter": "m > 1"}),
        json!({"experiment_ids": ["0"], "order_by": ["start_time", "start_time DESC"]}),
        json!({"experiment_ids": ["0"], "run_view_type": "SOME"}),
        json!({"experiment_ids": ["a"]}),
    ] {
        assert_eq!(
            app.refused("runs/search", &bad.to_string()).await,
            (400, "INVALID_PARAMETER_VALUE".into()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn deleted_runs_are_found_only_when_asked_for() {
    let app = five_runs().await;
    let found = app
        .post(
            "runs/search",
            json!({"experiment_ids": ["0"], "filter": "metrics.m = 1"}),
        )
        .await;
    let id = &found["runs"][0]["info"]["run_id"];
    app.post("runs/delete", json!({"run_id": id})).await;
    for (view, found) in [
        ("ACTIVE_ONLY", "r4 r3 r2 r0"),
        ("DELETED_ONLY", "r1"),
        ("ALL", "r4 r3 r2 r1 r0"),
    ] {
        let reply = app
            .post(
                "runs/search",
                json!({"experiment_ids": ["0"], "run_view_type": view}),
            )
            .await;
        assert_eq!(names(&reply), found);
    }
}

#[tokio::test]
async fn experiments_are_found_by_name_and_tag() {
    let app = app();
    for name in ["cars", "bikes"] {
        app.post(
            "experiments/create",
            json!({"name": name, "tags": [{"key": "team", "value": name}]}),
        )
        .await;
    }
    for (filter, order_by, found) in [
        ("", json!([]), "bikes cars Default"),
        ("", json!(["name ASC"]), "Default bikes cars"),
        ("name LIKE '%s'", json!(["experiment_id"]), "cars bikes"),
        ("tags.team = 'cars'", json!([]), "cars"),
        ("tag.team IS NULL", json!([]), "Default"),
        ("creation_time > 0 AND name != 'cars'", json!([]), "bikes"),
    ] {
        let body = json!({"filter": filter, "order_by": order_by, "max_results": 10});
        let reply = app.post("experiments/search", body).await;
        let experiments = reply["experiments"].as_array().unwrap().iter();
        let names: Vec<_> = experiments
            .map(|experiment| experiment["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), found, "{filter}");
    }
    let by_query = app.get("experiments/search?max_results=1&order_by=name").await;
    assert_eq!(by_query["experiments"][0]["name"], "Default");
    assert!(by_query["next_page_token"].is_string());
}
