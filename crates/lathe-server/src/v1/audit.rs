use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lathe_api::mlflow::{Int64, page_request, page_token};
use lathe_store::AuditSearch;
use lathe_types::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mlflow::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/audit", get(search))
}

#[derive(Deserialize)]
struct Search {
    who: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    outcome: Option<String>,
    since: Option<Int64>,
    until: Option<Int64>,
    limit: Option<Int64>,
    page_token: Option<String>,
}

/// The newest first.
async fn search(
    State(state): State<AppState>,
    Message(request): Message<Search>,
) -> Result<Json<Value>, ApiError> {
    let page = page_request(request.page_token.as_deref(), request.limit, 100, 1_000)?;
    let search = AuditSearch {
        who: request.who,
        action: request.action,
        subject: request.subject,
        outcome: request.outcome,
        since: request.since.map(|at| Millis(at.0)),
        until: request.until.map(|at| Millis(at.0)),
    };
    let found = state.store.search_audit(search, page).await?;
    Ok(Json(
        json!({ "entries": found.items, "next_page_token": found.next.map(page_token) }),
    ))
}
