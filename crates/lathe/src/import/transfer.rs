//! Artifacts that come along: copied into this server's own, or left where they lie and linked.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use lathe_blob::{ArtifactPath, Artifacts};
use lathe_store::{RunMark, Store};
use lathe_types::RunId;
use lathe_types::experiments::Experiment;
use lathe_types::imports::LeftOut;
use lathe_types::logged_models::LoggedModel;
use lathe_types::models::ModelVersion;
use lathe_types::runs::Run;
use tokio_util::io::StreamReader;

use super::Target;
use super::places::{Place, Reading};

const FILES_AT_ONCE: usize = 4;

/// What happens to artifacts, and what happened.
pub struct Transfer {
    reading: Reading,
    store: Store,
    artifacts: Artifacts,
    copy: bool,
    /// Of runs: where their artifacts lay, and what their records say here.
    moved: HashMap<String, (Place, String)>,
    /// Of runs that are here already: where their artifacts lay.
    before: HashMap<String, String>,
    linked: BTreeSet<String>,
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not come along.
    pub left_out: Vec<LeftOut>,
}

impl Transfer {
    pub fn new(reading: Reading, target: &Target) -> Self {
        Self {
            reading,
            store: target.store.clone(),
            artifacts: target.artifacts.clone(),
            copy: target.copy,
            moved: HashMap::new(),
            before: HashMap::new(),
            linked: BTreeSet::new(),
            files: 0,
            bytes: 0,
            left_out: Vec::new(),
        }
    }

    /// New runs of the experiment keep their artifacts with this server, unless it said an object store.
    pub async fn link_experiment(&mut self, experiment: &mut Experiment) -> anyhow::Result<()> {
        let Some(location) = &experiment.artifact_location else {
            return Ok(());
        };
        let place = self.reading.place(location);
        let stays = matches!(&place, Place::Url(_)) && !location.starts_with("mlflow-artifacts");
        if !self.copy {
            self.link(&place).await?;
        }
        if !stays {
            experiment.artifact_location = None;
        }
        Ok(())
    }

    /// Notes where a run that is here already kept its artifacts.
    pub fn expect_run(&mut self, run: &RunMark) {
        let id = run.id.rsplit('/').next().unwrap_or_default();
        self.before.insert(id.to_owned(), run.artifact_uri.clone());
    }

    /// Brings a run's artifacts along; with its last piece, so that a run that is marked as taken over has them.
    pub async fn take_run(&mut self, run: &mut Run, last: bool) -> anyhow::Result<()> {
        let place = self.reading.place(&run.info.artifact_uri);
        let own = format!("{}/{}/artifacts", run.info.experiment_id, run.info.id);
        let uri = self
            .bring(&place, &own, ("run", run.info.id.as_str()), last)
            .await?;
        if last {
            self.moved.insert(run.info.id.to_string(), (place, uri.clone()));
        }
        run.info.artifact_uri = uri;
        Ok(())
    }

    /// Brings a logged model's files along.
    pub async fn take_logged_model(&mut self, model: &mut LoggedModel) -> anyhow::Result<()> {
        let place = self.reading.place(&model.artifact_location);
        let own = format!("{}/models/{}/artifacts", model.experiment_id, model.id);
        let uri = self
            .bring(&place, &own, ("logged model", model.id.as_str()), true)
            .await?;
        self.moved.insert(model.id.to_string(), (place, uri.clone()));
        model.artifact_location = uri;
        Ok(())
    }

    /// Lets a version's source follow what it was registered from.
    pub async fn follow(&mut self, version: &mut ModelVersion) -> anyhow::Result<()> {
        if version.source.is_empty()
            || ["runs:/", "models:/"]
                .iter()
                .any(|scheme| version.source.starts_with(scheme))
        {
            return Ok(());
        }
        let source = self.reading.place(&version.source);
        for origin in [version.run_id.as_deref(), version.model_id.as_deref()]
            .into_iter()
            .flatten()
        {
            if let Some(uri) = self.before.remove(origin) {
                let here = self.store.get_run(RunId::parse(origin)?).await?.info.artifact_uri;
                self.moved
                    .insert(origin.to_owned(), (self.reading.place(&uri), here));
            }
            let Some((place, uri)) = self.moved.get(origin) else {
                continue;
            };
            if let Some(below) = source.below(place) {
                version.source = format!("{uri}/{below}").trim_end_matches('/').to_owned();
                return Ok(());
            }
        }
        version.source = source.uri();
        Ok(())
    }

    /// What a record says of its artifacts here.
    async fn bring(
        &mut self,
        place: &Place,
        own: &str,
        (noun, id): (&str, &str),
        now: bool,
    ) -> anyhow::Result<String> {
        if !self.copy {
            if now {
                self.link(place).await?;
            }
            return Ok(place.uri());
        }
        let here = format!("mlflow-artifacts:/{own}");
        if !now {
            return Ok(here);
        }
        let from = match place {
            Place::Folder(folder) => self.artifacts.rooted_at(&folder.to_string_lossy()),
            Place::Url(url) => self.artifacts.rooted_at(url),
            Place::Nowhere => return Ok(here),
            Place::Proxied(below) => {
                let reason = format!(
                    "its artifacts lie behind the other server at `{below}`; say with `--artifacts` where that keeps them"
                );
                self.left_out.push(LeftOut::new(noun, id, reason));
                return Ok(place.uri());
            }
        };
        let copied = match from {
            Ok(from) => self.copy_all(&from, &ArtifactPath::parse(own)?).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = copied {
            let reason = format!("its artifacts stay at `{}`: {error:#}", place.uri());
            self.left_out.push(LeftOut::new(noun, id, reason));
            return Ok(place.uri());
        }
        Ok(here)
    }

    /// The server may read what lies there.
    async fn link(&mut self, place: &Place) -> anyhow::Result<()> {
        if !matches!(place, Place::Folder(_) | Place::Url(_)) {
            return Ok(());
        }
        let root = place.uri();
        let covered = self
            .linked
            .range(..=root.clone())
            .next_back()
            .is_some_and(|linked| {
                root.strip_prefix(linked.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        if !covered {
            self.store.link_artifacts(root.clone()).await?;
            self.linked.insert(root);
        }
        Ok(())
    }

    /// Copies what is not there yet.
    async fn copy_all(&mut self, from: &Artifacts, to: &ArtifactPath) -> anyhow::Result<()> {
        let files = from.list_all(&ArtifactPath::default()).await?;
        let own = &self.artifacts;
        let copied: Vec<u64> = stream::iter(files)
            .map(|(name, size)| async move {
                let target = to.join(&name);
                if own.head(&target).await.is_ok_and(|there| there.size == size) {
                    return Ok(None);
                }
                let opened = from.get(&name, None).await?;
                let written = own
                    .put(&target, StreamReader::new(opened.chunks), Some(size))
                    .await;
                anyhow::Ok(Some(written.with_context(|| format!("failed to copy `{name}`"))?))
            })
            .buffer_unordered(FILES_AT_ONCE)
            .try_filter_map(|written| async move { Ok(written) })
            .try_collect()
            .await?;
        self.files += copied.len() as u64;
        self.bytes += copied.iter().sum::<u64>();
        Ok(())
    }
}
