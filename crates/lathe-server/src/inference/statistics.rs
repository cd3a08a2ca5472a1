//! What a model has done since it was loaded, as Triton's statistics extension tells it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::deployments::Live;

/// Counts that only grow. Times are in nanoseconds.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) success: Spent,
    pub(super) failure: Spent,
    pub(super) queue: Spent,
    pub(super) infer: Spent,
    pub(super) rows: AtomicU64,
    pub(super) cancelled: AtomicU64,
    last_ms: AtomicU64,
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
    /// A request was answered, or failed.
    pub(super) fn answered(&self, ok: bool, took: Duration, now_ms: i64) {
        if ok { &self.success } else { &self.failure }.add(took);
        self.last_ms.store(now_ms.max(0) as u64, Ordering::Relaxed);
    }

    /// The model was asked once, for so many rows.
    pub(super) fn executed(&self, rows: usize, took: Duration) {
        self.infer.add(took);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, took: Duration) {
        self.queue.add(took);
    }

    pub(super) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

/// One version's statistics.
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

/// The statistics of a deployment's versions, or of one of them.
pub(super) fn of(live: &Live, version: Option<u32>) -> Vec<Statistics> {
    live.targets
        .iter()
        .filter(|target| version.is_none_or(|version| version == target.version))
        .filter_map(|target| {
            let totals = &target.model.as_ref().ok()?.totals;
            Some(Statistics {
                name: live.name.clone(),
                version: target.version,
                last_ms: totals.last_ms.load(Ordering::Relaxed),
                rows: totals.rows.load(Ordering::Relaxed),
                success: totals.success.read(),
                failure: totals.failure.read(),
                queue: totals.queue.read(),
                infer: totals.infer.read(),
            })
        })
        .collect()
}

impl Statistics {
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
