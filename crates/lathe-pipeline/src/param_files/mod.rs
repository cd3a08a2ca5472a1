//! Files of parameters in every format that DVC reads. What a stage takes from them is decided elsewhere.

mod python;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::states::Files;
use crate::yaml::{Node, Value, read};
use crate::{Error, Result};

/// Files of parameters, each parsed once for as long as it is not written again.
pub struct ParamFiles {
    source: Source,
    loaded: Mutex<HashMap<String, Loaded>>,
}

enum Source {
    /// The folder that paths are relative to.
    Disk(PathBuf),
    /// A state of the repository, which does not change.
    State(Arc<dyn Files>),
}

impl std::fmt::Debug for ParamFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ParamFiles")
    }
}

#[derive(Debug, Clone)]
struct Loaded {
    /// Modification time, size and inode.
    mark: (i64, i64, u64, u64),
    values: Arc<Node>,
}

impl ParamFiles {
    /// Of a repository.
    pub fn new(root: &Path) -> Self {
        Self {
            source: Source::Disk(root.to_owned()),
            loaded: Mutex::default(),
        }
    }

    /// Of a state of the repository.
    pub fn of(files: Arc<dyn Files>) -> Self {
        Self {
            source: Source::State(files),
            loaded: Mutex::default(),
        }
    }

    /// The map that the file holds; `None` if there is no such file.
    pub fn load(&self, at: &str) -> Result<Option<Arc<Node>>> {
        let root = match &self.source {
            Source::Disk(root) => root,
            Source::State(files) => {
                let Some(bytes) = files.read(at)? else {
                    return Ok(None);
                };
                return parse(at, &String::from_utf8_lossy(&bytes)).map(|node| Some(Arc::new(node)));
            }
        };
        let path = root.join(at);
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::read(&path)(error)),
        };
        if !meta.is_file() {
            return Err(Error::Format {
                file: at.to_owned(),
                problem: "it is no file of parameters".to_owned(),
            });
        }
        let mark = (meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino());
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(at).filter(|known| known.mark == mark) {
            return Ok(Some(known.values.clone()));
        }
        let text = std::fs::read_to_string(&path).map_err(Error::read(&path))?;
        let values = Arc::new(parse(at, &text)?);
        let known = Loaded {
            mark,
            values: values.clone(),
        };
        loaded.insert(at.to_owned(), known);
        Ok(Some(values))
    }
}

/// Reads parameters, which are a map.
pub fn parse(at: &str, text: &str) -> Result<Node> {
    let node = parse_any(at, text)?;
    match node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Ok(Node::new(Value::Map(Vec::new()))),
        _ => Err(Error::Format {
            file: at.to_owned(),
            problem: format!("it holds {} and no parameters", node.kind()),
        }),
    }
}

/// Reads values by the suffix of their file: `.toml`, `.json`, `.py`, else YAML.
pub fn parse_any(at: &str, text: &str) -> Result<Node> {
    let format = |problem: String| Error::Format {
        file: at.to_owned(),
        problem,
    };
    Ok(
        match Path::new(at).extension().and_then(|suffix| suffix.to_str()) {
            Some("toml") => {
                let table: toml::Table = text
                    .parse()
                    .map_err(|error: toml::de::Error| format(error.message().to_owned()))?;
                from_toml(toml::Value::Table(table))
            }
            Some("json") => {
                let json: serde_json::Value =
                    serde_json::from_str(text).map_err(|error| format(error.to_string()))?;
                Node::from_json(&json)
            }
            Some("py") => {
                python::parse(text).map_err(|(line, problem)| format(format!("line {line}: {problem}")))?
            }
            _ => read(text).map_err(|source| Error::syntax(at, text, source))?,
        },
    )
}

fn from_toml(value: toml::Value) -> Node {
    Node::new(match value {
        toml::Value::String(text) => Value::Str(text),
        toml::Value::Integer(int) => Value::Int(int.into()),
        toml::Value::Float(float) => Value::Float(float),
        toml::Value::Boolean(boolean) => Value::Bool(boolean),
        toml::Value::Datetime(time) => Value::Str(time.to_string()),
        toml::Value::Array(items) => Value::List(items.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => Value::Map(
            table
                .into_iter()
                .map(|(key, value)| (Node::text(key), from_toml(value)))
                .collect(),
        ),
    })
}
