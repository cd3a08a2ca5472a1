use lathe_types::models::PROMPT_TAG;
use lathe_types::webhooks::{Delivery, DeliveryOutcome, DeliveryRecord};
use lathe_types::{Millis, Span};
use serde_json::{Value as Json, json};

use crate::{Result, Store, Tx};

/// Events that wait for one webhook at most; what comes then is dropped, since its receiver has long been away.
const QUEUED_MAX: i64 = 10_000;
/// Lines of one webhook's log.
const LOG_MAX: i64 = 1_000;

impl Store {
    /// Gives the oldest delivery that is due to the caller, who has `lease` to say what came of it. `delivery_id` is its
    /// id if this is the first attempt.
    pub async fn claim_delivery(
        &self,
        delivery_id: String,
        lease: Span,
        now: Millis,
    ) -> Result<Option<Delivery>> {
        self.write(move |tx| {
            let due = tx.query_opt(
                "SELECT id FROM webhook_deliveries WHERE state = 'queued' AND due_at <= ?1
                 ORDER BY due_at, id LIMIT 1",
                &[now.0.into()],
                |row| row.get::<i64>(0),
            )?;
            let Some(id) = due else { return Ok(None) };
            // Another process may have claimed it meanwhile.
            let claimed = tx.execute(
                "UPDATE webhook_deliveries
                 SET attempts = attempts + 1, due_at = ?2, delivery_id = COALESCE(delivery_id, ?4)
                 WHERE id = ?1 AND state = 'queued' AND due_at <= ?3",
                &[
                    id.into(),
                    now.plus(lease).0.into(),
                    now.0.into(),
                    delivery_id.into(),
                ],
            )?;
            if claimed == 0 {
                return Ok(None);
            }
            tx.query_opt(
                "SELECT d.id, d.delivery_id, w.url, w.secret, d.body, d.attempts
                 FROM webhook_deliveries AS d JOIN webhooks AS w ON w.webhook_id = d.webhook_id
                 WHERE d.id = ?1",
                &[id.into()],
                |row| {
                    Ok(Delivery {
                        id: row.get(0)?,
                        delivery_id: row.get(1)?,
                        url: row.get(2)?,
                        secret: row.get(3)?,
                        body: row.get(4)?,
                        attempts: row.get(5)?,
                    })
                },
            )
        })
        .await
    }

    /// Writes down what came of an attempt.
    pub async fn finish_delivery(&self, id: i64, outcome: DeliveryOutcome, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let delivered = outcome.status.is_some_and(|status| (200..300).contains(&status));
            let (state, finished) = match (outcome.retry_at, delivered) {
                (Some(_), _) => ("queued", None),
                (None, true) => ("delivered", Some(now.0)),
                (None, false) => ("failed", Some(now.0)),
            };
            tx.execute(
                "UPDATE webhook_deliveries
                 SET state = ?2, finished_at = ?3, http_status = ?4, error = ?5, due_at = ?6
                 WHERE id = ?1 AND state = 'queued'",
                &[
                    id.into(),
                    state.into(),
                    finished.into(),
                    outcome.status.map(i64::from).into(),
                    outcome.error.into(),
                    outcome.retry_at.unwrap_or(now).0.into(),
                ],
            )?;
            tx.execute(
                "DELETE FROM webhook_deliveries WHERE state <> 'queued'
                   AND webhook_id = (SELECT webhook_id FROM webhook_deliveries WHERE id = ?1)
                   AND id < (SELECT MIN(newest.id) FROM (
                       SELECT id FROM webhook_deliveries
                       WHERE webhook_id = (SELECT webhook_id FROM webhook_deliveries WHERE id = ?1)
                       ORDER BY id DESC LIMIT ?2) AS newest)",
                &[id.into(), LOG_MAX.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// When the next delivery is due, if one waits.
    pub async fn next_delivery_at(&self) -> Result<Option<Millis>> {
        self.read(|tx| {
            let due = tx.query_opt(
                "SELECT MIN(due_at) FROM webhook_deliveries WHERE state = 'queued'",
                &[],
                |row| row.get::<Option<i64>>(0),
            )?;
            Ok(due.flatten().map(Millis))
        })
        .await
    }

    /// The log of a webhook, newest first.
    pub async fn list_deliveries(&self, webhook: String, limit: usize) -> Result<Vec<DeliveryRecord>> {
        self.read(move |tx| {
            super::get(tx, &webhook)?;
            tx.query(
                "SELECT id, delivery_id, event, state, attempts, http_status, error, created_at, finished_at
                 FROM webhook_deliveries WHERE webhook_id = ?1 ORDER BY id DESC LIMIT ?2",
                &[(&webhook).into(), (limit as i64).into()],
                |row| {
                    let status: Option<i64> = row.get(5)?;
                    Ok(DeliveryRecord {
                        id: row.get(0)?,
                        delivery_id: row.get(1)?,
                        event: row.get(2)?,
                        state: row.get(3)?,
                        attempts: row.get(4)?,
                        status: status.and_then(|status| u16::try_from(status).ok()),
                        error: row.get(6)?,
                        created_at: Millis(row.get(7)?),
                        finished_at: row.get::<Option<i64>>(8)?.map(Millis),
                    })
                },
            )
        })
        .await
    }
}

/// Queues an event for every webhook that wants it, in the transaction that made it happen.
pub(crate) fn tell(tx: &Tx<'_>, event: &str, now: Millis, data: impl FnOnce() -> Json) -> Result<()> {
    let wanted_by = tx.query(
        "SELECT w.webhook_id FROM webhook_events AS e JOIN webhooks AS w ON w.webhook_id = e.webhook_id
         WHERE e.event = ?1 AND w.status = 'ACTIVE' ORDER BY w.webhook_id",
        &[event.into()],
        |row| row.get::<String>(0),
    )?;
    if wanted_by.is_empty() {
        return Ok(());
    }
    let (entity, action) = event.split_once('.').unwrap_or((event, ""));
    let body = json!({ "entity": entity, "action": action, "timestamp": now.to_string(), "data": data() });
    let body = body.to_string();
    for webhook in wanted_by {
        tx.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event, body, state, attempts, due_at, created_at)
             SELECT w.webhook_id, ?2, ?3, 'queued', 0, CAST(?4 AS BIGINT), CAST(?4 AS BIGINT)
             FROM webhooks AS w WHERE w.webhook_id = ?1
               AND (SELECT COUNT(*) FROM webhook_deliveries AS d
                    WHERE d.webhook_id = w.webhook_id AND d.state = 'queued') < ?5",
            &[
                webhook.into(),
                event.into(),
                (&body).into(),
                now.0.into(),
                QUEUED_MAX.into(),
            ],
        )?;
    }
    Ok(())
}

/// Tells of a model, or in a prompt's own words if it is one.
pub(crate) fn tell_of_model(
    tx: &Tx<'_>,
    name: &str,
    model_event: Option<&str>,
    prompt_event: &str,
    now: Millis,
    data: impl FnOnce() -> Json,
) -> Result<()> {
    let is_prompt = tx.query_opt(
        "SELECT 1 FROM registered_model_tags WHERE name = ?1 AND key = ?2 AND LOWER(value) = 'true'",
        &[name.into(), PROMPT_TAG.into()],
        |_| Ok(()),
    )?;
    match (is_prompt, model_event) {
        (Some(()), _) => tell(tx, prompt_event, now, data),
        (None, Some(event)) => tell(tx, event, now, data),
        (None, None) => Ok(()),
    }
}
