//! Keeps the models in step with the records: an alias that moves, or a rollout that goes on, swaps models without a
//! dropped request; what the targets did is written down for the analysis.

use std::time::Duration;

use lathe_blob::Artifacts;
use lathe_store::Store;
use lathe_types::graphs::VersionName;

use super::deployments::Deployments;
use super::source::version_folder;
use super::split::{Counts, Folders, Split};

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
        let mut counts = Counts::default();
        let mut commits = store.commits();
        let mut looked = None::<tokio::time::Instant>;
        loop {
            let due = looked.is_none_or(|at| LOOK_AT_LEAST_EVERY < at.elapsed());
            if due || commits.has_changed().unwrap_or(true) {
                commits.mark_unchanged();
                looked = Some(tokio::time::Instant::now());
                self.refresh().await;
            }
            let stats = counts.take(&self);
            if !stats.is_empty()
                && let Err(error) = store.add_target_stats(stats).await
            {
                tracing::error!(%error, "counts of answers were lost");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes over what the records say now; returns once every model is loaded.
    pub async fn refresh(&self) {
        let Some((store, artifacts)) = &self.inner.records else {
            return;
        };
        match splits(store).await {
            Ok(splits) => {
                // A graph may be declared no more.
                self.retain(&splits.iter().map(|split| split.name.clone()).collect());
                for split in splits {
                    if let Some(versions) = self.wanted(&split) {
                        self.swap(store, artifacts, split, versions).await;
                    }
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
        match splits(store).await {
            Ok(splits) => {
                for split in splits.into_iter().filter(|split| split.name == name) {
                    let versions = split.versions();
                    self.swap(store, artifacts, split, versions).await;
                }
            }
            Err(error) => tracing::error!(%error, "the deployments cannot be read; the last known go on"),
        }
    }

    async fn swap(&self, store: &Store, artifacts: &Artifacts, split: Split, versions: Vec<VersionName>) {
        let mut folders = Folders::new();
        for version in versions {
            let folder = version_folder(store, artifacts, &version.model, version.version).await;
            folders.insert(version, folder.map_err(|error| error.message().to_owned()));
        }
        self.take_over(split, &folders).await;
    }
}

/// What deployments and graphs answer with by now.
async fn splits(store: &Store) -> Result<Vec<Split>, lathe_store::Error> {
    let deployments = store.list_deployments().await?;
    let graphs = store.list_graphs().await?;
    let of_graphs = graphs.iter().map(Split::of_graph);
    Ok(deployments
        .iter()
        .filter_map(Split::of)
        .chain(of_graphs)
        .collect())
}
