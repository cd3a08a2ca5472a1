use std::path::{Path, PathBuf};

use crate::dvc_file::{DvcFile, Origin, Recorded};
use crate::{Error, Repo, Result, Tree, paths};

/// What data is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataKind {
    /// Anything.
    #[default]
    Plain,
    /// A stage lists it under `metrics`.
    Metric,
    /// A stage lists it under `plots`.
    Plot,
}

/// A file or folder under version control, whichever file says so.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Where it is: absolute.
    pub at: PathBuf,
    /// The `.dvc` or `dvc.yaml` file that tracks it, absolute.
    pub file: PathBuf,
    /// The stage of a `dvc.yaml` that makes it.
    pub stage: Option<String>,
    /// What it was last.
    pub recorded: Option<Recorded>,
    /// Whether its content is kept in the cache.
    pub is_cached: bool,
    /// Whether only a remote keeps its content, as versions of files under their own names.
    pub is_versioned: bool,
    /// Whether its content goes to remotes.
    pub is_pushed: bool,
    /// The remote that it goes to, if not to the default one.
    pub remote: Option<String>,
    /// What it is made of: absolute.
    pub deps: Vec<PathBuf>,
    /// What it is for.
    pub kind: DataKind,
    /// Where it comes from, if it was imported.
    pub origin: Option<Origin>,
}

impl Tracked {
    /// What a `.dvc` file tracks.
    pub fn of_dvc_file(file: &DvcFile) -> Vec<Self> {
        let is_import = file.is_repo_import();
        let outs = file.outs().iter().map(|out| Self {
            at: file.place_of(out),
            file: file.path().to_owned(),
            stage: None,
            recorded: out.recorded.clone(),
            is_cached: out.is_cached() && !out.has_files(),
            is_versioned: out.is_cached() && out.has_files(),
            is_pushed: out.is_pushed() && !is_import,
            remote: out.remote().map(str::to_owned),
            deps: file.local_deps(),
            kind: DataKind::Plain,
            origin: file.origin(),
        });
        outs.collect()
    }

    /// The file, and the stage if there is one, as seen from a folder.
    pub fn address(&self, folder: &Path) -> String {
        let file = paths::relative(&self.file, folder);
        match &self.stage {
            Some(stage) if file == "dvc.yaml" => stage.clone(),
            Some(stage) => format!("{file}:{stage}"),
            None => file,
        }
    }

    /// Whether it belongs to another git repository, which keeps it.
    pub fn is_repo_import(&self) -> bool {
        matches!(self.origin, Some(Origin::Repo { .. }))
    }

    /// Its path as seen from a folder.
    pub fn shown(&self, folder: &Path) -> String {
        paths::relative(&self.at, folder)
    }
}

/// Something tracked, or a part of it.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// What.
    pub out: &'a Tracked,
    /// A path inside of a folder, `/` separated.
    pub within: Option<String>,
}

impl Selected<'_> {
    /// The files of a folder that were meant.
    pub fn part_of(&self, tree: &Tree) -> Tree {
        match &self.within {
            None => tree.clone(),
            Some(within) => tree.below(within),
        }
    }
}

/// How targets are to be understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection {
    /// A folder means all that is tracked in it.
    pub recursive: bool,
    /// Also what the targets are made of.
    pub with_deps: bool,
}

/// Finds what the targets, relative to `folder`, mean: `.dvc` files, outputs, paths inside of folders, stages. Without
/// any all is meant.
pub fn select<'a>(
    repo: &Repo,
    all: &'a [Tracked],
    targets: &[String],
    folder: &Path,
    selection: Selection,
) -> Result<Vec<Selected<'a>>> {
    let whole = |out| Selected { out, within: None };
    if targets.is_empty() {
        return Ok(all.iter().map(whole).collect());
    }
    let mut selected: Vec<Selected<'a>> = Vec::new();
    for target in targets {
        let path = paths::normal(&folder.join(target));
        let before = selected.len();
        for out in all {
            let is_meant = out.at == path
                || out.file == path
                || (selection.recursive && out.at.starts_with(&path))
                || is_stage(out, target, folder, repo);
            if is_meant {
                selected.push(whole(out));
            } else if let Ok(within) = path.strip_prefix(&out.at)
                && out.recorded.as_ref().is_some_and(Recorded::is_folder)
            {
                let within = Some(within.to_string_lossy().into_owned());
                selected.push(Selected { out, within });
            }
        }
        let is_folder_of_none = selection.recursive && path.is_dir();
        if selected.len() == before && !is_folder_of_none {
            return Err(Error::UnknownTarget {
                target: target.clone(),
            });
        }
    }
    if selection.with_deps {
        add_upstream(all, &mut selected);
    }
    Ok(selected)
}

fn is_stage(out: &Tracked, target: &str, folder: &Path, repo: &Repo) -> bool {
    let Some(stage) = &out.stage else { return false };
    let (file, name) = match target.rsplit_once(':') {
        Some((file, name)) => (paths::normal(&folder.join(file)), name),
        None => (folder.join("dvc.yaml"), target),
    };
    let root_file = repo.root().join("dvc.yaml");
    let group = stage.split('@').next().unwrap_or_default();
    (out.file == file || (!target.contains(':') && out.file == root_file)) && (stage == name || group == name)
}

fn add_upstream<'a>(all: &'a [Tracked], selected: &mut Vec<Selected<'a>>) {
    let mut next = 0;
    while next < selected.len() {
        let deps = selected[next].out.deps.clone();
        for out in all {
            let is_dep = deps
                .iter()
                .any(|dep| dep.starts_with(&out.at) || out.at.starts_with(dep));
            if is_dep && !selected.iter().any(|known| std::ptr::eq(known.out, out)) {
                selected.push(Selected { out, within: None });
            }
        }
        next += 1;
    }
}
