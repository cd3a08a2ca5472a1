//! An object store, opened by URL: S3 and its like, Google's, Azure's, or a folder behind the same calls. Transfers
//! stream, memory is bounded, retries end. An object appears whole or not at all.

mod open;
mod parts;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use lathe_types::Millis;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::remote;
use crate::{ArtifactPath, Entry, Error, Meta, Opened, Settings};

pub use parts::SignedPart;

/// A part of a large upload; S3 wants at least 5 MiB. A file that fits into one is sent at once.
const PART_BYTES: usize = 8 << 20;
/// S3 takes 10,000 parts; files of unknown length get larger parts as they go on.
const PARTS_BEFORE_GROWTH: usize = 1_000;
/// Parts of one upload that are on their way, beside the one that is being read.
const PARTS_IN_FLIGHT: usize = 2;
/// Uploads at once: with [`PARTS_IN_FLIGHT`] a bound on memory.
const UPLOADS_AT_ONCE: usize = 16;
/// Deletions and questions at once.
const REQUESTS_AT_ONCE: usize = 32;

/// An object store under a URL. Clones share its connections.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    opened: open::Opened,
    uploads: Semaphore,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.inner.url)
    }
}

/// Objects with their names below the bucket's URL.
pub type Listing = BoxStream<'static, Result<(ArtifactPath, Meta), Error>>;

impl Bucket {
    /// Opens `s3://bucket/prefix`, `gs://bucket/prefix`, `azure://container/prefix`, `abfss://container@account…/prefix`
    /// or `file:///folder`. Asks nobody yet: what is wrong with bucket or credentials shows at the first call.
    pub fn open(url: &str, settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            inner: Arc::new(Inner {
                url: url.trim_end_matches('/').to_owned(),
                opened: open::open(url, settings)?,
                uploads: Semaphore::new(UPLOADS_AT_ONCE),
            }),
        })
    }

    /// What it was opened by, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The URL of an object.
    pub fn url_of(&self, path: &ArtifactPath) -> String {
        match path.is_root() {
            true => self.inner.url.clone(),
            false => format!("{}/{path}", self.inner.url),
        }
    }

    fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.opened.store
    }

    fn key(&self, path: &ArtifactPath) -> Result<Path, Error> {
        let prefix = &self.inner.opened.prefix;
        let text = match (prefix.is_empty(), path.is_root()) {
            (true, _) => path.as_str().to_owned(),
            (_, true) => prefix.clone(),
            _ => format!("{prefix}/{path}"),
        };
        Path::parse(&text).map_err(|error| Error::Location {
            url: self.url_of(path),
            what: error.to_string(),
        })
    }

    /// The name of a key below the bucket's URL; none for keys that no path can name.
    fn name(&self, key: &Path) -> Option<ArtifactPath> {
        let prefix = &self.inner.opened.prefix;
        let key = key.as_ref();
        let below = match prefix.is_empty() {
            true => key,
            false => key.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
        };
        let path = ArtifactPath::parse(below);
        if path.is_err() {
            tracing::warn!(
                bucket = self.inner.url,
                key,
                "a key is left out: no path can name it"
            );
        }
        path.ok().filter(|path| !path.is_root())
    }

    fn failed(
        &self,
        doing: &'static str,
        path: &ArtifactPath,
    ) -> impl Fn(object_store::Error) -> Error + use<'_> {
        let path = path.clone();
        move |error| remote(doing, self.url_of(&path), &path, error)
    }

    /// Opens an object, or a range of its bytes, for reading.
    pub async fn get(&self, path: &ArtifactPath, range: Option<Range<u64>>) -> Result<Opened, Error> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let result = self
            .store()
            .get_opts(&self.key(path)?, options)
            .await
            .map_err(self.failed("read", path))?;
        let meta = meta(&result.meta);
        let range = result.range.clone();
        let chunks = result.into_stream().map_err(io::Error::other).boxed();
        Ok(Opened { meta, range, chunks })
    }

    /// The bytes of a small object; more than `bytes_max` are an error.
    pub async fn read(&self, path: &ArtifactPath, bytes_max: u64) -> Result<Bytes, Error> {
        let opened = self.get(path, None).await?;
        if bytes_max < opened.meta.size {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is larger than what is read at once",
            });
        }
        let broke_off = |source| Error::Upload {
            path: path.clone(),
            source,
        };
        let mut bytes = BytesMut::new();
        let mut chunks = opened.chunks;
        while let Some(chunk) = chunks.try_next().await.map_err(broke_off)? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Size, time and tag of an object.
    pub async fn head(&self, path: &ArtifactPath) -> Result<Meta, Error> {
        let found = self.store().head(&self.key(path)?).await;
        Ok(meta(&found.map_err(self.failed("read", path))?))
    }

    /// Whether an object is there.
    pub async fn exists(&self, path: &ArtifactPath) -> Result<bool, Error> {
        match self.head(path).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Which of the objects are there, in their order; `at_once` of them are asked for at a time.
    pub async fn exist(&self, paths: Vec<ArtifactPath>, at_once: usize) -> Result<Vec<bool>, Error> {
        let bucket = self.clone();
        stream::iter(paths)
            .map(move |path| {
                let bucket = bucket.clone();
                async move { bucket.exists(&path).await }
            })
            .buffered(at_once.clamp(1, 256))
            .try_collect()
            .await
    }

    /// Writes an object from a stream; it is there, whole, when this returns. `size` is what the sender promises, if it
    /// does. Memory is bounded: large streams go in parts.
    pub async fn put(
        &self,
        path: &ArtifactPath,
        mut bytes: impl AsyncRead + Unpin,
        size: Option<u64>,
    ) -> Result<u64, Error> {
        if path.is_root() {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is not the name of a file",
            });
        }
        let key = self.key(path)?;
        let _place = self.inner.uploads.acquire().await;
        let part = part_bytes(size, 0);
        let first = read_part(path, &mut bytes, part).await?;
        if first.len() < part {
            let written = first.len() as u64;
            whole(path, size, written)?;
            self.store()
                .put(&key, PutPayload::from(first))
                .await
                .map_err(self.failed("write", path))?;
            return Ok(written);
        }
        let upload = self
            .store()
            .put_multipart(&key)
            .await
            .map_err(self.failed("write", path))?;
        let mut upload = Unfinished(Some(upload));
        let written = self.put_parts(path, &mut upload, first, bytes, size).await?;
        upload.complete().await.map_err(self.failed("write", path))?;
        Ok(written)
    }

    async fn put_parts(
        &self,
        path: &ArtifactPath,
        upload: &mut Unfinished,
        first: Bytes,
        mut bytes: impl AsyncRead + Unpin,
        size: Option<u64>,
    ) -> Result<u64, Error> {
        let mut on_their_way = JoinSet::new();
        let mut written = 0;
        let mut next = first;
        for number in 1.. {
            if next.is_empty() {
                break;
            }
            written += next.len() as u64;
            while PARTS_IN_FLIGHT <= on_their_way.len() {
                self.arrived(path, &mut on_their_way).await?;
            }
            if let Some(upload) = &mut upload.0 {
                on_their_way.spawn(upload.put_part(PutPayload::from(next)));
            }
            next = read_part(path, &mut bytes, part_bytes(size, number)).await?;
        }
        while !on_their_way.is_empty() {
            self.arrived(path, &mut on_their_way).await?;
        }
        whole(path, size, written)?;
        Ok(written)
    }

    async fn arrived(
        &self,
        path: &ArtifactPath,
        on_their_way: &mut JoinSet<object_store::Result<()>>,
    ) -> Result<(), Error> {
        match on_their_way.join_next().await {
            Some(Ok(result)) => result.map_err(self.failed("write", path)),
            Some(Err(source)) => Err(self.failed("write", path)(object_store::Error::JoinError {
                source,
            })),
            None => Ok(()),
        }
    }

    /// What lies directly under a folder, by name. A folder that nothing lies in is not there, and lists nothing.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, Error> {
        let found = self
            .store()
            .list_with_delimiter(Some(&self.key(path)?))
            .await
            .map_err(self.failed("list", path))?;
        let last = |path: ArtifactPath| path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        let folders = found.common_prefixes.iter().filter_map(|prefix| {
            Some(Entry {
                name: last(self.name(prefix)?),
                size: None,
            })
        });
        let files = found.objects.iter().filter_map(|object| {
            Some(Entry {
                name: last(self.name(&object.location)?),
                size: Some(object.size),
            })
        });
        let mut entries: Vec<Entry> = folders.chain(files).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Everything under a folder, however deep, page by page as it is read; after the name `after`, if one is given.
    pub fn list_all(&self, path: &ArtifactPath, after: Option<&ArtifactPath>) -> Listing {
        let bucket = self.clone();
        let path = path.clone();
        let keys = self.key(&path).and_then(|prefix| match after {
            Some(after) => Ok(self.store().list_with_offset(Some(&prefix), &self.key(after)?)),
            None => Ok(self.store().list(Some(&prefix))),
        });
        match keys {
            Err(error) => stream::once(async { Err(error) }).boxed(),
            Ok(objects) => objects
                .filter_map(move |object| {
                    let listed = match object {
                        Ok(object) => bucket
                            .name(&object.location)
                            .map(|name| Ok((name, meta(&object)))),
                        Err(error) => Some(Err(bucket.failed("list", &path)(error))),
                    };
                    async { listed }
                })
                .boxed(),
        }
    }

    /// Deletes an object; one that is not there is fine.
    pub async fn delete(&self, path: &ArtifactPath) -> Result<(), Error> {
        match self.store().delete(&self.key(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path)(error)),
        }
    }

    /// Deletes an object, or a folder with all that lies in it; returns how many objects that were.
    pub async fn delete_all(&self, path: &ArtifactPath) -> Result<u64, Error> {
        if path.is_root() {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is the root of all artifacts and stays",
            });
        }
        let below = self
            .list_all(path, None)
            .map(|object| async {
                self.delete(&object?.0).await?;
                Ok(1)
            })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_fold(0, |sum, one| async move { Ok(sum + one) })
            .await?;
        // A name is a folder's or an object's.
        if 0 < below || !self.exists(path).await? {
            return Ok(below);
        }
        self.delete(path).await?;
        Ok(1)
    }

    /// Whether this kind of store signs URLs.
    pub fn signs(&self) -> bool {
        self.inner.opened.signer.is_some()
    }

    /// Whether this kind of store takes parts of an object from others.
    pub fn takes_parts(&self) -> bool {
        self.inner.opened.s3.is_some()
    }

    /// A URL by which anyone can read the object for a while; none if this kind of store has no such thing.
    pub async fn signed_get(&self, path: &ArtifactPath, valid: Duration) -> Result<Option<String>, Error> {
        self.signed(reqwest::Method::GET, path, valid).await
    }

    /// A URL by which anyone can write the object for a while; none if this kind of store has no such thing.
    pub async fn signed_put(&self, path: &ArtifactPath, valid: Duration) -> Result<Option<String>, Error> {
        self.signed(reqwest::Method::PUT, path, valid).await
    }

    async fn signed(
        &self,
        method: reqwest::Method,
        path: &ArtifactPath,
        valid: Duration,
    ) -> Result<Option<String>, Error> {
        let Some(signer) = &self.inner.opened.signer else {
            return Ok(None);
        };
        let url = signer
            .signed_url(method, &self.key(path)?, valid)
            .await
            .map_err(self.failed("sign", path))?;
        Ok(Some(url.into()))
    }
}

/// An upload in parts that is given up if it is dropped before it is complete.
struct Unfinished(Option<Box<dyn MultipartUpload>>);

impl Unfinished {
    async fn complete(mut self) -> object_store::Result<()> {
        if let Some(mut upload) = self.0.take() {
            let completed = upload.complete().await;
            if completed.is_err() {
                self.0 = Some(upload);
            }
            completed?;
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(mut upload) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Its parts would be kept, and paid for, unseen.
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "an upload that broke off could not be given up; `lathe gc` does it");
                }
            });
        }
    }
}

fn meta(object: &ObjectMeta) -> Meta {
    Meta {
        size: object.size,
        etag: object.e_tag.clone(),
        modified: Millis(object.last_modified.timestamp_millis()),
    }
}

/// The size of part `number`, from 0, of a file of `size` bytes, if that is known.
fn part_bytes(size: Option<u64>, number: usize) -> usize {
    match size {
        Some(size) => PART_BYTES.max((size / 9_000 + 1) as usize),
        None => PART_BYTES << (number / PARTS_BEFORE_GROWTH).min(6),
    }
}

/// Up to `bytes` of a stream; fewer only at its end.
async fn read_part(
    path: &ArtifactPath,
    stream: &mut (impl AsyncRead + Unpin),
    bytes: usize,
) -> Result<Bytes, Error> {
    let mut part = BytesMut::with_capacity(64 << 10);
    while part.len() < bytes {
        // Grown once beyond the first step: copies of doubling buffers would be memory too.
        if part.len() == part.capacity() {
            part.reserve(bytes - part.len());
        }
        let room = bytes - part.len();
        let read = stream
            .take(room as u64)
            .read_buf(&mut part)
            .await
            .map_err(|source| Error::Upload {
                path: path.clone(),
                source,
            })?;
        if read == 0 {
            break;
        }
    }
    Ok(part.freeze())
}

/// What was promised must have come.
pub(crate) fn whole(path: &ArtifactPath, promised: Option<u64>, written: u64) -> Result<(), Error> {
    match promised {
        Some(promised) if promised != written => Err(Error::Upload {
            path: path.clone(),
            source: io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{promised} bytes were promised and {written} came"),
            ),
        }),
        _ => Ok(()),
    }
}
