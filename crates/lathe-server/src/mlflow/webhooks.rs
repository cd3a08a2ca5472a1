//! `mlflow/webhooks/*`

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_api::mlflow::webhooks::{
    ListWebhooks, TestReply, TestResult, TestWebhook, Webhook, WebhookFields, WebhookPage, WebhookReply,
};
use lathe_api::mlflow::{Empty, page_token, parse_page_token};
use lathe_types::Millis;
use lathe_types::tags::PageRequest;
use serde_json::json;
use uuid::Uuid;

use super::extract::Message as Fields;
use crate::path::Path;
use crate::webhooks::{Message, check_url, example};
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/webhooks", post(create).get(list))
        .route(
            "/2.0/mlflow/webhooks/{id}",
            get(by_id).patch(change).delete(remove),
        )
        .route("/2.0/mlflow/webhooks/{id}/test", post(test))
}

fn reply(webhook: lathe_types::webhooks::Webhook) -> Json<WebhookReply> {
    Json(WebhookReply {
        webhook: Webhook::from(webhook),
    })
}

async fn create(
    State(state): State<AppState>,
    Fields(request): Fields<WebhookFields>,
) -> Result<Json<WebhookReply>, ApiError> {
    let new = request.new_webhook()?;
    check_url(&state.webhooks.rules, new.url.as_deref().unwrap_or_default()).await?;
    let id = Uuid::new_v4().to_string();
    let now = (state.options.now)();
    Ok(reply(state.store.create_webhook(id, new, now).await?))
}

async fn list(
    State(state): State<AppState>,
    Fields(request): Fields<ListWebhooks>,
) -> Result<Json<WebhookPage>, ApiError> {
    const PAGE: i64 = 100;
    let asked = request.max_results.map_or(PAGE, |asked| asked.0);
    let limit = if asked == 0 { PAGE } else { asked };
    if !(1..=1_000).contains(&limit) {
        return Err(ApiError::invalid("max_results must be between 1 and 1000."));
    }
    let page = PageRequest {
        offset: parse_page_token(request.page_token.as_deref())?,
        limit: limit as usize,
    };
    let found = state.store.list_webhooks(page).await?;
    Ok(Json(WebhookPage {
        webhooks: found.items.into_iter().map(Webhook::from).collect(),
        next_page_token: found.next.map(page_token),
    }))
}

async fn by_id(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<WebhookReply>, ApiError> {
    Ok(reply(state.store.get_webhook(id).await?))
}

async fn change(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Fields(request): Fields<WebhookFields>,
) -> Result<Json<WebhookReply>, ApiError> {
    let change = request.change()?;
    if let Some(url) = &change.url {
        check_url(&state.webhooks.rules, url).await?;
    }
    let now = (state.options.now)();
    Ok(reply(state.store.change_webhook(id, change, now).await?))
}

async fn remove(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Empty>, ApiError> {
    state.store.delete_webhook(id).await?;
    Ok(Json(Empty {}))
}

async fn test(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Fields(request): Fields<TestWebhook>,
) -> Result<Json<TestReply>, ApiError> {
    let (webhook, secret) = state.store.get_webhook_with_secret(id).await?;
    let asked = request.event()?;
    let event = asked.or_else(|| webhook.events.first().copied());
    let event = event.ok_or_else(|| ApiError::invalid("the webhook has no events to try"))?;
    let now: Millis = (state.options.now)();
    let body = json!({
        "entity": event.entity(), "action": event.action(), "timestamp": now.to_string(), "data": example(event)
    });
    let message = Message {
        url: webhook.url,
        delivery_id: Uuid::new_v4().to_string(),
        secret,
        body: body.to_string(),
    };
    let result = match state.webhooks.send(message, now).await {
        Ok(answer) => TestResult {
            // A receiver that sends elsewhere is not followed, so it has not taken anything.
            success: (200..300).contains(&answer.status),
            response_status: Some(answer.status),
            response_body: Some(answer.text),
            error_message: None,
        },
        Err(error) => TestResult {
            error_message: Some(format!("Failed to test webhook: {error}")),
            ..TestResult::default()
        },
    };
    Ok(Json(TestReply { result }))
}
