//! Data that lies anywhere: at a path of this machine, or behind a URL.

use std::path::{Path, PathBuf};

use lathe_data::Repo;
use lathe_data::remote::{RemoteSettings, Seen, Store, find_remote};

use super::stores;
use crate::exit::hinted;

/// Files on their way at once.
const JOBS: usize = 16;

/// Where data lies.
pub enum Place {
    /// A file or folder of this machine, absolute.
    Local(PathBuf),
    /// A file, or all below a prefix.
    Stored {
        /// As written.
        url: String,
        /// What reaches it.
        store: Box<dyn Store>,
        /// Its name there.
        key: String,
    },
}

impl Place {
    /// What a URL or a path, relative to `folder`, names; `remote://NAME/…` with the settings of that remote.
    pub fn find(url: &str, folder: &Path, repo: Option<&Repo>) -> anyhow::Result<Self> {
        let unknown = |what: &str| {
            hinted(
                format!("`{url}` {what}"),
                "write it as `https://host/path/to/file`",
            )
        };
        let (whole, settings) = match (url.strip_prefix("remote://"), repo) {
            (Some(rest), Some(repo)) => {
                let (name, inside) = rest.split_once('/').unwrap_or((rest, ""));
                let remote = find_remote(repo, Some(name))?;
                let whole = format!("{}/{inside}", remote.url.trim_end_matches('/'));
                (whole, remote.settings)
            }
            (Some(_), None) => {
                return Err(unknown(
                    "names a remote, and there is no project that could know it",
                ));
            }
            (None, _) => (url.to_owned(), Vec::new()),
        };
        if let Some(path) = whole.strip_prefix("file://") {
            return Ok(Self::Local(PathBuf::from(path)));
        }
        if !whole.contains("://") {
            return Ok(Self::Local(lathe_data::normal_path(&folder.join(&whole))));
        }
        let whole = whole.trim_end_matches('/');
        let (base, key) = whole.rsplit_once('/').unwrap_or((whole, ""));
        if key.is_empty() || base.ends_with(":/") {
            return Err(unknown("names no file"));
        }
        let settings = RemoteSettings {
            name: url.to_owned(),
            url: base.to_owned(),
            settings,
        };
        Ok(Self::Stored {
            url: url.to_owned(),
            store: stores::open_store(&settings)?,
            key: key.to_owned(),
        })
    }

    /// The last part of its name.
    pub fn name(&self) -> String {
        match self {
            Self::Local(path) => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Self::Stored { key, .. } => key.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    /// What is told of it from afar; nothing of a path of this machine, and of a folder.
    pub fn look(&self) -> anyhow::Result<Seen> {
        match self {
            Self::Local(_) => Ok(Seen::default()),
            Self::Stored { url, store, key } => match store.look(key)? {
                Some(seen) => Ok(seen),
                // A mere server has no folders.
                None if url.starts_with("http") => Err(nothing(url)),
                None => Ok(Seen::default()),
            },
        }
    }

    /// Brings it to a path where nothing is.
    pub fn fetch(&self, to: &Path) -> anyhow::Result<()> {
        let (url, store, key) = match self {
            Self::Local(path) => {
                if !path.exists() {
                    return Err(nothing(&path.display().to_string()));
                }
                return Ok(lathe_data::copy_tree(path, to)?);
            }
            Self::Stored { url, store, key } => (url, store, key),
        };
        if store.look(key)?.is_some() {
            return match store.get(key, to)? {
                true => Ok(()),
                false => Err(nothing(url)),
            };
        }
        let prefix = format!("{key}/");
        let keys = store.list(&prefix).map_err(|_| nothing(url))?;
        let mut files = Vec::new();
        for found in keys {
            let Some(inside) = found.strip_prefix(&prefix) else {
                continue;
            };
            // Nothing that a server lists leaves the folder.
            if inside.split('/').any(|part| matches!(part, "" | "." | "..")) {
                continue;
            }
            let target = to.join(inside);
            if let Some(folder) = target.parent() {
                std::fs::create_dir_all(folder)?;
            }
            files.push((found, target));
        }
        if files.is_empty() {
            return Err(nothing(url));
        }
        lathe_data::each_on(JOBS, 1, &files, |(key, target)| store.get(key, target))?;
        Ok(())
    }
}

fn nothing(place: &str) -> anyhow::Error {
    hinted(
        format!("there is nothing at `{place}`"),
        "check its name, and whether you may read it",
    )
}
