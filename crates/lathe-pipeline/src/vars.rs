use std::collections::HashMap;

use crate::param_files::ParamFiles;
use crate::template::interpolates;
use crate::yaml::{Node, Value};

const DEFAULT: &str = "params.yaml";

/// What templates of a pipeline file, or of one stage of it, see: files of parameters and `vars`, merged into one map.
#[derive(Debug, Clone)]
pub struct Context {
    /// The map.
    pub values: Node,
    /// The files in it: with the keys that were taken, or as a whole.
    files: HashMap<String, Option<Vec<String>>>,
    /// Set for each member of a group, so that `vars` cannot.
    reserved: Vec<String>,
}

/// Why `vars` cannot be used: an error of its own, or a problem at this entry.
pub enum VarsError {
    /// A file that cannot be read.
    File(crate::Error),
    /// What is wrong with the entry.
    Problem(String),
}

impl Context {
    /// Of the pipeline file in `folder`: `params.yaml` beside it, if it is there.
    pub fn of(folder: &str, files: &ParamFiles) -> crate::Result<Self> {
        let at = crate::stage::joined(folder, DEFAULT);
        let mut context = Self {
            values: Node::new(Value::Map(Vec::new())),
            files: HashMap::new(),
            reserved: Vec::new(),
        };
        if let Some(params) = files.load(&at)? {
            if let Value::Map(entries) = &params.value {
                let visible = entries.iter().filter(|(key, _)| key.as_str().is_some());
                context.values = Node::new(Value::Map(visible.cloned().collect()));
            }
            context.files.insert(at, None);
        }
        Ok(context)
    }

    /// The same, where these keys cannot be set any more.
    pub fn reserving(&self, keys: impl IntoIterator<Item = String>) -> Self {
        let mut context = self.clone();
        context.reserved.extend(keys);
        context
    }

    /// Adds the entries of `vars`: files, keys of files (`path:key1,key2`) and maps.
    pub fn extend(&mut self, vars: &Node, files: &ParamFiles, folder: &str) -> Result<(), VarsError> {
        let problem = |text: String| Err(VarsError::Problem(text));
        let entries = match &vars.value {
            Value::List(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return problem(format!("is {}, not a list", vars.kind())),
        };
        if interpolates(vars) {
            return problem("uses a template: `vars` may not".to_owned());
        }
        for entry in entries {
            match &entry.value {
                Value::Map(_) => self.merge(entry)?,
                Value::Str(text) => self.add_file(text, files, folder)?,
                _ => {
                    return problem(format!(
                        "holds {}, which is neither a file nor a map",
                        entry.kind()
                    ));
                }
            }
        }
        Ok(())
    }

    fn add_file(&mut self, text: &str, files: &ParamFiles, folder: &str) -> Result<(), VarsError> {
        let (path, keys) = text.split_once(':').unwrap_or((text, ""));
        let keys: Vec<String> = keys
            .split(',')
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect();
        let at = crate::stage::joined(folder, path);
        match self.files.get(&at) {
            // It is there already; naming it again changes nothing.
            Some(None) if keys.is_empty() => return Ok(()),
            Some(None) => {
                return Err(VarsError::Problem(format!(
                    "takes keys of `{path}`, which is loaded already as a whole"
                )));
            }
            Some(Some(taken)) if keys.is_empty() || keys.iter().any(|key| taken.contains(key)) => {
                return Err(VarsError::Problem(format!(
                    "loads `{text}`, of which a part is loaded already"
                )));
            }
            _ => {}
        }
        let file = files.load(&at).map_err(VarsError::File)?;
        let file = file.ok_or_else(|| VarsError::Problem(format!("the file `{path}` does not exist")))?;
        if keys.is_empty() {
            self.merge(&file)?;
            self.files.insert(at, None);
            return Ok(());
        }
        let mut selected = Vec::new();
        for key in &keys {
            let value = file
                .find(key)
                .ok_or_else(|| VarsError::Problem(format!("`{path}` has no `{key}`")))?;
            selected.push((Node::text(key), value.clone()));
        }
        self.merge(&Node::new(Value::Map(selected)))?;
        let taken = self.files.entry(at).or_insert_with(|| Some(Vec::new()));
        if let Some(taken) = taken {
            taken.extend(keys);
        }
        Ok(())
    }

    fn merge(&mut self, from: &Node) -> Result<(), VarsError> {
        let sets = |key: &&String| from.find(key).is_some();
        if let Some(key) = self.reserved.iter().find(sets) {
            return Err(VarsError::Problem(format!(
                "sets `{key}`, which each stage of the group has of its own"
            )));
        }
        merge(&mut self.values, from, "")
    }
}

fn merge(into: &mut Node, from: &Node, prefix: &str) -> Result<(), VarsError> {
    let (Value::Map(entries), Some(added)) = (&mut into.value, from.as_map()) else {
        return Err(VarsError::Problem(format!("redefines `{prefix}`")));
    };
    for (key, value) in added {
        // Keys that are no text cannot be named in a template.
        let Some(key_text) = key.as_str() else {
            continue;
        };
        let name = if prefix.is_empty() {
            key_text.to_owned()
        } else {
            format!("{prefix}.{key_text}")
        };
        match entries.iter_mut().find(|(k, _)| k.as_str() == Some(key_text)) {
            None => entries.push((key.clone(), value.clone())),
            Some((_, old)) if old.as_map().is_some() && value.as_map().is_some() => {
                merge(old, value, &name)?;
            }
            Some(_) => return Err(VarsError::Problem(format!("redefines `{name}`"))),
        }
    }
    Ok(())
}
