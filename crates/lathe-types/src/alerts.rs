//! An alert: a breach, open until resolved.

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::drift::Diagnosis;

/// What was breached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The inputs.
    Drift,
    /// The error on labels.
    Performance,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Breached and nobody has looked.
    Open,
    /// Somebody has looked.
    Acknowledged,
    /// No longer breached, or a new version answered it.
    Resolved,
}

/// A breach of a monitor's limits. One (deployment, kind) has at most one unresolved alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Counts up.
    pub id: i64,
    /// The deployment.
    pub deployment: String,
    /// The version that answered.
    pub version: u32,
    /// What was breached.
    pub kind: AlertKind,
    /// Where it stands.
    pub state: AlertState,
    /// When the evidence was complete, in event time: the end of the window that opened it.
    pub at: Millis,
    /// When it was opened, by the server's clock.
    pub opened_at: Millis,
    /// When it was resolved, by the server's clock.
    pub resolved_at: Option<Millis>,
    /// The window that opened it: its start.
    pub window_start: Millis,
    /// One line for people.
    pub summary: String,
    /// Why.
    pub diagnosis: Diagnosis,
}
