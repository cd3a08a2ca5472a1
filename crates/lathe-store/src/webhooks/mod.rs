//! Webhooks, and what is on its way to them.

mod deliveries;

pub(crate) use deliveries::{tell, tell_of_model};

use lathe_types::Millis;
use lathe_types::tags::{Page, PageRequest};
use lathe_types::webhooks::{Webhook, WebhookChange, WebhookEvent, WebhookStatus};

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx};

const COLUMNS: &str =
    "SELECT webhook_id, name, description, url, status, created_at, updated_at FROM webhooks";

impl Store {
    /// Creates a webhook of which everything is said.
    pub async fn create_webhook(&self, id: String, new: WebhookChange, now: Millis) -> Result<Webhook> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO webhooks (webhook_id, name, description, url, secret, status, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                &[
                    (&id).into(),
                    new.name.unwrap_or_default().into(),
                    said(new.description).into(),
                    new.url.unwrap_or_default().into(),
                    said(new.secret).into(),
                    new.status.unwrap_or_default().as_str().into(),
                    now.0.into(),
                ],
            )?;
            set_events(tx, &id, &new.events.unwrap_or_default())?;
            get(tx, &id)
        })
        .await
    }

    /// The webhook of this id.
    pub async fn get_webhook(&self, id: String) -> Result<Webhook> {
        self.read(move |tx| get(tx, &id)).await
    }

    /// The webhook of this id, and what signs its events.
    pub async fn get_webhook_with_secret(&self, id: String) -> Result<(Webhook, Option<String>)> {
        self.read(move |tx| {
            let webhook = get(tx, &id)?;
            let secret = tx.query_opt(
                "SELECT secret FROM webhooks WHERE webhook_id = ?1",
                &[(&id).into()],
                |row| row.get(0),
            )?;
            Ok((webhook, secret.flatten()))
        })
        .await
    }

    /// The webhooks, newest first.
    pub async fn list_webhooks(&self, page: PageRequest) -> Result<Page<Webhook>> {
        self.read(move |tx| {
            let mut sql = Sql::new(COLUMNS);
            sql.push(" ORDER BY created_at DESC, webhook_id");
            let mut found = sql.page(tx, page, read)?;
            for webhook in &mut found.items {
                webhook.events = events(tx, &webhook.id)?;
            }
            Ok(found)
        })
        .await
    }

    /// Changes what is said.
    pub async fn change_webhook(&self, id: String, change: WebhookChange, now: Millis) -> Result<Webhook> {
        self.write(move |tx| {
            get(tx, &id)?;
            let texts = [
                (
                    "UPDATE webhooks SET name = ?2 WHERE webhook_id = ?1",
                    change.name.map(Some),
                ),
                (
                    "UPDATE webhooks SET url = ?2 WHERE webhook_id = ?1",
                    change.url.map(Some),
                ),
                (
                    "UPDATE webhooks SET description = ?2 WHERE webhook_id = ?1",
                    change.description.map(|text| said(Some(text))),
                ),
                (
                    "UPDATE webhooks SET secret = ?2 WHERE webhook_id = ?1",
                    change.secret.map(|text| said(Some(text))),
                ),
                (
                    "UPDATE webhooks SET status = ?2 WHERE webhook_id = ?1",
                    change.status.map(|status| Some(status.as_str().to_owned())),
                ),
            ];
            for (sql, text) in texts {
                if let Some(text) = text {
                    tx.execute(sql, &[(&id).into(), text.into()])?;
                }
            }
            if let Some(events) = change.events {
                set_events(tx, &id, &events)?;
            }
            tx.execute(
                "UPDATE webhooks SET updated_at = ?2 WHERE webhook_id = ?1",
                &[(&id).into(), now.0.into()],
            )?;
            get(tx, &id)
        })
        .await
    }

    /// Deletes a webhook with its log and what is on its way to it.
    pub async fn delete_webhook(&self, id: String) -> Result<()> {
        self.write(move |tx| {
            get(tx, &id)?;
            tx.execute("DELETE FROM webhooks WHERE webhook_id = ?1", &[(&id).into()])?;
            Ok(())
        })
        .await
    }
}

/// An empty text says nothing.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn get(tx: &Tx<'_>, id: &str) -> Result<Webhook> {
    let found = tx.query_opt(&format!("{COLUMNS} WHERE webhook_id = ?1"), &[id.into()], read)?;
    let mut webhook = found.ok_or_else(|| Error::NotFound {
        noun: "webhook",
        id: id.to_owned(),
    })?;
    webhook.events = events(tx, id)?;
    Ok(webhook)
}

fn events(tx: &Tx<'_>, id: &str) -> Result<Vec<WebhookEvent>> {
    let words = tx.query(
        "SELECT event FROM webhook_events WHERE webhook_id = ?1 ORDER BY event",
        &[id.into()],
        |row| row.get::<String>(0),
    )?;
    Ok(words
        .iter()
        .filter_map(|word| WebhookEvent::from_word(word))
        .collect())
}

fn set_events(tx: &Tx<'_>, id: &str, events: &[WebhookEvent]) -> Result<()> {
    tx.execute("DELETE FROM webhook_events WHERE webhook_id = ?1", &[id.into()])?;
    for event in events {
        tx.execute(
            "INSERT INTO webhook_events (event, webhook_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            &[event.word().into(), id.into()],
        )?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Webhook> {
    let status: String = row.get(4)?;
    Ok(Webhook {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        url: row.get(3)?,
        events: Vec::new(),
        status: match status.as_str() {
            "ACTIVE" => WebhookStatus::Active,
            _ => WebhookStatus::Disabled,
        },
        created_at: Millis(row.get(5)?),
        updated_at: Millis(row.get(6)?),
    })
}
