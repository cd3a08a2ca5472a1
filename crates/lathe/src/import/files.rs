//! Reads the folder `mlruns/` of MLflow's file store: records in `meta.yaml`, a file per param and tag, a line per point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lathe_store::{RunMark, note_last};
use lathe_types::datasets::{Dataset, DatasetInput};
use lathe_types::experiments::Experiment;
use lathe_types::imports::{LeftOut, LoggedModelRecord, RegisteredRecord, RunPiece};
use lathe_types::logged_models::{LoggedModel, LoggedModelStatus};
use lathe_types::metrics::{DatasetName, Metric, ModelMetric};
use lathe_types::models::{ModelVersion, RegisteredModel, Stage};
use lathe_types::runs::{Run, RunInfo, RunStatus};
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, Lifecycle, LoggedModelId, Millis, RunId};
use lathe_yaml::{Node, Value};

/// Points of a history that are handed on at once.
const POINTS_MAX: usize = 10_000;
/// A file that holds one value.
const VALUE_BYTES_MAX: u64 = 16 << 20;

/// The folder.
pub struct FileStore {
    root: PathBuf,
}

/// The fields of one `meta.yaml`.
struct Meta(Node);

impl Meta {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("meta.yaml");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let node = lathe_yaml::read(&text).with_context(|| format!("`{}` is not YAML", file.display()))?;
        Ok(Self(node))
    }

    fn text(&self, key: &str) -> Option<String> {
        let text = match &self.0.find(key)?.value {
            Value::Null => return None,
            _ => self.0.find(key)?.to_key(),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn number(&self, key: &str) -> Option<i64> {
        let text = self.text(key)?;
        text.parse()
            .ok()
            .or_else(|| text.parse::<f64>().ok().map(|number| number as i64))
    }

    fn time(&self, key: &str) -> Option<Millis> {
        self.number(key).map(Millis)
    }

    fn lifecycle(&self) -> Lifecycle {
        match self.text("lifecycle_stage").as_deref() {
            Some("deleted") => Lifecycle::Deleted,
            _ => Lifecycle::Active,
        }
    }
}

impl FileStore {
    /// The store in a folder, if it looks like one.
    pub fn open(root: &Path) -> Option<Self> {
        let looks = folders(root).ok()?.iter().any(|folder| {
            folder.join("meta.yaml").is_file() || folder.ends_with(".trash") || folder.ends_with("models")
        });
        looks.then(|| Self {
            root: root.to_owned(),
        })
    }

    fn experiment_folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = folders(&self.root)?;
        let trash = self.root.join(".trash");
        if trash.is_dir() {
            found.extend(folders(&trash)?);
        }
        found.retain(|folder| folder.join("meta.yaml").is_file());
        Ok(found)
    }

    /// Every experiment, deleted ones too.
    pub fn experiments(&self) -> anyhow::Result<Vec<Experiment>> {
        let mut experiments = Vec::new();
        for folder in self.experiment_folders()? {
            let meta = Meta::read(&folder)?;
            let id = meta.text("experiment_id").unwrap_or_else(|| name_of(&folder));
            experiments.push(Experiment {
                id: ExperimentId::parse(&id).with_context(|| format!("in `{}`", folder.display()))?,
                name: meta.text("name").unwrap_or(id),
                artifact_location: meta.text("artifact_location"),
                lifecycle: meta.lifecycle(),
                created_at: meta.time("creation_time"),
                updated_at: meta.time("last_update_time"),
                tags: values(&folder.join("tags"))?,
            });
        }
        experiments.sort_by_key(|experiment| experiment.id);
        Ok(experiments)
    }

    /// Every run with what it looks like, by folder. Its id there is its folder below the root.
    pub fn runs(&self) -> anyhow::Result<Vec<RunMark>> {
        let mut runs = Vec::new();
        for experiment in self.experiment_folders()? {
            for folder in folders(&experiment)? {
                if !folder.join("meta.yaml").is_file() {
                    continue;
                }
                let meta = Meta::read(&folder)?;
                let mut state = (0_u64, 0_u64, 0_u128);
                look(&folder.join("metrics"), &mut state)?;
                // A line of a metric has about thirty bytes.
                let points = state.1 / 30;
                look(&folder.join("params"), &mut state)?;
                look(&folder.join("tags"), &mut state)?;
                let mark = format!(
                    "{:?} {:?} {:?} {} {} {}",
                    meta.text("status"),
                    meta.text("end_time"),
                    meta.lifecycle(),
                    state.0,
                    state.1,
                    state.2
                );
                let below = folder.strip_prefix(&self.root).unwrap_or(&folder);
                runs.push(RunMark {
                    id: below.to_string_lossy().into_owned(),
                    mark,
                    points,
                    artifact_uri: meta.text("artifact_uri").unwrap_or_default(),
                });
            }
        }
        Ok(runs)
    }

    /// Reads a run and hands it on in pieces, the last of which has its mark.
    pub fn read_run(
        &self,
        wanted: &RunMark,
        hand_on: &mut dyn FnMut(RunPiece) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<LeftOut>> {
        let folder = self.root.join(&wanted.id);
        let meta = Meta::read(&folder)?;
        let id = meta
            .text("run_id")
            .or(meta.text("run_uuid"))
            .unwrap_or_else(|| name_of(&folder));
        let Ok(id) = RunId::parse(&id) else {
            return Ok(Some(LeftOut::new("run", id, "its id is not 32 hex digits")));
        };
        let experiment = meta.text("experiment_id").unwrap_or_default();
        let Ok(experiment_id) = ExperimentId::parse(&experiment) else {
            return Ok(Some(LeftOut::new(
                "run",
                id.to_string(),
                "it names no experiment",
            )));
        };
        let tags = values(&folder.join("tags"))?;
        let tagged = |key: &str| {
            tags.iter()
                .find(|tag| tag.key == key)
                .map(|tag| tag.value.clone())
        };
        let status = match meta.text("status").as_deref() {
            Some("1" | "RUNNING") => RunStatus::Running,
            Some("2" | "SCHEDULED") => RunStatus::Scheduled,
            Some("4" | "FAILED") => RunStatus::Failed,
            Some("5" | "KILLED") => RunStatus::Killed,
            _ => RunStatus::Finished,
        };
        let mut run = Run {
            info: RunInfo {
                id,
                experiment_id,
                name: meta
                    .text("run_name")
                    .or_else(|| meta.text("name"))
                    .or_else(|| tagged("mlflow.runName"))
                    .unwrap_or_default(),
                user_id: meta.text("user_id").unwrap_or_default(),
                status,
                start_time: meta.time("start_time").unwrap_or(Millis(0)),
                end_time: meta.time("end_time"),
                lifecycle: meta.lifecycle(),
                artifact_uri: meta.text("artifact_uri").unwrap_or_default(),
            },
            metrics: Vec::new(),
            params: values(&folder.join("params"))?,
            tags,
            datasets: Vec::new(),
            models_in: Vec::new(),
            models_out: Vec::new(),
        };
        self.read_inputs(&folder, &mut run)?;
        let deleted_at = meta.time("deleted_time");
        let mut last: BTreeMap<String, Metric> = BTreeMap::new();
        let mut history = Vec::new();
        let metrics = folder.join("metrics");
        for file in files(&metrics)? {
            let key = key_of(&metrics, &file);
            for line in lines(&file)? {
                let Some((point, _)) = point(&key, &line?) else {
                    return Ok(Some(LeftOut::new(
                        "run",
                        run.info.id.to_string(),
                        format!("`{}` has a line that is no point of a metric", file.display()),
                    )));
                };
                note_last(&mut last, &point);
                history.push(point);
                if POINTS_MAX <= history.len() {
                    hand_on(RunPiece {
                        run: run.clone(),
                        deleted_at,
                        history: std::mem::take(&mut history),
                        mark: None,
                    })?;
                }
            }
        }
        run.metrics = last.into_values().collect();
        hand_on(RunPiece {
            run,
            deleted_at,
            history,
            mark: Some(wanted.mark.clone()),
        })?;
        Ok(None)
    }

    fn read_inputs(&self, folder: &Path, run: &mut Run) -> anyhow::Result<()> {
        let experiment = folder.parent().unwrap_or(folder);
        for input in folders(&folder.join("inputs"))? {
            let meta = Meta::read(&input)?;
            let Some(source) = meta.text("source_id") else {
                continue;
            };
            if meta.text("source_type").as_deref() != Some("DATASET") {
                run.models_in.push(source);
                continue;
            }
            let dataset = Meta::read(&experiment.join("datasets").join(&source))?;
            let tags = meta.0.find("tags").and_then(Node::as_map).unwrap_or_default();
            run.datasets.push(DatasetInput {
                dataset: Dataset {
                    name: dataset.text("name").unwrap_or_default(),
                    digest: dataset.text("digest").unwrap_or_default(),
                    source_type: dataset.text("source_type").unwrap_or_default(),
                    source: dataset.text("source").unwrap_or_default(),
                    schema: dataset.text("schema"),
                    profile: dataset.text("profile"),
                },
                tags: tags
                    .iter()
                    .map(|(key, value)| Tag {
                        key: key.to_key(),
                        value: value.to_key(),
                    })
                    .collect(),
            });
        }
        for output in folders(&folder.join("outputs"))? {
            let meta = Meta::read(&output)?;
            let model = meta.text("source_id").unwrap_or_else(|| name_of(&output));
            run.models_out.push((model, meta.number("step").unwrap_or(0)));
        }
        Ok(())
    }

    /// Every logged model, deleted ones too; and those that cannot be read.
    pub fn logged_models(&self) -> anyhow::Result<(Vec<LoggedModelRecord>, Vec<LeftOut>)> {
        let (mut records, mut left_out) = (Vec::new(), Vec::new());
        for experiment in self.experiment_folders()? {
            for folder in folders(&experiment.join("models"))? {
                let meta = Meta::read(&folder)?;
                let id = meta.text("model_id").unwrap_or_else(|| name_of(&folder));
                let experiment = meta.text("experiment_id").unwrap_or_else(|| name_of(&experiment));
                let (Ok(id), Ok(experiment_id)) =
                    (LoggedModelId::parse(&id), ExperimentId::parse(&experiment))
                else {
                    left_out.push(LeftOut::new(
                        "logged model",
                        id,
                        "its id is not `m-` and 32 hex digits",
                    ));
                    continue;
                };
                let created_at = meta.time("creation_timestamp").unwrap_or(Millis(0));
                let updated_at = meta.time("last_updated_timestamp").unwrap_or(created_at);
                let mut metrics = Vec::new();
                let of_metrics = folder.join("metrics");
                for file in files(&of_metrics)? {
                    let key = key_of(&of_metrics, &file);
                    for line in lines(&file)? {
                        let line = line?;
                        let Some((metric, rest)) = point(&key, &line) else {
                            continue;
                        };
                        let mut rest = rest.split(' ').map(str::to_owned);
                        let run_id = rest.next().unwrap_or_default();
                        let digest_last: Vec<String> = rest.collect();
                        let dataset = digest_last.split_last().map(|(digest, name)| DatasetName {
                            name: name.join(" "),
                            digest: Some(digest.clone()),
                        });
                        metrics.push(ModelMetric {
                            run_id,
                            metric,
                            dataset,
                        });
                    }
                }
                let status = match meta.text("status").as_deref() {
                    Some("2" | "READY") => LoggedModelStatus::Ready,
                    Some("3" | "FAILED") => LoggedModelStatus::Failed,
                    _ => LoggedModelStatus::Pending,
                };
                records.push(LoggedModelRecord {
                    model: LoggedModel {
                        id,
                        experiment_id,
                        name: meta.text("name").unwrap_or_default(),
                        model_type: meta.text("model_type"),
                        source_run_id: meta.text("source_run_id"),
                        status,
                        status_message: meta.text("status_message"),
                        artifact_location: meta.text("artifact_location").unwrap_or_default(),
                        created_at,
                        updated_at,
                        params: values(&folder.join("params"))?,
                        tags: values(&folder.join("tags"))?,
                        metrics,
                    },
                    deleted_at: (meta.lifecycle() == Lifecycle::Deleted).then_some(updated_at),
                });
            }
        }
        Ok((records, left_out))
    }

    /// Every registered model with its versions.
    pub fn registered_models(&self) -> anyhow::Result<Vec<RegisteredRecord>> {
        let mut records = Vec::new();
        for folder in folders(&self.root.join("models"))? {
            if !folder.join("meta.yaml").is_file() {
                continue;
            }
            let meta = Meta::read(&folder)?;
            let name = meta.text("name").unwrap_or_else(|| name_of(&folder));
            let mut versions = Vec::new();
            for of_version in folders(&folder)? {
                let number = name_of(&of_version);
                let Some(number) = number
                    .strip_prefix("version-")
                    .and_then(|number| number.parse().ok())
                else {
                    continue;
                };
                if let Some(version) = version(&name, number, &of_version)? {
                    versions.push(version);
                }
            }
            versions.sort_by_key(|version| version.version);
            let aliases = values(&folder.join("aliases"))?;
            let created_at = meta.time("creation_timestamp").unwrap_or(Millis(0));
            records.push(RegisteredRecord {
                model: RegisteredModel {
                    description: meta.text("description"),
                    created_at,
                    updated_at: meta.time("last_updated_timestamp").unwrap_or(created_at),
                    tags: values(&folder.join("tags"))?,
                    aliases: aliases
                        .into_iter()
                        .filter_map(|alias| Some((alias.key, alias.value.trim().parse().ok()?)))
                        .filter(|(_, number)| versions.iter().any(|version| version.version == *number))
                        .collect(),
                    latest_versions: Vec::new(),
                    name,
                },
                versions,
            });
        }
        Ok(records)
    }

    /// What is there and not read.
    pub fn left_out(&self) -> anyhow::Result<Vec<LeftOut>> {
        let mut traces = 0;
        for experiment in self.experiment_folders()? {
            traces += folders(&experiment.join("traces"))?.len();
        }
        Ok(match traces {
            0 => Vec::new(),
            count => vec![LeftOut::new(
                "traces",
                format!("{count} folders"),
                "Lathe keeps nothing of this kind from other servers",
            )],
        })
    }
}

fn version(name: &str, number: u32, folder: &Path) -> anyhow::Result<Option<ModelVersion>> {
    let meta = Meta::read(folder)?;
    let stage = meta.text("current_stage").unwrap_or_default();
    if stage == "Deleted_Internal" {
        return Ok(None);
    }
    let created_at = meta.time("creation_timestamp").unwrap_or(Millis(0));
    Ok(Some(ModelVersion {
        name: name.to_owned(),
        version: number,
        created_at,
        updated_at: meta.time("last_updated_timestamp").unwrap_or(created_at),
        user_id: meta.text("user_id"),
        stage: Stage::parse("stage", &stage).unwrap_or(Stage::None),
        description: meta.text("description"),
        source: meta.text("source").unwrap_or_default(),
        run_id: meta.text("run_id"),
        run_link: meta.text("run_link"),
        model_id: meta.text("model_id"),
        tags: values(&folder.join("tags"))?,
        aliases: Vec::new(),
    }))
}

/// Time, value and step of a line, and what follows them.
fn point<'a>(key: &str, line: &'a str) -> Option<(Metric, &'a str)> {
    let mut parts = line.splitn(4, ' ');
    let at = Millis(parts.next()?.parse().ok()?);
    let value = match parts.next()?.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::MAX,
        "-inf" | "-infinity" => f64::MIN,
        text => text.parse().ok()?,
    };
    let step = match parts.next() {
        Some(step) => step.parse().ok()?,
        None => 0,
    };
    let metric = Metric {
        key: key.to_owned(),
        value,
        at,
        step,
    };
    Some((metric, parts.next().unwrap_or_default()))
}

/// The files of a folder as keys and values; keys with slashes are folders in it.
fn values(folder: &Path) -> anyhow::Result<Vec<Tag>> {
    let mut found = Vec::new();
    for file in files(folder)? {
        let size = std::fs::metadata(&file)?.len();
        anyhow::ensure!(
            size <= VALUE_BYTES_MAX,
            "`{}` is too large for a value",
            file.display()
        );
        let bytes = std::fs::read(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
        found.push(Tag {
            key: key_of(folder, &file),
            value: String::from_utf8_lossy(&bytes).into_owned(),
        });
    }
    Ok(found)
}

fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    use std::io::BufRead;
    let shown = file.display().to_string();
    let opened = std::fs::File::open(file).with_context(|| format!("failed to read `{shown}`"))?;
    let lines = std::io::BufReader::with_capacity(256 << 10, opened).lines();
    Ok(lines
        .map(move |line| line.with_context(|| format!("failed to read `{shown}`")))
        .filter(|line| !matches!(line, Ok(line) if line.trim().is_empty())))
}

/// Adds up files, bytes and times: they change when anything does.
fn look(folder: &Path, (count, bytes, times): &mut (u64, u64, u128)) -> anyhow::Result<()> {
    for file in files(folder)? {
        let metadata = std::fs::metadata(&file)?;
        let written = metadata
            .modified()?
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        *count += 1;
        *bytes += metadata.len();
        *times += written.as_nanos();
    }
    Ok(())
}

/// Every file in a folder, however deep, by name; none if the folder is not there.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read `{}`", folder.display()));
            }
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => open.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The folders in a folder, by name; none if the folder is not there.
fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn key_of(folder: &Path, file: &Path) -> String {
    let below = file.strip_prefix(folder).unwrap_or(file);
    below.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_point_with_what_follows() {
        let (metric, rest) = point("acc", "17 0.5 3 run my data abc").unwrap();
        assert_eq!(
            (metric.at, metric.value, metric.step, rest),
            (Millis(17), 0.5, 3, "run my data abc")
        );
        assert!(point("acc", "17 nan 0").unwrap().0.value.is_nan());
        assert_eq!(point("acc", "17 inf").unwrap().0.value, f64::MAX);
        for broken in ["", "17", "x 1 2", "17 y 2", "17 1 z"] {
            assert!(point("acc", broken).is_none(), "{broken}");
        }
    }
}
