//! What a gate's rules can see.

use lathe_types::Millis;
use serde_json::{Map, Value, json};

/// Candidate and champion on the same labelled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Challenge {
    /// The first instant of the rows.
    pub start: Millis,
    /// The first instant after them.
    pub end: Millis,
    /// How many there are.
    pub rows: u64,
    /// The candidate's errors, by metric.
    pub candidate: Map<String, Value>,
    /// The champion's errors, by metric.
    pub champion: Map<String, Value>,
}

/// Puts the evidence together: `candidate`, `champion` and `challenge`, the latter two empty where there are none.
pub fn assemble(
    candidate: u32,
    facts: &Value,
    champion: Option<u32>,
    champion_facts: Option<&Value>,
    challenge: Option<&Challenge>,
) -> Value {
    let with_version = |version: u32, facts: Option<&Value>| {
        let mut entries = facts.and_then(Value::as_object).cloned().unwrap_or_default();
        entries.insert("version".into(), json!(version));
        Value::Object(entries)
    };
    json!({
        "candidate": with_version(candidate, Some(facts)),
        "champion": champion.map_or_else(|| json!({}), |version| with_version(version, champion_facts)),
        "challenge": challenge.map_or_else(|| json!({}), |found| json!({
            "start": found.start.to_string(),
            "end": found.end.to_string(),
            "rows": found.rows,
            "candidate": found.candidate,
            "champion": found.champion,
        })),
    })
}
