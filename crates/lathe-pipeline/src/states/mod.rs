//! Metrics, params and plots as they are in the workspace or were at a commit, and what changed in between. Where the
//! files of a commit come from is the caller's concern.

mod diff;
mod paths;
mod plots;
mod vega;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use lathe_data::Repo;
use serde_json::{Map, Value as Json};

pub use self::diff::{Change, diff, flat};
pub use self::paths::LockedPath;
pub use self::plots::{Content, Plot, PlotQuery, Point, Style};
pub use self::vega::TEMPLATES;
use crate::lock::{Lock, LockEntry};
use crate::param_files::{self, ParamFiles};
use crate::pipeline_file::PipelineFile;
use crate::stage::{OutKind, PIPELINE_FILE, Stage, folder_of, joined};
use crate::template::OptionStyle;
use crate::yaml::{Node, Value};
use crate::{Error, Result};

/// Where the files of a state of the repository are read.
pub trait Files: Send + Sync {
    /// The bytes of a file, by its path from the root; `None` if there is none.
    fn read(&self, at: &str) -> Result<Option<Vec<u8>>>;

    /// The paths of the pipeline files.
    fn pipelines(&self) -> Result<Vec<String>>;

    /// The paths of the files in a folder and below; none if it is no folder.
    fn list(&self, folder: &str) -> Result<Vec<String>>;
}

/// The files as they are now.
#[derive(Debug, Clone)]
pub struct Workspace(pub Repo);

impl Files for Workspace {
    fn read(&self, at: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.root().join(at);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path)(error)),
        }
    }

    fn pipelines(&self) -> Result<Vec<String>> {
        Ok(lathe_data::pipeline_files(&self.0)?)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let top = self.0.root().join(folder);
        let mut found = Vec::new();
        if !top.is_dir() {
            return Ok(found);
        }
        let mut open = vec![top];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).map_err(Error::read(&folder))? {
                let entry = entry.map_err(Error::read(&folder))?;
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(path);
                } else if let Some(at) = path
                    .strip_prefix(self.0.root())
                    .ok()
                    .and_then(std::path::Path::to_str)
                {
                    found.push(at.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A state of the repository.
pub struct State {
    repo: Repo,
    files: Arc<dyn Files>,
    pipelines: Vec<PipelineFile>,
    /// What the locks say of stages, by their addresses.
    locked: OnceLock<HashMap<String, LockEntry>>,
}

/// What is read of a file: a value, or why there is none.
pub type Found = std::result::Result<Json, String>;

impl State {
    /// Reads the pipelines of a state.
    pub fn open(repo: &Repo, files: Arc<dyn Files>) -> Result<Self> {
        let params = ParamFiles::of(files.clone());
        let mut pipelines = Vec::new();
        for path in files.pipelines()? {
            let bytes = files.read(&path)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            pipelines.push(PipelineFile::parse(
                &path,
                &text,
                &params,
                OptionStyle::default(),
            )?);
        }
        Ok(Self {
            repo: repo.clone(),
            files,
            pipelines,
            locked: OnceLock::new(),
        })
    }

    fn stages(&self) -> impl Iterator<Item = &Stage> {
        self.pipelines.iter().flat_map(|file| &file.stages)
    }

    /// What is or was at a path: the file itself, else the object of the cache that the lock names.
    fn bytes(&self, at: &str) -> Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.files.read(at)? {
            return Ok(Some(bytes));
        }
        let locked = self.stages().find_map(|stage| {
            let out = stage.outs.iter().find(|out| out.at == at)?;
            Some(self.entry(stage)?.out(&out.path)?.hashed.md5.clone())
        });
        let object = locked.and_then(|md5| self.repo.cache().object(&md5));
        Ok(object.and_then(|path| std::fs::read(path).ok()))
    }

    /// What the lock says of a stage.
    fn entry(&self, stage: &Stage) -> Option<&LockEntry> {
        let locked = self.locked.get_or_init(|| self.read_locks());
        locked.get(&stage.address())
    }

    fn read_locks(&self) -> HashMap<String, LockEntry> {
        let mut locked = HashMap::new();
        for file in &self.pipelines {
            let at = joined(folder_of(&file.path), "dvc.lock");
            let Ok(Some(bytes)) = self.files.read(&at) else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Ok(lock) = Lock::parse(at.clone(), self.repo.root().join(&at), text) else {
                continue;
            };
            for stage in &file.stages {
                if let Ok(Some(entry)) = lock.find(&stage.name) {
                    locked.insert(stage.address(), entry);
                }
            }
        }
        locked
    }

    /// The values of every file of metrics, or of the targets: numbers and texts, nested as they are in the file.
    pub fn metrics(&self, targets: &[String]) -> Result<Vec<(String, Found)>> {
        let mut paths: Vec<String> = targets.to_vec();
        if targets.is_empty() {
            for stage in self.stages() {
                let metrics = stage.outs.iter().filter(|out| out.kind == OutKind::Metric);
                paths.extend(metrics.map(|out| out.at.clone()));
            }
            paths.extend(self.pipelines.iter().flat_map(|file| file.metrics.clone()));
        }
        distinct(&mut paths);
        let mut found = Vec::new();
        for path in paths {
            let value = self.value(&path)?;
            found.push((
                path,
                value.map(|node| only_metrics(&node).unwrap_or(Json::Object(Map::new()))),
            ));
        }
        Ok(found)
    }

    /// The values of every file of params, or of the targets; with `deps_only` those that stages depend on.
    pub fn params(&self, targets: &[String], deps_only: bool) -> Result<Vec<(String, Found)>> {
        let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
        for target in targets {
            wanted.push((target.clone(), Vec::new()));
        }
        if targets.is_empty() {
            for stage in self.stages() {
                let params = stage.params.iter();
                wanted.extend(params.map(|file| (file.at.clone(), file.keys.clone().unwrap_or_default())));
            }
            if !deps_only {
                let listed = self.pipelines.iter().flat_map(|file| &file.params);
                wanted.extend(listed.map(|path| (path.clone(), Vec::new())));
                if self.files.read("params.yaml")?.is_some() {
                    wanted.push(("params.yaml".to_owned(), Vec::new()));
                }
            }
        }
        let mut paths: Vec<String> = wanted.iter().map(|(path, _)| path.clone()).collect();
        distinct(&mut paths);
        let mut found = Vec::new();
        for path in paths {
            let of_path = || wanted.iter().filter(|(at, _)| *at == path).map(|(_, keys)| keys);
            let is_whole = of_path().any(Vec::is_empty);
            let value = self.value(&path)?.map(|node| {
                if is_whole {
                    return node.to_json();
                }
                let mut picked = Json::Object(Map::new());
                for key in of_path().flatten() {
                    if let Some(value) = node.find_path(key) {
                        put(&mut picked, key, value.to_json());
                    }
                }
                picked
            });
            found.push((path, value));
        }
        Ok(found)
    }

    fn value(&self, path: &str) -> Result<std::result::Result<Node, String>> {
        let Some(bytes) = self.bytes(path)? else {
            return Ok(Err(format!("`{path}` does not exist")));
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(
            param_files::parse_any(path, &text).map_err(|error| match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            }),
        )
    }

    /// Artifacts by id, of every pipeline file; those of a folder begin with it.
    pub fn artifacts(&self) -> BTreeMap<String, Json> {
        let mut artifacts = BTreeMap::new();
        for file in &self.pipelines {
            for (id, node) in &file.artifacts {
                let id = match &*file.path {
                    PIPELINE_FILE => id.clone(),
                    path => format!("{}:{id}", folder_of(path)),
                };
                artifacts.insert(id, node.to_json());
            }
        }
        artifacts
    }
}

fn distinct(paths: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
}

/// Numbers and texts; whatever else there is does not count as a metric.
fn only_metrics(node: &Node) -> Option<Json> {
    match &node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Str(_) => Some(node.to_json()),
        Value::Map(entries) => {
            let kept: Map<String, Json> = entries
                .iter()
                .filter_map(|(key, value)| Some((key.to_key(), only_metrics(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Json::Object(kept))
        }
        Value::Null | Value::List(_) => None,
    }
}

/// Puts a value at a dotted key, making the maps on the way.
fn put(json: &mut Json, key: &str, value: Json) {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let Json::Object(entries) = json else {
        return;
    };
    match rest {
        None => {
            entries.insert(first.to_owned(), value);
        }
        Some(rest) => {
            let inner = entries.entry(first).or_insert_with(|| Json::Object(Map::new()));
            put(inner, rest, value);
        }
    }
}
