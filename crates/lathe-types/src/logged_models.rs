//! Logged models: what a run trained, before and whether or not it is registered.

use crate::input::{check_key, check_length};
use crate::metrics::ModelMetric;
use crate::runs::{Param, RunTag};
use crate::tags::Tag;
use crate::{ExperimentId, InputError, LoggedModelId, Millis};

/// How far a logged model has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedModelStatus {
    /// Its files are being uploaded.
    Pending,
    /// Complete.
    Ready,
    /// Its upload broke off.
    Failed,
}

impl LoggedModelStatus {
    const ALL: [Self; 3] = [Self::Pending, Self::Ready, Self::Failed];

    /// Reads the name that clients send in the field `parameter`.
    pub fn parse(parameter: &str, name: &str) -> Result<Self, InputError> {
        let known = Self::ALL.into_iter().find(|status| status.wire_name() == name);
        known.ok_or_else(|| {
            InputError::invalid(
                parameter,
                name,
                "it must be one of `LOGGED_MODEL_PENDING`, `LOGGED_MODEL_READY`, `LOGGED_MODEL_UPLOAD_FAILED`",
            )
        })
    }

    /// The status of this stored word, which is also the one that filters use.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// `PENDING`, `READY`, `FAILED`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
        }
    }

    /// As JSON has it.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::Failed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }
}

/// A logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModel {
    /// Its id.
    pub id: LoggedModelId,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// Its name; need not be unique.
    pub name: String,
    /// What kind of model, as the client said.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// How far it has come.
    pub status: LoggedModelStatus,
    /// Why it is not complete.
    pub status_message: Option<String>,
    /// Where its files are.
    pub artifact_location: String,
    /// When it was created.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// By key.
    pub params: Vec<Tag>,
    /// By key.
    pub tags: Vec<Tag>,
    /// By key and time.
    pub metrics: Vec<ModelMetric>,
}

/// What a logged model starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// Its id.
    pub id: LoggedModelId,
    /// Where it belongs.
    pub experiment_id: ExperimentId,
    /// Its name.
    pub name: LoggedModelName,
    /// What kind of model.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Its first params.
    pub params: Vec<Param>,
    /// Its first tags.
    pub tags: Vec<RunTag>,
}

/// The name of a logged model: it becomes part of URIs and of file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedModelName(String);

impl LoggedModelName {
    /// Checks a name.
    pub fn new(name: String) -> Result<Self, InputError> {
        check_length("name", &name, 500)?;
        if name.trim().is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
            return Err(InputError::invalid(
                "name",
                &name,
                "Model name cannot be empty and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")",
            ));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of a tag that is to be deleted.
pub fn tag_key(key: String) -> Result<String, InputError> {
    check_key("tag_key", &key, 250)?;
    Ok(key)
}
