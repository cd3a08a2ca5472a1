//! Keeps the models in step with the records: an alias that moves, or a rollout that goes on, swaps models without a
//! dropped request; what the targets did is written down for the analysis.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lathe_blob::Artifacts;
use lathe_serving::Model;
use lathe_store::Store;
use lathe_types::deployments::Deployment;
use tokio::sync::Semaphore;

use super::deployments::{Deployments, Live, LiveTarget, SHADOW_PLACES};
use super::lane::Served;
use super::source::version_folder;

/// How soon a change in the records is seen, and how often counters are written down.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What other processes commit is seen this late.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(2);

impl Deployments {
    /// Follows the records until it is dropped.
    pub async fn follow(self) {
        let Some((store, _)) = self.inner.records.clone() else {
            return;
        };
        // Splits that were swapped out may still be answering: their last counts come a round later.
        let mut retired: Vec<Arc<Live>> = Vec::new();
        let mut commits = store.commits();
        let mut looked = None::<tokio::time::Instant>;
        loop {
            let before = self.all();
            let due = looked.is_none_or(|at| LOOK_AT_LEAST_EVERY < at.elapsed());
            if due || commits.has_changed().unwrap_or(true) {
                commits.mark_unchanged();
                looked = Some(tokio::time::Instant::now());
                self.refresh().await;
            }
            let now_live = self.all();
            let stats = retired
                .iter()
                .chain(&now_live)
                .flat_map(|live| live.targets.iter().filter_map(|target| target.take_stats(live)))
                .collect::<Vec<_>>();
            if !stats.is_empty()
                && let Err(error) = store.add_target_stats(stats).await
            {
                tracing::error!(%error, "counts of answers were lost");
            }
            retired.retain(|live| 1 < Arc::strong_count(live));
            retired.extend(
                before
                    .into_iter()
                    .filter(|old| !now_live.iter().any(|live| Arc::ptr_eq(live, old))),
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes over what the records say now; returns once every model is loaded.
    pub async fn refresh(&self) {
        let Some((store, artifacts)) = &self.inner.records else {
            return;
        };
        match store.list_deployments().await {
            Ok(deployments) => {
                for deployment in deployments {
                    self.swap(store, artifacts, deployment).await;
                }
            }
            Err(error) => tracing::error!(%error, "the deployments cannot be read; the last known go on"),
        }
    }

    /// Takes over one deployment, with every model of it read anew.
    pub(super) async fn read_again(&self, name: &str) {
        let Some((store, artifacts)) = &self.inner.records else {
            return;
        };
        match store.list_deployments().await {
            Ok(deployments) => {
                for deployment in deployments
                    .into_iter()
                    .filter(|deployment| deployment.name == name)
                {
                    self.replace(store, artifacts, deployment, None).await;
                }
            }
            Err(error) => tracing::error!(%error, "the deployments cannot be read; the last known go on"),
        }
    }

    async fn swap(&self, store: &Store, artifacts: &Artifacts, deployment: Deployment) {
        if self.is_unloaded(&deployment.name) {
            return;
        }
        let old = self.get(&deployment.name);
        if old
            .as_ref()
            .is_some_and(|old| old.revision == deployment.revision)
        {
            return;
        }
        self.replace(store, artifacts, deployment, old).await;
    }

    async fn replace(
        &self,
        store: &Store,
        artifacts: &Artifacts,
        deployment: Deployment,
        old: Option<Arc<Live>>,
    ) {
        let Some((model, _)) = deployment.spec.model_alias() else {
            return;
        };
        let mut targets = Vec::new();
        for target in deployment.targets() {
            let known = old
                .as_ref()
                .filter(|old| old.model == model)
                .and_then(|old| old.of_version(target.version))
                .and_then(|known| known.model.as_ref().ok().cloned());
            let loaded = match known {
                Some(loaded) => Ok(loaded),
                None => self.load_version(store, artifacts, model, target.version).await,
            };
            if let Err(reason) = &loaded {
                tracing::error!(
                    deployment = deployment.name,
                    version = target.version,
                    reason,
                    "a model cannot be loaded"
                );
            }
            targets.push(LiveTarget {
                version: target.version,
                role: target.role,
                weight: target.weight,
                fault: target.fault,
                model: loaded,
                counters: Mutex::default(),
            });
        }
        let rollout = deployment.rollout.as_ref();
        self.put(Live {
            name: deployment.name.clone(),
            model: model.to_owned(),
            revision: deployment.revision,
            rollout: rollout.map_or(0, |rollout| rollout.id),
            step: rollout.map_or(0, |rollout| rollout.step),
            targets,
            shadow_places: Arc::new(Semaphore::new(SHADOW_PLACES)),
        });
    }

    async fn load_version(
        &self,
        store: &Store,
        artifacts: &Artifacts,
        model: &str,
        version: u32,
    ) -> Result<Arc<Served>, String> {
        let folder = version_folder(store, artifacts, model, version)
            .await
            .map_err(|error| error.message().to_owned())?;
        let python = self.inner.python.clone();
        let load = move || Model::load_with(&folder, python.as_ref()).map(Served::new);
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(served)) => Ok(Arc::new(served)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}
