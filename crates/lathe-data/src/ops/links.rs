//! Which data was put into the workspace, so that what a checkout leaves behind can be removed: what nobody tracks any
//! more, if it is still as it was and the cache holds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dvc_file::DvcFile;
use crate::{Repo, Result, Tracked, hash_path, paths, write};

type Links = BTreeMap<String, String>;

fn file(repo: &Repo) -> PathBuf {
    repo.tmp().join("lathe-links.json")
}

/// What cannot be read is forgotten: then nothing is removed.
fn load(repo: &Repo) -> Links {
    let bytes = std::fs::read(file(repo)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn save(repo: &Repo, links: &Links) -> Result<()> {
    let json = serde_json::to_vec(links).expect("a map of texts is always JSON");
    write::write_by_rename(&file(repo), &json)
}

/// Remembers what a `.dvc` file tracks.
pub(super) fn remember(repo: &Repo, dvc_file: &DvcFile) -> Result<()> {
    let outs = dvc_file.outs().iter().filter_map(|out| {
        let md5 = out.recorded.as_ref()?.md5.clone();
        Some((dvc_file.place_of(out), md5))
    });
    remember_all(repo, &outs.collect::<Vec<_>>())
}

pub(super) fn remember_all(repo: &Repo, outs: &[(PathBuf, String)]) -> Result<()> {
    let mut links = load(repo);
    let before = links.clone();
    for (at, md5) in outs.iter().filter(|(at, _)| at.starts_with(repo.root())) {
        links.insert(paths::relative(at, repo.root()), md5.clone());
    }
    if links == before {
        Ok(())
    } else {
        save(repo, &links)
    }
}

/// Data that was put here and that nothing tracks now, unchanged and held by the cache.
pub(super) fn left_behind(repo: &Repo, all: &[Tracked]) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for (path, md5) in load(repo) {
        let at = repo.root().join(&path);
        let is_tracked = all.iter().any(|out| overlap(&out.at, &at));
        if is_tracked || !at.exists() {
            continue;
        }
        let is_same = hash_path(repo, &at)?.is_some_and(|content| content.hashed.md5 == md5);
        if is_same && repo.cache().holds(&md5)? {
            left.push(at);
        }
    }
    Ok(left)
}

pub(super) fn forget(repo: &Repo, places: &[PathBuf]) -> Result<()> {
    let mut links = load(repo);
    let before = links.len();
    links.retain(|path, _| !places.contains(&repo.root().join(path)));
    if links.len() == before {
        Ok(())
    } else {
        save(repo, &links)
    }
}

fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}
