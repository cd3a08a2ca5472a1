//! Logged models on the wire.

use lathe_types::logged_models::LoggedModelStatus;
use lathe_types::metrics::DatasetName;
use lathe_types::runs::Param;
use lathe_types::search::{LoggedModelAttribute, Order, parse_field};
use lathe_types::{InputError, LoggedModelId, Millis};
use serde::{Deserialize, Serialize};

use super::json::objects;
use super::metrics::{Metric, dataset_name};
use super::{Int64, KeyValue};

/// `POST logged-models`
#[derive(Debug, Deserialize)]
pub struct CreateLoggedModel {
    /// Required.
    pub experiment_id: Option<String>,
    /// Absent: an invented name.
    pub name: Option<String>,
    /// What kind of model.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// The first params.
    #[serde(default, deserialize_with = "objects")]
    pub params: Vec<KeyValue>,
    /// The first tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

/// `PATCH logged-models/{id}`
#[derive(Debug, Deserialize)]
pub struct FinalizeLoggedModel {
    /// Required.
    pub status: Option<String>,
}

/// `GET logged-models/{id}`
#[derive(Debug, Deserialize)]
pub struct GetLoggedModel {
    /// Also a deleted one.
    pub allow_deleted: Option<bool>,
}

/// `POST logged-models/{id}/params`
#[derive(Debug, Deserialize)]
pub struct LogLoggedModelParams {
    /// At most 100.
    #[serde(default, deserialize_with = "objects")]
    pub params: Vec<KeyValue>,
}

/// `PATCH logged-models/{id}/tags`
#[derive(Debug, Deserialize)]
pub struct SetLoggedModelTags {
    /// The tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

/// `POST logged-models/search`
#[derive(Debug, Deserialize)]
pub struct SearchLoggedModels {
    /// Models of these experiments; none: no models.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// Conditions.
    pub filter: Option<String>,
    /// Only metrics computed on one of these count in conditions.
    #[serde(default, deserialize_with = "objects")]
    pub datasets: Vec<DatasetReference>,
    /// How many models a page may hold.
    pub max_results: Option<Int64>,
    /// Keys to sort by.
    #[serde(default, deserialize_with = "objects")]
    pub order_by: Vec<OrderBy>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// A dataset by its name.
#[derive(Debug, Deserialize)]
pub struct DatasetReference {
    /// Required.
    pub dataset_name: Option<String>,
    /// Absent: any.
    pub dataset_digest: Option<String>,
}

impl DatasetReference {
    /// The dataset.
    pub fn parse(self) -> Result<DatasetName, InputError> {
        dataset_name(self.dataset_name, self.dataset_digest).ok_or_else(|| InputError::Missing {
            parameter: "datasets.dataset_name".into(),
        })
    }
}

/// A key to sort logged models by.
#[derive(Debug, Deserialize)]
pub struct OrderBy {
    /// Required.
    pub field_name: Option<String>,
    /// Absent: yes.
    pub ascending: Option<bool>,
    /// Of a metric: on which dataset it was computed.
    pub dataset_name: Option<String>,
    /// Absent: any of that name.
    pub dataset_digest: Option<String>,
}

impl OrderBy {
    /// The key, and on which dataset a metric must have been computed.
    pub fn parse(self) -> Result<(Order<LoggedModelAttribute>, Option<DatasetName>), InputError> {
        let name = lathe_types::required("order_by.field_name", self.field_name)?;
        let order = Order {
            field: parse_field("order_by.field_name", &name)?,
            descending: self.ascending == Some(false),
        };
        Ok((order, dataset_name(self.dataset_name, self.dataset_digest)))
    }
}

/// The answer to `logged-models/search`.
#[derive(Debug, Serialize)]
pub struct LoggedModelPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<LoggedModel>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer where one logged model is wanted.
#[derive(Debug, Serialize)]
pub struct LoggedModelReply {
    /// The model.
    pub model: LoggedModel,
}

/// A logged model.
#[derive(Debug, Serialize)]
pub struct LoggedModel {
    /// The model itself.
    pub info: LoggedModelInfo,
    /// What was logged to it.
    pub data: LoggedModelData,
}

/// A logged model without what was logged to it.
#[derive(Debug, Serialize)]
pub struct LoggedModelInfo {
    /// Its id.
    pub model_id: String,
    /// Its experiment.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub creation_timestamp_ms: Millis,
    /// When it last changed.
    pub last_updated_timestamp_ms: Millis,
    /// A URI.
    pub artifact_uri: String,
    /// `LOGGED_MODEL_READY`…
    pub status: &'static str,
    /// What kind of model; empty if that is not known.
    pub model_type: String,
    /// The run that made it; empty if there is none.
    pub source_run_id: String,
    /// Why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
}

/// What was logged to a logged model.
#[derive(Debug, Serialize)]
pub struct LoggedModelData {
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<KeyValue>,
    /// By key and time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

impl From<lathe_types::logged_models::LoggedModel> for LoggedModel {
    fn from(model: lathe_types::logged_models::LoggedModel) -> Self {
        let metrics = model.metrics.into_iter();
        Self {
            data: LoggedModelData {
                params: model.params.into_iter().map(KeyValue::from).collect(),
                metrics: metrics
                    .map(|metric| Metric::of_model(metric, &model.id))
                    .collect(),
            },
            info: LoggedModelInfo {
                model_id: model.id.to_string(),
                experiment_id: model.experiment_id.to_string(),
                name: model.name,
                creation_timestamp_ms: model.created_at,
                last_updated_timestamp_ms: model.updated_at,
                artifact_uri: model.artifact_location,
                status: model.status.wire_name(),
                model_type: model.model_type.unwrap_or_default(),
                source_run_id: model.source_run_id.unwrap_or_default(),
                status_message: model.status_message,
                tags: model.tags.into_iter().map(KeyValue::from).collect(),
            },
        }
    }
}

/// The id of a logged model in the field `parameter`.
pub fn model_id(parameter: &str, id: &str) -> Result<LoggedModelId, InputError> {
    LoggedModelId::parse(id).map_err(|error| {
        // Clients ask for models by any word to see whether they exist.
        if super::runs::is_word(id) {
            return InputError::Unknown {
                noun: "logged model",
                id: id.to_owned(),
            };
        }
        InputError::invalid(parameter, id, error.to_string())
    })
}

/// The params of a request, at most 100.
pub fn model_params(params: Vec<KeyValue>) -> Result<Vec<Param>, InputError> {
    const PARAMS_MAX: usize = 100;
    if PARAMS_MAX < params.len() {
        return Err(InputError::TooMany {
            what: "params",
            max: PARAMS_MAX,
            got: params.len(),
        });
    }
    super::runs::each("params", params, |param| Param::new(param.key, param.value))
}

/// The status that a model is finalized with.
pub fn final_status(status: Option<String>) -> Result<LoggedModelStatus, InputError> {
    LoggedModelStatus::parse("status", &lathe_types::required("status", status)?)
}
