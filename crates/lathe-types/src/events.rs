//! The feed of the loop: one line for everything that changed, in the order it became durable.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Millis;

/// One change. Written in the same transaction as the change itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows without gaps; 0 until stored.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// What happened: `run.finished`, `gate.decided`, `alert.opened`, `rollout.promoted`…
    pub kind: String,
    /// What it happened to: `run/<id>`, `model/<name>/<version>`, `deployment/<name>`, `graph/<name>`, `job/<id>`.
    pub subject: String,
    /// One line for people.
    pub summary: String,
    /// Details for programs.
    pub data: Value,
}
