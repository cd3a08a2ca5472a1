use serde_json::json;

use crate::app::{NOW, app};

#[tokio::test]
async fn the_default_experiment_is_there_from_the_start() {
    let reply = app().get("experiments/get?experiment_id=0").await;
    assert_eq!(
        reply,
        json!({"experiment": {
            "experiment_id": "0",
            "name": "Default",
            "artifact_location": "mlflow-artifacts:/0",
            "lifecycle_stage": "active",
            "workspace": "default",
        }})
    );
}

#[tokio::test]
async fn a_created_experiment_is_found_by_id_and_by_name_on_both_prefixes() {
    let app = app();
    let created = app
        .post(
            "experiments/create",
            json!({"name": "bikes", "tags": [{"key": "team", "value": "x"}], "unknown": {"a": 1}}),
        )
        .await;
    assert_eq!(created, json!({"experiment_id": "1"}));
    let by_id = app.get("experiments/get?experiment_id=1").await;
    assert_eq!(
        by_id["experiment"]["tags"],
        json!([{"key": "team", "value": "x"}])
    );
    assert_eq!(by_id["experiment"]["creation_time"], NOW);
    let (_, by_name) = app
        .send(
            "GET",
            "/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=bikes",
            "",
        )
        .await;
    assert_eq!(by_name, by_id);
}

#[tokio::test]
async fn a_deleted_experiment_keeps_its_name_and_can_be_restored() {
    let app = app();
    app.post("experiments/create", json!({"name": "bikes"})).await;
    app.post("experiments/delete", json!({"experiment_id": "1"}))
        .await;
    let deleted = app.get("experiments/get?experiment_id=1").await;
    assert_eq!(deleted["experiment"]["lifecycle_stage"], "deleted");
    assert_eq!(
        app.refused("experiments/create", r#"{"name":"bikes"}"#).await,
        (400, "RESOURCE_ALREADY_EXISTS".into())
    );
    assert_eq!(
        app.refused("experiments/delete", r#"{"experiment_id":"1"}"#)
            .await,
        (404, "RESOURCE_DOES_NOT_EXIST".into())
    );
    app.post("experiments/restore", json!({"experiment_id": "1"}))
        .await;
    app.post(
        "experiments/update",
        json!({"experiment_id": "1", "new_name": "cars"}),
    )
    .await;
    let restored = app.get("experiments/get-by-name?experiment_name=cars").await;
    assert_eq!(restored["experiment"]["lifecycle_stage"], "active");
}

#[tokio::test]
async fn tags_of_an_experiment_are_set_replaced_and_deleted() {
    let app = app();
    for value in ["a", "b"] {
        app.post(
            "experiments/set-experiment-tag",
            json!({"experiment_id": "0", "key": "k", "value": value}),
        )
        .await;
    }
    let reply = app.get("experiments/get?experiment_id=0").await;
    assert_eq!(reply["experiment"]["tags"], json!([{"key": "k", "value": "b"}]));
    let tag = json!({"experiment_id": "0", "key": "k"});
    app.post("experiments/delete-experiment-tag", tag.clone()).await;
    assert_eq!(
        app.refused("experiments/delete-experiment-tag", &tag.to_string())
            .await,
        (404, "RESOURCE_DOES_NOT_EXIST".into())
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_mlflows_form_and_nothing_is_stored() {
    let app = app();
    for body in [
        "",
        "{",
        "[]",
        r#"{"name":""}"#,
        r#"{"name":7}"#,
        r#"{"name":"x","tags":[{"key":"a","value":1}]}"#,
        r#"{"name":"x","tags":[{"key":"../a","value":"1"}]}"#,
        r#"{"name":"x","artifact_location":"/srv/../etc"}"#,
        r#"{"name":"Default"} trailing"#,
    ] {
        let (status, code) = app.refused("experiments/create", body).await;
        assert_eq!(
            (status, code.as_str()),
            (400, "INVALID_PARAMETER_VALUE"),
            "{body}"
        );
    }
    assert_eq!(
        app.refused("experiments/create", r#"{"name":"Default"}"#).await,
        (400, "RESOURCE_ALREADY_EXISTS".into())
    );
    let (status, _) = app
        .send("GET", "/api/2.0/mlflow/experiments/get?experiment_id=1", "")
        .await;
    assert_eq!(status, 404);
}
