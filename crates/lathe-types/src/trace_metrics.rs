//! Figures over many traces, spans or assessments: counts, sums, averages, percentiles, by time and by what they have in
//! common. Here without the rows: what may be asked, and how values become figures.

use std::collections::{BTreeMap, BTreeSet};

use crate::InputError;
use crate::search::{MetricFilter, TraceField};
use crate::{ExperimentId, Millis};

/// Groups of one answer while it is made.
const GROUPS_MAX: usize = 100_000;
/// Values kept for percentiles, over all groups.
const VALUES_MAX: usize = 10_000_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricView {
    /// Traces.
    Traces,
    /// Spans.
    Spans,
    /// Assessments.
    Assessments,
}

impl MetricView {
    /// Reads the name that clients send.
    pub fn parse(name: &str) -> Result<Self, InputError> {
        match name {
            "TRACES" => Ok(Self::Traces),
            "SPANS" => Ok(Self::Spans),
            "ASSESSMENTS" => Ok(Self::Assessments),
            _ => Err(InputError::invalid(
                "view_type",
                name,
                "it must be `TRACES`, `SPANS` or `ASSESSMENTS`",
            )),
        }
    }
}

/// A figure that can be made of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    /// How many there are.
    Count,
    /// All together.
    Sum,
    /// In the middle.
    Average,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The value below which so many of a hundred lie.
    Percentile(f64),
}

impl Aggregation {
    /// Reads the name that clients send, and the percentile that goes with it.
    pub fn parse(name: &str, percentile: Option<f64>) -> Result<Self, InputError> {
        let refuse = |reason: &str| InputError::invalid("aggregations", name, reason);
        let aggregation = match (name, percentile) {
            ("PERCENTILE", Some(at)) if (0.0..=100.0).contains(&at) => return Ok(Self::Percentile(at)),
            ("PERCENTILE", _) => return Err(refuse("`percentile_value` must lie between 0 and 100")),
            ("COUNT", _) => Self::Count,
            ("SUM", _) => Self::Sum,
            ("AVG", _) => Self::Average,
            ("MIN", _) => Self::Min,
            ("MAX", _) => Self::Max,
            _ => {
                return Err(refuse(
                    "it must be `COUNT`, `SUM`, `AVG`, `MIN`, `MAX` or `PERCENTILE`",
                ));
            }
        };
        if percentile.is_some() {
            return Err(refuse("`percentile_value` goes with `PERCENTILE` only"));
        }
        Ok(aggregation)
    }

    /// What the figure is called in the answer: `AVG`, `P99.0`.
    pub fn label(self) -> String {
        match self {
            Self::Count => "COUNT".into(),
            Self::Sum => "SUM".into(),
            Self::Average => "AVG".into(),
            Self::Min => "MIN".into(),
            Self::Max => "MAX".into(),
            // As Python prints a double.
            Self::Percentile(at) => format!("P{at:?}"),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricQuery {
    /// Of these experiments.
    pub experiments: Vec<ExperimentId>,
    /// What is counted.
    pub view: MetricView,
    /// `latency`, `total_tokens`…
    pub metric: String,
    /// At least one.
    pub aggregations: Vec<Aggregation>,
    /// `trace_name`, `span_type`…
    pub dimensions: Vec<String>,
    /// What traces, spans or assessments must be.
    pub filters: Vec<MetricFilter>,
    /// Also by time, in steps of so many milliseconds.
    pub interval_ms: Option<i64>,
    /// Not before.
    pub start: Option<Millis>,
    /// Not after.
    pub end: Option<Millis>,
}

const TOKENS: [&str; 5] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
];
const COSTS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

impl MetricQuery {
    /// Refuses what cannot be counted so.
    pub fn check(&self) -> Result<(), InputError> {
        let metric = self.metric.as_str();
        let (figures, dimensions): (&str, &[&str]) = match self.view {
            MetricView::Traces => match metric {
                "trace_count" => ("c", &["trace_name", "trace_status"]),
                "session_count" => ("c", &[]),
                "latency" => ("l", &["trace_name"]),
                _ if TOKENS.contains(&metric) => ("s", &["trace_name"]),
                _ if COSTS.contains(&metric) => ("s", &["trace_name"]),
                _ => return Err(self.unknown_metric()),
            },
            MetricView::Spans => match metric {
                "span_count" => (
                    "c",
                    &[
                        "span_name",
                        "span_type",
                        "span_status",
                        "span_model_name",
                        "span_model_provider",
                    ],
                ),
                "latency" => ("l", &["span_name", "span_status"]),
                _ if COSTS.contains(&metric) => ("s", &["span_model_name", "span_model_provider"]),
                _ => return Err(self.unknown_metric()),
            },
            MetricView::Assessments => match metric {
                "assessment_count" => ("c", &["assessment_name", "assessment_value"]),
                "assessment_value" => ("l", &["assessment_name"]),
                _ => return Err(self.unknown_metric()),
            },
        };
        let fits = |aggregation: &Aggregation| match aggregation {
            Aggregation::Count => figures == "c",
            Aggregation::Sum => figures == "s",
            _ => figures != "c",
        };
        if let Some(wrong) = self.aggregations.iter().find(|aggregation| !fits(aggregation)) {
            let reason = format!("`{metric}` has no such figure");
            return Err(InputError::invalid("aggregations", &wrong.label(), reason));
        }
        if let Some(wrong) = self
            .dimensions
            .iter()
            .find(|name| !dimensions.contains(&name.as_str()))
        {
            let reason = format!("Found invalid dimension(s). Supported dimensions: {dimensions:?}");
            return Err(InputError::invalid("dimensions", wrong, reason));
        }
        let fits = |filter: &MetricFilter| match filter {
            MetricFilter::Trace(condition) => match condition.field {
                TraceField::Span(_) => self.view == MetricView::Spans,
                _ => true,
            },
            MetricFilter::AssessmentName(_) | MetricFilter::AssessmentKind(_) => {
                self.view == MetricView::Assessments
            }
        };
        if !self.filters.iter().all(fits) {
            let reason = format!(
                "conditions on spans or assessments do not go with {:?}",
                self.view
            );
            return Err(InputError::invalid("filters", "…", reason));
        }
        if self.aggregations.is_empty() {
            return Err(InputError::Missing {
                parameter: "aggregations".into(),
            });
        }
        if self.interval_ms.is_some() && (self.start.is_none() || self.end.is_none()) {
            return Err(InputError::invalid(
                "time_interval_seconds",
                "set",
                "start_time_ms and end_time_ms are required if time_interval_seconds is set",
            ));
        }
        Ok(())
    }

    fn unknown_metric(&self) -> InputError {
        InputError::invalid(
            "metric_name",
            &self.metric,
            format!("there is no such metric of {:?}", self.view),
        )
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct DataPoint {
    /// When its time begins, if it was asked by time.
    pub bucket: Option<Millis>,
    /// The value of each dimension, in the order asked for.
    pub dimensions: Vec<String>,
    /// The figures with their names.
    pub values: Vec<(String, f64)>,
}

/// Values on their way to figures.
#[derive(Debug)]
pub struct Gathered<'a> {
    query: &'a MetricQuery,
    groups: BTreeMap<(Option<i64>, Vec<String>), Group>,
    values: usize,
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    values: Vec<f64>,
    distinct: BTreeSet<String>,
}

impl<'a> Gathered<'a> {
    /// Nothing yet.
    pub fn new(query: &'a MetricQuery) -> Self {
        Self {
            query,
            groups: BTreeMap::new(),
            values: 0,
        }
    }

    /// One row: when, its dimensions, and its value; sessions are counted by name.
    pub fn add(
        &mut self,
        at: Millis,
        dimensions: Vec<String>,
        value: f64,
        session: Option<String>,
    ) -> Result<(), InputError> {
        let too_much = |what: &str| {
            let reason = format!("there are too many {what}; ask for a shorter time or fewer dimensions");
            InputError::invalid("dimensions", "…", reason)
        };
        let bucket = self
            .query
            .interval_ms
            .map(|step| at.0.div_euclid(step).saturating_mul(step));
        let key = (bucket, dimensions);
        if GROUPS_MAX <= self.groups.len() && !self.groups.contains_key(&key) {
            return Err(too_much("groups"));
        }
        let keep = self
            .query
            .aggregations
            .iter()
            .any(|of| matches!(of, Aggregation::Percentile(_)));
        let group = self.groups.entry(key).or_default();
        if let Some(session) = session {
            if group.distinct.insert(session) {
                self.values += 1;
            }
            group.count = group.distinct.len() as u64;
        } else {
            group.min = if group.count == 0 {
                value
            } else {
                group.min.min(value)
            };
            group.max = if group.count == 0 {
                value
            } else {
                group.max.max(value)
            };
            group.count += 1;
            group.sum += value;
            if keep {
                group.values.push(value);
                self.values += 1;
            }
        }
        if VALUES_MAX < self.values {
            return Err(too_much("values"));
        }
        Ok(())
    }

    /// The figures, by time and dimensions.
    pub fn points(self) -> Vec<DataPoint> {
        let aggregations = &self.query.aggregations;
        let points = self.groups.into_iter().map(|((bucket, dimensions), mut group)| {
            group.values.sort_by(f64::total_cmp);
            let value = |of: &Aggregation| match of {
                Aggregation::Count => group.count as f64,
                Aggregation::Sum => group.sum,
                Aggregation::Average => group.sum / group.count as f64,
                Aggregation::Min => group.min,
                Aggregation::Max => group.max,
                Aggregation::Percentile(at) => percentile(&group.values, *at),
            };
            DataPoint {
                bucket: bucket.map(Millis),
                values: aggregations.iter().map(|of| (of.label(), value(of))).collect(),
                dimensions,
            }
        });
        points.collect()
    }
}

/// Between the two nearest values (Hyndman and Fan 1996, definition 7), as most databases do.
fn percentile(sorted: &[f64], at: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = at / 100.0 * last as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[(place.ceil() as usize).min(last)],
    );
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(metric: &str, aggregations: &[Aggregation]) -> MetricQuery {
        MetricQuery {
            experiments: vec![ExperimentId::DEFAULT],
            view: MetricView::Traces,
            metric: metric.into(),
            aggregations: aggregations.to_vec(),
            dimensions: Vec::new(),
            filters: Vec::new(),
            interval_ms: None,
            start: None,
            end: None,
        }
    }

    #[test]
    fn values_become_figures_by_time() {
        let all = [
            Aggregation::Average,
            Aggregation::Min,
            Aggregation::Max,
            Aggregation::Percentile(50.0),
            Aggregation::Percentile(99.5),
        ];
        let mut asked = query("latency", &all);
        asked.interval_ms = Some(1_000);
        let mut gathered = Gathered::new(&asked);
        for (at, value) in [(100, 1.0), (999, 2.0), (500, 9.0), (1_000, 5.0)] {
            gathered.add(Millis(at), vec![], value, None).unwrap();
        }
        let points = gathered.points();
        assert_eq!(points.len(), 2);
        assert_eq!(points[0].bucket, Some(Millis(0)));
        let of = |point: &DataPoint| point.values.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!(of(&points[0])[..4], [4.0, 1.0, 9.0, 2.0]);
        assert_eq!(points[0].values[4].0, "P99.5");
        assert_eq!(of(&points[1]), [5.0; 5]);
    }

    #[test]
    fn sessions_are_counted_once_each() {
        let asked = query("session_count", &[Aggregation::Count]);
        let mut gathered = Gathered::new(&asked);
        for session in ["a", "b", "a"] {
            gathered
                .add(Millis(0), vec![], 1.0, Some(session.into()))
                .unwrap();
        }
        assert_eq!(gathered.points()[0].values, [("COUNT".to_owned(), 2.0)]);
    }

    #[test]
    fn what_cannot_be_counted_so_is_refused() {
        assert!(query("latency", &[Aggregation::Average]).check().is_ok());
        assert!(query("latency", &[Aggregation::Sum]).check().is_err());
        assert!(query("trace_count", &[Aggregation::Average]).check().is_err());
        assert!(query("nothing", &[Aggregation::Count]).check().is_err());
        assert!(query("latency", &[]).check().is_err());
        let mut by_time = query("latency", &[Aggregation::Average]);
        by_time.interval_ms = Some(5);
        assert!(by_time.check().is_err());
        assert!(
            Aggregation::parse("PERCENTILE", None).is_err() && Aggregation::parse("AVG", Some(5.0)).is_err()
        );
        assert_eq!(
            Aggregation::parse("PERCENTILE", Some(99.0)).unwrap().label(),
            "P99.0"
        );
    }
}
