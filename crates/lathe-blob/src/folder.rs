//! A local folder of files. Every step of a path is opened from the one before and never through a link, so that
//! nothing outside the folder is reached, whatever lies in it. A file appears whole, under its name, once all its bytes
//! are on disk.

mod parts;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use futures_util::StreamExt;
use lathe_types::Millis;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use tempfile::TempPath;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use crate::bucket::whole;
use crate::{ArtifactPath, Entry, Error, Meta, Opened};

/// Uploads under way lie here, beside what they become, so that a rename finishes them. No artifact has this name.
const UPLOADS: &str = ".uploads";
/// How files that are being written begin: whoever writes one holds its lock.
const WRITING: &str = "put-";
/// How folders that are being deleted begin.
const GOING: &str = "gone-";
/// A file without a lock may be about to get it.
const LOCKED_WITHIN_MS: i64 = 60_000;
/// How much is read or written at once.
const CHUNK_BYTES: usize = 256 << 10;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

/// A file that is being written, under a name that nobody asks for.
struct Draft {
    file: File,
    temporary: TempPath,
    uploads: OwnedFd,
}

impl Folder {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn path_of(&self, path: &ArtifactPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Writes a file from a stream; durable when this returns. Whatever had the name is replaced.
    pub async fn put(
        &self,
        path: &ArtifactPath,
        bytes: impl AsyncRead + Unpin,
        size: Option<u64>,
    ) -> Result<u64, Error> {
        if path.is_root() || is_reserved(path) {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is not the name of a file",
            });
        }
        let folder = self.clone();
        let draft = blocking(move || folder.draft()).await;
        let draft = draft.map_err(|source| self.disk("write", path, source))?;
        let (draft, written) = self.fill(path, draft, bytes).await?;
        whole(path, size, written)?;
        let folder = self.clone();
        let target = path.clone();
        blocking(move || folder.publish(draft, &target))
            .await
            .map_err(|source| self.not_written(path, source))?;
        Ok(written)
    }

    /// Writes the stream into the draft, and waits until the disk has it.
    async fn fill(
        &self,
        path: &ArtifactPath,
        draft: Draft,
        mut bytes: impl AsyncRead + Unpin,
    ) -> Result<(Draft, u64), Error> {
        let disk = |source| self.disk("write", path, source);
        let mut file = tokio::fs::File::from_std(draft.file);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut written = 0;
        loop {
            let read = bytes.read(&mut chunk).await.map_err(|source| Error::Upload {
                path: path.clone(),
                source,
            })?;
            if read == 0 {
                break;
            }
            file.write_all(&chunk[..read]).await.map_err(disk)?;
            written += read as u64;
        }
        file.flush().await.map_err(disk)?;
        file.sync_all().await.map_err(disk)?;
        let draft = Draft {
            file: file.into_std().await,
            ..draft
        };
        Ok((draft, written))
    }

    /// Opens a file, or a range of its bytes, for reading.
    pub async fn get(&self, path: &ArtifactPath, range: Option<Range<u64>>) -> Result<Opened, Error> {
        let folder = self.clone();
        let wanted = path.clone();
        let (file, meta) = blocking(move || folder.open_file(&wanted))
            .await
            .map_err(|source| self.not_read("read", path, source))?;
        let range = range.unwrap_or(0..meta.size);
        let range = range.start..range.end.min(meta.size);
        let mut file = tokio::fs::File::from_std(file);
        if range.start != 0 {
            file.seek(io::SeekFrom::Start(range.start))
                .await
                .map_err(|source| self.disk("read", path, source))?;
        }
        let length = range.end.saturating_sub(range.start);
        let chunks = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES).boxed();
        Ok(Opened { meta, range, chunks })
    }

    /// What is known of a file.
    pub async fn head(&self, path: &ArtifactPath) -> Result<Meta, Error> {
        let folder = self.clone();
        let wanted = path.clone();
        blocking(move || folder.open_file(&wanted))
            .await
            .map(|(_, meta)| meta)
            .map_err(|source| self.not_read("read", path, source))
    }

    /// What lies directly under a folder, by name; nothing if the folder is not there. Of a file: nothing. Links are not
    /// shown.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, Error> {
        let folder = self.clone();
        let wanted = path.clone();
        match blocking(move || folder.entries(&wanted)).await {
            Ok(entries) => Ok(entries),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(source) => Err(self.disk("list", path, source)),
        }
    }

    /// Deletes a file, or a folder with all it holds, at one stroke.
    pub async fn delete(&self, path: &ArtifactPath) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is the root of all artifacts and stays",
            });
        }
        let folder = self.clone();
        let wanted = path.clone();
        blocking(move || folder.remove(&wanted))
            .await
            .map_err(|source| self.not_read("delete", path, source))
    }

    fn entries(&self, path: &ArtifactPath) -> io::Result<Vec<Entry>> {
        if is_reserved(path) {
            return Err(missing());
        }
        let folder = walk(self.open_root()?, parts_of(path), Create::No)?;
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if [&b"."[..], b".."].contains(&name.to_bytes()) {
                continue;
            }
            let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone since.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let size = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Some(stat.st_size as u64),
                FileType::Directory => None,
                _ => continue,
            };
            let name = name.to_string_lossy().into_owned();
            if !(path.is_root() && name == UPLOADS) {
                found.push(Entry { name, size });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn open_file(&self, path: &ArtifactPath) -> io::Result<(File, Meta)> {
        if is_reserved(path) {
            return Err(missing());
        }
        let (folder, name) = split(path);
        let folder = walk(self.open_root()?, folder, Create::No)?;
        // Without blocking: what is opened may be no file, and then nobody may ever write to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((file, meta_of(&stat))),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(missing()),
        }
    }

    fn remove(&self, path: &ArtifactPath) -> io::Result<()> {
        if is_reserved(path) {
            return Err(missing());
        }
        let (folder, name) = split(path);
        let folder = walk(self.open_root()?, folder, Create::No)?;
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
            return Ok(rustix::fs::fsync(&folder)?);
        }
        // Moved away first: nobody sees half a folder.
        let uploads = self.uploads()?;
        let going = tempfile::Builder::new()
            .prefix(GOING)
            .tempdir_in(self.root.join(UPLOADS))?;
        let into = open_folder(&uploads, going.path().file_name().unwrap_or_default().as_bytes())?;
        rustix::fs::renameat(&folder, name, &into, "it")?;
        rustix::fs::fsync(&folder)?;
        going.close()
    }

    fn draft(&self) -> io::Result<Draft> {
        std::fs::create_dir_all(&self.root)?;
        let uploads = self.uploads()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let drafted = tempfile::Builder::new()
            .prefix(WRITING)
            .make_in(self.root.join(UPLOADS), |path| {
                let name = path.file_name().unwrap_or_default();
                let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
                Ok(File::from(rustix::fs::openat(&uploads, name, flags, mode)?))
            })?;
        let (file, temporary) = drafted.into_parts();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Draft {
            file,
            temporary,
            uploads,
        })
    }

    /// Gives the draft its name. The name is durable only once its folder is.
    fn publish(&self, draft: Draft, path: &ArtifactPath) -> io::Result<()> {
        let (folder, name) = split(path);
        let folder = walk(self.open_root()?, folder, Create::Yes)?;
        let drafted = draft.temporary.file_name().unwrap_or_default().to_owned();
        rustix::fs::renameat(&draft.uploads, drafted, &folder, name)?;
        // The old name is free again: nothing is left to delete.
        let _ = draft.temporary.keep();
        Ok(rustix::fs::fsync(&folder)?)
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.root, flags, Mode::empty())?)
    }

    fn uploads(&self) -> io::Result<OwnedFd> {
        walk(self.open_root()?, [UPLOADS], Create::Yes)
    }

    fn disk(&self, doing: &'static str, path: &ArtifactPath, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { path: path.clone() },
            _ => Error::Disk {
                doing,
                path: self.path_of(path),
                source,
            },
        }
    }

    fn not_read(&self, doing: &'static str, path: &ArtifactPath, source: io::Error) -> Error {
        match source.kind() {
            _ if is_missing(&source) => Error::NotFound { path: path.clone() },
            io::ErrorKind::IsADirectory => Error::WrongShape {
                path: path.clone(),
                what: "is a folder; list it instead",
            },
            _ => self.disk(doing, path, source),
        }
    }

    fn not_written(&self, path: &ArtifactPath, source: io::Error) -> Error {
        let what = match source.kind() {
            io::ErrorKind::IsADirectory => "is a folder",
            _ if is_missing(&source) => "lies under a file",
            _ => return self.disk("write", path, source),
        };
        Error::WrongShape {
            path: path.clone(),
            what,
        }
    }

    /// Deletes what was being written or deleted when a process ended, and uploads in parts that nobody went on with
    /// since `parts_before`. Returns how many that were.
    pub fn sweep(&self, now: Millis, parts_before: Millis) -> io::Result<u64> {
        let uploads = match self
            .open_root()
            .and_then(|root| walk(root, [UPLOADS], Create::No))
        {
            Ok(uploads) => uploads,
            Err(error) if is_missing(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut swept = 0;
        for entry in rustix::fs::Dir::read_from(&uploads)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(stat) = rustix::fs::statat(&uploads, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let written = meta_of(&stat).modified;
            let whole_path = self.root.join(UPLOADS).join(&name);
            let removed = if name.starts_with(WRITING) {
                written.0 + LOCKED_WITHIN_MS < now.0
                    && is_unlocked(&uploads, &name)
                    && std::fs::remove_file(&whole_path).is_ok()
            } else if name.starts_with(GOING) {
                std::fs::remove_dir_all(&whole_path).is_ok()
            } else if name.starts_with(parts::PARTS) {
                written < parts_before && std::fs::remove_dir_all(&whole_path).is_ok()
            } else {
                false
            };
            swept += u64::from(removed);
        }
        Ok(swept)
    }
}

/// Runs what waits for the disk beside what answers requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn is_unlocked(folder: &OwnedFd, name: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(folder, name, flags, Mode::empty())
        .is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn is_reserved(path: &ArtifactPath) -> bool {
    parts_of(path).next() == Some(UPLOADS)
}

fn parts_of(path: &ArtifactPath) -> impl Iterator<Item = &str> {
    path.as_str().split('/').filter(|part| !part.is_empty())
}

/// The parts of the folder, and the name in it.
fn split(path: &ArtifactPath) -> (impl Iterator<Item = &str>, &str) {
    let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    (folder.split('/').filter(|part| !part.is_empty()), name)
}

#[derive(Clone, Copy, PartialEq)]
enum Create {
    Yes,
    No,
}

/// Goes down from an open folder, step by step and through no link.
fn walk<'a>(
    mut folder: OwnedFd,
    parts: impl IntoIterator<Item = &'a str>,
    create: Create,
) -> io::Result<OwnedFd> {
    for part in parts {
        if create == Create::Yes {
            match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                Ok(()) => rustix::fs::fsync(&folder)?,
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        folder = open_folder(&folder, part.as_bytes())?;
    }
    Ok(folder)
}

fn open_folder(folder: &impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Also of what lies under a file, or behind a link: no artifact is there.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn meta_of(stat: &rustix::fs::Stat) -> Meta {
    let (seconds, nanos) = (stat.st_mtime, stat.st_mtime_nsec as i64);
    Meta {
        size: stat.st_size as u64,
        etag: Some(format!(
            "\"{:x}-{:x}-{seconds:x}.{nanos:x}\"",
            stat.st_ino, stat.st_size
        )),
        modified: Millis(seconds * 1_000 + nanos / 1_000_000),
    }
}
