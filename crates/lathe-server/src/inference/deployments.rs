//! The models that answer, by deployment; swapped whole, so that a request sees the old split or the new one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

use lathe_blob::Artifacts;
use lathe_serving::Model;
use lathe_store::Store;
use lathe_types::Millis;
use lathe_types::deployments::{Fault, LatencyHistogram, Role, TargetStats};
use lathe_types::samples::Sample;
use tokio::sync::{Semaphore, mpsc};

/// The deployments of this process. Clones share them.
#[derive(Clone)]
pub struct Deployments {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Where versions come from; none for a model served alone.
    pub(super) records: Option<(Store, Artifacts)>,
    /// Where answered rows go; none where nobody watches.
    pub(super) samples: Option<mpsc::Sender<Sample>>,
    pub(super) samples_dropped: AtomicU64,
    pub(super) now: fn() -> Millis,
    live: RwLock<BTreeMap<String, Arc<Live>>>,
}

/// A deployment at one moment.
pub(super) struct Live {
    pub(super) name: String,
    pub(super) model: String,
    /// What it was built from; a greater one replaces it.
    pub(super) revision: i64,
    pub(super) rollout: i64,
    pub(super) step: usize,
    pub(super) targets: Vec<LiveTarget>,
    /// Copies that may wait for the shadow at once.
    pub(super) shadow_places: Arc<Semaphore>,
}

/// See [`Live::shadow_places`].
pub(super) const SHADOW_PLACES: usize = 64;

/// One version that answers, or sees copies.
pub(super) struct LiveTarget {
    pub(super) version: u32,
    pub(super) role: Role,
    pub(super) weight: f64,
    pub(super) fault: Option<Fault>,
    /// The loaded model, or why it could not be loaded: then its requests fail and count as failed.
    pub(super) model: Result<Arc<Model>, String>,
    pub(super) counters: Mutex<Counters>,
}

/// What a target did since the counters were last written down.
#[derive(Default)]
pub(super) struct Counters {
    requests: u64,
    errors: u64,
    latency: LatencyHistogram,
}

impl Deployments {
    /// Deployments that follow the records; they appear with [`Deployments::follow`].
    pub fn new(
        store: Store,
        artifacts: Artifacts,
        samples: mpsc::Sender<Sample>,
        now: fn() -> Millis,
    ) -> Self {
        Self::with(Some((store, artifacts)), Some(samples), now)
    }

    fn with(
        records: Option<(Store, Artifacts)>,
        samples: Option<mpsc::Sender<Sample>>,
        now: fn() -> Millis,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                records,
                samples,
                samples_dropped: AtomicU64::new(0),
                now,
                live: RwLock::default(),
            }),
        }
    }

    /// Answers whose sample found no room.
    pub(crate) fn samples_dropped(&self) -> u64 {
        self.inner.samples_dropped.load(Relaxed)
    }

    /// One model that answers everything under `name`, without records.
    pub(super) fn of_model(name: &str, model: Model, now: fn() -> Millis) -> Self {
        let deployments = Self::with(None, None, now);
        deployments.put(Live {
            name: name.to_owned(),
            model: name.to_owned(),
            revision: 0,
            rollout: 0,
            step: 0,
            targets: vec![LiveTarget {
                version: 1,
                role: Role::Stable,
                weight: 1.0,
                fault: None,
                model: Ok(Arc::new(model)),
                counters: Mutex::default(),
            }],
            shadow_places: Arc::new(Semaphore::new(SHADOW_PLACES)),
        });
        deployments
    }

    pub(super) fn put(&self, live: Live) {
        let mut all = self
            .inner
            .live
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        all.insert(live.name.clone(), Arc::new(live));
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Live>> {
        self.read().get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.read().values().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Live>>> {
        // Values are swapped whole, so a panic elsewhere leaves nothing half done.
        self.inner
            .live
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Live {
    /// The target that answers a request whose random number is `draw`, 0 to 1.
    pub(super) fn pick(&self, draw: f64) -> Option<&LiveTarget> {
        let mut passed = 0.0;
        let answering = || {
            self.targets
                .iter()
                .filter(|target| target.role != Role::Shadow && 0.0 < target.weight)
        };
        for target in answering() {
            passed += target.weight;
            if draw < passed {
                return Some(target);
            }
        }
        answering().last()
    }

    pub(super) fn of_role(&self, role: Role) -> Option<&LiveTarget> {
        self.targets.iter().find(|target| target.role == role)
    }

    /// The target of this version, if it is in the split.
    pub(super) fn of_version(&self, version: u32) -> Option<&LiveTarget> {
        self.targets.iter().find(|target| target.version == version)
    }

    /// The model that says what requests look like: the stable one's.
    pub(super) fn stable_model(&self) -> Option<&Arc<Model>> {
        let stable = self.of_role(Role::Stable).or(self.targets.first())?;
        stable.model.as_ref().ok()
    }
}

impl LiveTarget {
    pub(super) fn count(&self, failed: bool, micros: u64) {
        let mut counters = self
            .counters
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        counters.requests += 1;
        counters.errors += u64::from(failed);
        counters.latency.record(micros);
    }

    /// What was counted since the last time, for the records.
    pub(super) fn take_stats(&self, live: &Live) -> Option<TargetStats> {
        let counters = std::mem::take(
            &mut *self
                .counters
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        (0 < counters.requests).then(|| TargetStats {
            deployment: live.name.clone(),
            rollout: live.rollout,
            step: live.step,
            version: self.version,
            role: self.role,
            requests: counters.requests,
            errors: counters.errors,
            latency: counters.latency,
        })
    }
}
