use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, NOW, app};

/// A model `m` with one version from a run; the run's id.
async fn model_with_version(app: &App) -> String {
    let run = app.post("runs/create", json!({"experiment_id": "0"})).await;
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    app.post("registered-models/create", json!({"name": "m"})).await;
    app.post("model-versions/create", version_of(&id)).await;
    id
}

fn version_of(run: &str) -> Value {
    json!({"name": "m", "source": format!("mlflow-artifacts:/0/{run}/artifacts/model"), "run_id": run})
}

async fn send(app: &App, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    app.send(method, &format!("/api/2.0/mlflow/{path}"), &body.to_string())
        .await
}

#[tokio::test]
async fn a_version_has_a_text_for_a_number_and_empty_texts_for_what_is_not_set() {
    let app = app();
    let run = model_with_version(&app).await;
    let version = json!({
        "name": "m", "version": "1", "creation_timestamp": NOW, "last_updated_timestamp": NOW,
        "current_stage": "None", "description": "", "run_link": "", "status": "READY", "run_id": run,
        "source": format!("mlflow-artifacts:/0/{run}/artifacts/model"),
    });
    let reply = app.get("model-versions/get?name=m&version=1").await;
    assert_eq!(reply, json!({ "model_version": version }));
    let reply = app.get("registered-models/get?name=m").await;
    assert_eq!(
        reply["registered_model"],
        json!({
            "name": "m", "creation_timestamp": NOW, "last_updated_timestamp": NOW,
            "latest_versions": [version],
        })
    );
}

#[tokio::test]
async fn an_alias_moves_between_versions_and_is_shown_on_both_floors() {
    let app = app();
    let run = model_with_version(&app).await;
    app.post("model-versions/create", version_of(&run)).await;
    for version in ["1", "2"] {
        let alias = json!({"name": "m", "alias": "champion", "version": version});
        app.post("registered-models/alias", alias).await;
        let named = app.get("registered-models/alias?name=m&alias=champion").await;
        assert_eq!(named["model_version"]["version"], version);
        assert_eq!(named["model_version"]["aliases"], json!(["champion"]));
    }
    let model = app.get("registered-models/get?name=m").await;
    assert_eq!(
        model["registered_model"]["aliases"],
        json!([{"alias": "champion", "version": "2"}])
    );
    let alias = json!({"name": "m", "alias": "champion"});
    let (status, _) = send(&app, "DELETE", "registered-models/alias", alias).await;
    assert_eq!(status, 200);
    for (path, refused) in [
        (
            "registered-models/alias?name=m&alias=champion",
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        (
            "registered-models/alias?name=other&alias=champion",
            (404, "RESOURCE_DOES_NOT_EXIST"),
        ),
    ] {
        let (status, reply) = send(&app, "GET", path, json!({})).await;
        assert_eq!((status.as_u16(), reply["error_code"].as_str().unwrap()), refused);
    }
    for body in [
        r#"{"name":"m","alias":"v1","version":"1"}"#,
        r#"{"name":"m","alias":"latest","version":"1"}"#,
        r#"{"name":"m","alias":"a","version":"x"}"#,
        r#"{"name":"m","alias":"a"}"#,
    ] {
        assert_eq!(
            app.refused("registered-models/alias", body).await.0,
            400,
            "{body}"
        );
    }
    let absent = r#"{"name":"m","alias":"a","version":"9"}"#;
    assert_eq!(app.refused("registered-models/alias", absent).await.0, 404);
}

#[tokio::test]
async fn a_stage_holds_one_version_if_the_others_are_archived() {
    let app = app();
    let run = model_with_version(&app).await;
    app.post("model-versions/create", version_of(&run)).await;
    for version in ["1", "2"] {
        let body = json!({"name": "m", "version": version, "stage": "production", "archive_existing_versions": true});
        app.post("model-versions/transition-stage", body).await;
    }
    let latest = app
        .post(
            "registered-models/get-latest-versions",
            json!({"name": "m", "stages": ["Production", "Archived"]}),
        )
        .await;
    let found: Vec<_> = latest["model_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["current_stage"].as_str(), version["version"].as_str()))
        .collect();
    assert_eq!(
        found,
        [(Some("Production"), Some("2")), (Some("Archived"), Some("1"))]
    );
    let body = r#"{"name":"m","version":"1","stage":"Nowhere"}"#;
    assert_eq!(app.refused("model-versions/transition-stage", body).await.0, 400);
}

#[tokio::test]
async fn a_version_may_only_come_from_where_it_may_read() {
    let app = app();
    let run = model_with_version(&app).await;
    let other = app.post("runs/create", json!({"experiment_id": "0"})).await;
    let other = other["run"]["info"]["run_id"].as_str().unwrap();
    for source in [
        format!("mlflow-artifacts:/0/{other}/artifacts/model"),
        format!("mlflow-artifacts:/0/{run}/artifacts/../../{other}"),
        format!("runs:/{other}/model"),
        "/etc/passwd".into(),
        "file:///etc/passwd".into(),
        "models:/m/9".into(),
    ] {
        let body = json!({"name": "m", "source": source, "run_id": run}).to_string();
        let (status, _) = app.refused("model-versions/create", &body).await;
        assert!(status == 400 || status == 404, "{source}: {status}");
    }
    for source in [format!("runs:/{run}/model"), "s3://bucket/model".into()] {
        let body = json!({"name": "m", "source": source, "run_id": run});
        app.post("model-versions/create", body).await;
    }
    let prompt = json!({"name": "m", "source": "prompt-template", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]});
    app.post("model-versions/create", prompt).await;
}

#[tokio::test]
async fn a_copy_remembers_its_run_and_reads_the_same_files() {
    let app = app();
    let run = model_with_version(&app).await;
    let logged = app
        .post(
            "logged-models",
            json!({"experiment_id": "0", "name": "l", "source_run_id": run}),
        )
        .await;
    let info = &logged["model"]["info"];
    let id = info["model_id"].as_str().unwrap();
    let made = app
        .post(
            "model-versions/create",
            json!({"name": "m", "source": format!("models:/{id}")}),
        )
        .await;
    assert_eq!(made["model_version"]["model_id"], id);
    assert_eq!(made["model_version"]["run_id"], run.as_str());
    app.post("registered-models/create", json!({"name": "copy"}))
        .await;
    for (source, place) in [
        ("models:/m/2", info["artifact_uri"].clone()),
        (
            "models:/m/1",
            json!(format!("mlflow-artifacts:/0/{run}/artifacts/model")),
        ),
    ] {
        let made = app
            .post("model-versions/create", json!({"name": "copy", "source": source}))
            .await;
        let version = made["model_version"]["version"].as_str().unwrap();
        assert_eq!(made["model_version"]["run_id"], run.as_str());
        let uri = app
            .get(&format!(
                "model-versions/get-download-uri?name=copy&version={version}"
            ))
            .await;
        assert_eq!(uri["artifact_uri"], place, "{source}");
    }
}

#[tokio::test]
async fn models_and_versions_are_found_by_filters_and_prompts_only_when_asked_for() {
    let app = app();
    let run = model_with_version(&app).await;
    app.post(
        "model-versions/create",
        json!({"name": "m", "source": "s3://b/x", "tags": [{"key": "k", "value": "v"}]}),
    )
    .await;
    let prompt = json!({"name": "p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]});
    app.post("registered-models/create", prompt).await;
    app.post(
        "registered-models/create",
        json!({"name": "n", "tags": [{"key": "k", "value": "v"}]}),
    )
    .await;
    for (query, found) in [
        ("", "m n"),
        ("?order_by=name%20DESC", "n m"),
        ("?filter=name%20LIKE%20'M'", ""),
        ("?filter=name%20ILIKE%20'M'", "m"),
        ("?filter=tags.k%20%3D%20'v'", "n"),
        ("?filter=tags.%60mlflow.prompt.is_prompt%60%20%3D%20'true'", "p"),
        (
            "?filter=tags.%60mlflow.prompt.is_prompt%60%20!%3D%20'true'",
            "m n",
        ),
    ] {
        let reply = app.get(&format!("registered-models/search{query}")).await;
        let models = reply["registered_models"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = models
            .iter()
            .map(|model| model["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), found, "{query}");
    }
    for (filter, found) in [
        ("name%20%3D%20'm'".to_owned(), "2 1"),
        (format!("run_id%20%3D%20'{run}'"), "1"),
        (format!("run_id%20IN%20('{run}','x')"), "1"),
        ("source_path%20LIKE%20's3:%25'".into(), "2"),
        ("tags.k%20%3D%20'v'".into(), "2"),
        ("version_number%20%3C%202".into(), "1"),
    ] {
        let reply = app.get(&format!("model-versions/search?filter={filter}")).await;
        let versions = reply["model_versions"].as_array().unwrap().iter();
        let numbers: Vec<_> = versions
            .map(|version| version["version"].as_str().unwrap())
            .collect();
        assert_eq!(numbers.join(" "), found, "{filter}");
    }
    let (status, _) = send(
        &app,
        "GET",
        "registered-models/search?max_results=1001",
        json!({}),
    )
    .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_renamed_model_takes_everything_along_and_a_deleted_one_leaves_nothing() {
    let app = app();
    model_with_version(&app).await;
    app.post(
        "registered-models/alias",
        json!({"name": "m", "alias": "a", "version": "1"}),
    )
    .await;
    app.post(
        "model-versions/set-tag",
        json!({"name": "m", "version": "1", "key": "k", "value": "v"}),
    )
    .await;
    app.post(
        "registered-models/set-tag",
        json!({"name": "m", "key": "k", "value": "v"}),
    )
    .await;
    let (status, _) = send(
        &app,
        "PATCH",
        "registered-models/update",
        json!({"name": "m", "description": "d"}),
    )
    .await;
    assert_eq!(status, 200);
    let (_, renamed) = send(
        &app,
        "POST",
        "registered-models/rename",
        json!({"name": "m", "new_name": "n"}),
    )
    .await;
    let model = &renamed["registered_model"];
    assert_eq!(model["description"], "d");
    assert_eq!(model["tags"], json!([{"key": "k", "value": "v"}]));
    assert_eq!(model["latest_versions"][0]["aliases"], json!(["a"]));
    assert_eq!(
        model["latest_versions"][0]["tags"],
        json!([{"key": "k", "value": "v"}])
    );
    assert_eq!(
        app.refused("registered-models/create", r#"{"name":"n"}"#).await,
        (400, "RESOURCE_ALREADY_EXISTS".into())
    );
    let version = json!({"name": "n", "version": "1"});
    let (status, _) = send(&app, "DELETE", "model-versions/delete", version.clone()).await;
    assert_eq!(status, 200);
    let (status, _) = send(&app, "DELETE", "model-versions/delete", version).await;
    assert_eq!(status, 404);
    let (status, _) = send(&app, "DELETE", "registered-models/delete", json!({"name": "n"})).await;
    assert_eq!(status, 200);
    let (status, _) = send(&app, "GET", "registered-models/get?name=n", json!({})).await;
    assert_eq!(status, 404);
}
