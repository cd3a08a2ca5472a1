//! Datasets on the wire.

use lathe_types::datasets::NewDatasetInput;
use lathe_types::{ExperimentId, InputError};
use serde::{Deserialize, Serialize};

use super::KeyValue;
use super::json::objects;

/// A dataset that a run reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct DatasetInput {
    /// What it was read for.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
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

/// `experiments/search-datasets`
#[derive(Debug, Deserialize)]
pub struct SearchDatasets {
    /// At most 20.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
}

impl SearchDatasets {
    /// The experiments.
    pub fn experiments(&self) -> Result<Vec<ExperimentId>, InputError> {
        const EXPERIMENTS_MAX: usize = 20;
        let asked = self.experiment_ids.len();
        if asked == 0 {
            return Err(InputError::Request(
                "SearchDatasets request must specify at least one experiment_id.".into(),
            ));
        }
        if EXPERIMENTS_MAX < asked {
            return Err(InputError::Request(format!(
                "SearchDatasets request cannot specify more than {EXPERIMENTS_MAX} experiment_ids. Received {asked} experiment_ids."
            )));
        }
        let ids = self.experiment_ids.iter();
        ids.map(|id| Ok(ExperimentId::parse(id)?)).collect()
    }
}

/// The answer to `experiments/search-datasets`.
#[derive(Debug, Serialize)]
pub struct DatasetSummaries {
    /// By experiment and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dataset_summaries: Vec<DatasetSummary>,
}

/// A dataset that runs of an experiment read, and what for.
#[derive(Debug, Serialize)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: String,
    /// The dataset's name.
    pub name: String,
    /// Names its contents.
    pub digest: String,
    /// `training`, `validation`…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl From<lathe_types::datasets::DatasetSummary> for DatasetSummary {
    fn from(summary: lathe_types::datasets::DatasetSummary) -> Self {
        Self {
            experiment_id: summary.experiment_id.to_string(),
            name: summary.name,
            digest: summary.digest,
            context: summary.context,
        }
    }
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
