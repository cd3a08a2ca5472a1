//! Datasets that runs read: a name, a digest and where they came from, never their rows.

use crate::input::check_length;
use crate::tags::Tag;
use crate::{ExperimentId, InputError};

/// A dataset as a client describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Names its contents.
    pub digest: String,
    /// `local`, `s3`, `code`…
    pub source_type: String,
    /// Where it came from, as the source type says.
    pub source: String,
    /// Its columns, as JSON.
    pub schema: Option<String>,
    /// Its counts, as JSON.
    pub profile: Option<String>,
}

/// A dataset that a run read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    /// The dataset.
    pub dataset: Dataset,
    /// What it was read for, as `mlflow.data.context`.
    pub tags: Vec<Tag>,
}

/// A dataset that runs of an experiment read, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: ExperimentId,
    /// The dataset's name.
    pub name: String,
    /// Names its contents.
    pub digest: String,
    /// `training`, `validation`…
    pub context: Option<String>,
}

/// A dataset to log, within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatasetInput(DatasetInput);

impl NewDatasetInput {
    /// Checks the lengths of everything.
    pub fn new(input: DatasetInput) -> Result<Self, InputError> {
        let Dataset {
            name,
            digest,
            source_type,
            source,
            schema,
            profile,
        } = &input.dataset;
        let required = [
            ("dataset.name", name, 500),
            ("dataset.digest", digest, 36),
            ("dataset.source_type", source_type, 36),
            ("dataset.source", source, 65_535),
        ];
        for (parameter, text, max) in required {
            if text.is_empty() {
                return Err(InputError::Missing {
                    parameter: parameter.to_owned(),
                });
            }
            check_length(parameter, text, max)?;
        }
        check_length("dataset.schema", schema.as_deref().unwrap_or_default(), 1_048_575)?;
        check_length(
            "dataset.profile",
            profile.as_deref().unwrap_or_default(),
            16_777_215,
        )?;
        for tag in &input.tags {
            check_length("tags.key", &tag.key, 255)?;
            check_length("tags.value", &tag.value, 500)?;
        }
        Ok(Self(input))
    }

    /// What to log.
    pub fn input(&self) -> &DatasetInput {
        &self.0
    }
}
