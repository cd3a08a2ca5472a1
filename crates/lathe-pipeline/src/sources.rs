use std::collections::BTreeSet;
use std::path::Path;

use lathe_data::{DvcFile, Repo, SUFFIX, relative_path};

use crate::error::similar;
use crate::project::Selection;
use crate::stage::joined;
use crate::{Error, Project, Result};

/// Data that people added: a `.dvc` file, which stands at the beginning of pipelines.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where the file is, relative to the repository.
    pub path: String,
    /// What it tracks, relative to the repository.
    pub outs: Vec<String>,
    /// What it says.
    pub file: DvcFile,
}

impl Source {
    /// Every one of a repository, by path.
    pub fn all(repo: &Repo) -> Result<Vec<Self>> {
        let collected = lathe_data::collect(repo)?;
        let relative = |path: &Path| relative_path(path, repo.root());
        let sources = collected.dvc_files.into_iter().map(|file| Self {
            path: relative(file.path()),
            outs: file
                .outs()
                .iter()
                .map(|out| relative(&file.place_of(out)))
                .collect(),
            file,
        });
        Ok(sources.collect())
    }
}

/// Whether a target names a `.dvc` file.
pub fn is_source(target: &str) -> bool {
    target.ends_with(SUFFIX)
}

impl Project {
    /// The sources that a selection is about: what its stages are made of, what it names, and all if it is all.
    pub fn sources_of(&self, selection: &Selection) -> Result<Vec<&Source>> {
        if selection.all {
            return Ok(self.sources.iter().collect());
        }
        let mut wanted = BTreeSet::new();
        for target in &selection.targets {
            wanted.extend(self.source(target, selection)?);
            if selection.recursive {
                let folder = joined(&selection.folder, target.trim_end_matches('/'));
                let inside = |path: &str| folder.is_empty() || path.starts_with(&format!("{folder}/"));
                let below = self.sources.iter().enumerate();
                wanted.extend(below.filter(|(_, source)| inside(&source.path)).map(|(at, _)| at));
            }
        }
        if !selection.single || selection.pipeline {
            let stages = self.select(selection)?;
            let read = stages.iter().filter(|index| !self.stages[**index].frozen);
            wanted.extend(read.flat_map(|index| self.graph.reads[*index].iter().copied()));
        }
        Ok(wanted.into_iter().map(|at| &self.sources[at]).collect())
    }

    /// The source that a target names; an error if it looks like one and there is none.
    pub(crate) fn source(&self, target: &str, selection: &Selection) -> Result<Option<usize>> {
        if !is_source(target) {
            return Ok(None);
        }
        let path = joined(&selection.folder, target);
        let found = self.sources.iter().position(|source| source.path == path);
        if found.is_none() {
            return Err(Error::UnknownTarget {
                target: target.to_owned(),
                similar: similar(&path, self.sources.iter().map(|source| source.path.as_str())),
            });
        }
        Ok(found)
    }
}
