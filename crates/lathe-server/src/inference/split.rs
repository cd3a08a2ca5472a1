//! Splits: what a deployment is to answer with at one moment, wherever that is written down; and how one is taken over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lathe_types::deployments::{Deployment, Role, Target, TargetStats};
use lathe_types::graphs::{self, Part, Shape, VersionName};
use lathe_types::project::PayloadSpec;
use lathe_types::samples::Sample;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::answerer::Answerer;
use super::deployments::{Deployments, Failing, Live, LiveTarget, SHADOW_PLACES};
use super::graph::{Graph, Loaded};
use super::lane::Served;
use super::payloads::Kept;
use super::shelf::Origin;

/// A version that cannot be loaded is tried again after this, then after twice as long, and so on.
const PAUSE: Duration = Duration::from_secs(1);
/// It is tried at least this often.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a deployment, or a graph, answers with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The deployment, or the graph.
    pub name: String,
    /// The model that its versions are of; a graph's are its own.
    pub model: String,
    /// Another one replaces what is there.
    pub revision: i64,
    /// The rollout under way, else 0.
    pub rollout: i64,
    /// The step of that rollout.
    pub step: usize,
    /// The versions.
    pub targets: Vec<Target>,
    /// How answered rows are kept as files, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payloads: Option<PayloadSpec>,
    /// Of a graph, what its only version is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Shape<Part>>,
    /// The member of a graph that names no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Where the files of versions lie, or why that is not known.
pub type Folders = BTreeMap<VersionName, Result<PathBuf, String>>;

impl Split {
    /// Of a deployment as the records have it; none if it names no alias.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let (model, _) = deployment.spec.model_alias()?;
        let rollout = deployment.rollout.as_ref();
        Some(Self {
            name: deployment.name.clone(),
            model: model.to_owned(),
            revision: deployment.revision,
            rollout: rollout.map_or(0, |rollout| rollout.id),
            step: rollout.map_or(0, |rollout| rollout.step),
            targets: deployment.targets(),
            payloads: deployment.spec.payloads.clone(),
            graph: None,
            missing: None,
        })
    }

    /// Of a graph as the records have it: its version is what its members are by now.
    pub fn of_graph(graph: &graphs::Graph) -> Self {
        let target = graph.shape.as_ref().map(|_| Target {
            version: graph.version,
            role: Role::Stable,
            weight: 1.0,
            fault: None,
        });
        Self {
            name: graph.name.clone(),
            model: graph.name.clone(),
            revision: graph.version.into(),
            rollout: 0,
            step: 0,
            targets: target.into_iter().collect(),
            payloads: graph.spec.payloads.clone(),
            graph: graph.shape.clone(),
            missing: graph.missing.clone(),
        }
    }

    /// The versions whose files are needed, each once.
    pub fn versions(&self) -> Vec<VersionName> {
        match &self.graph {
            Some(shape) => shape.versions(),
            None => self
                .targets
                .iter()
                .map(|target| self.own(target.version))
                .collect(),
        }
    }

    /// A target's version by its whole name.
    fn own(&self, version: u32) -> VersionName {
        VersionName {
            model: self.model.clone(),
            version,
        }
    }
}

impl Deployments {
    /// The versions that have to be loaded to take a split over; none if there is nothing to do, or not yet.
    pub fn wanted(&self, split: &Split) -> Option<Vec<VersionName>> {
        if self.is_unloaded(&split.name) {
            return None;
        }
        if let Some(failing) = self.failing().get(&split.name)
            && failing.revision == split.revision
        {
            if Instant::now() < failing.again_at {
                return None;
            }
        } else if self
            .get(&split.name)
            .is_some_and(|live| live.revision == split.revision && live.missing == split.missing)
        {
            return None;
        }
        let mut versions = split.versions();
        versions.retain(|version| self.loaded(split, version).is_none());
        Some(versions)
    }

    /// Whether everything of a split answers as it says.
    pub fn has_taken(&self, split: &Split) -> bool {
        let is_live = |live: Arc<Live>| live.revision == split.revision;
        self.get(&split.name).is_some_and(is_live) && !self.failing().contains_key(&split.name)
    }

    fn loaded(&self, split: &Split, version: &VersionName) -> Option<Arc<Served>> {
        let live = self.get(&split.name)?;
        let own = |target: &LiveTarget| VersionName {
            model: live.model.clone(),
            version: target.version,
        };
        let mut answering = live
            .targets
            .iter()
            .filter_map(|target| Some((target.model.as_ref().ok()?, own(target))));
        answering.find_map(|(model, own)| model.version(version, &own).cloned())
    }

    /// Takes a split over. Versions that have a folder are loaded from it, and warmed up; the others go on as they are
    /// loaded. Where the stable version cannot be loaded, whatever answered before goes on, and it is tried again.
    pub async fn take_over(&self, split: Split, folders: &Folders) {
        let mut loaded = Loaded::new();
        for version in split.versions() {
            let served = match folders.get(&version) {
                Some(Ok(folder)) => {
                    let origin = self.origin(&version, folder);
                    self.inner.shelf.load(folder, origin).await
                }
                Some(Err(reason)) => Err(reason.clone()),
                None => self
                    .loaded(&split, &version)
                    .ok_or_else(|| "it is not loaded".to_owned()),
            };
            loaded.insert(version, served);
        }
        let mut targets = Vec::new();
        let mut failed = None;
        for target in &split.targets {
            let model = match &split.graph {
                Some(shape) => Graph::join(shape, &loaded, self.inner.now)
                    .await
                    .map(|graph| Answerer::Graph(Arc::new(graph))),
                None => match loaded.get(&split.own(target.version)) {
                    Some(served) => served.clone().map(Answerer::Model),
                    None => Err("it is not loaded".to_owned()),
                },
            };
            if let Err(reason) = &model {
                tracing::error!(
                    deployment = split.name,
                    version = target.version,
                    reason,
                    "a model cannot be loaded"
                );
                failed = Some((target.version, reason.clone()));
            }
            let kept = split.payloads.as_ref().zip(model.as_ref().ok());
            let kept = kept.map(|(spec, served)| Kept {
                spec: spec.clone(),
                inputs: served.facts().signature().inputs.clone(),
            });
            targets.push(LiveTarget {
                kept: kept.map(Arc::new),
                version: target.version,
                role: target.role,
                weight: target.weight,
                fault: target.fault,
                model,
                counters: Mutex::default(),
            });
        }
        self.note(&split, failed);
        let stable_fails = targets
            .iter()
            .any(|target| target.role == Role::Stable && target.model.is_err());
        if stable_fails
            && self
                .get(&split.name)
                .is_some_and(|live| live.stable_model().is_some())
        {
            return;
        }
        self.put(Live {
            name: split.name,
            model: split.model,
            revision: split.revision,
            rollout: split.rollout,
            step: split.step,
            targets,
            shadow_places: Arc::new(Semaphore::new(SHADOW_PLACES)),
            missing: split.missing,
        });
    }

    /// Hands a sample to the watcher; false if that has no room.
    pub(crate) fn watch(&self, sample: Sample) -> bool {
        self.keep_reported(&sample);
        let sent = self
            .inner
            .samples
            .as_ref()
            .is_some_and(|samples| samples.try_send(sample).is_ok());
        if !sent {
            self.inner.samples_dropped.fetch_add(1, Relaxed);
        }
        sent
    }

    /// Where a version is loaded from again.
    fn origin(&self, version: &VersionName, folder: &std::path::Path) -> Origin {
        match &self.inner.records {
            None => Origin::Folder(folder.to_owned()),
            Some((store, artifacts)) => Origin::Version {
                store: store.clone(),
                artifacts: artifacts.clone(),
                model: version.model.clone(),
                version: version.version,
            },
        }
    }

    /// Remembers when to try a split again whose version `failed`.
    fn note(&self, split: &Split, failed: Option<(u32, String)>) {
        let mut failing = self.failing();
        let before = failing.remove(&split.name);
        let Some((version, reason)) = failed else {
            return;
        };
        let pause = match before.filter(|before| before.revision == split.revision) {
            Some(before) => (before.pause * 2).min(PAUSE_MAX),
            None => PAUSE,
        };
        let entry = Failing {
            revision: split.revision,
            version,
            reason,
            again_at: Instant::now() + pause,
            pause,
        };
        failing.insert(split.name.clone(), entry);
    }
}

/// What the targets did, since it was taken last. Splits that were swapped out may still be answering: they are asked
/// until nobody holds them any more.
#[derive(Default)]
pub struct Counts {
    seen: Vec<Arc<Live>>,
    retired: Vec<Arc<Live>>,
}

impl Counts {
    /// Takes what was counted.
    pub fn take(&mut self, deployments: &Deployments) -> Vec<TargetStats> {
        let live = deployments.all();
        let gone = |old: &Arc<Live>| !live.iter().any(|now| Arc::ptr_eq(now, old));
        self.retired.extend(self.seen.drain(..).filter(gone));
        let mut stats = Vec::new();
        self.retired.retain(|old| {
            // Asked before counting: whoever held it until now has counted by then.
            let is_held = 1 < Arc::strong_count(old);
            stats.extend(old.targets.iter().filter_map(|target| target.take_stats(old)));
            is_held
        });
        for now in &live {
            stats.extend(now.targets.iter().filter_map(|target| target.take_stats(now)));
        }
        self.seen = live;
        stats
    }
}
