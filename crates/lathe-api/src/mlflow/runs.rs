//! Runs on the wire.

use lathe_types::metrics::NewMetric;
use lathe_types::runs::{LogBatch, NewInputs, Param, RunChange, RunName, RunStatus, RunTag};
use lathe_types::{InputError, LoggedModelId, Millis, RunId, required};
use serde::{Deserialize, Serialize};

use super::datasets::DatasetInput;
use super::json::objects;
use super::logged_models::model_id;
use super::metrics::{LogMetric, Metric};
use super::{Int64, KeyValue};

/// `runs/create`
#[derive(Debug, Deserialize)]
pub struct CreateRun {
    /// Required.
    pub experiment_id: Option<String>,
    /// Who starts it.
    pub user_id: Option<String>,
    /// Absent: the tag `mlflow.runName`, or an invented name.
    pub run_name: Option<String>,
    /// Absent or 0: now.
    pub start_time: Option<Int64>,
    /// The first tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

/// `runs/get`, `delete`, `restore`
#[derive(Debug, Deserialize)]
pub struct RunById {
    /// Required, or the older name.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
}

impl RunById {
    /// The id in either field.
    pub fn id(self) -> Result<RunId, InputError> {
        run_id(self.run_id, self.run_uuid)
    }
}

/// `runs/update`
#[derive(Debug, Deserialize)]
pub struct UpdateRun {
    /// Required, or the older name.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
    /// Another status.
    pub status: Option<String>,
    /// When it ended.
    pub end_time: Option<Int64>,
    /// Another name.
    pub run_name: Option<String>,
}

impl TryFrom<UpdateRun> for (RunId, RunChange) {
    type Error = InputError;

    fn try_from(request: UpdateRun) -> Result<Self, InputError> {
        let status = request.status.map(|name| RunStatus::parse("status", &name));
        let name = request.run_name.filter(|name| !name.is_empty());
        let change = RunChange {
            status: status.transpose()?,
            end_time: request.end_time.map(|time| Millis(time.0)),
            name: name.map(RunName::new).transpose()?,
        };
        Ok((run_id(request.run_id, request.run_uuid)?, change))
    }
}

/// `runs/set-tag`, `delete-tag`, `log-parameter`
#[derive(Debug, Deserialize)]
pub struct RunKeyValue {
    /// Required, or the older name.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
    /// Required.
    pub key: Option<String>,
    /// Not to delete.
    pub value: Option<String>,
}

/// `runs/log-batch`
#[derive(Debug, Deserialize)]
pub struct LogBatchRequest {
    /// Required.
    pub run_id: Option<String>,
    /// At most 1000.
    #[serde(default, deserialize_with = "objects")]
    pub metrics: Vec<LogMetric>,
    /// At most 100.
    #[serde(default, deserialize_with = "objects")]
    pub params: Vec<KeyValue>,
    /// At most 100.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

impl TryFrom<LogBatchRequest> for (RunId, LogBatch) {
    type Error = InputError;

    fn try_from(request: LogBatchRequest) -> Result<Self, InputError> {
        let metrics = each("metrics", request.metrics, NewMetric::try_from)?;
        let params = each("params", request.params, |param| {
            Param::new(param.key, param.value)
        })?;
        let tags = run_tags(request.tags)?;
        Ok((
            run_id(request.run_id, None)?,
            LogBatch::new(metrics, params, tags)?,
        ))
    }
}

/// `runs/log-inputs`
#[derive(Debug, Deserialize)]
pub struct LogInputs {
    /// Required.
    pub run_id: Option<String>,
    /// Datasets that it read.
    #[serde(default, deserialize_with = "objects")]
    pub datasets: Vec<DatasetInput>,
    /// Logged models that it read.
    #[serde(default, deserialize_with = "objects")]
    pub models: Vec<RunModel>,
}

impl TryFrom<LogInputs> for (RunId, NewInputs) {
    type Error = InputError;

    fn try_from(request: LogInputs) -> Result<Self, InputError> {
        let datasets = each("datasets", request.datasets, DatasetInput::try_into)?;
        let models = each("models", request.models, |model| {
            model_id("model_id", &model.model_id)
        })?;
        Ok((run_id(request.run_id, None)?, NewInputs::new(datasets, models)?))
    }
}

/// `runs/outputs`
#[derive(Debug, Deserialize)]
pub struct LogOutputs {
    /// Required.
    pub run_id: Option<String>,
    /// Logged models that it made.
    #[serde(default, deserialize_with = "objects")]
    pub models: Vec<RunModel>,
}

impl TryFrom<LogOutputs> for (RunId, Vec<(LoggedModelId, i64)>) {
    type Error = InputError;

    fn try_from(request: LogOutputs) -> Result<Self, InputError> {
        if request.models.is_empty() {
            return Err(InputError::Missing {
                parameter: "models".into(),
            });
        }
        let models = each("models", request.models, |model| {
            let step = model.step.map_or(0, |step| step.0);
            Ok((model_id("model_id", &model.model_id)?, step))
        })?;
        Ok((run_id(request.run_id, None)?, models))
    }
}

/// A logged model that a run read or made.
#[derive(Debug, Deserialize)]
pub struct RunModel {
    /// Required.
    #[serde(default)]
    pub model_id: String,
    /// At which step it was made.
    pub step: Option<Int64>,
}

/// `runs/log-model`
#[derive(Debug, Deserialize)]
pub struct LogModel {
    /// Required.
    pub run_id: Option<String>,
    /// Required: a JSON object in a text.
    pub model_json: Option<String>,
}

impl LogModel {
    /// What the text says; only what a model must say is looked at.
    pub fn model(&self) -> Result<serde_json::Value, InputError> {
        let text = required("model_json", self.model_json.clone())?;
        let invalid = |reason: &str| InputError::Invalid {
            parameter: "model_json".into(),
            value: "…".into(),
            reason: reason.to_owned(),
        };
        let model: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| invalid("it must be JSON in a text"))?;
        for key in ["artifact_path", "flavors", "utc_time_created", "run_id"] {
            if model.get(key).is_none() {
                return Err(invalid(&format!(
                    "Model json is missing the mandatory field `{key}`"
                )));
            }
        }
        Ok(model)
    }
}

/// `runs/search`
#[derive(Debug, Deserialize)]
pub struct SearchRuns {
    /// Runs of these experiments; none: no runs.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// Conditions.
    pub filter: Option<String>,
    /// Active, deleted or all.
    pub run_view_type: Option<String>,
    /// How many runs a page may hold.
    pub max_results: Option<Int64>,
    /// Keys to sort by.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// The answer to `runs/search`.
#[derive(Debug, Serialize)]
pub struct RunPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `runs/create` and `runs/get`.
#[derive(Debug, Serialize)]
pub struct RunReply {
    /// The run.
    pub run: Run,
}

/// The answer to `runs/update`.
#[derive(Debug, Serialize)]
pub struct RunInfoReply {
    /// The run without what it logged.
    pub run_info: RunInfo,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The run itself.
    pub info: RunInfo,
    /// What it logged.
    pub data: RunData,
    /// What it read.
    pub inputs: RunInputs,
    /// What it made.
    pub outputs: RunOutputs,
}

/// A run without what it logged.
#[derive(Debug, Serialize)]
pub struct RunInfo {
    /// The older name of `run_id`.
    pub run_uuid: String,
    /// Its experiment.
    pub experiment_id: String,
    /// Its name.
    pub run_name: String,
    /// Who started it.
    pub user_id: String,
    /// `RUNNING`, `FINISHED`…
    pub status: &'static str,
    /// When it started.
    pub start_time: Millis,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Millis>,
    /// A URI.
    pub artifact_uri: String,
    /// `active` or `deleted`.
    pub lifecycle_stage: &'static str,
    /// Its id.
    pub run_id: String,
}

/// What a run logged.
#[derive(Debug, Serialize)]
pub struct RunData {
    /// The latest value of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<KeyValue>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
}

/// What a run read.
#[derive(Debug, Serialize)]
pub struct RunInputs {
    /// Datasets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dataset_inputs: Vec<DatasetInput>,
    /// Logged models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<ModelInput>,
}

/// What a run made.
#[derive(Debug, Serialize)]
pub struct RunOutputs {
    /// Logged models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run read.
#[derive(Debug, Serialize)]
pub struct ModelInput {
    /// Its id.
    pub model_id: String,
}

/// A logged model that a run made.
#[derive(Debug, Serialize)]
pub struct ModelOutput {
    /// Its id.
    pub model_id: String,
    /// At which step.
    pub step: i64,
}

impl From<lathe_types::runs::Run> for Run {
    fn from(run: lathe_types::runs::Run) -> Self {
        let model_inputs = run.models_in.into_iter();
        let model_outputs = run.models_out.into_iter();
        Self {
            info: run.info.into(),
            data: RunData {
                metrics: run.metrics.into_iter().map(Metric::from).collect(),
                params: run.params.into_iter().map(KeyValue::from).collect(),
                tags: run.tags.into_iter().map(KeyValue::from).collect(),
            },
            inputs: RunInputs {
                dataset_inputs: run.datasets.into_iter().map(DatasetInput::from).collect(),
                model_inputs: model_inputs.map(|model_id| ModelInput { model_id }).collect(),
            },
            outputs: RunOutputs {
                model_outputs: model_outputs
                    .map(|(model_id, step)| ModelOutput { model_id, step })
                    .collect(),
            },
        }
    }
}

impl From<lathe_types::runs::RunInfo> for RunInfo {
    fn from(info: lathe_types::runs::RunInfo) -> Self {
        Self {
            run_uuid: info.id.to_string(),
            experiment_id: info.experiment_id.to_string(),
            run_name: info.name,
            user_id: info.user_id,
            status: info.status.as_str(),
            start_time: info.start_time,
            end_time: info.end_time,
            artifact_uri: info.artifact_uri,
            lifecycle_stage: info.lifecycle.as_str(),
            run_id: info.id.to_string(),
        }
    }
}

/// The id in a required field, or in the one that older clients send.
pub fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<RunId, InputError> {
    let older = run_uuid.filter(|id| !id.is_empty());
    let id = required("run_id", run_id.filter(|id| !id.is_empty()).or(older))?;
    RunId::parse(&id).map_err(|error| {
        // Clients ask for runs by any word to see whether they exist.
        if is_word(&id) {
            return InputError::Unknown { noun: "run", id };
        }
        InputError::invalid("run_id", &id, error.to_string())
    })
}

/// Refuses values of params and tags that would be cut, for servers that shall not cut.
pub fn check_values(params: &[KeyValue], tags: &[KeyValue]) -> Result<(), InputError> {
    for (index, param) in params.iter().enumerate() {
        Param::check_value(&param.value).map_err(|error| error.within(&format!("params[{index}]")))?;
    }
    for (index, tag) in tags.iter().enumerate() {
        RunTag::check_value(&tag.value).map_err(|error| error.within(&format!("tags[{index}]")))?;
    }
    Ok(())
}

/// What could be an id on some server.
pub(crate) fn is_word(id: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !id.is_empty() && id.len() <= 256 && id.chars().all(word)
}

/// The tags of a request, within their limits.
pub fn run_tags(tags: Vec<KeyValue>) -> Result<Vec<RunTag>, InputError> {
    each("tags", tags, |tag| RunTag::new(tag.key, tag.value))
}

/// Reads each element; an error says which one it is about.
pub(crate) fn each<W, T>(
    field: &str,
    elements: Vec<W>,
    read: impl Fn(W) -> Result<T, InputError>,
) -> Result<Vec<T>, InputError> {
    let indexed = elements.into_iter().enumerate();
    indexed
        .map(|(index, element)| read(element).map_err(|error| error.within(&format!("{field}[{index}]"))))
        .collect()
}
