//! Scorers: how answers are judged, kept by version.

use serde_json::Value as Json;

use crate::input::check_length;
use crate::{ExperimentId, InputError, Millis};

const SERIALIZED_CHARS_MAX: usize = 1 << 20;

/// A version of a scorer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScorerVersion {
    /// The scorer's id.
    pub scorer_id: String,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// Its name.
    pub name: String,
    /// Its number, from 1.
    pub version: i64,
    /// How it judges, as JSON.
    pub serialized: String,
    /// When it was registered.
    pub created_at: Millis,
}

/// Which traces a scorer judges as they come.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineScoring {
    /// Its id.
    pub id: String,
    /// The scorer.
    pub scorer_id: String,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// The share of traces, from 0 to 1.
    pub sample_rate: f64,
    /// Only traces that fit.
    pub filter: Option<String>,
}

/// The name of a scorer.
pub fn scorer_name(name: String) -> Result<String, InputError> {
    check_length("name", &name, 256)?;
    if name.trim().is_empty() {
        return Err(InputError::Missing {
            parameter: "name".into(),
        });
    }
    Ok(name)
}

/// How a scorer judges. Source code is refused: whoever loads the scorer would execute what somebody else wrote.
pub fn serialized_scorer(text: String) -> Result<String, InputError> {
    check_length("serialized_scorer", &text, SERIALIZED_CHARS_MAX)?;
    let refuse = |reason: &str| InputError::invalid("serialized_scorer", "…", reason);
    let json: Json =
        serde_json::from_str(&text).map_err(|_| refuse("serialized_scorer must be valid JSON"))?;
    if has_code(&json) {
        return Err(refuse(
            "scorers made of Python code (`@scorer`) are not kept here; pass them to `mlflow.genai.evaluate` instead",
        ));
    }
    Ok(text)
}

fn has_code(json: &Json) -> bool {
    match json {
        Json::Object(fields) => fields
            .iter()
            .any(|(key, value)| key == "call_source" && !value.is_null() || has_code(value)),
        Json::Array(items) => items.iter().any(has_code),
        _ => false,
    }
}

/// The share of traces that a scorer judges.
pub fn sample_rate(rate: f64) -> Result<f64, InputError> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(InputError::Invalid {
        parameter: "sample_rate".into(),
        value: rate.to_string(),
        reason: "it must lie between 0 and 1".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scorer_may_be_a_judge_but_no_code() {
        assert!(
            serialized_scorer(
                r#"{"name": "x", "builtin_scorer_class": "Safety", "call_source": null}"#.into()
            )
            .is_ok()
        );
        for text in [
            "x",
            r#"{"call_source": "import os"}"#,
            r#"{"parts": [{"call_source": "1"}]}"#,
        ] {
            assert!(serialized_scorer(text.into()).is_err(), "{text}");
        }
    }
}
