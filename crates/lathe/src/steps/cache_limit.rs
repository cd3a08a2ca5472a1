//! Keeps what steps brought and made within a limit: what no step used for longest goes first. Nothing is lost, since a
//! remote holds all of it; and nothing goes while a step is executed, for it may need it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use lathe_data::Repo;
use lathe_types::steps::StepFile;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::settings::STATE_FOLDER;

/// A cache with its limit.
pub struct CacheLimit {
    bytes_max: Option<u64>,
    note: PathBuf,
    /// Held to read by each step, to write by whoever removes.
    at_work: RwLock<()>,
    used: Mutex<Used>,
}

/// What steps used. Objects that came into the cache in another way are not among it, and stay.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Used {
    objects: BTreeMap<String, Use>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Use {
    at: i64,
    bytes: u64,
}

impl Used {
    fn bytes(&self) -> u64 {
        self.objects.values().map(|used| used.bytes).sum()
    }
}

impl CacheLimit {
    /// Reads what an earlier worker of this folder noted.
    pub fn open(repo: &Repo, bytes_max: Option<u64>) -> Self {
        let note = repo.root().join(STATE_FOLDER).join("worker-cache.json");
        // Without the note objects of before stay; it is no reason not to work.
        let used = match fs::read(&note).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(used)) => used,
            Ok(Err(error)) => {
                tracing::warn!(%error, path = %note.display(), "what the cache was used for cannot be read");
                Used::default()
            }
            Err(_) => Used::default(),
        };
        Self {
            bytes_max,
            note,
            at_work: RwLock::new(()),
            used: Mutex::new(used),
        }
    }

    /// Waits until there is room; while what this returns is held, nothing is removed.
    pub fn begin(&self, repo: &Repo) -> RwLockReadGuard<'_, ()> {
        if self.is_over() {
            let _alone = self.at_work.write().unwrap_or_else(PoisonError::into_inner);
            if self.is_over() {
                self.shrink(repo);
            }
        }
        self.at_work.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step used these, with what folders list.
    pub fn note(&self, repo: &Repo, files: &[StepFile]) {
        if self.bytes_max.is_none() {
            return;
        }
        let at = clock::now().0;
        let mut used = self.lock();
        let mut note = |md5: &str| {
            // What did not come is not there.
            if let Some(meta) = repo.cache().object(md5).and_then(|path| fs::metadata(path).ok()) {
                let bytes = meta.len();
                used.objects.insert(md5.to_owned(), Use { at, bytes });
            }
        };
        for file in files {
            note(&file.md5);
            if file.md5.ends_with(".dir")
                && let Ok(tree) = repo.cache().tree(&file.md5)
            {
                tree.entries().iter().for_each(|entry| note(&entry.md5));
            }
        }
        self.write_down(&used);
    }

    fn is_over(&self) -> bool {
        self.bytes_max.is_some_and(|most| most < self.lock().bytes())
    }

    /// Removes what was not used for longest, until the rest is within the limit.
    fn shrink(&self, repo: &Repo) {
        let mut used = self.lock();
        let most = self.bytes_max.unwrap_or(u64::MAX);
        let mut oldest: Vec<(i64, String, u64)> = used
            .objects
            .iter()
            .map(|(md5, used)| (used.at, md5.clone(), used.bytes))
            .collect();
        oldest.sort();
        let mut held = used.bytes();
        let before = held;
        for (_, md5, bytes) in oldest {
            if held <= most {
                break;
            }
            match repo.cache().object(&md5).map(fs::remove_file) {
                Some(Err(error)) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(%error, md5, "an object stays in the cache");
                }
                _ => {}
            }
            used.objects.remove(&md5);
            held -= bytes;
        }
        tracing::info!(
            bytes = before - held,
            "removed from the cache what was not used for longest"
        );
        self.write_down(&used);
    }

    fn write_down(&self, used: &Used) {
        let written = serde_json::to_vec(used)
            .map_err(std::io::Error::from)
            .and_then(|bytes| {
                let next = self.note.with_extension("json.next");
                fs::write(&next, bytes)?;
                fs::rename(&next, &self.note)
            });
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.note.display(), "what the cache is used for cannot be noted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `50GiB`, `500MB`, or `none`.
pub fn parse(text: &str) -> Result<CacheBytes, String> {
    if text == "none" {
        return Ok(CacheBytes(None));
    }
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err("write a number and a unit, as `50GiB` or `500MB`, or `none`".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) => Ok(CacheBytes(Some((number * unit) as u64))),
        Err(_) => Err("write a number and a unit, as `50GiB` or `500MB`, or `none`".to_owned()),
    }
}

/// Bytes that a cache may hold; none if there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBytes(pub Option<u64>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit_or_none() {
        for (text, bytes) in [
            ("50GiB", Some(50 << 30)),
            ("1.5kB", Some(1_500)),
            ("0", Some(0)),
            ("2 MiB", Some(2 << 20)),
            ("none", None),
        ] {
            assert_eq!(parse(text).unwrap(), CacheBytes(bytes), "{text}");
        }
        for text in ["", "GiB", "5 apples", "-1GiB", "1.2.3MB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
