//! Records that come from another tracking server, with the ids and times they had there.

use crate::Millis;
use crate::logged_models::LoggedModel;
use crate::metrics::Metric;
use crate::models::{ModelVersion, RegisteredModel};
use crate::runs::Run;

/// A run, or a piece of one: long histories come in several.
#[derive(Debug, Clone)]
pub struct RunPiece {
    /// All but its history; its `metrics` are what each had last, and come with the last piece.
    pub run: Run,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Millis>,
    /// Points of its history.
    pub history: Vec<Metric>,
    /// With the last piece: what it looked like there, so that it is not read again unless it changed.
    pub mark: Option<String>,
}

/// A logged model; its `metrics` are those that it was logged with.
#[derive(Debug, Clone)]
pub struct LoggedModelRecord {
    /// The model.
    pub model: LoggedModel,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Millis>,
}

/// A registered model with all its versions.
#[derive(Debug, Clone)]
pub struct RegisteredRecord {
    /// The model; its aliases lead to the versions.
    pub model: RegisteredModel,
    /// Its versions, which keep their numbers.
    pub versions: Vec<ModelVersion>,
}

/// What became of a record that was not taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is: "run", "model version", "webhooks"…
    pub noun: String,
    /// Which one, or how many.
    pub which: String,
    /// Why, and what is there instead.
    pub reason: String,
}

impl LeftOut {
    /// A record with the reason why it is not there as it was.
    pub fn new(noun: impl Into<String>, which: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            noun: noun.into(),
            which: which.into(),
            reason: reason.into(),
        }
    }
}
