use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lathe_data::{Content, Repo, hash_path};

use crate::Result;
use crate::external::{self, is_path};
use crate::lock::{LockEntry, LockedPath, Mark};
use crate::project::Project;
use crate::stage::{Kind, ParamFile, Stage};
use crate::yaml::{Node, Value};

/// What the workspace and the cache hold, as far as some stages are concerned.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By path relative to the repository; `None` where nothing is.
    contents: HashMap<String, Option<Content>>,
    /// By URL or dataset; `None` where nothing is.
    external: HashMap<String, Option<LockedPath>>,
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
        project: &Project,
        stage: &Stage,
        locked: Option<&LockEntry>,
    ) -> Result<()> {
        self.look_at_inputs(repo, project, stage)?;
        self.look_at_outs(repo, project, stage)?;
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
    pub fn look_at_inputs(&mut self, repo: &Repo, project: &Project, stage: &Stage) -> Result<()> {
        for dep in &stage.deps {
            match Kind::of(&dep.at) {
                Kind::Path => self.hash(repo, &dep.at)?,
                Kind::Url => self.look_external(project, &dep.at)?,
                Kind::Dataset => {
                    let entry = external::dataset(project.datasets(), &dep.at, stage)?;
                    self.external.insert(dep.at.clone(), entry);
                }
            }
        }
        for file in &stage.params {
            if !self.params.contains_key(&file.at) {
                self.params
                    .insert(file.at.clone(), project.param_files().load(&file.at)?);
            }
        }
        Ok(())
    }

    /// Adds the stage's outputs.
    pub fn look_at_outs(&mut self, repo: &Repo, project: &Project, stage: &Stage) -> Result<()> {
        for out in &stage.outs {
            match is_path(&out.at) {
                true => self.hash(repo, &out.at)?,
                false => self.look_external(project, &out.at)?,
            }
        }
        Ok(())
    }

    fn look_external(&mut self, project: &Project, url: &str) -> Result<()> {
        if !self.external.contains_key(url) {
            let entry = project.reach().look(url)?;
            self.external.insert(url.to_owned(), entry);
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

    /// By what it is noticed that something that was looked at changed: its md5, or what stands in its place.
    pub fn identity(&self, at: &str) -> Option<&str> {
        match is_path(at) {
            true => self.content(at).map(|content| content.hashed.md5.as_str()),
            false => Some(self.external.get(at)?.as_ref()?.hashed.md5.as_str()),
        }
    }

    /// The entry of the lock for something that was looked at, by the path that its stage writes.
    pub fn entry(&self, path: &str, at: &str) -> Option<LockedPath> {
        match is_path(at) {
            true => self.content(at).map(|content| LockedPath {
                path: path.to_owned(),
                hashed: content.hashed.clone(),
                mark: Mark::Md5,
            }),
            false => self.external.get(at)?.clone(),
        }
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
