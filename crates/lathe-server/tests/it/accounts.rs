//! Users, tokens, sessions and what is told of them, through HTTP.

use axum::body::Body;
use axum::http::{Request, header};
use lathe_types::access::Permission;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::access::{As, PASSWORD, basic, guarded};
use crate::app::app_with;

#[tokio::test]
async fn roles_in_lathes_own_api_include_those_before_them() {
    let app = guarded(Permission::Read).await;
    let root = As::user(&app, "root");
    for name in ["viewer", "editor", "approver"] {
        root.create_user(name, name).await;
    }
    let job = |payload: Value| json!({ "kind": "deploy", "key": "k", "payload": payload, "cause": "user", "attempts_max": 1 });
    for (name, reads, runs, ungated) in [
        ("viewer", 200, 403, 403),
        ("editor", 200, 200, 403),
        ("approver", 200, 200, 200),
    ] {
        let user = As::user(&app, name);
        let got = [
            user.call("GET", "/api/v1/jobs", Value::Null).await.0,
            user.call("POST", "/api/v1/jobs", job(json!({}))).await.0,
            user.call("POST", "/api/v1/jobs", job(json!({ "ungated": true })))
                .await
                .0,
        ];
        assert_eq!(got, [reads, runs, ungated], "{name}");
        assert_eq!(
            user.call("GET", "/api/v1/audit", Value::Null).await.0,
            403,
            "{name}"
        );
        assert_eq!(
            user.call("GET", "/api/v1/users", Value::Null).await.0,
            403,
            "{name}"
        );
    }
    root.ok("PATCH", "/api/v1/users/viewer", json!({ "role": "editor" }))
        .await;
    let (status, _) = As::user(&app, "viewer")
        .call("POST", "/api/v1/jobs", job(json!({})))
        .await;
    assert_eq!(status, 200);
    let (status, reply) = root
        .call("PATCH", "/api/v1/users/root", json!({ "role": "viewer" }))
        .await;
    assert_eq!(status, 400, "{reply}");
}

#[tokio::test]
async fn tokens_do_what_they_are_for_until_they_end() {
    let app = guarded(Permission::Manage).await;
    let root = As::user(&app, "root");
    root.create_user("ann", "editor").await;
    let ann = As::user(&app, "ann");
    let make = async |user: &As<'_>, body: Value| user.ok("POST", "/api/v1/tokens", body).await;
    let token = make(&ann, json!({ "name": "t", "scopes": ["read"] })).await;
    let reader = As::token(&app, &token["token"]);
    assert_eq!(
        reader
            .call(
                "POST",
                "/api/2.0/mlflow/experiments/search",
                json!({ "max_results": 1 })
            )
            .await
            .0,
        200
    );
    assert_eq!(
        reader
            .call(
                "POST",
                "/api/2.0/mlflow/experiments/create",
                json!({ "name": "e" })
            )
            .await
            .0,
        403
    );
    assert_eq!(
        reader
            .call("POST", "/api/v1/tokens", json!({ "name": "more" }))
            .await
            .0,
        403
    );
    // As a password too, where a client knows nothing else.
    let as_password = As(&app, basic("whoever", token["token"].as_str().unwrap()));
    assert_eq!(as_password.call("GET", "/api/v1/jobs", Value::Null).await.0, 200);
    assert_eq!(
        As::user(&app, "ann")
            .call("GET", "/api/v1/tokens?username=root", Value::Null)
            .await
            .0,
        403
    );
    let listed = ann.ok("GET", "/api/v1/tokens", Value::Null).await;
    assert_eq!(listed["tokens"][0]["name"], "t");
    assert!(!listed.to_string().contains(token["token"].as_str().unwrap()));
    let id = token["id"].as_i64().unwrap();
    ann.ok("DELETE", &format!("/api/v1/tokens/{id}"), Value::Null)
        .await;
    assert_eq!(reader.call("GET", "/api/v1/jobs", Value::Null).await.0, 401);

    let admin = make(
        &root,
        json!({ "name": "a", "kind": "service", "scopes": ["admin"] }),
    )
    .await;
    let admin = As::token(&app, &admin["token"]);
    assert_eq!(
        admin
            .call(
                "POST",
                "/api/v1/tokens",
                json!({ "name": "x", "scopes": ["write"] })
            )
            .await
            .0,
        403
    );
    // What a user may no longer do, its tokens do not either.
    let token = make(&ann, json!({ "name": "t2" })).await;
    root.ok("DELETE", "/api/v1/users/ann", Value::Null).await;
    assert_eq!(
        As::token(&app, &token["token"])
            .call("GET", "/api/v1/jobs", Value::Null)
            .await
            .0,
        401
    );
    assert_eq!(ann.call("GET", "/api/v1/jobs", Value::Null).await.0, 401);
}

#[tokio::test]
async fn the_page_logs_in_with_a_cookie_that_only_its_own_changes_go_with() {
    let app = guarded(Permission::Read).await;
    let send = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        app.router.clone().oneshot(request).await.unwrap()
    };
    let body = json!({ "username": "root", "password": PASSWORD }).to_string();
    let response = send("POST", "/api/v1/session", &[], &body).await;
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let jobs =
        async |headers: &[(&str, &str)]| send("GET", "/api/v1/jobs", headers, "").await.status().as_u16();
    assert_eq!(jobs(&[("cookie", cookie)]).await, 200);
    // A session is a cookie and nothing else, and a token is no cookie.
    let secret = cookie.split_once('=').unwrap().1;
    assert_eq!(jobs(&[("authorization", &format!("Bearer {secret}"))]).await, 401);
    let create = "/api/2.0/mlflow/experiments/create";
    let make = async |name: &str, headers: &[(&str, &str)]| {
        let body = json!({ "name": name }).to_string();
        send("POST", create, headers, &body).await.status().as_u16()
    };
    assert_eq!(make("a", &[("cookie", cookie)]).await, 403);
    assert_eq!(
        make("a", &[("cookie", cookie), ("origin", "http://localhost:3000")]).await,
        403
    );
    assert_eq!(
        make("a", &[("cookie", cookie), ("origin", "http://localhost")]).await,
        200
    );
    // The page asks by itself; the browser must not.
    let response = send("GET", "/api/v1/jobs", &[("sec-fetch-mode", "cors")], "").await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers().get("www-authenticate")
        ),
        (401, None)
    );
    let gone = send(
        "DELETE",
        "/api/v1/session",
        &[("cookie", cookie), ("origin", "http://localhost")],
        "",
    )
    .await;
    assert_eq!(gone.status(), 200);
    assert_eq!(jobs(&[("cookie", cookie)]).await, 401);
}

#[tokio::test]
async fn failed_logins_have_to_wait_and_right_ones_do_not_once_they_are_known() {
    let app = guarded(Permission::Read).await;
    let known = As::user(&app, "root");
    known.ok("GET", "/api/v1/jobs", Value::Null).await;
    let wrong = As(&app, basic("root", "wrong wrong wrong"));
    let mut last = 0;
    for _ in 0..11 {
        last = wrong.send("GET", "/api/v1/jobs", "").await.0;
    }
    assert_eq!(last, 429);
    known.ok("GET", "/api/v1/jobs", Value::Null).await;
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_what_was_refused_and_never_forgets() {
    let app = guarded(Permission::Read).await;
    let root = As::user(&app, "root");
    root.create_user("ann", "viewer").await;
    let ann = As::user(&app, "ann");
    let id = ann.experiment("hers").await;
    let run = ann.run(&id).await;
    for step in 0..20 {
        let log = json!({ "run_id": run, "key": "a", "value": 1.0, "timestamp": 1, "step": step });
        ann.ok("POST", "/api/2.0/mlflow/runs/log-metric", log).await;
    }
    ann.call(
        "POST",
        "/api/2.0/mlflow/experiments/create",
        json!({ "name": "hers" }),
    )
    .await;
    ann.call("DELETE", "/api/v1/users/root", Value::Null).await;
    let bad = json!({ "username": "ann", "password": "wrong wrong wrong" });
    As(&app, String::new()).call("POST", "/api/v1/session", bad).await;
    let log = root.ok("GET", "/api/v1/audit?limit=50", Value::Null).await;
    let lines: Vec<String> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let field = |name: &str| entry[name].as_str().unwrap().replace(&run, "RUN");
            format!(
                "{} | {} | {} | {}",
                field("who"),
                field("action"),
                field("subject"),
                field("outcome")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "ann | login |  | denied",
            "ann | DELETE /api/v1/users/{name} |  | denied",
            "ann | POST /api/2.0/mlflow/experiments/create |  | failed 400",
            "ann | POST /api/2.0/mlflow/runs/log-metric | run/RUN | done",
            "ann | POST /api/2.0/mlflow/runs/create | experiment/1 | done",
            "ann | POST /api/2.0/mlflow/experiments/create | experiment/1 | done",
            "root | POST /api/v1/users |  | done",
        ]
    );
    let one = root
        .ok("GET", "/api/v1/audit?who=ann&outcome=denied&limit=1", Value::Null)
        .await;
    assert_eq!(one["entries"][0]["action"], "login");
    let token = one["next_page_token"].as_str().unwrap();
    let next = root
        .ok(
            "GET",
            &format!("/api/v1/audit?who=ann&outcome=denied&limit=1&page_token={token}"),
            Value::Null,
        )
        .await;
    assert_eq!(next["entries"][0]["action"], "DELETE /api/v1/users/{name}");
    for sql in ["DELETE FROM audit", "UPDATE audit SET who = 'x'"] {
        let refused = app.store.write(move |tx| tx.execute(sql, &[])).await;
        assert!(refused.is_err(), "{sql}");
    }
    let kept = root.ok("GET", "/api/v1/audit?limit=50", Value::Null).await;
    assert_eq!(kept["entries"].as_array().unwrap().len(), lines.len());
}

#[tokio::test]
async fn a_server_without_logins_has_no_users_to_take_over() {
    let app = app_with(|_| {});
    let user = json!({ "username": "evil", "password": PASSWORD, "role": "admin" }).to_string();
    for (method, path, body) in [
        ("POST", "/api/v1/users", user.as_str()),
        ("POST", "/api/2.0/mlflow/users/create", user.as_str()),
        ("POST", "/api/v1/tokens", r#"{"name":"t"}"#),
        ("POST", "/api/v1/session", user.as_str()),
        ("GET", "/api/2.0/mlflow/users/list", ""),
    ] {
        let (status, reply) = app.send(method, path, body).await;
        assert_eq!(status, 404, "{method} {path}: {reply}");
    }
}
