//! A gate's verdict on a candidate, with every rule's values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Millis;

/// What a rule or a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// The candidate may go on.
    Pass,
    /// It may not.
    Fail,
    /// The evidence does not suffice to say.
    Inconclusive,
    /// People must approve first.
    Waiting,
}

/// One rule's part of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// The rule's name in `lathe.toml`.
    pub rule: String,
    /// Its CEL text.
    pub expression: String,
    /// What it says.
    pub outcome: GateOutcome,
    /// The value of every path of evidence it names.
    pub values: BTreeMap<String, Value>,
    /// Why, in words for people.
    pub reason: String,
}

/// A gate's answer about one model version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// Counts up; 0 until stored.
    pub id: i64,
    /// The gate's name, which is the model's.
    pub model: String,
    /// The candidate.
    pub version: u32,
    /// The version it was measured against.
    pub champion: Option<u32>,
    /// Fail if any rule fails, else inconclusive if any is, else waiting, else pass.
    pub outcome: GateOutcome,
    /// One a rule, in the order of `lathe.toml`.
    pub rules: Vec<RuleVerdict>,
    /// Everything the rules could see.
    pub evidence: Value,
    /// When.
    pub at: Millis,
}
