use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lathe_data::{Content, Repo, hash_path};

use crate::Result;
use crate::lock::LockEntry;
use crate::param_files::ParamFiles;
use crate::stage::{ParamFile, Stage};
use crate::yaml::{Node, Value};

/// What the workspace and the cache hold, as far as some stages are concerned.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By path relative to the repository; `None` where nothing is.
    contents: HashMap<String, Option<Content>>,
    /// Files of parameters; `None` where nothing is.
    params: HashMap<String, Option<Arc<Node>>>,
    /// Objects of outputs that the cache holds.
    pub cached: HashSet<String>,
}

impl Snapshot {
    /// Adds what decides over the stage.
    pub fn look_at(
        &mut self,
        repo: &Repo,
        params: &ParamFiles,
        stage: &Stage,
        locked: Option<&LockEntry>,
    ) -> Result<()> {
        self.look_at_inputs(repo, params, stage)?;
        self.look_at_outs(repo, stage)?;
        for out in locked.map_or(&[][..], |entry| &entry.outs) {
            self.look_for(repo, &out.hashed.md5)?;
        }
        Ok(())
    }

    /// Adds whether the cache holds the object.
    pub fn look_for(&mut self, repo: &Repo, md5: &str) -> Result<()> {
        if !self.cached.contains(md5) && repo.cache().holds(md5)? {
            self.cached.insert(md5.to_owned());
        }
        Ok(())
    }

    /// Adds the stage's deps and params.
    pub fn look_at_inputs(&mut self, repo: &Repo, params: &ParamFiles, stage: &Stage) -> Result<()> {
        for dep in &stage.deps {
            self.hash(repo, &dep.at)?;
        }
        for file in &stage.params {
            if !self.params.contains_key(&file.at) {
                self.params.insert(file.at.clone(), params.load(&file.at)?);
            }
        }
        Ok(())
    }

    /// Adds the stage's outputs.
    pub fn look_at_outs(&mut self, repo: &Repo, stage: &Stage) -> Result<()> {
        for out in &stage.outs {
            self.hash(repo, &out.at)?;
        }
        Ok(())
    }

    fn hash(&mut self, repo: &Repo, at: &str) -> Result<()> {
        if !self.contents.contains_key(at) {
            let content = hash_path(repo, &repo.root().join(at))?;
            self.contents.insert(at.to_owned(), content);
        }
        Ok(())
    }

    /// What is at a path that was looked at.
    pub fn content(&self, at: &str) -> Option<&Content> {
        self.contents.get(at)?.as_ref()
    }

    /// The values that a stage takes from a file, by key; `None` for a key that is missing.
    pub fn values(&self, file: &ParamFile) -> Option<Vec<(String, Option<&Node>)>> {
        let loaded = self.params.get(&file.at)?.as_ref()?;
        Some(match &file.keys {
            Some(keys) => keys
                .iter()
                .map(|key| (key.clone(), loaded.find_path(key)))
                .collect(),
            None => match &loaded.value {
                Value::Map(entries) => entries
                    .iter()
                    .map(|(key, value)| (key.to_key(), Some(value)))
                    .collect(),
                _ => Vec::new(),
            },
        })
    }
}
