//! What a model has done since it was loaded, as Triton's statistics extension tells it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::deployments::{Live, LiveTarget};
use super::graph::Graph;

/// Counts that only grow. Times are in nanoseconds.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) success: Spent,
    pub(super) failure: Spent,
    failures: [AtomicU64; Reason::ALL.len()],
    pub(super) queue: Spent,
    pub(super) infer: Spent,
    pub(super) rows: AtomicU64,
    last_ms: AtomicU64,
}

/// Why a request was not answered, in Triton's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No place in the queue.
    Rejected,
    /// The deadline passed, or the caller left.
    Canceled,
    /// The model failed.
    Backend,
    /// The request did not fit the model.
    Other,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::Rejected, Self::Canceled, Self::Backend, Self::Other];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::Canceled => "CANCELED",
            Self::Backend => "BACKEND",
            Self::Other => "OTHER",
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Busy { .. } => Self::Rejected,
            Refusal::TooLate => Self::Canceled,
            Refusal::Failed(_) | Refusal::Raised(_) | Refusal::NotReady(_) => Self::Backend,
            Refusal::Request(_) | Refusal::Unknown(_) => Self::Other,
            Refusal::Member { refusal, .. } => Self::from(&**refusal),
        }
    }
}

/// How often, and how long in all.
#[derive(Default)]
pub(super) struct Spent {
    count: AtomicU64,
    ns: AtomicU64,
}

impl Spent {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> (u64, u64) {
        (
            self.count.load(Ordering::Relaxed),
            self.ns.load(Ordering::Relaxed),
        )
    }
}

impl Totals {
    /// A request was answered, or was not, for a reason.
    pub(super) fn answered(&self, failed: Option<Reason>, took: Duration, now_ms: i64) {
        match failed {
            None => self.success.add(took),
            Some(reason) => {
                self.failure.add(took);
                self.failures[reason as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
        self.last_ms.store(now_ms.max(0) as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, reason: Reason) -> u64 {
        self.failures[reason as usize].load(Ordering::Relaxed)
    }

    /// The model was asked once, for so many rows.
    pub(super) fn executed(&self, rows: usize, took: Duration) {
        self.infer.add(took);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, took: Duration) {
        self.queue.add(took);
    }
}

/// What a version answered since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Traffic {
    /// Requests.
    answered: u64,
    /// Requests without an answer.
    failed: u64,
    /// Of an answered request; none before the first.
    latency_us_mean: Option<f64>,
}

impl Traffic {
    pub(super) fn of(totals: &Totals) -> Self {
        let ((answered, ns), (failed, _)) = (totals.success.read(), totals.failure.read());
        Self {
            answered,
            failed,
            latency_us_mean: (0 < answered).then(|| ns as f64 / 1_000.0 / answered as f64),
        }
    }
}

/// One version's statistics; of a member of a graph under `GRAPH/MODEL`.
pub(super) struct Statistics {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) last_ms: u64,
    pub(super) rows: u64,
    pub(super) success: (u64, u64),
    pub(super) failure: (u64, u64),
    pub(super) queue: (u64, u64),
    pub(super) infer: (u64, u64),
}

/// The statistics of a deployment's versions, or of one of them; each graph is followed by its members.
pub(super) fn of(live: &Live, version: Option<u32>) -> Vec<Statistics> {
    let mut all = Vec::new();
    let asked = |target: &&LiveTarget| version.is_none_or(|version| version == target.version);
    for target in live.targets.iter().filter(asked) {
        let Ok(model) = &target.model else { continue };
        all.push(Statistics::new(live.name.clone(), target.version, model.totals()));
        for (member, served) in model.graph().into_iter().flat_map(Graph::served) {
            let name = format!("{}/{}", live.name, member.model);
            all.push(Statistics::new(name, member.version, &served.totals));
        }
    }
    all
}

impl Statistics {
    fn new(name: String, version: u32, totals: &Totals) -> Self {
        Self {
            name,
            version,
            last_ms: totals.last_ms.load(Ordering::Relaxed),
            rows: totals.rows.load(Ordering::Relaxed),
            success: totals.success.read(),
            failure: totals.failure.read(),
            queue: totals.queue.read(),
            infer: totals.infer.read(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let spent = |(count, ns): (u64, u64)| json!({ "count": count, "ns": ns });
        json!({
            "name": self.name,
            "version": self.version.to_string(),
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.infer.0,
            "inference_stats": {
                "success": spent(self.success),
                "fail": spent(self.failure),
                "queue": spent(self.queue),
                "compute_input": spent((self.infer.0, 0)),
                "compute_infer": spent(self.infer),
                "compute_output": spent((self.infer.0, 0)),
            },
            "batch_stats": [],
        })
    }
}
