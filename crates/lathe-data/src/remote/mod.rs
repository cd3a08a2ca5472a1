//! Remotes: where the objects of a cache are shared. Their layout is the cache's.

mod direct;
mod gc;
mod named;
mod objects;
mod run_cache;
mod transfer;

use std::path::Path;

pub use direct::{Direct, Source, send};
pub use gc::{Garbage, collect_garbage};
pub use named::{RemoteSettings, find_remote};
pub use objects::{Objects, used_objects};
pub use run_cache::{fetch_run_cache, push_run_cache};
pub use transfer::{CloudState, Transferred, compare_with_remote, fetch, push};

use crate::{Algorithm, Cache, Error, Result};

/// Reaches the files below a URL. Keys are relative to it, `/` separated; an object appears whole or not at all.
pub trait Store: Send + Sync {
    /// Which of the files are there, in their order.
    fn exist(&self, keys: &[String], at_once: usize) -> Result<Vec<bool>>;
    /// All files below a prefix.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;
    /// Writes a file.
    fn put(&self, from: &Path, key: &str) -> Result<()>;
    /// Reads a file; says whether it is there.
    fn get(&self, key: &str, to: &Path) -> Result<bool>;
    /// What is known of a file without reading it; nothing if it is not there.
    fn look(&self, key: &str) -> Result<Option<Seen>>;
    /// Removes a file; one that is not there is fine.
    fn delete(&self, key: &str) -> Result<()>;
}

/// What a store tells of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its bytes.
    pub size: Option<u64>,
    /// What changes when the file does, with DVC's name for it.
    pub mark: Option<(&'static str, String)>,
}

/// A remote that can be reached.
pub struct Remote {
    /// Its name in the settings.
    pub name: String,
    place: Place,
    /// Files on their way at once.
    jobs: usize,
}

enum Place {
    /// A folder of this machine: a cache like any other.
    Folder(Cache),
    Store(Box<dyn Store>),
}

/// Files that most stores take at once.
const JOBS: usize = 16;

impl Remote {
    /// A folder.
    pub fn folder(name: &str, folder: &Path, is_shared: bool) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Folder(Cache::new(folder.to_owned(), is_shared)),
            jobs: JOBS,
        }
    }

    /// Anything else.
    pub fn store(name: &str, store: Box<dyn Store>, jobs: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Store(store),
            jobs: jobs.unwrap_or(JOBS),
        }
    }

    /// Which of the objects it holds, in their order.
    pub fn exist(&self, md5s: &[String], algorithm: Algorithm) -> Result<Vec<bool>> {
        match &self.place {
            Place::Folder(cache) => {
                let cache = cache.of(algorithm);
                crate::work::each(md5s, |md5| {
                    Ok(cache.object(md5).is_some_and(|object| object.is_file()))
                })
            }
            Place::Store(store) => {
                let keys: Vec<String> = md5s.iter().map(|md5| key(md5, algorithm)).collect();
                store.exist(&keys, self.jobs)
            }
        }
    }

    /// The bytes of a small object, if it is there.
    fn read(&self, md5: &str, algorithm: Algorithm, tmp: &Path) -> Result<Option<Vec<u8>>> {
        let path = match &self.place {
            Place::Folder(cache) => cache.of(algorithm).object(md5),
            Place::Store(store) => {
                let file = crate::write::new_beside(&tmp.join("object"))?;
                if !store.get(&key(md5, algorithm), file.path())? {
                    return Ok(None);
                }
                return std::fs::read(file.path())
                    .map(Some)
                    .map_err(Error::read(file.path()));
            }
        };
        let Some(path) = path else { return Ok(None) };
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path)(error)),
        }
    }
}

/// Where an object is on a remote.
pub fn object_url(settings: &RemoteSettings, md5: &str, algorithm: Algorithm) -> String {
    format!("{}/{}", settings.url.trim_end_matches('/'), key(md5, algorithm))
}

/// Where an object is below the URL.
fn key(md5: &str, algorithm: Algorithm) -> String {
    let top = match algorithm {
        Algorithm::Md5 => "files/md5/",
        Algorithm::Md5Dos2Unix => "",
    };
    format!("{top}{}/{}", &md5[..2], &md5[2..])
}
