mod fetch;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use lathe_types::Millis;
use tokio::io::AsyncRead;

use crate::folder::Folder;
use crate::{ArtifactPath, Bucket, Entry, Error, Meta, Opened, Settings, SignedPart};

/// The store of artifacts: a local folder, or an object store. A file appears whole, under its name, once all its bytes
/// are kept.
#[derive(Debug, Clone)]
pub struct Artifacts {
    place: Place,
    beyond: Arc<Beyond>,
}

/// What is known of places beside the own one.
#[derive(Debug, Default)]
struct Beyond {
    settings: Settings,
    /// Where files of an object store are kept for those who need them on disk.
    cache: PathBuf,
    /// Folders and object stores that are read and written like the own one.
    roots: Vec<String>,
    opened: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// An upload in parts that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartUpload {
    /// What it is completed by.
    pub id: String,
    /// Where its parts are to be sent; none where this process takes them itself, with [`Artifacts::put_part`].
    pub parts: Option<Vec<SignedPart>>,
}

/// What a sweep took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Files that were being written or deleted, and uploads in parts that nobody went on with.
    pub leftovers: u64,
}

/// S3 takes no more.
const PARTS_MAX: u32 = 10_000;
const NO_MULTIPART: &str = "Multipart upload is not supported for the current artifact repository";

impl Artifacts {
    /// Artifacts in a local folder, created when first written to.
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Folder(Folder::new(root.into())),
            beyond: Arc::default(),
        }
    }

    /// Artifacts in a local folder (`FOLDER`, `file:///FOLDER`) or an object store (`s3://bucket/prefix` and what else
    /// [`Bucket::open`] takes). `cache` is where models are kept that are loaded from there; `roots` are places
    /// that are used like the own one, since clients are told to write to them.
    pub fn open(url: &str, settings: &Settings, cache: PathBuf, roots: Vec<String>) -> Result<Self, Error> {
        let place = match local_folder(url)? {
            Some(folder) => Place::Folder(Folder::new(folder)),
            None => Place::Bucket(Bucket::open(url, settings)?),
        };
        let beyond = Beyond {
            settings: settings.clone(),
            cache,
            roots: roots
                .into_iter()
                .filter(|root| is_object_store(root) || is_folder(root))
                .collect(),
            opened: Mutex::default(),
        };
        let artifacts = Self {
            place,
            beyond: Arc::new(beyond),
        };
        for root in artifacts.beyond.roots.iter().filter(|root| is_object_store(root)) {
            artifacts.bucket_at(root)?;
        }
        Ok(artifacts)
    }

    /// The store and the path in it that a location names, if it lies in one of the roots.
    pub fn within(&self, location: &str) -> Result<Option<(Self, ArtifactPath)>, Error> {
        for root in &self.beyond.roots {
            if let Some(path) = below(root, location) {
                return Ok(Some((self.rooted_at(root)?, path)));
            }
        }
        Ok(None)
    }

    /// The store at another place: a folder or an object store, which whoever asks has found to be allowed.
    pub fn rooted_at(&self, root: &str) -> Result<Self, Error> {
        let place = match local_folder(root)? {
            Some(folder) => Place::Folder(Folder::new(folder)),
            None => Place::Bucket(self.bucket_at(root)?),
        };
        Ok(Self {
            place,
            beyond: self.beyond.clone(),
        })
    }

    fn bucket_at(&self, root: &str) -> Result<Bucket, Error> {
        let mut opened = self
            .beyond
            .opened
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bucket) = opened.get(root) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::open(root, &self.beyond.settings)?;
        opened.insert(root.to_owned(), bucket.clone());
        Ok(bucket)
    }

    /// The object store, if it is one.
    pub fn bucket(&self) -> Option<&Bucket> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Bucket(bucket) => Some(bucket),
        }
    }

    /// Where the artifact is or will be on the local disk; none in an object store.
    pub fn local_path(&self, path: &ArtifactPath) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path_of(path)),
            Place::Bucket(_) => None,
        }
    }

    /// A local folder with what lies under the path: its own, or a copy of what the object store has now.
    pub async fn folder(&self, path: &ArtifactPath) -> Result<PathBuf, Error> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.path_of(path)),
            Place::Bucket(bucket) => fetch::folder(bucket, path, &self.beyond.cache).await,
        }
    }

    /// Writes a file from a stream; durable when this returns. Whatever had the name is replaced. `size` is what the
    /// sender promised, if it did: less or more is an error, and then nothing is written.
    pub async fn put(
        &self,
        path: &ArtifactPath,
        bytes: impl AsyncRead + Unpin,
        size: Option<u64>,
    ) -> Result<u64, Error> {
        match &self.place {
            Place::Folder(folder) => folder.put(path, bytes, size).await,
            Place::Bucket(bucket) => bucket.put(path, bytes, size).await,
        }
    }

    /// Opens a file, or a range of its bytes, for reading.
    pub async fn get(&self, path: &ArtifactPath, range: Option<Range<u64>>) -> Result<Opened, Error> {
        match &self.place {
            Place::Folder(folder) => folder.get(path, range).await,
            Place::Bucket(bucket) => bucket.get(path, range).await,
        }
    }

    /// Size, time and tag of a file.
    pub async fn head(&self, path: &ArtifactPath) -> Result<Meta, Error> {
        match &self.place {
            Place::Folder(folder) => folder.head(path).await,
            Place::Bucket(bucket) => bucket.head(path).await,
        }
    }

    /// What lies directly under a folder, by name; nothing if the folder is not there. Of a file: nothing.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, Error> {
        match &self.place {
            Place::Folder(folder) => folder.list(path).await,
            Place::Bucket(bucket) => bucket.list(path).await,
        }
    }

    /// Every file under a folder, however deep, with its bytes.
    pub async fn list_all(&self, path: &ArtifactPath) -> Result<Vec<(ArtifactPath, u64)>, Error> {
        if let Place::Bucket(bucket) = &self.place {
            let files = bucket
                .list_all(path, None)
                .map_ok(|(name, meta)| (name, meta.size));
            return files.try_collect().await;
        }
        let mut files = Vec::new();
        let mut open = vec![path.clone()];
        while let Some(folder) = open.pop() {
            for entry in self.list(&folder).await? {
                // A name that no client could ask for is not there.
                let Ok(name) = ArtifactPath::parse(&entry.name) else {
                    continue;
                };
                let name = folder.join(&name);
                match entry.size {
                    Some(size) => files.push((name, size)),
                    None => open.push(name),
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Deletes a file, or a folder with all it holds.
    pub async fn delete(&self, path: &ArtifactPath) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.delete(path).await,
            Place::Bucket(bucket) => match bucket.delete_all(path).await? {
                0 => Err(Error::NotFound { path: path.clone() }),
                _ => Ok(()),
            },
        }
    }

    /// Whether clients may send the parts of large files to the store themselves.
    pub fn takes_parts_by_url(&self) -> bool {
        self.bucket().is_some_and(Bucket::takes_parts)
    }

    /// Whether clients may read files from the store themselves.
    pub fn signs(&self) -> bool {
        self.bucket().is_some_and(Bucket::signs)
    }

    /// A URL by which anyone can read the file for a while, where the store can.
    pub async fn signed_get(&self, path: &ArtifactPath, valid: Duration) -> Result<Option<String>, Error> {
        match &self.place {
            Place::Folder(_) => Ok(None),
            Place::Bucket(bucket) => bucket.signed_get(path, valid).await,
        }
    }

    /// A URL by which anyone can write the file for a while, where the store can.
    pub async fn signed_put(&self, path: &ArtifactPath, valid: Duration) -> Result<Option<String>, Error> {
        match &self.place {
            Place::Folder(_) => Ok(None),
            Place::Bucket(bucket) => bucket.signed_put(path, valid).await,
        }
    }

    /// Begins an upload in `count` parts. `id` becomes its id where the store makes none of its own: 32 hex digits that
    /// nobody can guess.
    pub async fn begin_upload(
        &self,
        path: &ArtifactPath,
        count: u32,
        id: String,
        valid: Duration,
    ) -> Result<PartUpload, Error> {
        if count == 0 || PARTS_MAX < count {
            return Err(Error::Parts {
                path: path.clone(),
                what: format!("must have 1 to {PARTS_MAX} parts, not {count}"),
            });
        }
        match &self.place {
            Place::Folder(folder) => {
                folder.begin_parts(path, &id).await?;
                Ok(PartUpload { id, parts: None })
            }
            Place::Bucket(bucket) => {
                let id = bucket
                    .begin_parts(path)
                    .await?
                    .ok_or(Error::Unsupported { what: NO_MULTIPART })?;
                let parts = bucket.sign_parts(path, &id, count, valid).await?;
                Ok(PartUpload {
                    id,
                    parts: Some(parts),
                })
            }
        }
    }

    /// Takes one part, from 1, of an upload that was begun in a local folder; durable when this returns. Its tag.
    pub async fn put_part(
        &self,
        id: &str,
        number: u32,
        bytes: impl AsyncRead + Unpin,
    ) -> Result<String, Error> {
        match &self.place {
            Place::Folder(_) if number == 0 || PARTS_MAX < number => Err(Error::Parts {
                path: ArtifactPath::default(),
                what: format!("has parts 1 to {PARTS_MAX}, not {number}"),
            }),
            Place::Folder(folder) => folder.put_part(id, number, bytes).await,
            Place::Bucket(_) => Err(Error::Unsupported {
                what: "parts go to the object store itself, at the URLs that began the upload",
            }),
        }
    }

    /// The parts that this process took: number, bytes, tag.
    pub async fn list_parts(&self, id: &str) -> Result<Vec<(u32, u64, String)>, Error> {
        match &self.place {
            Place::Folder(folder) => folder.list_parts(id).await,
            Place::Bucket(_) => Err(Error::Unsupported {
                what: "parts are listed by the object store itself",
            }),
        }
    }

    /// Joins parts to the file: numbers and tags. Nothing of it is visible before, all of it when this returns.
    pub async fn complete_upload(
        &self,
        path: &ArtifactPath,
        id: &str,
        mut parts: Vec<(u32, String)>,
    ) -> Result<(), Error> {
        parts.sort();
        let in_order = parts
            .iter()
            .zip(1..)
            .all(|((number, _), expected)| *number == expected);
        if parts.is_empty() || !in_order || (PARTS_MAX as usize) < parts.len() {
            return Err(Error::Parts {
                path: path.clone(),
                what: format!("needs every part from 1 on, once, and at most {PARTS_MAX}"),
            });
        }
        let etags = parts.into_iter().map(|(_, etag)| etag).collect();
        match &self.place {
            Place::Folder(folder) => folder.complete_parts(path, id, etags).await,
            Place::Bucket(bucket) => bucket.complete_parts(path, id, etags).await,
        }
    }

    /// Gives an upload in parts up; one that is not known is fine.
    pub async fn abort_upload(&self, path: &ArtifactPath, id: &str) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.abort_parts(path, id).await,
            Place::Bucket(bucket) => bucket.abort_parts(path, id).await,
        }
    }

    /// Takes away what processes that ended left half done, of uploads in parts only those begun before `parts_before`.
    /// May run beside uploads.
    pub async fn sweep(&self, now: Millis, parts_before: Millis) -> Result<Swept, Error> {
        let leftovers = match &self.place {
            Place::Folder(folder) => {
                let swept = folder.clone();
                tokio::task::spawn_blocking(move || swept.sweep(now, parts_before))
                    .await
                    .map_err(std::io::Error::other)
                    .flatten()
                    .map_err(|source| Error::Disk {
                        doing: "sweep",
                        path: folder.path_of(&ArtifactPath::default()),
                        source,
                    })?
            }
            Place::Bucket(bucket) => {
                let mut swept = 0;
                for left in bucket.leftovers().await? {
                    if left.begun.is_some_and(|begun| begun < parts_before) {
                        bucket.abort_parts(&left.path, &left.id).await?;
                        swept += 1;
                    }
                }
                swept
            }
        };
        Ok(Swept { leftovers })
    }
}

/// Whether a location is one that clients reach by an object store's own protocol.
fn is_object_store(location: &str) -> bool {
    let schemes = [
        "s3", "s3a", "gs", "gcs", "azure", "az", "abfs", "abfss", "wasb", "wasbs",
    ];
    location
        .split_once("://")
        .is_some_and(|(scheme, _)| schemes.contains(&scheme))
}

/// Whether a location is a folder that clients on the same machines reach themselves. A relative one would be another
/// folder for each of them.
fn is_folder(location: &str) -> bool {
    local_folder(location).is_ok_and(|folder| folder.is_some_and(|folder| folder.is_absolute()))
}

/// The path of a location below a root, if it lies there.
pub fn below(root: &str, location: &str) -> Option<ArtifactPath> {
    let rest = location.strip_prefix(root.trim_end_matches('/'))?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    ArtifactPath::parse(rest.trim_matches('/')).ok()
}

/// The folder that a location names, if it names one: a path, `file:PATH` or `file://PATH`.
fn local_folder(url: &str) -> Result<Option<PathBuf>, Error> {
    let path = match url.split_once(':') {
        Some(("file", path)) => match path.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(path) => match path.strip_prefix("localhost/") {
                Some(path) => return Ok(Some(PathBuf::from(format!("/{path}")))),
                None => path,
            },
            None => path,
        },
        Some((_, rest)) if rest.starts_with("//") => return Ok(None),
        _ => url,
    };
    if path.is_empty() {
        return Err(Error::Location {
            url: url.to_owned(),
            what: "it names no folder; write it as `FOLDER`, `file:///FOLDER` or `s3://bucket/prefix`".into(),
        });
    }
    Ok(Some(PathBuf::from(path)))
}
