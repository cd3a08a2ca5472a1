//! A sample: one answered row, and the label that may come later.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::deployments::Role;
use crate::graphs::VersionName;
use crate::{Millis, PredictionId};

/// One row that a deployment answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The id that the answer carried.
    pub prediction_id: PredictionId,
    /// The deployment, or the graph.
    pub deployment: String,
    /// The model's name; the graph's where one answered.
    pub model: String,
    /// The version that answered.
    pub version: u32,
    /// The versions that answered this row together, where a graph did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<VersionName>,
    /// Its role at that moment.
    pub role: Role,
    /// Event time: what the caller said, else when it arrived.
    pub at: Millis,
    /// Time to the answer in microseconds.
    pub latency_us: u64,
    /// The row as the model saw it: column to number, string, bool or null.
    pub features: Map<String, Value>,
    /// The answer for this row.
    pub prediction: Value,
}

/// The truth about one answered row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The answer it is about.
    pub prediction_id: PredictionId,
    /// What was true.
    pub value: Value,
    /// When it became known, in event time.
    #[serde(default)]
    pub at: Option<Millis>,
}

/// A sample with its label, as performance and challenges read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledSample {
    /// The answered row.
    pub sample: Sample,
    /// The truth, once known.
    pub label: Option<Value>,
}
