//! Webhooks on the wire.

use lathe_types::webhooks::{WebhookChange, WebhookEvent, WebhookStatus};
use lathe_types::{InputError, Millis, required};
use serde::{Deserialize, Serialize};

use super::Int64;
use super::json::objects_opt;

/// `POST webhooks`, `PATCH webhooks/{id}`
#[derive(Debug, Deserialize)]
pub struct WebhookFields {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    #[serde(default, deserialize_with = "objects_opt")]
    events: Option<Vec<Event>>,
    secret: Option<String>,
    status: Option<String>,
}

impl WebhookFields {
    /// A new webhook, of which name, URL and events must be said.
    pub fn new_webhook(self) -> Result<WebhookChange, InputError> {
        required("name", self.name.clone())?;
        required("url", self.url.clone())?;
        let events = self.events.is_some();
        let new = self.change()?;
        match events {
            true => Ok(new),
            false => Err(InputError::Missing {
                parameter: "events".into(),
            }),
        }
    }

    /// What changes of a webhook; an empty name, URL or list changes nothing.
    pub fn change(self) -> Result<WebhookChange, InputError> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let events = self
            .events
            .map(|events| events.into_iter().map(Event::parse).collect());
        let change = WebhookChange {
            name: some(self.name),
            description: self.description,
            url: some(self.url),
            events: events.transpose()?,
            secret: self.secret,
            status: self
                .status
                .map(|status| WebhookStatus::parse(&status))
                .transpose()?,
        };
        change.check()?;
        Ok(change)
    }
}

/// `GET webhooks`
#[derive(Debug, Deserialize)]
pub struct ListWebhooks {
    /// How many a page may hold.
    pub max_results: Option<Int64>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// `POST webhooks/{id}/test`
#[derive(Debug, Deserialize)]
pub struct TestWebhook {
    event: Option<Event>,
}

impl TestWebhook {
    /// The event to try, if one is named.
    pub fn event(self) -> Result<Option<WebhookEvent>, InputError> {
        self.event.map(Event::parse).transpose()
    }
}

/// An event by its entity and action.
#[derive(Debug, Serialize, Deserialize)]
pub struct Event {
    /// `MODEL_VERSION`…
    #[serde(default)]
    pub entity: String,
    /// `CREATED`…
    #[serde(default)]
    pub action: String,
}

impl Event {
    fn parse(self) -> Result<WebhookEvent, InputError> {
        WebhookEvent::parse(&self.entity, &self.action)
    }
}

/// The answer where one webhook is wanted.
#[derive(Debug, Serialize)]
pub struct WebhookReply {
    /// The webhook.
    pub webhook: Webhook,
}

/// The answer to `GET webhooks`.
#[derive(Debug, Serialize)]
pub struct WebhookPage {
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A webhook, without its secret.
#[derive(Debug, Serialize)]
pub struct Webhook {
    webhook_id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    url: String,
    events: Vec<Event>,
    status: &'static str,
    creation_timestamp: Millis,
    last_updated_timestamp: Millis,
}

impl From<lathe_types::webhooks::Webhook> for Webhook {
    fn from(webhook: lathe_types::webhooks::Webhook) -> Self {
        let events = webhook.events.into_iter();
        Self {
            webhook_id: webhook.id,
            name: webhook.name,
            description: webhook.description,
            url: webhook.url,
            events: events
                .map(|event| Event {
                    entity: event.entity().to_ascii_uppercase(),
                    action: event.action().to_ascii_uppercase(),
                })
                .collect(),
            status: webhook.status.as_str(),
            creation_timestamp: webhook.created_at,
            last_updated_timestamp: webhook.updated_at,
        }
    }
}

/// The answer to `webhooks/{id}/test`.
#[derive(Debug, Serialize)]
pub struct TestReply {
    /// What came of it.
    pub result: TestResult,
}

/// What came of a trial.
#[derive(Debug, Default, Serialize)]
pub struct TestResult {
    /// Whether the receiver took it.
    pub success: bool,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// The beginning of what it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}
