use std::fs;
use std::path::Path;

use super::{Place, Remote};
use crate::{Error, Repo, Result, write};

/// Sends what earlier executions made to a remote; returns how many records went.
pub fn push_run_cache(repo: &Repo, remote: &Remote) -> Result<usize> {
    let own = repo.cache().folder().to_owned();
    let mut count = 0;
    match &remote.place {
        Place::Folder(cache) => {
            for key in records_in(&own)? {
                count += usize::from(copy(&own.join(&key), &cache.folder().join(&key))?);
            }
        }
        Place::Store(store) => {
            let keys = records_in(&own)?;
            let there = store.exist(&keys, remote.jobs)?;
            for (key, there) in keys.iter().zip(there) {
                if !there {
                    store.put(&own.join(key), key)?;
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

/// Brings what earlier executions made from a remote; returns how many records came.
pub fn fetch_run_cache(repo: &Repo, remote: &Remote) -> Result<usize> {
    let own = repo.cache().folder().to_owned();
    let mut count = 0;
    match &remote.place {
        Place::Folder(cache) => {
            for key in records_in(cache.folder())? {
                count += usize::from(copy(&cache.folder().join(&key), &own.join(&key))?);
            }
        }
        Place::Store(store) => {
            for key in store.list("runs")? {
                let target = own.join(&key);
                if target.exists() || !is_record(&key) {
                    continue;
                }
                let beside = write::new_beside(&target)?;
                if store.get(&key, beside.path())? {
                    beside
                        .persist(&target)
                        .map_err(|error| Error::write(&target)(error.error))?;
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

/// `runs/ab/ab…/cd…`, and nothing that leaves the folder.
fn is_record(key: &str) -> bool {
    let parts: Vec<&str> = key.split('/').collect();
    let is_hex = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == 4 && parts[0] == "runs" && parts[1..].iter().all(is_hex)
}

fn records_in(cache: &Path) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut folders = vec!["runs".to_owned()];
    while let Some(folder) = folders.pop() {
        let at = cache.join(&folder);
        let entries = match fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::read(&at)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(Error::read(&at))?;
            let key = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if is_record(&key) {
                keys.push(key);
            } else if key.split('/').count() < 4 {
                folders.push(key);
            }
        }
    }
    keys.sort();
    Ok(keys)
}

fn copy(from: &Path, to: &Path) -> Result<bool> {
    if to.exists() {
        return Ok(false);
    }
    let bytes = fs::read(from).map_err(Error::read(from))?;
    write::write_atomically(to, &bytes)?;
    Ok(true)
}
