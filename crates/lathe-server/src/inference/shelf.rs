//! Which models are in memory, where a limit is set: what was asked least recently makes room, and is loaded again when
//! it is asked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lathe_blob::Artifacts;
use lathe_serving::{Model, Runtimes};
use lathe_store::Store;

use super::lane::Served;
use super::source::version_folder;

/// The models of this process that may make room for others.
pub(super) struct Shelf {
    pub(super) bytes_max: Option<u64>,
    runtimes: Runtimes,
    /// One model is loaded at a time, so that two do not take the same room.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Vec<Weak<Served>>>,
    /// Counts requests, to tell which model was asked last.
    requests: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) unloads: AtomicU64,
}

/// Where a model can be loaded from again.
#[derive(Clone)]
pub(super) enum Origin {
    Folder(PathBuf),
    /// A version of the records, whose copy in a cache may be gone.
    Version {
        store: Store,
        artifacts: Artifacts,
        model: String,
        version: u32,
    },
}

impl Origin {
    async fn folder(&self) -> Result<PathBuf, String> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Version {
                store,
                artifacts,
                model,
                version,
            } => version_folder(store, artifacts, model, *version)
                .await
                .map_err(|error| error.message().to_owned()),
        }
    }
}

impl Shelf {
    pub(super) fn new(bytes_max: Option<u64>, runtimes: Runtimes) -> Self {
        Self {
            bytes_max,
            runtimes,
            turn: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            requests: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            unloads: AtomicU64::new(0),
        }
    }

    /// The number of a request: greater than those before.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed) + 1
    }

    /// Loads a model from its folder for the first time.
    pub(super) async fn load(self: &Arc<Self>, folder: &Path, origin: Origin) -> Result<Arc<Served>, String> {
        if self.bytes_max.is_none() {
            let (folder, shelf) = (folder.to_owned(), self.clone());
            return blocking(move || Ok(Arc::new(Served::new(shelf.open(&folder)?)))).await;
        }
        let _turn = self.turn.lock().await;
        let shelf = self.clone();
        let folder = folder.to_owned();
        blocking(move || {
            shelf.make_room(size_of(&folder), None);
            let model = shelf.read(&folder)?;
            shelf.make_room(model.facts().memory_bytes(), None);
            let served = Arc::new(Served::shelved(model, shelf.clone(), origin));
            shelf.known().push(Arc::downgrade(&served));
            Ok(served)
        })
        .await
    }

    /// Loads a model again that made room.
    pub(super) async fn load_again(self: &Arc<Self>, served: Arc<Served>) -> Result<Arc<Model>, String> {
        let Some(origin) = served.origin() else {
            return Err("the model is not loaded".into());
        };
        let folder = origin.folder().await?;
        let _turn = self.turn.lock().await;
        let shelf = self.clone();
        blocking(move || {
            shelf.make_room(served.facts().memory_bytes(), Some(&served));
            let model = Arc::new(shelf.read(&folder)?);
            served.put(model.clone());
            shelf.make_room(0, Some(&served));
            Ok(model)
        })
        .await
    }

    fn open(&self, folder: &Path) -> Result<Model, String> {
        let model = Model::load_with(folder, &self.runtimes).map_err(|error| error.to_string())?;
        if let Some(choice) = model.facts().choice() {
            tracing::info!(folder = %folder.display(), runtime = choice.runtime, reason = choice.reason, "model loaded");
        }
        Ok(model)
    }

    fn read(&self, folder: &Path) -> Result<Model, String> {
        let model = self.open(folder)?;
        let needed = model.facts().memory_bytes();
        if let Some(bytes_max) = self.bytes_max.filter(|bytes_max| *bytes_max < needed) {
            return Err(format!(
                "the model takes about {} MiB of memory, more than `--models-memory` lets all models take, {} MiB",
                needed.div_ceil(1 << 20),
                bytes_max >> 20
            ));
        }
        self.loads.fetch_add(1, Relaxed);
        Ok(model)
    }

    /// Lets models go, those that were asked least recently first, until so many more bytes fit. A model that is being
    /// asked goes when it has answered.
    fn make_room(&self, bytes: u64, but: Option<&Arc<Served>>) {
        let Some(bytes_max) = self.bytes_max else { return };
        let mut loaded = self.loaded();
        loaded.sort_by_key(|served| served.asked());
        let mut taken: u64 = loaded.iter().map(|served| served.facts().memory_bytes()).sum();
        for served in &loaded {
            if taken.saturating_add(bytes) <= bytes_max {
                return;
            }
            if but.is_some_and(|but| Arc::ptr_eq(but, served)) {
                continue;
            }
            if served.take().is_some() {
                self.unloads.fetch_add(1, Relaxed);
            }
            taken -= served.facts().memory_bytes();
        }
    }

    /// The models that are in memory now.
    fn loaded(&self) -> Vec<Arc<Served>> {
        let mut known = self.known();
        known.retain(|served| 0 < served.strong_count());
        let served = known.iter().filter_map(Weak::upgrade);
        served.filter(|served| served.is_loaded()).collect()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Served>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(error.to_string()),
    }
}

/// What a folder's files take, as a first guess at what its model will; 0 where that cannot be seen: loading tells why.
fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = path.metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let Ok(entries) = path.read_dir() else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => size_of(&entry.path()),
        _ => 0,
    });
    sizes.sum()
}
