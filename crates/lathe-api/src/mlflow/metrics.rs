//! Metrics on the wire.

use lathe_types::metrics::{DatasetName, NewMetric};
use lathe_types::{InputError, LoggedModelId, Millis};
use serde::{Deserialize, Serialize};

use super::{Double, Int64};

/// One metric to log: `runs/log-metric` and in `runs/log-batch`.
#[derive(Debug, Deserialize)]
pub struct LogMetric {
    /// Required where the metric comes alone, or the older name.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
    /// Required.
    pub key: Option<String>,
    /// Required.
    pub value: Option<Double>,
    /// Required.
    pub timestamp: Option<Int64>,
    /// Absent: 0.
    pub step: Option<Int64>,
    /// The logged model that it is a property of.
    pub model_id: Option<String>,
    /// What it was computed on.
    pub dataset_name: Option<String>,
    /// The digest of what it was computed on.
    pub dataset_digest: Option<String>,
}

impl TryFrom<LogMetric> for NewMetric {
    type Error = InputError;

    fn try_from(request: LogMetric) -> Result<Self, InputError> {
        let missing = |parameter: &str| InputError::Missing {
            parameter: parameter.to_owned(),
        };
        let key = lathe_types::required("key", request.key)?;
        let value = request.value.ok_or_else(|| missing("value"))?.0;
        let at = request.timestamp.ok_or_else(|| missing("timestamp"))?.0;
        let step = request.step.map_or(0, |step| step.0);
        let mut metric = Self::new(key, value, Millis(at), step)?;
        metric.model_id = model_id(request.model_id)?;
        metric.dataset = dataset_name(request.dataset_name, request.dataset_digest);
        Ok(metric)
    }
}

fn model_id(id: Option<String>) -> Result<Option<LoggedModelId>, InputError> {
    let id = id.filter(|id| !id.is_empty());
    id.map(|id| super::logged_models::model_id("model_id", &id))
        .transpose()
}

/// The dataset of these two fields, if the first is there.
pub(crate) fn dataset_name(name: Option<String>, digest: Option<String>) -> Option<DatasetName> {
    let name = name.filter(|name| !name.is_empty())?;
    let digest = digest.filter(|digest| !digest.is_empty());
    Some(DatasetName { name, digest })
}

/// `metrics/get-history`
#[derive(Debug, Deserialize)]
pub struct GetHistory {
    /// Required, or the older name.
    pub run_id: Option<String>,
    /// The older name of `run_id`.
    pub run_uuid: Option<String>,
    /// Required.
    pub metric_key: Option<String>,
    /// How many values a page may hold.
    pub max_results: Option<Int64>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// `metrics/get-history-bulk`
#[derive(Debug, Deserialize)]
pub struct GetHistories {
    /// Required.
    #[serde(default)]
    pub run_id: Vec<String>,
    /// Required.
    pub metric_key: Option<String>,
    /// How many values in all.
    pub max_results: Option<Int64>,
}

/// `metrics/get-history-bulk-interval`
#[derive(Debug, Deserialize)]
pub struct GetIntervals {
    /// Required.
    #[serde(default)]
    pub run_ids: Vec<String>,
    /// Required.
    pub metric_key: Option<String>,
    /// The first step; with `end_step` or not at all.
    pub start_step: Option<Int64>,
    /// The last step.
    pub end_step: Option<Int64>,
    /// About how many values of each run.
    pub max_results: Option<Int64>,
}

impl GetIntervals {
    /// The steps that are wanted; none: all.
    pub fn steps(&self) -> Result<Option<(i64, i64)>, InputError> {
        match (self.start_step, self.end_step) {
            (None, None) => Ok(None),
            (Some(first), Some(last)) if first.0 <= last.0 => Ok(Some((first.0, last.0))),
            (Some(first), Some(last)) => Err(InputError::Request(format!(
                "end_step must be greater than start_step. Found start_step={} and end_step={}.",
                first.0, last.0
            ))),
            _ => Err(InputError::Request(
                "If either start step or end step are specified, both must be specified.".into(),
            )),
        }
    }
}

/// The answer to `get-history` and `get-history-bulk-interval`.
#[derive(Debug, Serialize)]
pub struct MetricPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `metrics/get-history-bulk`, whose list is there even when it is empty.
#[derive(Debug, Serialize)]
pub struct MetricList {
    /// By run, then by time.
    pub metrics: Vec<Metric>,
}

/// One value of a metric.
#[derive(Debug, Serialize)]
pub struct Metric {
    /// What was measured.
    pub key: String,
    /// NaN as text.
    pub value: Double,
    /// When.
    pub timestamp: Millis,
    /// At which step.
    pub step: i64,
    /// The run, where that is not said elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The logged model, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// What it was computed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// The digest of what it was computed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

impl From<lathe_types::metrics::Metric> for Metric {
    fn from(metric: lathe_types::metrics::Metric) -> Self {
        Self {
            key: metric.key,
            value: Double(metric.value),
            timestamp: metric.at,
            step: metric.step,
            run_id: None,
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }
}

impl From<lathe_types::metrics::RunMetric> for Metric {
    fn from(metric: lathe_types::metrics::RunMetric) -> Self {
        Self {
            run_id: Some(metric.run_id),
            ..metric.metric.into()
        }
    }
}

impl Metric {
    /// The metric of the logged model with this id.
    pub fn of_model(metric: lathe_types::metrics::ModelMetric, model_id: &LoggedModelId) -> Self {
        let (dataset_name, dataset_digest) = match metric.dataset {
            Some(dataset) => (Some(dataset.name), dataset.digest),
            None => (None, None),
        };
        Self {
            run_id: Some(metric.run_id),
            model_id: Some(model_id.to_string()),
            dataset_name,
            dataset_digest,
            ..metric.metric.into()
        }
    }
}
