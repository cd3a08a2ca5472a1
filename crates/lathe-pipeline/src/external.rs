//! What stages read or write that is no file of this machine: what lies behind URLs, which the caller reaches, and
//! datasets, of which `dvc.lock` keeps what they were when they were updated last.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::lock::{LockedPath, Mark};
use crate::pipeline_file::PipelineFile;
use crate::stage::{Kind, Stage};
use crate::yaml::{Node, Value, read, to_python_json};
use crate::{Error, Result};

/// Why something could not be reached.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reaches what lies behind URLs.
pub trait External: Send + Sync {
    /// What is there, without reading all of it where that can be helped; nothing if there is nothing.
    fn look(&self, url: &str) -> std::result::Result<Option<Seen>, Failure>;
    /// Removes what is there; nothing there is fine.
    fn remove(&self, url: &str) -> std::result::Result<(), Failure>;
}

/// What is known of something behind a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// By what a change is noticed.
    pub by: SeenBy,
    /// Its value.
    pub value: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Files of a folder.
    pub nfiles: Option<u64>,
}

/// By what a change of something behind a URL is noticed; the name is the key in `dvc.lock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenBy {
    /// `md5`, of the bytes, or of the list of a folder's files.
    Md5,
    /// `etag`
    Etag,
    /// `checksum`
    Checksum,
}

/// What reaches URLs for a project.
#[derive(Clone)]
pub struct Reach(pub Arc<dyn External>);

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reach")
    }
}

impl Reach {
    /// What lies behind a URL, as an entry of the lock.
    pub(crate) fn look(&self, url: &str) -> Result<Option<LockedPath>> {
        let failed = |source| Error::External {
            url: url.to_owned(),
            source,
        };
        let seen = self.0.look(url).map_err(failed)?;
        Ok(seen.map(|seen| LockedPath {
            path: url.to_owned(),
            hashed: lathe_data::Hashed {
                md5: seen.value,
                size: seen.size.unwrap_or(0),
                nfiles: seen.nfiles,
                is_exec: false,
            },
            mark: match seen.by {
                SeenBy::Md5 => Mark::Md5,
                SeenBy::Etag => Mark::Server("etag", seen.size),
                SeenBy::Checksum => Mark::Server("checksum", seen.size),
            },
        }))
    }

    /// Removes what lies behind a URL.
    pub(crate) fn remove(&self, url: &str) -> Result<()> {
        self.0.remove(url).map_err(|source| Error::External {
            url: url.to_owned(),
            source,
        })
    }
}

/// Nothing: for who only looks at definitions.
#[derive(Debug)]
struct Nowhere;

impl External for Nowhere {
    fn look(&self, _: &str) -> std::result::Result<Option<Seen>, Failure> {
        Err("nothing was told to reach URLs here".into())
    }

    fn remove(&self, _: &str) -> std::result::Result<(), Failure> {
        Err("nothing was told to reach URLs here".into())
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self(Arc::new(Nowhere))
    }
}

/// A dataset that a pipeline file lists.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name, which `ds://` precedes.
    pub name: String,
    /// The pipeline file, relative to the repository.
    pub file: String,
    /// As the file has it.
    pub spec: Node,
    /// What it was when it was updated last, if that was after it was written down like this.
    pub locked: Option<Node>,
}

impl Dataset {
    /// All of the pipeline files, by name; of two with one name the last counts, as in DVC.
    pub(crate) fn all(root: &Path, files: &[PipelineFile]) -> Result<HashMap<String, Self>> {
        let mut found = HashMap::new();
        for file in files.iter().filter(|file| !file.datasets.is_empty()) {
            let lock = Path::new(&*file.path).with_extension("lock");
            let locked = locked_datasets(&root.join(&lock), &lock.display().to_string())?;
            for spec in &file.datasets {
                let name = spec.find("name").and_then(Node::as_str).unwrap_or_default();
                let same = |entry: &&Node| entry.find("name").and_then(Node::as_str) == Some(name);
                let dataset = Self {
                    name: name.to_owned(),
                    file: file.path.to_string(),
                    spec: spec.clone(),
                    locked: locked
                        .iter()
                        .find(same)
                        .filter(|entry| is_of(entry, spec))
                        .cloned(),
                };
                found.insert(name.to_owned(), dataset);
            }
        }
        Ok(found)
    }

    /// As an entry of a stage that reads it.
    fn as_entry(&self) -> Option<LockedPath> {
        let locked = self.locked.clone()?;
        Some(LockedPath {
            path: format!("ds://{}", self.name),
            hashed: lathe_data::Hashed {
                md5: to_python_json(&locked),
                size: 0,
                nfiles: None,
                is_exec: false,
            },
            mark: Mark::Dataset(locked),
        })
    }
}

/// Whether the entry of a lock is of the dataset as it is written down.
fn is_of(locked: &Node, spec: &Node) -> bool {
    let kind = spec.find("type").and_then(Node::as_str);
    let keys: &[&str] = match kind {
        Some("dvc") => &["name", "url", "type", "path", "rev"],
        _ => &["name", "url", "type"],
    };
    let text = |node: &Node, key: &str| {
        let value = node.find(key).filter(|value| !matches!(value.value, Value::Null));
        value.map(Node::to_key).unwrap_or_default()
    };
    keys.iter().all(|key| text(locked, key) == text(spec, key))
}

fn locked_datasets(path: &Path, shown: &str) -> Result<Vec<Node>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(path)(error)),
    };
    // The entries of stages are not parsed for this.
    let Some(at) = text.find("\ndatasets:") else {
        return Ok(Vec::new());
    };
    let section = &text[at + 1..];
    let end = section
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .find(|at| !section[*at..].starts_with([' ', '-', '#', '\n']))
        .unwrap_or(section.len());
    let document = read(&section[..end]).map_err(|source| Error::syntax(shown, &text, source))?;
    match document.find("datasets").map(|node| &node.value) {
        Some(Value::List(items)) => Ok(items.clone()),
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err(Error::Format {
            file: shown.to_owned(),
            problem: "its `datasets` are no list".to_owned(),
        }),
    }
}

/// The dataset that `ds://name` means, as an entry of the lock of `stage`; nothing if it never was updated.
pub(crate) fn dataset(
    datasets: &HashMap<String, Dataset>,
    url: &str,
    stage: &Stage,
) -> Result<Option<LockedPath>> {
    let name = url.strip_prefix("ds://").unwrap_or(url);
    let Some(dataset) = datasets.get(name) else {
        return Err(Error::UnknownDataset {
            stage: stage.address(),
            name: name.to_owned(),
            similar: crate::error::similar(name, datasets.keys().map(String::as_str)),
        });
    };
    Ok(dataset.as_entry())
}

/// Whether something is looked for in the workspace.
pub(crate) fn is_path(at: &str) -> bool {
    Kind::of(at) == Kind::Path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        read(text).unwrap()
    }

    #[test]
    fn a_lock_counts_as_long_as_the_dataset_is_written_down_the_same() {
        let locked = node("{name: d, url: u, type: dvc, path: p, rev: main, rev_lock: abc}");
        assert!(is_of(
            &locked,
            &node("{name: d, url: u, type: dvc, path: p, rev: main}")
        ));
        assert!(!is_of(&locked, &node("{name: d, url: u, type: dvc, path: p}")));
        assert!(!is_of(
            &locked,
            &node("{name: d, url: u, type: dvc, path: q, rev: main}")
        ));
        let other = node("{name: d, url: u, type: dc, version: 3, created_at: x}");
        assert!(is_of(&other, &node("{name: d, url: u, type: dc}")));
    }

    #[test]
    fn datasets_are_found_before_and_after_the_stages_of_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dvc.lock");
        let stages = "stages:\n  a:\n    cmd: x\n";
        let datasets = "datasets:\n- name: d\n  url: u\n";
        for text in [
            format!("schema: '2.0'\n{stages}{datasets}"),
            format!("schema: '2.0'\n{datasets}{stages}"),
            format!("schema: '2.0'\n{datasets}stages: {{}}\n"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let found = locked_datasets(&path, "dvc.lock").unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].find("url").and_then(Node::as_str), Some("u"));
        }
        std::fs::write(&path, format!("schema: '2.0'\n{stages}")).unwrap();
        assert!(locked_datasets(&path, "dvc.lock").unwrap().is_empty());
    }
}
