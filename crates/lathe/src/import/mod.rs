//! Takes over what another tracking server kept: read from its database or folder, written here in batches, each of
//! which is there whole or not at all. Whatever breaks off goes on where it was when it is started again.

mod files;
mod places;
mod progress;
mod transfer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lathe_blob::Artifacts;
use lathe_store::{Location, MlflowDatabase, RunMark, Store};
use lathe_types::ExperimentId;
use lathe_types::experiments::Experiment;
use lathe_types::imports::{LeftOut, LoggedModelRecord, RegisteredRecord, RunPiece};
use lathe_types::runs::Run;
use tokio::sync::mpsc;

use crate::clock;

pub use files::FileStore;
pub use places::Reading;
use progress::Progress;
use transfer::Transfer;

/// Points or runs that share one transaction.
const BATCH_POINTS: usize = 20_000;
const BATCH_RUNS: usize = 500;
/// Pieces that are read ahead.
const AHEAD: usize = 8;
/// Logged models that share one transaction.
const BATCH_MODELS: usize = 200;

/// What is read.
pub enum Source {
    /// A database that MLflow's server wrote.
    Database(MlflowDatabase),
    /// The folder of its file store.
    Files(FileStore),
}

impl Source {
    /// Opens a database (`sqlite:///…`, `postgresql://…`, a file) or a folder.
    pub fn open(location: Location) -> anyhow::Result<Self> {
        let database = MlflowDatabase::open(&location)?;
        anyhow::ensure!(database.is_mlflow(), "the database has no tables of MLflow's");
        Ok(Self::Database(database))
    }

    fn experiments(&self) -> anyhow::Result<Vec<Experiment>> {
        match self {
            Self::Database(database) => Ok(database.experiments()?),
            Self::Files(files) => files.experiments(),
        }
    }

    fn runs(&self) -> anyhow::Result<Vec<RunMark>> {
        match self {
            Self::Database(database) => Ok(database.runs()?),
            Self::Files(files) => files.runs(),
        }
    }

    fn read_run(
        &self,
        wanted: &RunMark,
        mut hand_on: impl FnMut(RunPiece) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<LeftOut>> {
        match self {
            Self::Database(database) => {
                let mut failed = None;
                let read = database.read_run(wanted, |piece| {
                    hand_on(piece).map_err(|error| {
                        failed = Some(error);
                        lathe_store::Error::Closed
                    })
                });
                failed.map_or(Ok(()), Err)?;
                Ok(read?)
            }
            Self::Files(files) => files.read_run(wanted, &mut hand_on),
        }
    }

    fn logged_models(&self) -> anyhow::Result<(Vec<LoggedModelRecord>, Vec<LeftOut>)> {
        match self {
            Self::Database(database) => Ok(database.logged_models()?),
            Self::Files(files) => files.logged_models(),
        }
    }

    fn registered_models(&self) -> anyhow::Result<Vec<RegisteredRecord>> {
        match self {
            Self::Database(database) => Ok(database.registered_models()?),
            Self::Files(files) => files.registered_models(),
        }
    }

    fn left_out(&self) -> anyhow::Result<Vec<LeftOut>> {
        match self {
            Self::Database(database) => Ok(database.left_out()?),
            Self::Files(files) => files.left_out(),
        }
    }
}

/// What was taken over, or would be.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    /// Experiments.
    pub experiments: usize,
    /// Runs that were read.
    pub runs: usize,
    /// Runs that are here already, as they are there.
    pub runs_unchanged: usize,
    /// Points of metrics.
    pub points: u64,
    /// Logged models.
    pub logged_models: usize,
    /// Registered models.
    pub registered_models: usize,
    /// Their versions.
    pub versions: usize,
    /// Files that were copied.
    pub artifacts_copied: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// What is not here as it was there.
    pub left_out: Vec<Left>,
}

/// See [`LeftOut`].
#[derive(Debug, serde::Serialize)]
pub struct Left {
    what: String,
    which: String,
    reason: String,
}

impl From<LeftOut> for Left {
    fn from(left: LeftOut) -> Self {
        Self {
            what: left.noun,
            which: left.which,
            reason: left.reason,
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.what, self.which, self.reason)
    }
}

/// What is read at once; only the runs themselves are many.
pub struct Overview {
    experiments: Vec<Experiment>,
    runs: Vec<RunMark>,
    logged_models: Vec<LoggedModelRecord>,
    registered_models: Vec<RegisteredRecord>,
    left_out: Vec<LeftOut>,
}

impl Overview {
    /// Reads it. Like all reading, on a thread that may wait.
    pub fn read(source: &Source) -> anyhow::Result<Self> {
        let mut left_out = source.left_out()?;
        let (logged_models, unread) = source.logged_models()?;
        left_out.extend(unread);
        Ok(Self {
            experiments: source.experiments()?,
            runs: source.runs()?,
            logged_models,
            registered_models: source.registered_models()?,
            left_out,
        })
    }

    /// Counts what would be taken over.
    pub fn count(self) -> Report {
        Report {
            experiments: self.experiments.len(),
            runs: self.runs.len(),
            points: self.runs.iter().map(|run| run.points).sum(),
            logged_models: self.logged_models.len(),
            registered_models: self.registered_models.len(),
            versions: self
                .registered_models
                .iter()
                .map(|record| record.versions.len())
                .sum(),
            left_out: self.left_out.into_iter().map(Left::from).collect(),
            ..Report::default()
        }
    }
}

/// Where records and artifacts go.
pub struct Target {
    /// The records.
    pub store: Store,
    /// The bytes.
    pub artifacts: Artifacts,
    /// Whether artifacts are copied; else their records say where they lie.
    pub copy: bool,
}

/// Takes everything over.
pub async fn take_over(
    source: Source,
    overview: Overview,
    reading: Reading,
    target: Target,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut transfer = Transfer::new(reading, &target);
    let mut ids = HashMap::new();
    for mut experiment in overview.experiments {
        let there = experiment.id;
        transfer.link_experiment(&mut experiment).await?;
        ids.insert(there, target.store.import_experiment(experiment).await?);
        report.experiments += 1;
    }
    let known = target.store.imported_runs().await?;
    let (todo, unchanged): (Vec<_>, Vec<_>) = overview.runs.into_iter().partition(|run| {
        let id = run.id.rsplit('/').next().unwrap_or_default();
        known.get(id) != Some(&run.mark)
    });
    report.runs_unchanged = unchanged.len();
    for run in &unchanged {
        transfer.expect_run(run);
    }
    take_runs(source, todo, &ids, &target, &mut transfer, &mut report).await?;
    take_logged_models(overview.logged_models, &ids, &target, &mut transfer, &mut report).await?;
    take_registered_models(overview.registered_models, &target, &mut transfer, &mut report).await?;
    let left_out = overview.left_out.into_iter().chain(transfer.left_out);
    report.left_out.extend(left_out.map(Left::from));
    (report.artifacts_copied, report.artifact_bytes) = (transfer.files, transfer.bytes);
    Ok(report)
}

/// Reads runs on a thread of their own, ahead of what is written.
async fn take_runs(
    source: Source,
    todo: Vec<RunMark>,
    ids: &HashMap<ExperimentId, ExperimentId>,
    target: &Target,
    transfer: &mut Transfer,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut progress = Progress::new(todo.len() as u64, todo.iter().map(|run| run.points).sum());
    let (sender, mut pieces) = mpsc::channel::<Result<RunPiece, LeftOut>>(AHEAD);
    let reader = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        for run in &todo {
            let left = source.read_run(run, |piece| Ok(sender.blocking_send(Ok(piece))?))?;
            if let Some(left) = left {
                sender.blocking_send(Err(left))?;
            }
        }
        Ok(())
    });
    let mut batch: Vec<RunPiece> = Vec::new();
    let mut points = 0;
    while let Some(piece) = pieces.recv().await {
        let mut piece = match piece {
            Ok(piece) => piece,
            Err(left) => {
                report.left_out.push(left.into());
                continue;
            }
        };
        let info = &mut piece.run.info;
        let Some(experiment) = ids.get(&info.experiment_id) else {
            if piece.mark.is_some() {
                let reason = format!("its experiment {} is not there", info.experiment_id);
                report
                    .left_out
                    .push(LeftOut::new("run", info.id.to_string(), reason).into());
            }
            continue;
        };
        info.experiment_id = *experiment;
        transfer.take_run(&mut piece.run, piece.mark.is_some()).await?;
        complete_name(&mut piece.run);
        points += piece.history.len();
        report.points += piece.history.len() as u64;
        report.runs += usize::from(piece.mark.is_some());
        batch.push(piece);
        if BATCH_POINTS <= points || BATCH_RUNS <= batch.len() {
            target.store.import_runs(std::mem::take(&mut batch)).await?;
            points = 0;
            progress.show(report.runs as u64, report.points);
        }
    }
    target.store.import_runs(batch).await?;
    progress.finish(report.runs as u64, report.points);
    reader.await?
}

/// Clients look for a run's name in either place.
fn complete_name(run: &mut Run) {
    use lathe_types::runs::NAME_TAG;
    use lathe_types::tags::Tag;
    let tagged = run.tags.iter().find(|tag| tag.key == NAME_TAG);
    match (tagged, run.info.name.is_empty()) {
        (Some(tag), true) => run.info.name = tag.value.clone(),
        (None, false) => run.tags.push(Tag {
            key: NAME_TAG.into(),
            value: run.info.name.clone(),
        }),
        _ => {}
    }
}

async fn take_logged_models(
    records: Vec<LoggedModelRecord>,
    ids: &HashMap<ExperimentId, ExperimentId>,
    target: &Target,
    transfer: &mut Transfer,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    for mut record in records {
        let model = &mut record.model;
        let Some(experiment) = ids.get(&model.experiment_id) else {
            let reason = format!("its experiment {} is not there", model.experiment_id);
            report
                .left_out
                .push(LeftOut::new("logged model", model.id.to_string(), reason).into());
            continue;
        };
        model.experiment_id = *experiment;
        transfer.take_logged_model(model).await?;
        report.logged_models += 1;
        batch.push(record);
        if BATCH_MODELS <= batch.len() {
            target
                .store
                .import_logged_models(std::mem::take(&mut batch))
                .await?;
        }
    }
    target.store.import_logged_models(batch).await?;
    Ok(())
}

async fn take_registered_models(
    records: Vec<RegisteredRecord>,
    target: &Target,
    transfer: &mut Transfer,
    report: &mut Report,
) -> anyhow::Result<()> {
    for mut record in records {
        for version in &mut record.versions {
            transfer.follow(version).await?;
        }
        report.registered_models += 1;
        report.versions += record.versions.len();
        let left = target.store.import_registered_model(record, clock::now()).await?;
        report.versions -= left.iter().filter(|left| left.noun == "model version").count();
        report.left_out.extend(left.into_iter().map(Left::from));
    }
    Ok(())
}

/// The folder that relative locations of a source are relative to.
pub fn base_of(source: &Path, working_folder: &Path) -> PathBuf {
    let whole = working_folder.join(source);
    whole
        .parent()
        .map_or_else(|| working_folder.to_owned(), Path::to_owned)
}
