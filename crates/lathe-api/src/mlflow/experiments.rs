//! Experiments on the wire.

use lathe_types::experiments::{ArtifactLocation, ExperimentName, ExperimentTag, NewExperiment};
use lathe_types::{ExperimentId, InputError, Millis, required};
use serde::{Deserialize, Serialize};

use super::json::objects;
use super::{Int64, KeyValue};

/// `experiments/create`
#[derive(Debug, Deserialize)]
pub struct CreateExperiment {
    /// Required.
    pub name: Option<String>,
    /// Empty or absent: under the server's root.
    pub artifact_location: Option<String>,
    /// The first tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

impl TryFrom<CreateExperiment> for NewExperiment {
    type Error = InputError;

    fn try_from(request: CreateExperiment) -> Result<Self, InputError> {
        let location = request.artifact_location.filter(|uri| !uri.is_empty());
        Ok(Self {
            name: ExperimentName::new("name", required("name", request.name)?)?,
            artifact_location: location.map(|uri| ArtifactLocation::parse(&uri)).transpose()?,
            tags: request
                .tags
                .into_iter()
                .map(|tag| ExperimentTag::new(tag.key, tag.value))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The answer to `experiments/create`.
#[derive(Debug, Serialize)]
pub struct CreatedExperiment {
    /// Its number as text.
    pub experiment_id: String,
}

/// `experiments/get`, `delete`, `restore`
#[derive(Debug, Deserialize)]
pub struct ExperimentById {
    /// Required.
    pub experiment_id: Option<String>,
}

/// `experiments/get-by-name`
#[derive(Debug, Deserialize)]
pub struct ExperimentByName {
    /// Required.
    pub experiment_name: Option<String>,
}

/// `experiments/update`
#[derive(Debug, Deserialize)]
pub struct UpdateExperiment {
    /// Required.
    pub experiment_id: Option<String>,
    /// Required.
    pub new_name: Option<String>,
}

/// `experiments/set-experiment-tag`, `delete-experiment-tag`
#[derive(Debug, Deserialize)]
pub struct ExperimentTagRequest {
    /// Required.
    pub experiment_id: Option<String>,
    /// Required.
    pub key: Option<String>,
    /// Only to set.
    pub value: Option<String>,
}

/// `experiments/search`
#[derive(Debug, Deserialize)]
pub struct SearchExperiments {
    /// How many a page may hold; here required.
    pub max_results: Option<Int64>,
    /// Where the page starts.
    pub page_token: Option<String>,
    /// A condition.
    pub filter: Option<String>,
    /// Keys to sort by.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Active, deleted or all.
    pub view_type: Option<String>,
}

/// The answer to `experiments/search`.
#[derive(Debug, Serialize)]
pub struct ExperimentPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<Experiment>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `experiments/get`.
#[derive(Debug, Serialize)]
pub struct ExperimentReply {
    /// The experiment.
    pub experiment: Experiment,
}

/// One experiment.
#[derive(Debug, Serialize)]
pub struct Experiment {
    /// Its number as text.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// A URI.
    pub artifact_location: String,
    /// `active` or `deleted`.
    pub lifecycle_stage: &'static str,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Millis>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Millis>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
    /// There is one workspace.
    pub workspace: &'static str,
}

impl Experiment {
    /// The experiment as clients see it; `artifact_root` is the server's.
    pub fn new(experiment: lathe_types::experiments::Experiment, artifact_root: &str) -> Self {
        Self {
            artifact_location: experiment.artifact_uri(artifact_root),
            experiment_id: experiment.id.to_string(),
            name: experiment.name,
            lifecycle_stage: experiment.lifecycle.as_str(),
            last_update_time: experiment.updated_at,
            creation_time: experiment.created_at,
            tags: experiment.tags.into_iter().map(KeyValue::from).collect(),
            workspace: "default",
        }
    }
}

/// The id in a required field.
pub fn experiment_id(id: Option<String>) -> Result<ExperimentId, InputError> {
    let id = required("experiment_id", id)?;
    Ok(ExperimentId::parse(&id)?)
}
