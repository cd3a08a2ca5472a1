//! Assessments on the wire.

use std::collections::BTreeMap;

use lathe_types::assessments::{self, AssessmentChange, AssessmentSource, AssessmentValue};
use lathe_types::traces::TraceId;
use lathe_types::{InputError, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::times::Timestamp;
use super::traces::{map, tags_of};

/// `POST traces/{id}/assessments`, and the reply to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct AssessmentMessage {
    /// Required.
    pub assessment: Option<Assessment>,
}

/// `PATCH traces/{id}/assessments/{assessment}`
#[derive(Debug, Deserialize)]
pub struct UpdateAssessment {
    /// Required; only what the mask names counts.
    pub assessment: Option<Assessment>,
    /// Required: `assessmentName,metadata`.
    pub update_mask: Option<Mask>,
}

/// Which fields change.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Mask {
    /// As protocol buffers have it in JSON.
    Text(String),
    /// As they have it elsewhere.
    Paths {
        /// Names of fields.
        paths: Vec<String>,
    },
}

/// An assessment.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Assessment {
    /// Absent: an invented one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assessment_id: Option<String>,
    /// Required.
    pub assessment_name: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The span that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When it was made.
    pub create_time: Option<Timestamp>,
    /// When it last changed.
    pub last_update_time: Option<Timestamp>,
    /// How good it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Expectation>,
    /// The issue it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// By key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "map")]
    pub metadata: BTreeMap<String, String>,
    /// The assessment that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<String>,
    /// Whether no other replaces it.
    pub valid: Option<bool>,
}

/// Who said it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Source {
    /// `HUMAN`, `LLM_JUDGE`, `CODE`
    pub source_type: Option<String>,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
}

/// How good it was.
#[derive(Debug, Serialize, Deserialize)]
pub struct Feedback {
    /// Any JSON.
    #[serde(default)]
    pub value: Json,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Json>,
}

/// What would have been right.
#[derive(Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// A plain value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// A list or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serialized_value: Option<SerializedValue>,
}

/// A value in a text.
#[derive(Debug, Serialize, Deserialize)]
pub struct SerializedValue {
    /// `JSON_FORMAT`
    pub serialization_format: Option<String>,
    /// The text.
    pub value: Option<String>,
}

/// An issue by its title.
#[derive(Debug, Serialize, Deserialize)]
pub struct Issue {
    /// The title.
    #[serde(default)]
    pub issue_name: String,
}

impl Expectation {
    fn parse(self) -> Result<Json, InputError> {
        let Some(packed) = self.serialized_value else {
            return Ok(self.value.unwrap_or_default());
        };
        let format = packed.serialization_format.unwrap_or_default();
        if format != "JSON_FORMAT" {
            return Err(InputError::invalid(
                "expectation.serialized_value.serialization_format",
                &format,
                "Only JSON_FORMAT is supported.",
            ));
        }
        let text = packed.value.unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|_| InputError::invalid("expectation.serialized_value.value", "…", "it must be JSON"))
    }
}

impl Assessment {
    fn value(&mut self) -> Result<Option<AssessmentValue>, InputError> {
        let feedback = self.feedback.take().map(|feedback| AssessmentValue::Feedback {
            value: feedback.value,
            error: feedback.error,
        });
        let expectation = self.expectation.take().map(Expectation::parse).transpose()?;
        let issue = self
            .issue
            .take()
            .map(|issue| AssessmentValue::Issue(issue.issue_name));
        Ok(feedback
            .or(expectation.map(AssessmentValue::Expectation))
            .or(issue))
    }

    /// The assessment of this trace; `new_id` makes an id if it has none.
    pub fn parse(
        mut self,
        trace: &TraceId,
        new_id: &mut impl FnMut() -> String,
    ) -> Result<assessments::Assessment, InputError> {
        let value = self.value()?.ok_or_else(|| InputError::Missing {
            parameter: "assessment.feedback, assessment.expectation or assessment.issue".into(),
        })?;
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let source = self.source.unwrap_or(Source {
            source_type: None,
            source_id: None,
        });
        let kind = source
            .source_type
            .unwrap_or_else(|| "SOURCE_TYPE_UNSPECIFIED".into());
        let id = present(self.assessment_id).unwrap_or_else(new_id);
        if 100 < id.len() {
            return Err(InputError::TooLong {
                parameter: "assessment.assessment_id".into(),
                max: 100,
            });
        }
        assessments::Assessment {
            id,
            name: self.assessment_name.unwrap_or_default(),
            trace: trace.clone(),
            span: present(self.span_id),
            source: AssessmentSource::new(kind, source.source_id)?,
            value,
            rationale: present(self.rationale),
            metadata: tags_of(self.metadata),
            overrides: present(self.overrides),
            valid: true,
            created_at: self.create_time.map_or(Millis(0), |time| time.0),
            updated_at: self.last_update_time.map_or(Millis(0), |time| time.0),
        }
        .within_limits()
    }
}

impl UpdateAssessment {
    /// What changes.
    pub fn change(self) -> Result<AssessmentChange, InputError> {
        let missing = |parameter: &str| InputError::Missing {
            parameter: parameter.into(),
        };
        let mut assessment = self.assessment.ok_or_else(|| missing("assessment"))?;
        let paths = match self.update_mask.ok_or_else(|| missing("update_mask"))? {
            Mask::Text(text) => text.split(',').map(|path| path.trim().to_owned()).collect(),
            Mask::Paths { paths } => paths,
        };
        let mut change = AssessmentChange::default();
        for path in paths {
            match path.as_str() {
                "" => {}
                "assessmentName" | "assessment_name" => change.name = assessment.assessment_name.take(),
                "rationale" => change.rationale = Some(assessment.rationale.take().unwrap_or_default()),
                "metadata" => change.metadata = tags_of(std::mem::take(&mut assessment.metadata)),
                "valid" => change.valid = assessment.valid,
                "feedback" | "expectation" if change.value.is_some() => {
                    return Err(InputError::invalid(
                        "update_mask",
                        &path,
                        "Cannot specify both `expectation` and `feedback` parameters.",
                    ));
                }
                "feedback" | "expectation" => {
                    let value = assessment.value()?.filter(|value| value.kind() == path);
                    change.value = Some(value.ok_or_else(|| missing(&format!("assessment.{path}")))?);
                }
                _ => {
                    return Err(InputError::invalid(
                        "update_mask",
                        &path,
                        "it may name `assessment_name`, `expectation`, `feedback`, `rationale`, `metadata`, `valid`",
                    ));
                }
            }
        }
        Ok(change)
    }
}

impl From<assessments::Assessment> for Assessment {
    fn from(assessment: assessments::Assessment) -> Self {
        let (mut feedback, mut expectation, mut issue) = (None, None, None);
        match assessment.value {
            AssessmentValue::Feedback { value, error } => feedback = Some(Feedback { value, error }),
            AssessmentValue::Issue(issue_name) => issue = Some(Issue { issue_name }),
            AssessmentValue::Expectation(value) => {
                let plain = matches!(value, Json::Bool(_) | Json::Number(_) | Json::String(_));
                expectation = Some(Expectation {
                    serialized_value: (!plain).then(|| SerializedValue {
                        serialization_format: Some("JSON_FORMAT".into()),
                        value: Some(value.to_string()),
                    }),
                    value: plain.then_some(value),
                });
            }
        }
        Self {
            assessment_id: Some(assessment.id),
            assessment_name: Some(assessment.name),
            trace_id: Some(assessment.trace.to_string()),
            span_id: assessment.span,
            source: Some(Source {
                source_type: Some(assessment.source.kind),
                source_id: assessment.source.id,
            }),
            create_time: Some(Timestamp(assessment.created_at)),
            last_update_time: Some(Timestamp(assessment.updated_at)),
            feedback,
            expectation,
            issue,
            rationale: assessment.rationale,
            metadata: assessment
                .metadata
                .into_iter()
                .map(|pair| (pair.key, pair.value))
                .collect(),
            overrides: assessment.overrides,
            valid: Some(assessment.valid),
        }
    }
}
