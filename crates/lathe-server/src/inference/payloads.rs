//! Requests and answers that are kept as files, where a deployment asks for it. Which are kept is decided here; whoever
//! holds the other end of the channel writes them down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lathe_serving::ColumnSpec;
use lathe_types::project::PayloadSpec;
use lathe_types::samples::Sample;
use tokio::sync::mpsc;

use super::answer::mixed;
use super::deployments::Deployments;
use crate::telemetry::{Text, escaped};

/// An answered row that is kept.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The row and its answer.
    pub sample: Sample,
    /// How it is kept.
    pub kept: Arc<Kept>,
}

/// How the rows of one version in a deployment are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What the deployment says.
    pub spec: PayloadSpec,
    /// The columns that the version takes; none if it does not say.
    pub inputs: Vec<ColumnSpec>,
}

/// What became of rows that were to be kept, by deployment. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PayloadCounts(Arc<Mutex<BTreeMap<String, Rows>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    written: u64,
    dropped: u64,
}

impl PayloadCounts {
    /// Rows of a deployment lie in a file.
    pub fn written(&self, deployment: &str, rows: u64) {
        self.of(deployment, |known| known.written += rows);
    }

    /// Rows of a deployment found no room; how many did by now.
    pub fn dropped(&self, deployment: &str, rows: u64) -> u64 {
        self.of(deployment, |known| {
            known.dropped += rows;
            known.dropped
        })
    }

    fn of<T>(&self, deployment: &str, change: impl FnOnce(&mut Rows) -> T) -> T {
        let mut all = self.lock();
        match all.get_mut(deployment) {
            Some(rows) => change(rows),
            None => change(all.entry(deployment.to_owned()).or_default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Rows>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where rows go that are kept.
pub(super) struct Payloads {
    pub(super) sender: mpsc::Sender<Payload>,
    pub(super) counts: PayloadCounts,
}

impl Payloads {
    /// Keeps a row, if its request is among those that are; never waits.
    pub(super) fn offer(&self, sample: &Sample, kept: &Arc<Kept>) {
        if !is_chosen(sample, kept.spec.sample) {
            return;
        }
        let payload = Payload {
            sample: sample.clone(),
            kept: kept.clone(),
        };
        if self.sender.try_send(payload).is_err() {
            let dropped = self.counts.dropped(&sample.deployment, 1);
            if dropped.is_power_of_two() {
                tracing::warn!(
                    deployment = sample.deployment,
                    dropped,
                    "payloads cannot be written as fast as they come; some are dropped"
                );
            }
        }
    }
}

/// Whether a request is among the share that is kept: all its rows are, or none. Drawn from its id, but not as the side
/// of a split is, else a share would be of one side.
fn is_chosen(sample: &Sample, share: f64) -> bool {
    let id = sample.prediction_id.as_str();
    let request = id.split_once('-').map_or(id, |(request, _)| request);
    f64::from(mixed("payloads", request)) / (1u64 << 32) as f64 <= share && 0.0 < share
}

impl Deployments {
    /// Hands a row that another process answered to whoever keeps payloads.
    pub(super) fn keep_reported(&self, sample: &Sample) {
        let Some(payloads) = &self.inner.payloads else {
            return;
        };
        let live = self.get(&sample.deployment);
        let kept = live
            .as_ref()
            .and_then(|live| live.of_version(sample.version)?.kept.as_ref());
        if let Some(kept) = kept {
            payloads.offer(sample, kept);
        }
    }

    pub(super) fn write_payload_metrics(&self, text: &mut Text) {
        let Some(payloads) = &self.inner.payloads else {
            return;
        };
        let all = payloads.counts.lock().clone();
        let mut each = |name: &str, help: &str, value: &dyn Fn(&Rows) -> u64| {
            text.begin(name, "counter", help);
            for (deployment, rows) in &all {
                text.line(name, &format!("model=\"{}\"", escaped(deployment)), value(rows));
            }
        };
        each(
            "lathe_payload_rows_total",
            "Answered rows that were written to files.",
            &|rows| rows.written,
        );
        each(
            "lathe_payload_rows_dropped_total",
            "Answered rows that should have been written to files and found no room.",
            &|rows| rows.dropped,
        );
    }
}

#[cfg(test)]
mod tests {
    use lathe_types::deployments::Role;
    use lathe_types::{Millis, PredictionId};
    use serde_json::{Map, Value};

    use super::*;

    fn sample(bits: u128, row: usize) -> Sample {
        Sample {
            prediction_id: PredictionId::from_bits(bits).row(row, 3),
            deployment: "d".into(),
            model: "m".into(),
            version: 1,
            members: Vec::new(),
            role: Role::Stable,
            at: Millis(0),
            latency_us: 1,
            features: Map::new(),
            prediction: Value::Null,
        }
    }

    #[test]
    fn a_share_of_requests_is_chosen_with_all_their_rows_on_both_sides_of_a_split() {
        let requests =
            || (0..20_000u128).map(|request| request << 64 | request.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
        let chosen = |bits: &u128| is_chosen(&sample(*bits, 0), 0.1);
        let count = requests().filter(chosen).count();
        assert!((1_800..2_200).contains(&count), "{count}");
        let low = requests()
            .filter(|bits| bits & 0xffff_ffff < 1 << 31)
            .filter(chosen)
            .count();
        assert!((850..1_150).contains(&low), "{low}");
        for bits in requests().take(500) {
            assert_eq!(is_chosen(&sample(bits, 0), 0.5), is_chosen(&sample(bits, 2), 0.5));
        }
        assert!(requests().all(|bits| is_chosen(&sample(bits, 0), 1.0)));
        assert!(!requests().any(|bits| is_chosen(&sample(bits, 0), 0.0)));
    }
}
