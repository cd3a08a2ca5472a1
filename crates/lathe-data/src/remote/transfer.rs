use std::collections::{BTreeMap, BTreeSet};

use super::{Objects, Place, Remote, key};
use crate::cache::{Intake, remove_abandoned};
use crate::{Algorithm, Error, Memory, Repo, Result, work};

/// Objects that get their names together. What was moved before an interruption stays moved.
const BATCH: usize = 50_000;
/// The same of a store, where each takes longer.
const STORE_BATCH: usize = 1_000;
/// So that large files do not wait for so many others.
const BATCH_BYTES: u64 = 4 << 30;

/// What was moved.
#[derive(Debug, Clone, Default)]
pub struct Transferred {
    /// Objects that arrived.
    pub count: usize,
    /// What is at neither end.
    pub missing: Vec<String>,
}

impl Transferred {
    /// Counts in what else was transferred.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.missing.extend(other.missing);
    }
}

/// Sends objects that the remote has not. The list of a folder goes last, and only when all its files are there.
pub fn push(repo: &Repo, remote: &Remote, objects: &Objects) -> Result<Transferred> {
    let algorithm = objects.algorithm;
    let cache = repo.cache().of(algorithm);
    let folders: Vec<String> = objects.folders.keys().cloned().collect();
    let there = remote.exist(&folders, algorithm)?;
    let absent: Vec<&String> = folders
        .iter()
        .zip(there)
        .filter(|(_, there)| !there)
        .map(|(md5, _)| md5)
        .collect();
    let mut files: Vec<String> = match &remote.place {
        Place::Folder(_) => objects.files.keys().cloned().collect(),
        // A list that is there says that its files are: a store is asked for none of them.
        Place::Store(_) => {
            let implied: BTreeSet<&String> = objects
                .folders
                .iter()
                .filter(|(md5, _)| !absent.contains(md5))
                .flat_map(|(_, (_, files))| files)
                .collect();
            let mut wanted: BTreeSet<&String> = objects
                .files
                .keys()
                .filter(|md5| !implied.contains(md5))
                .collect();
            for folder in &absent {
                wanted.extend(
                    objects.folders[*folder]
                        .1
                        .iter()
                        .filter(|md5| !implied.contains(md5)),
                );
            }
            wanted.into_iter().cloned().collect()
        }
    };
    let there = remote.exist(&files, algorithm)?;
    let mut keep = there.iter().map(|there| !there);
    files.retain(|_| keep.next().unwrap_or(true));
    let held = work::each(&files, |md5| cache.holds_object(md5))?;
    let mut done = Transferred::default();
    let mut lost = BTreeSet::new();
    let mut send = Vec::new();
    for (md5, held) in files.into_iter().zip(held) {
        if held {
            send.push(md5);
        } else {
            done.missing.push(objects.files.get(&md5).unwrap_or(&md5).clone());
            lost.insert(md5);
        }
    }
    done.missing.extend(objects.unknown.values().cloned());
    let lists: Vec<&String> = absent
        .into_iter()
        .filter(|folder| !objects.folders[*folder].1.iter().any(|md5| lost.contains(md5)))
        .collect();
    match &remote.place {
        Place::Folder(to) => {
            // What a killed push left, even if nothing is left to be sent.
            remove_abandoned(to.folder());
            let to = to.of(algorithm);
            done.count += move_between(&cache, &to, &send, None)?;
            let intake = Intake::new(&to, None);
            for list in &lists {
                intake.put_tree(list, &cache.tree(list)?)?;
            }
            intake.finish()?;
        }
        Place::Store(store) => {
            let upload = |md5: &String| {
                let object = cache.object(md5).ok_or_else(|| crate::cache::missing(md5))?;
                verify(repo, &cache, md5)?;
                store.put(&object, &key(md5, algorithm))
            };
            work::each_on(remote.jobs, 1, &send, upload)?;
            done.count += send.len();
            work::each_on(remote.jobs, 1, &lists, |md5| upload(md5))?;
        }
    }
    done.count += lists.len();
    Ok(done)
}

/// Never sends what is not what its name says.
fn verify(repo: &Repo, cache: &crate::Cache, md5: &str) -> Result<()> {
    let Some(object) = cache.object(md5) else {
        return Ok(());
    };
    let meta = std::fs::metadata(&object).map_err(Error::read(&object))?;
    let bare = md5.strip_suffix(".dir").unwrap_or(md5);
    if repo
        .memory()
        .find(&meta)
        .is_some_and(|known| hex::encode(known) == bare)
    {
        return Ok(());
    }
    let (found, _) = crate::hash::hash_file(&object)?;
    if hex::encode(found) != bare {
        return Err(Error::DamagedObject {
            md5: md5.to_owned(),
            problem: format!("its content has the md5 {}", hex::encode(found)),
        });
    }
    let after = std::fs::metadata(&object).map_err(Error::read(&object))?;
    repo.memory().learn(&meta, &after, found);
    Ok(())
}

/// `memory` is that of the workspace, if it is what objects arrive for.
fn move_between(
    from: &crate::Cache,
    to: &crate::Cache,
    md5s: &[String],
    memory: Option<&Memory>,
) -> Result<usize> {
    let mut moved = 0;
    for batch in batches(from, md5s)? {
        let intake = Intake::new(to, memory);
        let copied = work::each(batch, |md5| {
            let object = from.object(md5).ok_or_else(|| crate::cache::missing(md5))?;
            intake.keep_object(md5, &object)
        });
        // What arrived before something went wrong stays.
        intake.finish()?;
        copied?;
        moved += batch.len();
    }
    Ok(moved)
}

fn batches<'a>(cache: &crate::Cache, mut md5s: &'a [String]) -> Result<Vec<&'a [String]>> {
    let sizes = work::each(md5s, |md5| {
        let meta = cache
            .object(md5)
            .and_then(|object| std::fs::metadata(object).ok());
        Ok::<u64, Error>(meta.map_or(0, |meta| meta.len()))
    })?;
    let mut sizes = sizes.as_slice();
    let mut batches = Vec::new();
    while !md5s.is_empty() {
        let mut bytes = 0;
        let fits = sizes
            .iter()
            .take(BATCH)
            .take_while(|size| {
                let before = bytes;
                bytes += *size;
                before < BATCH_BYTES
            })
            .count();
        let batch;
        (batch, md5s) = md5s.split_at(fits.max(1));
        sizes = &sizes[batch.len()..];
        batches.push(batch);
    }
    Ok(batches)
}

/// Brings objects that the cache has not.
pub fn fetch(repo: &Repo, remote: &Remote, objects: &Objects) -> Result<Transferred> {
    let algorithm = objects.algorithm;
    let cache = repo.cache().of(algorithm);
    let mut done = Transferred::default();
    let files: Vec<String> = objects.files.keys().cloned().collect();
    let held = work::each(&files, |md5| cache.holds_object(md5))?;
    let mut wanted: Vec<String> = files
        .into_iter()
        .zip(held)
        .filter(|(_, held)| !held)
        .map(|(md5, _)| md5)
        .collect();
    if let Place::Folder(from) = &remote.place {
        let from = from.of(algorithm);
        wanted.retain(|md5| {
            let there = from.object(md5).is_some_and(|object| object.is_file());
            if !there {
                done.missing.push(objects.files[md5].clone());
            }
            there
        });
        done.count += move_between(&from, &cache, &wanted, Some(repo.memory()))?;
    } else if let Place::Store(store) = &remote.place {
        for batch in wanted.chunks(STORE_BATCH) {
            let intake = Intake::new(&cache, Some(repo.memory()));
            let brought = work::each_on(remote.jobs, 1, batch, |md5| {
                intake.receive(md5, |to| store.get(&key(md5, algorithm), to))
            });
            intake.finish()?;
            for (md5, there) in batch.iter().zip(brought?) {
                match there {
                    true => done.count += 1,
                    false => done.missing.push(objects.files[md5].clone()),
                }
            }
        }
    }
    let intake = Intake::new(&cache, Some(repo.memory()));
    for tree in &objects.fetched {
        intake.put_listing(&tree.to_bytes())?;
        done.count += 1;
    }
    intake.finish()?;
    done.missing.extend(objects.unknown.values().cloned());
    done.missing.sort();
    Ok(done)
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudState {
    /// In the cache only.
    New,
    /// On the remote only.
    Deleted,
    /// Nowhere.
    Missing,
}

impl CloudState {
    /// As DVC calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Deleted => "deleted",
            Self::Missing => "missing",
        }
    }
}

/// By path, where cache and remote differ.
pub fn compare_with_remote(
    repo: &Repo,
    remote: &Remote,
    objects: &Objects,
) -> Result<BTreeMap<String, CloudState>> {
    let algorithm: Algorithm = objects.algorithm;
    let cache = repo.cache().of(algorithm);
    let folders = objects.folders.iter().map(|(md5, (name, _))| (md5, name));
    let named: Vec<(&String, &String)> = objects
        .files
        .iter()
        .chain(folders)
        .chain(&objects.unknown)
        .collect();
    let md5s: Vec<String> = named.iter().map(|(md5, _)| (*md5).clone()).collect();
    let there = remote.exist(&md5s, algorithm)?;
    let held = work::each(&md5s, |md5| cache.holds_object(md5))?;
    let mut found = BTreeMap::new();
    for ((_, name), (held, there)) in named.into_iter().zip(held.into_iter().zip(there)) {
        let state = match (held, there) {
            (true, true) => continue,
            (true, false) => CloudState::New,
            (false, true) => CloudState::Deleted,
            (false, false) => CloudState::Missing,
        };
        found.insert(name.clone(), state);
    }
    Ok(found)
}
