//! The models that answer, by deployment; swapped whole, so that a request sees the old split or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lathe_blob::Artifacts;
use lathe_serving::{Facts, Model, Runtimes};
use lathe_store::Store;
use lathe_types::Millis;
use lathe_types::deployments::{Fault, LatencyHistogram, Role, TargetStats};
use lathe_types::samples::Sample;
use tokio::sync::{Semaphore, mpsc};

use super::answer::Refusal;
use super::answerer::Answerer;
use super::lane::Served;
use super::payloads::{Kept, Payload, PayloadCounts, Payloads};
use super::shelf::Shelf;
use super::statistics::Traffic;

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
    /// Where answered rows go that are kept as files; none where nobody writes them.
    pub(super) payloads: Option<Payloads>,
    pub(super) now: fn() -> Millis,
    /// Which models are in memory.
    pub(super) shelf: Arc<Shelf>,
    /// Reads the model again that is served without records.
    reload: Option<Reload>,
    live: RwLock<BTreeMap<String, Arc<Live>>>,
    /// Splits with a version that cannot be loaded, by deployment.
    pub(super) failing: Mutex<BTreeMap<String, Failing>>,
    /// Deployments that somebody unloaded; they answer again when they are loaded.
    unloaded: Mutex<BTreeSet<String>>,
}

/// What models may do.
#[derive(Debug, Clone, Default)]
pub struct ModelLimits {
    /// What may answer for models that the native engine does not know, or is slower at.
    pub runtimes: Runtimes,
    /// What all models may take of memory together.
    pub memory_bytes_max: Option<u64>,
}

/// Reads a model that is served alone.
pub type Reload = Box<dyn Fn() -> Result<Model, String> + Send + Sync>;

/// A split with a version that cannot be loaded.
pub(super) struct Failing {
    pub(super) revision: i64,
    pub(super) version: u32,
    pub(super) reason: String,
    /// When it is tried again.
    pub(super) again_at: Instant,
    pub(super) pause: Duration,
}

/// A version of the model repository.
pub(super) struct IndexEntry {
    pub(super) name: String,
    pub(super) version: String,
    /// `READY` or `UNAVAILABLE`.
    pub(super) state: &'static str,
    pub(super) reason: String,
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
    /// The member of a graph that names no version.
    pub(super) missing: Option<String>,
}

/// See [`Live::shadow_places`].
pub(super) const SHADOW_PLACES: usize = 64;

/// One version that answers, or sees copies.
pub(super) struct LiveTarget {
    pub(super) version: u32,
    pub(super) role: Role,
    pub(super) weight: f64,
    pub(super) fault: Option<Fault>,
    /// The loaded model or graph, or why it could not be loaded: then its requests fail and count as failed.
    pub(super) model: Result<Answerer, String>,
    pub(super) counters: Mutex<Counters>,
    /// How its rows are kept as files, if they are.
    pub(super) kept: Option<Arc<Kept>>,
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
        payloads: (mpsc::Sender<Payload>, PayloadCounts),
        now: fn() -> Millis,
        limits: ModelLimits,
    ) -> Self {
        let (sender, counts) = payloads;
        let payloads = Payloads { sender, counts };
        let records = Some((store, artifacts));
        Self::with(records, Some(samples), Some(payloads), None, now, limits)
    }

    /// Deployments that are told what to answer with: see [`Deployments::take_over`].
    pub fn told(samples: Option<mpsc::Sender<Sample>>, now: fn() -> Millis, limits: ModelLimits) -> Self {
        Self::with(None, samples, None, None, now, limits)
    }

    /// What answers for a version of a deployment or graph in this process: `native`, `onnxruntime`, `python` or `graph`,
    /// and whether that executes what a model holds.
    pub(crate) fn runtime_of(&self, deployment: &str, version: u32) -> Option<(&'static str, bool)> {
        let live = self.get(deployment)?;
        let model = live.of_version(version)?.model.as_ref().ok()?;
        Some((model.facts().runtime(), model.executes_code()))
    }

    /// What a version of a deployment or graph answered in this process since it was loaded.
    pub(crate) fn traffic_of(&self, deployment: &str, version: u32) -> Option<Traffic> {
        let live = self.get(deployment)?;
        let model = live.of_version(version)?.model.as_ref().ok()?;
        Some(Traffic::of(model.totals()))
    }

    fn with(
        records: Option<(Store, Artifacts)>,
        samples: Option<mpsc::Sender<Sample>>,
        payloads: Option<Payloads>,
        reload: Option<Reload>,
        now: fn() -> Millis,
        limits: ModelLimits,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                records,
                samples,
                samples_dropped: AtomicU64::new(0),
                payloads,
                now,
                shelf: Arc::new(Shelf::new(limits.memory_bytes_max, limits.runtimes)),
                reload,
                live: RwLock::default(),
                failing: Mutex::default(),
                unloaded: Mutex::default(),
            }),
        }
    }

    /// Answers whose sample found no room.
    pub fn samples_dropped(&self) -> u64 {
        self.inner.samples_dropped.load(Relaxed)
    }

    /// One model that answers everything under `name`, without records.
    pub(super) fn of_model(name: &str, reload: Reload, now: fn() -> Millis) -> Result<Self, String> {
        let model = reload()?;
        let deployments = Self::with(None, None, None, Some(reload), now, ModelLimits::default());
        deployments.put_alone(name, model);
        Ok(deployments)
    }

    fn put_alone(&self, name: &str, model: Model) {
        self.put(Live {
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
                model: Ok(Answerer::Model(Arc::new(Served::new(model)))),
                counters: Mutex::default(),
                kept: None,
            }],
            shadow_places: Arc::new(Semaphore::new(SHADOW_PLACES)),
            missing: None,
        });
    }

    /// The deployment of this name.
    pub(super) fn find(&self, name: &str) -> Result<Arc<Live>, Refusal> {
        self.get(name).ok_or_else(|| {
            if self.is_unloaded(name) {
                return Refusal::NotReady(format!("`{name}` is unloaded; load it again to ask it"));
            }
            let known: Vec<String> = self.all().iter().map(|live| live.name.clone()).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            Refusal::Unknown(format!("no model is called `{name}`; there is: {known}"))
        })
    }

    /// Whether every deployment that has a version can answer.
    pub(super) fn is_ready(&self) -> bool {
        self.all()
            .iter()
            .all(|live| live.targets.is_empty() || live.stable_model().is_some())
    }

    /// What there is, answering or not, by name and version.
    pub(super) fn index(&self, only_ready: bool) -> Vec<IndexEntry> {
        let mut entries = Vec::new();
        for live in self.all() {
            for target in &live.targets {
                let (state, reason) = match &target.model {
                    Ok(_) => ("READY", String::new()),
                    Err(reason) => ("UNAVAILABLE", reason.clone()),
                };
                entries.push(IndexEntry {
                    name: live.name.clone(),
                    version: target.version.to_string(),
                    state,
                    reason,
                });
            }
        }
        for (name, failing) in self.failing().iter() {
            let version = failing.version.to_string();
            let is_told = |entry: &IndexEntry| entry.name == *name && entry.version == version;
            if !entries.iter().any(is_told) {
                entries.push(IndexEntry {
                    name: name.clone(),
                    version,
                    state: "UNAVAILABLE",
                    reason: failing.reason.clone(),
                });
            }
        }
        entries.extend(self.unloaded().iter().map(|name| IndexEntry {
            name: name.clone(),
            version: String::new(),
            state: "UNAVAILABLE",
            reason: "unloaded".into(),
        }));
        entries.retain(|entry| !only_ready || entry.state == "READY");
        entries
    }

    /// Stops answering for a deployment in this process and lets its models go.
    pub(super) fn unload(&self, name: &str) -> Result<(), Refusal> {
        if self.is_unloaded(name) {
            return Ok(());
        }
        self.find(name)?;
        self.unloaded().insert(name.to_owned());
        self.write().remove(name);
        Ok(())
    }

    /// Answers for a deployment again, with its models read anew. While they cannot be read, those that are loaded go
    /// on.
    pub(super) async fn load(&self, name: &str) -> Result<(), Refusal> {
        if !self.is_unloaded(name) {
            self.find(name)?;
        }
        if self.inner.reload.is_some() {
            let all = self.clone();
            let read = tokio::task::spawn_blocking(move || all.inner.reload.as_ref().map(|reload| reload()));
            match read.await {
                Ok(Some(Ok(model))) => self.put_alone(name, model),
                Ok(Some(Err(reason))) => return Err(Refusal::NotReady(reason)),
                Ok(None) => {}
                Err(error) => return Err(Refusal::Failed(error.to_string())),
            }
            self.unloaded().remove(name);
            return Ok(());
        }
        let was_unloaded = self.unloaded().remove(name);
        match self.inner.records {
            Some(_) => self.read_again(name).await,
            None => self.until_told(name).await,
        }
        match self.get(name) {
            Some(live) => live.stable_model_or_refuse().map(drop),
            None if was_unloaded => Err(Refusal::NotReady(format!("`{name}` is not deployed any more"))),
            None => Ok(()),
        }
    }

    /// Whoever tells what to answer with does so within moments.
    async fn until_told(&self, name: &str) {
        for _ in 0..100 {
            if self.get(name).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Lets go of deployments that are not among these.
    pub fn retain(&self, names: &BTreeSet<String>) {
        self.write().retain(|name, _| names.contains(name));
        self.failing().retain(|name, _| names.contains(name));
    }

    /// Why a deployment's split cannot be answered whole.
    pub fn failure(&self, name: &str) -> Option<String> {
        self.failing().get(name).map(|failing| failing.reason.clone())
    }

    pub(super) fn failing(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Failing>> {
        self.inner.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_unloaded(&self, name: &str) -> bool {
        self.unloaded().contains(name)
    }

    fn unloaded(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.inner.unloaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, live: Live) {
        self.write().insert(live.name.clone(), Arc::new(live));
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Live>> {
        self.read().get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.read().values().cloned().collect()
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Live>>> {
        self.inner.live.write().unwrap_or_else(PoisonError::into_inner)
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
    pub(super) fn stable_model(&self) -> Option<&Arc<Facts>> {
        let stable = self.of_role(Role::Stable).or(self.targets.first())?;
        stable.facts()
    }

    /// As [`Live::stable_model`]; without one nobody can be answered.
    pub(super) fn stable_model_or_refuse(&self) -> Result<&Arc<Facts>, Refusal> {
        self.stable_model()
            .ok_or_else(|| Refusal::NotReady(self.not_ready()))
    }

    /// What this version is, or the stable one if none is named.
    pub(super) fn model_of(&self, version: Option<u32>) -> Result<&Arc<Facts>, Refusal> {
        let Some(version) = version else {
            return self.stable_model_or_refuse();
        };
        match self.of_version(version).map(|target| &target.model) {
            Some(Ok(model)) => Ok(model.facts()),
            Some(Err(reason)) => Err(Refusal::NotReady(reason.clone())),
            None => Err(Refusal::NotReady(self.not_ready())),
        }
    }

    /// Hands out what a request holds, once for each version that may be asked; the only one gets it without a copy.
    pub(super) fn for_each_version<T: Clone + Default>(&self, mut held: T) -> impl FnMut() -> T + use<T> {
        let is_shared = 1 < self.targets.len();
        move || match is_shared {
            true => held.clone(),
            false => std::mem::take(&mut held),
        }
    }

    /// Why nobody answers.
    pub(super) fn not_ready(&self) -> String {
        let name = &self.name;
        match &self.missing {
            None => format!("no version of `{name}` answers yet"),
            Some(member) => format!("no version of `{name}` answers yet: its member `{member}` names none"),
        }
    }

    /// The versions that a graph is made of, as `scale/3, score/7`.
    pub(super) fn members(&self) -> Option<String> {
        let stable = self.of_role(Role::Stable)?.model.as_ref().ok()?;
        let versions: Vec<String> = stable
            .graph()?
            .members()
            .iter()
            .map(ToString::to_string)
            .collect();
        Some(versions.join(", "))
    }

    /// The versions that answer requests.
    pub(super) fn versions(&self) -> Vec<String> {
        let answering = self.targets.iter().filter(|target| target.role != Role::Shadow);
        answering.map(|target| target.version.to_string()).collect()
    }

    /// The version that a text names, if it is in the split.
    pub(super) fn known_version(&self, text: &str) -> Result<u32, Refusal> {
        let version = text.parse().ok();
        version
            .filter(|version| self.of_version(*version).is_some())
            .ok_or_else(|| {
                let known: Vec<String> = self
                    .targets
                    .iter()
                    .map(|target| target.version.to_string())
                    .collect();
                Refusal::Unknown(format!(
                    "version {text} of `{}` does not answer; these do: {}",
                    self.name,
                    known.join(", ")
                ))
            })
    }
}

impl LiveTarget {
    /// What it is, if it could be loaded.
    pub(super) fn facts(&self) -> Option<&Arc<Facts>> {
        self.model.as_ref().ok().map(Answerer::facts)
    }

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
