//! Datasets on the wire.

use lathe_types::InputError;
use lathe_types::datasets::NewDatasetInput;
use serde::{Deserialize, Serialize};

use super::KeyValue;

/// A dataset that a run reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct DatasetInput {
    /// What it was read for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
    /// Required.
    pub dataset: Option<Dataset>,
}

/// A dataset.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dataset {
    /// Required.
    pub name: String,
    /// Required.
    pub digest: String,
    /// Required.
    pub source_type: String,
    /// Required.
    pub source: String,
    /// Its columns, as JSON in a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Its counts, as JSON in a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl TryFrom<DatasetInput> for NewDatasetInput {
    type Error = InputError;

    fn try_from(input: DatasetInput) -> Result<Self, InputError> {
        let dataset = input.dataset.unwrap_or_default();
        Self::new(lathe_types::datasets::DatasetInput {
            dataset: lathe_types::datasets::Dataset {
                name: dataset.name,
                digest: dataset.digest,
                source_type: dataset.source_type,
                source: dataset.source,
                schema: dataset.schema,
                profile: dataset.profile,
            },
            tags: input.tags.into_iter().map(KeyValue::into).collect(),
        })
    }
}

impl From<lathe_types::datasets::DatasetInput> for DatasetInput {
    fn from(input: lathe_types::datasets::DatasetInput) -> Self {
        let dataset = input.dataset;
        Self {
            tags: input.tags.into_iter().map(KeyValue::from).collect(),
            dataset: Some(Dataset {
                name: dataset.name,
                digest: dataset.digest,
                source_type: dataset.source_type,
                source: dataset.source,
                schema: dataset.schema,
                profile: dataset.profile,
            }),
        }
    }
}
