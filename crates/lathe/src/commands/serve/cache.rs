//! What a `lathe serve` that follows a server keeps on the disk: the files of versions, and what it answered with last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use lathe_server::inference::Split;
use lathe_types::graphs::VersionName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::clock;
use crate::model_source::{self, FilesAt};
use crate::settings::cache_folder;

/// Files of a version that nobody used for so long are removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A folder that processes share, and the state of one of them.
pub struct Cache {
    /// What tells this server from others.
    server: String,
    folder: PathBuf,
    state_file: PathBuf,
    pub state: State,
}

/// What was answered with last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By deployment.
    pub splits: BTreeMap<String, Split>,
    /// Where the files of `MODEL/VERSION` lie.
    pub folders: BTreeMap<String, PathBuf>,
}

impl Cache {
    /// Of what is followed on a server; reads what is known of it from before.
    pub fn open(server: &str, what: &str) -> anyhow::Result<Self> {
        let folder = cache_folder()?.join("serve");
        std::fs::create_dir_all(folder.join("models"))
            .with_context(|| format!("the cache `{}` cannot be made", folder.display()))?;
        let state_file = folder.join(format!("{}.json", digest(&[server, what])));
        let state = match std::fs::read(&state_file) {
            // One that is damaged tells nothing; it is written anew.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("`{}` cannot be read", state_file.display()));
            }
        };
        let cache = Self {
            server: server.to_owned(),
            folder,
            state_file,
            state,
        };
        cache.sweep();
        Ok(cache)
    }

    /// The folder with the files of a version, fetched if they are not here yet.
    pub fn fetch(&mut self, client: &Client, version: &VersionName) -> anyhow::Result<PathBuf> {
        let folder = match model_source::files_at(client, &format!("models:/{version}"))? {
            FilesAt::Server(path) => self.fetch_from_server(client, &path)?,
            FilesAt::Url(url) => model_source::stored_folder(&url)?,
        };
        self.state.folders.insert(version.to_string(), folder.clone());
        Ok(folder)
    }

    fn fetch_from_server(&self, client: &Client, path: &str) -> anyhow::Result<PathBuf> {
        // A version that was deleted and registered anew has another place.
        let folder = self.folder.join("models").join(digest(&[&self.server, path]));
        if !folder.is_dir() {
            let partial = tempfile::tempdir_in(&self.folder).context("the cache cannot be written")?;
            let whole = partial.path().join("model");
            model_source::fetch(client, path, &whole)?;
            if let Err(error) = std::fs::rename(&whole, &folder)
                && !folder.is_dir()
            {
                return Err(error).context("the cache cannot be written");
            }
        }
        Ok(folder)
    }

    /// Where the files of a version lie that were fetched before.
    pub fn known(&self, version: &VersionName) -> Option<PathBuf> {
        let folder = self.state.folders.get(&version.to_string())?;
        folder.is_dir().then(|| folder.clone())
    }

    /// Keeps what is answered with now, for a start without the server.
    pub fn keep(&mut self, splits: BTreeMap<String, Split>) -> anyhow::Result<()> {
        let used: BTreeSet<String> = splits
            .values()
            .flat_map(Split::versions)
            .map(|version| version.to_string())
            .collect();
        let before = self.state.clone();
        self.state.folders.retain(|key, _| used.contains(key));
        self.state.splits = splits;
        if self.state == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(&self.state)?;
        let partial = tempfile::NamedTempFile::new_in(&self.folder).context("the cache cannot be written")?;
        std::fs::write(partial.path(), bytes)
            .and_then(|()| partial.as_file().sync_all())
            .with_context(|| format!("`{}` cannot be written", partial.path().display()))?;
        partial
            .persist(&self.state_file)
            .with_context(|| format!("`{}` cannot be written", self.state_file.display()))?;
        for folder in self.state.folders.values() {
            touch(folder);
        }
        Ok(())
    }

    /// Removes what nobody used for long. What cannot be removed is left for the next time.
    fn sweep(&self) {
        let used: Vec<&PathBuf> = self.state.folders.values().collect();
        used.iter().for_each(|folder| touch(folder));
        let entries = std::fs::read_dir(self.folder.join("models"));
        for entry in entries.into_iter().flatten().flatten() {
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| now().duration_since(modified).ok());
            if age.is_some_and(|age| KEPT < age) && !used.contains(&&entry.path()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Marks a folder as used; where that is not possible it is fetched again one day.
fn touch(folder: &Path) {
    let _ = std::fs::File::open(folder).and_then(|folder| folder.set_modified(now()));
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().0.unsigned_abs())
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}
