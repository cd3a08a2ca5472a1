use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Objects, Place, Remote};
use crate::cache::is_md5;
use crate::{Algorithm, Cache, Error, Repo, Result, write};

/// What nothing uses.
#[derive(Debug, Clone, Default)]
pub struct Garbage {
    /// Objects, by md5.
    pub md5s: Vec<String>,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
}

/// Finds objects that are not used, and removes them unless it is a rehearsal. Without a remote the cache is looked
/// at; `kept_unless_in`, if given, keeps what that remote does not have.
pub fn collect_garbage(
    repo: &Repo,
    used: &Objects,
    remote: Option<&Remote>,
    kept_unless_in: Option<&Remote>,
    rehearsal: bool,
) -> Result<Garbage> {
    let algorithm = used.algorithm;
    let needed: BTreeSet<&String> = used
        .files
        .keys()
        .chain(used.folders.keys())
        .chain(used.unknown.keys())
        .collect();
    let cache = match remote.map(|remote| &remote.place) {
        None => repo.cache().of(algorithm),
        Some(Place::Folder(cache)) => cache.of(algorithm),
        Some(Place::Store(store)) => {
            let prefix = if algorithm == Algorithm::Md5 {
                "files/md5"
            } else {
                ""
            };
            let mut garbage = Garbage::default();
            for key in store.list(prefix)? {
                // The objects of DVC 2 lie at the top, beside `files/`, and are not those of today.
                let name = match algorithm {
                    Algorithm::Md5 => key.strip_prefix("files/md5/"),
                    Algorithm::Md5Dos2Unix => Some(key.as_str()),
                };
                let Some(md5) = name.and_then(md5_of) else {
                    continue;
                };
                if needed.contains(&md5) {
                    continue;
                }
                if !rehearsal {
                    store.delete(&key)?;
                }
                garbage.md5s.push(md5);
            }
            return Ok(garbage);
        }
    };
    let mut unused: Vec<(String, PathBuf, u64)> = objects_in(&cache)?
        .into_iter()
        .filter(|(md5, _, _)| !needed.contains(md5))
        .collect();
    if let Some(remote) = kept_unless_in {
        let md5s: Vec<String> = unused.iter().map(|(md5, _, _)| md5.clone()).collect();
        let mut there = remote.exist(&md5s, algorithm)?.into_iter();
        unused.retain(|_| there.next().unwrap_or(false));
    }
    // Lists go before their files, so that no list is left that names what is gone.
    unused.sort_by_key(|(md5, _, _)| (!md5.ends_with(".dir"), md5.clone()));
    let mut garbage = Garbage::default();
    for (md5, path, bytes) in unused {
        if !rehearsal {
            write::remove_path(&path)?;
        }
        garbage.md5s.push(md5);
        garbage.bytes += bytes;
    }
    Ok(garbage)
}

/// `ab/cdef…` as an md5; nothing deeper or shorter is one.
fn md5_of(name: &str) -> Option<String> {
    let (first, rest) = name.split_once('/')?;
    let md5 = format!("{first}{rest}");
    let is_one = first.len() == 2 && is_md5(md5.strip_suffix(".dir").unwrap_or(&md5));
    is_one.then_some(md5)
}

/// Objects of a cache, with their places and sizes.
fn objects_in(cache: &Cache) -> Result<Vec<(String, PathBuf, u64)>> {
    let top = cache.objects();
    let mut found = Vec::new();
    for folder in entries(&top)? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.len() != 2 || !folder.is_dir() {
            continue;
        }
        for path in entries(&folder)? {
            let rest = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some(md5) = md5_of(&format!("{name}/{rest}")) {
                let meta = fs::symlink_metadata(&path).map_err(Error::read(&path))?;
                found.push((md5, path, meta.len()));
            }
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(folder)(error)),
    };
    entries
        .map(|entry| Ok(entry.map_err(Error::read(folder))?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_an_object_at_its_own_place_is_one() {
        let rest = "0".repeat(30);
        assert_eq!(
            super::md5_of(&format!("ab/{rest}.dir")),
            Some(format!("ab{rest}.dir"))
        );
        assert_eq!(super::md5_of(&format!("files/md5/ab/{rest}")), None);
        assert_eq!(super::md5_of(&format!("abc/{}", &rest[1..])), None);
        assert_eq!(super::md5_of("runs/x"), None);
    }
}
