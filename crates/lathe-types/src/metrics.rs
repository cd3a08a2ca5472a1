//! Metrics: numbers that a run logs over its steps.

use crate::input::check_key;
use crate::{InputError, LoggedModelId, Millis};

/// One value of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What was measured.
    pub key: String,
    /// NaN, or finite.
    pub value: f64,
    /// When.
    pub at: Millis,
    /// At which step of the training.
    pub step: i64,
}

/// A metric within its limits, as a client logs it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMetric {
    metric: Metric,
    /// The logged model that it is a property of.
    pub model_id: Option<LoggedModelId>,
    /// The dataset that it was computed on.
    pub dataset: Option<DatasetName>,
}

/// How a metric names a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetName {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Option<String>,
}

/// A metric of one run, in a history of several.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMetric {
    /// The run.
    pub run_id: String,
    /// Its metric.
    pub metric: Metric,
}

/// A metric of a logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMetric {
    /// The run that logged it.
    pub run_id: String,
    /// The metric.
    pub metric: Metric,
    /// What it was computed on.
    pub dataset: Option<DatasetName>,
}

impl NewMetric {
    const KEY_CHARS_MAX: usize = 250;

    /// Checks key and time. Infinities become the largest finite number, as clients are used to.
    pub fn new(key: String, value: f64, at: Millis, step: i64) -> Result<Self, InputError> {
        check_key("key", &key, Self::KEY_CHARS_MAX)?;
        if at.0 < 0 {
            return Err(InputError::Invalid {
                parameter: "timestamp".into(),
                value: at.0.to_string(),
                reason: "Timestamp must be a nonnegative long integer (64-bit signed integer)".into(),
            });
        }
        let value = value.clamp(f64::MIN, f64::MAX);
        Ok(Self {
            metric: Metric { key, value, at, step },
            model_id: None,
            dataset: None,
        })
    }

    /// Key, value, time and step.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_nan_or_finite() {
        let value = |value| {
            NewMetric::new("a".into(), value, Millis(0), 0)
                .unwrap()
                .metric
                .value
        };
        assert!(value(f64::NAN).is_nan());
        assert_eq!(value(f64::INFINITY), f64::MAX);
        assert_eq!(value(f64::NEG_INFINITY), f64::MIN);
        assert!(NewMetric::new("a".into(), 1.0, Millis(-1), 0).is_err());
        assert!(NewMetric::new("../a".into(), 1.0, Millis(0), 0).is_err());
    }
}
