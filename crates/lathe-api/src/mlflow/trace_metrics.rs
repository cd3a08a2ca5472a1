//! Figures over many traces on the wire.

use std::collections::BTreeMap;

use lathe_types::search::parse_metric_filter;
use lathe_types::trace_metrics::{Aggregation, DataPoint, MetricQuery, MetricView};
use lathe_types::{InputError, Millis, required};
use serde::{Deserialize, Serialize};

use super::traces::experiment_ids;
use super::{Double, Int64};

/// `POST traces/metrics`
#[derive(Debug, Deserialize)]
pub struct QueryTraceMetrics {
    /// Required.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// Required: `TRACES`, `SPANS`, `ASSESSMENTS`.
    pub view_type: Option<String>,
    /// Required.
    pub metric_name: Option<String>,
    /// Required.
    #[serde(default)]
    pub aggregations: Vec<MetricAggregation>,
    /// What to group by.
    #[serde(default)]
    pub dimensions: Vec<String>,
    /// One condition each.
    #[serde(default)]
    pub filters: Vec<String>,
    /// Also by time.
    pub time_interval_seconds: Option<Int64>,
    /// Not before.
    pub start_time_ms: Option<Int64>,
    /// Not after.
    pub end_time_ms: Option<Int64>,
    /// How many points a page may hold.
    pub max_results: Option<Int64>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// A figure that is wanted.
#[derive(Debug, Deserialize)]
pub struct MetricAggregation {
    /// `COUNT`, `AVG`, `PERCENTILE`…
    pub aggregation_type: Option<String>,
    /// Which percentile.
    pub percentile_value: Option<Double>,
}

impl QueryTraceMetrics {
    /// What is asked.
    pub fn parse(self) -> Result<MetricQuery, InputError> {
        let aggregations = self.aggregations.into_iter().map(|of| {
            let name = of.aggregation_type.unwrap_or_default();
            Aggregation::parse(&name, of.percentile_value.map(|value| value.0))
        });
        if 100 < self.filters.len() {
            return Err(InputError::invalid(
                "filters",
                "…",
                "a request can have at most 100 filters",
            ));
        }
        let filters = self.filters.iter().map(|filter| parse_metric_filter(filter));
        let interval = self.time_interval_seconds.map(|seconds| seconds.0);
        if let Some(seconds) = interval.filter(|seconds| !(1..=1_000_000_000).contains(seconds)) {
            return Err(InputError::invalid(
                "time_interval_seconds",
                &seconds.to_string(),
                "it must be a positive number of seconds",
            ));
        }
        let query = MetricQuery {
            experiments: experiment_ids(self.experiment_ids)?,
            view: MetricView::parse(&required("view_type", self.view_type)?)?,
            metric: required("metric_name", self.metric_name)?,
            aggregations: aggregations.collect::<Result<_, _>>()?,
            dimensions: self.dimensions,
            filters: filters.collect::<Result<_, _>>()?,
            interval_ms: interval.map(|seconds| seconds * 1_000),
            start: self.start_time_ms.map(|time| Millis(time.0)),
            end: self.end_time_ms.map(|time| Millis(time.0)),
        };
        query.check()?;
        Ok(query)
    }
}

/// The answer to `traces/metrics`.
#[derive(Debug, Serialize)]
pub struct TraceMetrics {
    /// By time and dimensions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_points: Vec<MetricDataPoint>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// One answer.
#[derive(Debug, Serialize)]
pub struct MetricDataPoint {
    /// What was asked for.
    pub metric_name: String,
    /// What the values have in common.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// By figure.
    pub values: BTreeMap<String, f64>,
}

impl MetricDataPoint {
    /// A point of the metric of this name.
    pub fn new(metric: &str, names: &[String], point: DataPoint) -> Self {
        let mut dimensions: BTreeMap<String, String> = names.iter().cloned().zip(point.dimensions).collect();
        if let Some(bucket) = point.bucket {
            // As Python writes a time: with its offset.
            let text = bucket.to_string().replace('Z', "+00:00");
            dimensions.insert("time_bucket".into(), text);
        }
        Self {
            metric_name: metric.to_owned(),
            dimensions,
            values: point.values.into_iter().collect(),
        }
    }
}
