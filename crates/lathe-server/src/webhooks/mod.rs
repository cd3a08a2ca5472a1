//! Webhooks: receivers are told of what happened in the registry. What is to be told is a row, written by the change
//! that made it happen; here the rows are sent, again and again for a while where the receiver is busy.

mod address;
mod examples;
mod send;

use std::time::Duration;

use lathe_store::Store;
use lathe_types::webhooks::{Delivery, DeliveryOutcome};
use lathe_types::{InputError, Millis, Span};
use tokio::task::JoinSet;
use uuid::Uuid;

pub use address::WebhookRules;
pub(crate) use examples::example;
pub use send::Sender;
pub(crate) use send::{Answer, Message};

/// Deliveries that are under way at once.
const AT_ONCE: usize = 10;
const ATTEMPTS_MAX: u32 = 4;
/// Longer than any request takes, so that a delivery whose process died is taken up again and no other is sent twice.
const LEASE: Span = Span(45_000);
/// Other processes' changes are seen this late.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
const RETRY_MAX_S: u64 = 60;

/// Sends what is due, until it is dropped.
pub async fn deliver(store: Store, sender: Sender, now: fn() -> Millis) {
    let mut commits = store.commits();
    let mut under_way = JoinSet::new();
    loop {
        commits.mark_unchanged();
        let wait = match start_due(&store, &sender, &mut under_way, now).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "webhooks cannot be read"
                );
                LOOK_AGAIN
            }
        };
        let full = under_way.len() == AT_ONCE;
        tokio::select! {
            _ = commits.changed(), if !full => {}
            () = tokio::time::sleep(wait), if !full => {}
            Some(_) = under_way.join_next() => {}
        }
    }
}

/// Starts what is due, as far as there is room; how long nothing more will be.
async fn start_due(
    store: &Store,
    sender: &Sender,
    under_way: &mut JoinSet<()>,
    now: fn() -> Millis,
) -> lathe_store::Result<Duration> {
    loop {
        let Some(due) = store.next_delivery_at().await? else {
            return Ok(LOOK_AGAIN);
        };
        if now() < due {
            let wait_ms = due.since(now()).0.unsigned_abs();
            return Ok(Duration::from_millis(wait_ms.max(1)).min(LOOK_AGAIN));
        }
        if under_way.len() == AT_ONCE {
            return Ok(LOOK_AGAIN);
        }
        let id = Uuid::new_v4().to_string();
        if let Some(delivery) = store.claim_delivery(id, LEASE, now()).await? {
            under_way.spawn(attempt(store.clone(), sender.clone(), delivery, now));
        }
    }
}

async fn attempt(store: Store, sender: Sender, delivery: Delivery, now: fn() -> Millis) {
    let (id, attempts) = (delivery.id, delivery.attempts);
    let message = Message {
        url: delivery.url,
        delivery_id: delivery.delivery_id,
        secret: delivery.secret,
        body: delivery.body,
    };
    let sent = sender.send(message, now()).await;
    if let Err(error) = &sent {
        tracing::warn!(delivery = id, %error, "a webhook could not be delivered");
    }
    let outcome = outcome(sent, attempts, now());
    if let Err(error) = store.finish_delivery(id, outcome, now()).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a delivery cannot be recorded"
        );
    }
}

/// What follows from an attempt: busy receivers are asked again, twice as late every time; others are not.
fn outcome(sent: Result<Answer, String>, attempts: u32, now: Millis) -> DeliveryOutcome {
    let (status, error, asked_for_s) = match sent {
        Ok(answer) => (Some(answer.status), None, answer.retry_after_s),
        Err(error) => (None, Some(error), None),
    };
    let busy = status.is_none_or(|status| matches!(status, 429 | 500 | 502 | 503 | 504));
    let backoff_s = 1u64 << attempts.saturating_sub(1).min(6);
    let wait_s = asked_for_s.unwrap_or(backoff_s).clamp(backoff_s, RETRY_MAX_S);
    let again = busy && attempts < ATTEMPTS_MAX;
    DeliveryOutcome {
        status,
        error,
        retry_at: again.then(|| now.plus(Span(wait_s as i64 * 1_000))),
    }
}

/// Refuses a URL that may not be called, after looking up where it leads.
pub(crate) async fn check_url(rules: &WebhookRules, url: &str) -> Result<(), InputError> {
    const LOOK_UP_MAX: Duration = Duration::from_secs(5);
    let (host, port) = rules.parse(url)?;
    let found = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host.as_str(), port))).await;
    let addresses = match found {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(_)) | Err(_) => return Err(address::unknown_host(&host)),
    };
    rules.check(&host, &addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after_s: Option<u64>) -> Result<Answer, String> {
        Ok(Answer {
            status,
            retry_after_s,
            text: String::new(),
        })
    }

    #[test]
    fn a_busy_receiver_is_asked_again_and_one_that_refuses_is_not() {
        let retry = |sent, attempts| outcome(sent, attempts, Millis(0)).retry_at.map(|at| at.0 / 1_000);
        assert_eq!(retry(answer(200, None), 1), None);
        assert_eq!(retry(answer(404, None), 1), None);
        assert_eq!(retry(answer(302, None), 1), None);
        let waits: Vec<_> = (1..=4)
            .map(|attempts| retry(answer(503, None), attempts))
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), None]);
        assert_eq!(retry(answer(429, Some(30)), 1), Some(30));
        assert_eq!(retry(answer(429, Some(99_999)), 1), Some(60));
        assert_eq!(retry(Err("away".into()), 2), Some(2));
    }
}
