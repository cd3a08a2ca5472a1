//! The feed of the loop: as a list, and live over server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event as SentEvent, KeepAlive};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::Stream;
use futures_util::stream::unfold;
use lathe_store::caller;
use lathe_types::events::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use super::limit;
use crate::mlflow::Message;
use crate::{ApiError, AppState};

/// Events of other processes on the same database are seen this late.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events that are sent in one go.
const BATCH: usize = 500;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/events", get(list))
}

pub(super) fn live() -> Router<AppState> {
    Router::new().route("/events", get(stream))
}

#[derive(Deserialize)]
struct After {
    after: Option<i64>,
    limit: Option<usize>,
}

/// After a number: what followed it. Without: the newest. Oldest first, either way.
async fn list(
    State(state): State<AppState>,
    Message(request): Message<After>,
) -> Result<Json<Value>, ApiError> {
    let limit = limit(request.limit);
    let events = match request.after {
        Some(after) => state.store.list_events(after, limit).await?,
        None => state.store.latest_events(limit).await?,
    };
    Ok(Json(json!({ "events": events })))
}

/// Everything after a number (or after the last one that a reconnecting browser names), then each event as it
/// becomes durable.
async fn stream(
    State(state): State<AppState>,
    headers: HeaderMap,
    Message(request): Message<After>,
) -> Result<Sse<impl Stream<Item = Result<SentEvent, Infallible>>>, ApiError> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let after = match last.or(request.after) {
        Some(after) => after,
        None => state
            .store
            .latest_events(1)
            .await?
            .last()
            .map_or(0, |event| event.seq),
    };
    let commits = state.store.commits();
    // The body is written when the request's own task is over.
    let caller = caller::current();
    let stream = unfold(
        (state, commits, after, Vec::<Event>::new().into_iter(), caller),
        async |mut feed| {
            loop {
                if let Some(event) = feed.3.next() {
                    feed.2 = event.seq;
                    let message = SentEvent::default().id(event.seq.to_string()).json_data(&event);
                    return message.ok().map(|message| (Ok(message), feed));
                }
                feed.1.mark_unchanged();
                match caller::on_behalf_of(feed.4.clone(), feed.0.store.list_events(feed.2, BATCH)).await {
                    Ok(events) if !events.is_empty() => feed.3 = events.into_iter(),
                    Ok(_) => drop(tokio::time::timeout(LOOK_EVERY, feed.1.changed()).await),
                    Err(error) => {
                        tracing::error!(%error, "the feed cannot be read");
                        return None;
                    }
                }
            }
        },
    );
    Ok(Sse::new(Box::pin(stream)).keep_alive(KeepAlive::default()))
}
