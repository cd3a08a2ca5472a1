use std::io::ErrorKind;
use std::path::Path;

use crate::yaml::{Node, Value, read};
use crate::{Error, Result};

/// Reads a file of parameters, by its suffix; `None` if there is no such file.
pub fn load(root: &Path, at: &str) -> Result<Option<Node>> {
    let path = root.join(at);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(&path)(error)),
    };
    let format = |problem: String| Error::Format {
        file: at.to_owned(),
        problem,
    };
    let node = match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("toml") => {
            let json: serde_json::Value =
                toml::from_str(&text).map_err(|error| format(error.message().to_owned()))?;
            Node::from_json(&json)
        }
        Some("json") => {
            let json: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
            Node::from_json(&json)
        }
        Some("py") => {
            return Err(format(
                "parameters in Python files are not supported; move them to YAML, JSON or TOML".to_owned(),
            ));
        }
        _ => read(&text).map_err(|source| Error::Syntax {
            file: at.to_owned(),
            source,
        })?,
    };
    match node.value {
        Value::Map(_) => Ok(Some(node)),
        Value::Null => Ok(Some(Node::new(Value::Map(Vec::new())))),
        _ => Err(format(format!("it holds {} and no parameters", node.kind()))),
    }
}
