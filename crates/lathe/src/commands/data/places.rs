//! Data that lies anywhere: at a path of this machine, or behind a URL.

use std::path::{Path, PathBuf};

use lathe_data::remote::{Direct, RemoteSettings, Seen, Source, Store, find_remote};
use lathe_data::{Hashed, Repo};
use lathe_pipeline::SeenBy;
use lathe_yaml::{Node, Value};

use super::stores;
use crate::exit::hinted;

/// Files on their way at once.
const JOBS: usize = 16;

/// One of the files that a place is made of.
pub enum Part {
    /// On this machine.
    Here(PathBuf),
    /// In the place's store.
    Stored(String),
}

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

    /// What is there, and by what a change of it is noticed: as DVC does, an ETag where there is one, else the md5.
    pub fn seen(&self, repo: &Repo) -> anyhow::Result<Option<lathe_pipeline::Seen>> {
        let (url, store, key) = match self {
            Self::Local(path) => {
                let content = lathe_data::hash_path(repo, path)?;
                return Ok(content.map(|content| by_md5(content.hashed)));
            }
            Self::Stored { url, store, key } => (url, store, key),
        };
        let looked = match store.look(key) {
            Ok(looked) => looked,
            // Some stores fail where they are asked for a folder.
            Err(error) => match self.seen_folder(store.as_ref(), key) {
                Ok(Some(folder)) => return Ok(Some(folder)),
                _ => return Err(error.into()),
            },
        };
        if let Some(found) = looked {
            let size = found.size;
            let seen = |by, value| lathe_pipeline::Seen {
                by,
                value,
                size,
                nfiles: None,
            };
            return match found.mark {
                Some(("etag", value)) => Ok(Some(seen(SeenBy::Etag, value))),
                Some((_, value)) => Ok(Some(seen(SeenBy::Checksum, value))),
                None if url.starts_with("http") => Err(hinted(
                    format!("the server of `{url}` tells neither an ETag nor a Content-MD5"),
                    "without them no change could be noticed",
                )),
                // Whoever tells nothing is read.
                None => {
                    std::fs::create_dir_all(repo.tmp())?;
                    let file = tempfile::NamedTempFile::with_prefix_in("lathe-seen-", repo.tmp())?;
                    store.get(key, file.path())?;
                    let content = lathe_data::hash_path(repo, file.path())?;
                    Ok(content.map(|content| by_md5(content.hashed)))
                }
            };
        }
        self.seen_folder(store.as_ref(), key)
    }

    /// The hash of a folder is that of the list of its files.
    fn seen_folder(&self, store: &dyn Store, key: &str) -> anyhow::Result<Option<lathe_pipeline::Seen>> {
        let prefix = format!("{key}/");
        let listed = match store.list(&prefix) {
            Ok(listed) => listed,
            // A mere server has no folders.
            Err(lathe_data::Error::NotListable { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let listed = inside_of(&prefix, listed);
        if listed.is_empty() {
            return Ok(None);
        }
        let looked = lathe_data::each_on(JOBS, 1, &listed, |(_, key)| store.look(key))?;
        let mut size = 0;
        let mut entries = Vec::new();
        for ((relpath, _), found) in listed.iter().zip(looked) {
            let found = found.unwrap_or_default();
            let Some((mark, value)) = found.mark else {
                return Err(hinted(
                    format!("what holds `{key}` tells nothing by which changes of its files are noticed"),
                    "let the stage depend on single files",
                ));
            };
            size += found.size.unwrap_or(0);
            entries.push((relpath.clone(), mark, value));
        }
        entries.sort();
        let nfiles = u64::try_from(entries.len()).ok();
        let list = entries.into_iter().map(|(relpath, mark, value)| {
            let entry = [(mark, value), ("relpath", relpath)];
            let entry = entry.map(|(key, value)| (Node::text(key), Node::text(value)));
            Node::new(Value::Map(entry.to_vec()))
        });
        let text = lathe_yaml::to_python_json(&Node::new(Value::List(list.collect())));
        Ok(Some(lathe_pipeline::Seen {
            by: SeenBy::Md5,
            value: format!("{}.dir", lathe_data::md5_of(text.as_bytes())),
            size: Some(size),
            nfiles,
        }))
    }

    /// Removes what is there.
    pub fn remove(&self) -> anyhow::Result<()> {
        match self {
            Self::Local(path) => Ok(lathe_data::remove_path(path)?),
            Self::Stored { store, key, .. } => {
                if store.look(key)?.is_some() {
                    return Ok(store.delete(key)?);
                }
                let prefix = format!("{key}/");
                let listed = match store.list(&prefix) {
                    Err(lathe_data::Error::NotListable { .. }) => return Ok(()),
                    listed => inside_of(&prefix, listed?),
                };
                lathe_data::each_on(JOBS, 1, &listed, |(_, key)| store.delete(key))?;
                Ok(())
            }
        }
    }

    /// The files that it is made of, by their paths in it.
    pub fn parts(&self) -> anyhow::Result<Direct<Part>> {
        match self {
            Self::Local(path) if path.is_file() => Ok(Direct::File(Part::Here(path.clone()))),
            Self::Local(path) if path.is_dir() => {
                let mut files = Vec::new();
                let mut open = vec![(path.clone(), String::new())];
                while let Some((folder, prefix)) = open.pop() {
                    for entry in std::fs::read_dir(&folder)? {
                        let at = entry?.path();
                        let name = at.file_name().and_then(|name| name.to_str());
                        let Some(name) = name else {
                            return Err(hinted(
                                format!("the name of `{}` is not UTF-8", at.display()),
                                "give it another name",
                            ));
                        };
                        let relpath = format!("{prefix}{name}");
                        match std::fs::metadata(&at)?.is_dir() {
                            true => open.push((at, format!("{relpath}/"))),
                            false => files.push((relpath, Part::Here(at))),
                        }
                    }
                }
                Ok(Direct::Folder(files))
            }
            Self::Local(path) => Err(nothing(&path.display().to_string())),
            Self::Stored { url, store, key } => {
                if store.look(key)?.is_some() {
                    return Ok(Direct::File(Part::Stored(key.clone())));
                }
                let found = below(url, store.as_ref(), key)?;
                let files = found
                    .into_iter()
                    .map(|(relpath, key)| (relpath, Part::Stored(key)));
                Ok(Direct::Folder(files.collect()))
            }
        }
    }

    /// Brings one of the files to this machine, if it is not here.
    pub fn open(&self, part: &Part, tmp: &Path) -> lathe_data::Result<Source> {
        match (self, part) {
            (_, Part::Here(path)) => Ok(Source::Here(path.clone())),
            (Self::Stored { store, .. }, Part::Stored(key)) => {
                let file = tempfile::Builder::new().prefix("lathe-sent-").tempfile_in(tmp);
                let file = file.map_err(|source| lathe_data::Error::Write {
                    path: tmp.to_owned(),
                    source,
                })?;
                let file = file.into_temp_path();
                match store.get(key, &file)? {
                    true => Ok(Source::Fetched(file)),
                    false => Err(lathe_data::Error::NothingThere { path: key.into() }),
                }
            }
            (Self::Local(path), Part::Stored(_)) => {
                Err(lathe_data::Error::NothingThere { path: path.clone() })
            }
        }
    }

    /// Brings it to a path where nothing is.
    pub fn fetch(&self, to: &Path, jobs: Option<usize>) -> anyhow::Result<()> {
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
        let mut files = Vec::new();
        for (inside, key) in below(url, store.as_ref(), key)? {
            let target = to.join(inside);
            if let Some(folder) = target.parent() {
                std::fs::create_dir_all(folder)?;
            }
            files.push((key, target));
        }
        let jobs = jobs.unwrap_or(JOBS);
        lathe_data::each_on(jobs, 1, &files, |(key, target)| store.get(key, target))?;
        Ok(())
    }
}

/// The files below a key, by their paths below it.
fn below(url: &str, store: &dyn Store, key: &str) -> anyhow::Result<Vec<(String, String)>> {
    let prefix = format!("{key}/");
    let files = inside_of(&prefix, store.list(&prefix).map_err(|_| nothing(url))?);
    match files.is_empty() {
        true => Err(nothing(url)),
        false => Ok(files),
    }
}

/// What is listed below a prefix, by its path below it.
pub fn inside_of(prefix: &str, listed: Vec<String>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for found in listed {
        let Some(inside) = found.strip_prefix(prefix) else {
            continue;
        };
        // Nothing that a server lists leaves the folder.
        if inside.split('/').any(|part| matches!(part, "" | "." | "..")) {
            continue;
        }
        files.push((inside.to_owned(), found));
    }
    files
}

fn by_md5(hashed: Hashed) -> lathe_pipeline::Seen {
    lathe_pipeline::Seen {
        by: SeenBy::Md5,
        value: hashed.md5,
        size: Some(hashed.size),
        nfiles: hashed.nfiles,
    }
}

fn nothing(place: &str) -> anyhow::Error {
    hinted(
        format!("there is nothing at `{place}`"),
        "check its name, and whether you may read it",
    )
}
