use std::path::Path;

use crate::yaml::{Node, Value};
use crate::{Result, param_files};

/// What templates of a pipeline see: `params.yaml` beside it, if it is there.
pub fn base(root: &Path) -> Result<Node> {
    let params = param_files::load(root, "params.yaml")?;
    Ok(params.unwrap_or_else(|| Node::new(Value::Map(Vec::new()))))
}

/// Why `vars` cannot be used: an error of its own, or a problem at this entry.
pub enum VarsError {
    /// A file that cannot be read.
    File(crate::Error),
    /// What is wrong with the entry.
    Problem(String),
}

/// Adds the entries of `vars`: files, keys of files (`path:key1,key2`) and maps.
pub fn extend(context: &mut Node, vars: &Node, root: &Path, folder: &str) -> Result<(), VarsError> {
    let Value::List(entries) = &vars.value else {
        return Err(VarsError::Problem(format!("is {}, not a list", vars.kind())));
    };
    for entry in entries {
        match &entry.value {
            Value::Map(_) => merge(context, entry, "")?,
            Value::Str(text) => {
                let (path, keys) = match text.split_once(':') {
                    Some((path, keys)) => (path, Some(keys)),
                    None => (text.as_str(), None),
                };
                let at = crate::stage::joined(folder, path);
                // It is the base already; naming it again changes nothing.
                if at == "params.yaml" {
                    continue;
                }
                let file = param_files::load(root, &at)
                    .map_err(VarsError::File)?
                    .ok_or_else(|| VarsError::Problem(format!("the file `{path}` does not exist")))?;
                match keys {
                    None => merge(context, &file, "")?,
                    Some(keys) => merge(context, &selected(&file, path, keys)?, "")?,
                }
            }
            _ => {
                return Err(VarsError::Problem(format!(
                    "holds {}, which is neither a file nor a map",
                    entry.kind()
                )));
            }
        }
    }
    Ok(())
}

fn selected(file: &Node, path: &str, keys: &str) -> Result<Node, VarsError> {
    let mut entries = Vec::new();
    for key in keys.split(',').map(str::trim) {
        let value = file
            .find_path(key)
            .ok_or_else(|| VarsError::Problem(format!("`{path}` has no `{key}`")))?;
        let mut nested = value.clone();
        let mut parts: Vec<_> = key.split('.').collect();
        let first = parts.remove(0);
        for part in parts.into_iter().rev() {
            nested = Node::new(Value::Map(vec![(Node::text(part), nested)]));
        }
        entries.push((Node::text(first), nested));
    }
    Ok(Node::new(Value::Map(entries)))
}

fn merge(into: &mut Node, from: &Node, prefix: &str) -> Result<(), VarsError> {
    let (Value::Map(entries), Some(added)) = (&mut into.value, from.as_map()) else {
        return Err(VarsError::Problem(format!("redefines `{prefix}`")));
    };
    for (key, value) in added {
        let name = if prefix.is_empty() {
            key.to_key()
        } else {
            format!("{prefix}.{}", key.to_key())
        };
        match entries.iter_mut().find(|(k, _)| k == key) {
            None => entries.push((key.clone(), value.clone())),
            Some((_, old)) if old.as_map().is_some() && value.as_map().is_some() => {
                merge(old, value, &name)?;
            }
            Some(_) => return Err(VarsError::Problem(format!("redefines `{name}`"))),
        }
    }
    Ok(())
}
