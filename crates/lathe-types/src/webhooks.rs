//! Webhooks: addresses that are told when the registry changes.

use crate::input::check_length;
use crate::{InputError, Millis};

/// Every event, as `entity.action`.
const EVENTS: [&str; 15] = [
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "prompt.created",
    "prompt_version.created",
    "prompt_tag.set",
    "prompt_tag.deleted",
    "prompt_version_tag.set",
    "prompt_version_tag.deleted",
    "prompt_alias.created",
    "prompt_alias.deleted",
    "budget_policy.exceeded",
];

/// Something that can happen, as `model_version.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookEvent(&'static str);

impl WebhookEvent {
    /// The event of this word, as stored.
    pub fn from_word(word: &str) -> Option<Self> {
        EVENTS.into_iter().find(|known| *known == word).map(Self)
    }

    /// Reads entity and action in any case.
    pub fn parse(entity: &str, action: &str) -> Result<Self, InputError> {
        let word = format!("{entity}.{action}").to_ascii_lowercase();
        Self::from_word(&word).ok_or_else(|| {
            let entity = entity.to_ascii_lowercase();
            let actions: Vec<&str> = EVENTS
                .into_iter()
                .filter_map(|known| known.strip_prefix(&*entity)?.strip_prefix('.'))
                .collect();
            InputError::Request(match actions.is_empty() {
                true => format!(
                    "There is no webhook entity `{entity}`; the events are {}.",
                    EVENTS.join(", ")
                ),
                false => format!(
                    "Invalid action '{}' for entity '{entity}'. Valid actions are: {actions:?}",
                    action.to_ascii_lowercase()
                ),
            })
        })
    }

    /// `model_version.created`
    pub fn word(self) -> &'static str {
        self.0
    }

    /// `model_version`
    pub fn entity(self) -> &'static str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// `created`
    pub fn action(self) -> &'static str {
        self.0.rsplit('.').next().unwrap_or_default()
    }
}

/// Whether a webhook is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookStatus {
    /// It is told of events.
    #[default]
    Active,
    /// It is not.
    Disabled,
}

impl WebhookStatus {
    /// Reads `ACTIVE` or `DISABLED` in the field `status`.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        match text {
            "ACTIVE" => Ok(Self::Active),
            "DISABLED" => Ok(Self::Disabled),
            _ => Err(InputError::invalid(
                "status",
                text,
                "it must be `ACTIVE` or `DISABLED`",
            )),
        }
    }

    /// As clients see it, and as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }
}

/// A webhook. Its secret is not here: nobody is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Its name; need not be unique.
    pub name: String,
    /// What it is for, in words for people.
    pub description: Option<String>,
    /// Where events are sent.
    pub url: String,
    /// What it is told.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told.
    pub status: WebhookStatus,
    /// When it was created.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// What is to become of a webhook: everything of a new one, or what changes of an old one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for; empty: nothing is said.
    pub description: Option<String>,
    /// Where events are sent. Whoever makes the change has looked where that leads.
    pub url: Option<String>,
    /// What it is told.
    pub events: Option<Vec<WebhookEvent>>,
    /// What signs the events; empty: nothing does.
    pub secret: Option<String>,
    /// Whether it is told.
    pub status: Option<WebhookStatus>,
}

impl WebhookChange {
    /// Checks everything that needs no network.
    pub fn check(&self) -> Result<(), InputError> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        check_length("url", self.url.as_deref().unwrap_or_default(), 2_000)?;
        check_length("secret", self.secret.as_deref().unwrap_or_default(), 1_000)?;
        check_length(
            "description",
            self.description.as_deref().unwrap_or_default(),
            1_000,
        )?;
        match &self.events {
            Some(events) if events.is_empty() => Err(InputError::Request(
                "Webhook events must be a non-empty list of events.".into(),
            )),
            _ => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<(), InputError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if edge(name.chars().next()) && edge(name.chars().last()) && name.chars().all(inner) && name.len() <= 63 {
        return Ok(());
    }
    Err(InputError::Request(format!(
        "Webhook name '{name}' is invalid. It must start and end with a letter or digit, have at most 63 characters, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
    )))
}

/// One event on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Counts up.
    pub id: i64,
    /// The same for every attempt, so that a receiver can tell a repetition.
    pub delivery_id: String,
    /// Where it is sent.
    pub url: String,
    /// What signs it.
    pub secret: Option<String>,
    /// The JSON that is sent.
    pub body: String,
    /// Attempts begun, this one included.
    pub attempts: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// The HTTP status that the receiver answered.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// When to try again; none: this was the end of it.
    pub retry_at: Option<Millis>,
}

/// A line of a webhook's log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeliveryRecord {
    /// Counts up.
    pub id: i64,
    /// What the receiver sees as `X-MLflow-Delivery-Id`; none before the first attempt.
    pub delivery_id: Option<String>,
    /// `model_version.created`
    pub event: String,
    /// `queued`, `delivered` or `failed`.
    pub state: String,
    /// Attempts begun.
    pub attempts: u32,
    /// The last HTTP status.
    pub status: Option<u16>,
    /// Why the last attempt had no answer.
    pub error: Option<String>,
    /// When the event happened.
    pub created_at: Millis,
    /// When it was delivered or given up.
    pub finished_at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_an_entity_with_an_action_that_it_knows() {
        let event = WebhookEvent::parse("MODEL_VERSION_TAG", "SET").unwrap();
        assert_eq!((event.entity(), event.action()), ("model_version_tag", "set"));
        for (entity, action) in [
            ("MODEL_VERSION", "DELETED"),
            ("NOPE", "CREATED"),
            ("", ""),
            ("A.B", "C"),
        ] {
            assert!(WebhookEvent::parse(entity, action).is_err(), "{entity}.{action}");
        }
    }

    #[test]
    fn a_name_is_a_word() {
        for name in ["a", "a-b.c_1", "9"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a.", "a b", "a/b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
