//! Assessments: what people, judges and code say of a trace, and what they expected of it.

use serde_json::Value as Json;

use crate::input::check_length;
use crate::tags::Tag;
use crate::traces::{SESSION_METADATA, TraceId};
use crate::{InputError, Millis};

const NAME_MAX: usize = 250;
const TEXT_MAX: usize = 100_000;
/// As much as a value may take as JSON.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// What was said of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// `a-` and 32 hex digits.
    pub id: String,
    /// What was judged, or the issue that is meant.
    pub name: String,
    /// The trace.
    pub trace: TraceId,
    /// The span that is meant; none: the whole trace.
    pub span: Option<String>,
    /// Who said it.
    pub source: AssessmentSource,
    /// What was said.
    pub value: AssessmentValue,
    /// Why.
    pub rationale: Option<String>,
    /// Anything else, by key.
    pub metadata: Vec<Tag>,
    /// The assessment that this one replaces.
    pub overrides: Option<String>,
    /// Whether no other replaces it.
    pub valid: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// Who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssessmentSource {
    /// `HUMAN`, `LLM_JUDGE` or `CODE`.
    pub kind: String,
    /// Which one.
    pub id: Option<String>,
}

impl AssessmentSource {
    /// Checks who is said to have said it.
    pub fn new(kind: String, id: Option<String>) -> Result<Self, InputError> {
        // The older name of LLM_JUDGE is still sent.
        let known = [
            "HUMAN",
            "LLM_JUDGE",
            "AI_JUDGE",
            "CODE",
            "SOURCE_TYPE_UNSPECIFIED",
        ];
        if !known.contains(&kind.as_str()) {
            return Err(InputError::invalid(
                "assessment.source.source_type",
                &kind,
                "it must be `HUMAN`, `LLM_JUDGE` or `CODE`",
            ));
        }
        if let Some(id) = &id {
            check_length("assessment.source.source_id", id, 1_000)?;
        }
        Ok(Self { kind, id })
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub enum AssessmentValue {
    /// How good it was.
    Feedback {
        /// Any JSON.
        value: Json,
        /// Why there is no value.
        error: Option<Json>,
    },
    /// What would have been right.
    Expectation(Json),
    /// The issue that it shows, by its title.
    Issue(String),
}

impl AssessmentValue {
    /// The word that the store and filters know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Feedback { .. } => "feedback",
            Self::Expectation(_) => "expectation",
            Self::Issue(_) => "issue",
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> Json {
        match self {
            Self::Feedback { value, .. } | Self::Expectation(value) => value.clone(),
            Self::Issue(title) => title.as_str().into(),
        }
    }

    /// The number that averages count it as: yes and true are 1.
    pub fn number(&self) -> Option<f64> {
        match self.json() {
            Json::Bool(yes) => Some(f64::from(u8::from(yes))),
            Json::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            Json::String(text) if text.trim().eq_ignore_ascii_case("yes") => Some(1.0),
            Json::String(text) if text.trim().eq_ignore_ascii_case("no") => Some(0.0),
            _ => None,
        }
    }

    /// Whether the value is a number, so that it can be compared with one.
    pub fn is_number(&self) -> bool {
        matches!(self.json(), Json::Number(_))
    }
}

impl Assessment {
    /// Checks lengths.
    pub fn within_limits(self) -> Result<Self, InputError> {
        if self.name.is_empty() {
            return Err(InputError::Missing {
                parameter: "assessment.assessment_name".into(),
            });
        }
        check_length("assessment.assessment_name", &self.name, NAME_MAX)?;
        check_length(
            "assessment.rationale",
            self.rationale.as_deref().unwrap_or_default(),
            TEXT_MAX,
        )?;
        check_length(
            "assessment.span_id",
            self.span.as_deref().unwrap_or_default(),
            100,
        )?;
        check_length(
            "assessment.overrides",
            self.overrides.as_deref().unwrap_or_default(),
            100,
        )?;
        if VALUE_BYTES_MAX < self.value.json().to_string().len() {
            return Err(InputError::TooLong {
                parameter: "assessment.value".into(),
                max: VALUE_BYTES_MAX,
            });
        }
        for pair in &self.metadata {
            check_length("assessment.metadata.key", &pair.key, NAME_MAX)?;
            check_length("assessment.metadata.value", &pair.value, TEXT_MAX)?;
        }
        Ok(self)
    }

    /// The session that is meant, if it is said of a whole session.
    pub fn session(&self) -> Option<&str> {
        let found = self.metadata.iter().find(|pair| pair.key == SESSION_METADATA)?;
        Some(&found.value)
    }
}

/// What changes in an assessment; what is none stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AssessmentChange {
    /// Another name.
    pub name: Option<String>,
    /// Another value, of the same kind.
    pub value: Option<AssessmentValue>,
    /// Another reason.
    pub rationale: Option<String>,
    /// More metadata, or other values of known keys.
    pub metadata: Vec<Tag>,
    /// Whether it counts.
    pub valid: Option<bool>,
}

impl AssessmentChange {
    /// The assessment after the change.
    pub fn apply(self, mut to: Assessment, now: Millis) -> Result<Assessment, InputError> {
        if let Some(value) = self.value {
            if value.kind() != to.value.kind() {
                return Err(InputError::invalid(
                    "update_mask",
                    value.kind(),
                    format!(
                        "Cannot update {} value on an assessment that is {}.",
                        value.kind(),
                        to.value.kind()
                    ),
                ));
            }
            to.value = value;
        }
        to.name = self.name.unwrap_or(to.name);
        to.rationale = self.rationale.or(to.rationale);
        to.valid = self.valid.unwrap_or(to.valid);
        for pair in self.metadata {
            match to.metadata.iter_mut().find(|known| known.key == pair.key) {
                Some(known) => known.value = pair.value,
                None => to.metadata.push(pair),
            }
        }
        to.updated_at = now;
        to.within_limits()
    }
}
