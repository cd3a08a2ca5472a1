//! The traffic: the real rows of 2012, hour by hour, their true counts following a day later as labels.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use lathe_types::{Millis, Span};
use serde_json::{Map, Value, json};

/// How long after an hour its true count is known.
const LABEL_DELAY: Span = Span(24 * 3_600_000);
/// Labels go out in batches of a day.
const LABELS_AT_ONCE: usize = 24;
/// How long an hour of 2012 takes.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// While nothing else happens.
    Fast,
    /// While a rollout wants requests to be judged by.
    Brisk,
    /// While a model is trained: in life, hardly any time passes meanwhile.
    Calm,
}

impl Pace {
    fn millis(self) -> u64 {
        match self {
            Self::Fast => 4,
            Self::Brisk => 30,
            Self::Calm => 150,
        }
    }
}

/// One hour of the data.
pub struct Hour {
    at: Millis,
    features: Map<String, Value>,
    count: f64,
}

/// What the traffic is doing, seen from outside.
#[derive(Default)]
pub struct Traffic {
    /// Milliseconds an hour; 0 until somebody sets a pace: fast.
    pace: AtomicU64,
    stopped: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    labels: AtomicU64,
    /// The last answer's id, the last failure's text.
    last: Mutex<(String, String)>,
    at: AtomicU64,
}

impl Traffic {
    pub fn set_pace(&self, pace: Pace) {
        self.pace.store(pace.millis(), Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn labels(&self) -> u64 {
        self.labels.load(Ordering::Relaxed)
    }

    pub fn last_prediction_id(&self) -> String {
        self.last().0.clone()
    }

    pub fn last_failure(&self) -> String {
        self.last().1.clone()
    }

    /// The event time that the replay has reached.
    pub fn at(&self) -> Millis {
        Millis(self.at.load(Ordering::Relaxed) as i64)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, (String, String)> {
        self.last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The rows from `from` on, in the order of their hours.
pub fn hours(path: &Path, from: Millis) -> anyhow::Result<Vec<Hour>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let header = reader.headers()?.clone();
    let mut hours = Vec::new();
    for record in reader.records() {
        let record = record?;
        let field = |name: &str| {
            let position = header.iter().position(|column| column == name);
            position
                .and_then(|position| record.get(position))
                .with_context(|| format!("the data has no `{name}`"))
        };
        let (date, hour) = (field("dteday")?, field("hr")?);
        let at = time_of(date, hour).with_context(|| format!("`{date}` is not month/day/year"))?;
        if at < from {
            continue;
        }
        let mut features = Map::new();
        for name in [
            "season",
            "mnth",
            "hr",
            "holiday",
            "weekday",
            "workingday",
            "weathersit",
            "temp",
            "atemp",
            "hum",
            "windspeed",
        ] {
            features.insert(name.into(), field(name)?.parse::<f64>()?.into());
        }
        hours.push(Hour {
            at,
            features,
            count: field("cnt")?.parse()?,
        });
    }
    Ok(hours)
}

fn time_of(date: &str, hour: &str) -> Option<Millis> {
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    Millis::parse(&format!("{year}-{month:0>2}-{day:0>2}T{hour:0>2}:00:00"))
}

/// Sends the hours in their order until they end or the traffic is stopped.
pub fn replay(url: &str, hours: &[Hour], traffic: &Arc<Traffic>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let infer = format!("{url}/v2/models/bike-demand/infer");
    let mut waiting: VecDeque<(Millis, String, f64)> = VecDeque::new();
    for hour in hours {
        if traffic.stopped.load(Ordering::Relaxed) {
            return;
        }
        let pace = match traffic.pace.load(Ordering::Relaxed) {
            0 => Pace::Fast.millis(),
            millis => millis,
        };
        let due = Instant::now() + Duration::from_millis(pace);
        match ask(&agent, &infer, hour) {
            Ok(id) => {
                traffic.answered.fetch_add(1, Ordering::Relaxed);
                waiting.push_back((hour.at.plus(LABEL_DELAY), id.clone(), hour.count));
                traffic.last().0 = id;
            }
            Err(error) => {
                traffic.failed.fetch_add(1, Ordering::Relaxed);
                traffic.last().1 = format!("{error:#}");
            }
        }
        traffic.at.store(hour.at.0 as u64, Ordering::Relaxed);
        let known = waiting.iter().take_while(|(due, _, _)| *due <= hour.at).count();
        if LABELS_AT_ONCE <= known {
            let labels: Vec<Value> = waiting
                .drain(..known)
                .map(|(at, id, count)| json!({ "prediction_id": id, "value": count, "at": at }))
                .collect();
            match agent
                .post(format!("{url}/api/v1/labels"))
                .send_json(json!({ "labels": labels }))
            {
                Ok(response) if response.status().is_success() => {
                    traffic.labels.fetch_add(labels.len() as u64, Ordering::Relaxed);
                }
                Ok(response) => {
                    traffic.failed.fetch_add(1, Ordering::Relaxed);
                    traffic.last().1 = format!("labels were answered with {}", response.status());
                }
                Err(error) => {
                    traffic.failed.fetch_add(1, Ordering::Relaxed);
                    traffic.last().1 = format!("labels: {error}");
                }
            }
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// One hour as a request of the Open Inference Protocol; the answer's prediction id.
fn ask(agent: &ureq::Agent, url: &str, hour: &Hour) -> anyhow::Result<String> {
    let inputs: Vec<Value> = hour
        .features
        .iter()
        .map(|(name, value)| json!({ "name": name, "shape": [1], "datatype": "FP64", "data": [value] }))
        .collect();
    let mut response = agent
        .post(url)
        .header("lathe-event-time", hour.at.to_string())
        .send_json(json!({ "inputs": inputs }))?;
    let status = response.status();
    let body: Value = response.body_mut().read_json()?;
    anyhow::ensure!(status.is_success(), "{status}: {body}");
    anyhow::ensure!(body["outputs"][0]["data"][0].is_f64(), "no prediction in {body}");
    let id = body["parameters"]["prediction_id"].as_str();
    id.map(str::to_owned).context("the answer has no prediction id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_an_hour_are_a_time() {
        assert_eq!(time_of("1/1/2012", "0"), Some(Millis(1_325_376_000_000)));
        assert_eq!(time_of("12/31/2012", "23"), Millis::parse("2012-12-31T23:00:00"));
        assert_eq!(time_of("2012-12-31", "23"), None);
    }
}
