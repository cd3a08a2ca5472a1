use std::io;
use std::path::{Path, PathBuf};

use lathe_types::ErrorKind;
use tokio::io::{AsyncRead, AsyncWriteExt};

use crate::ArtifactPath;

/// The store of artifacts: a local folder. A file appears whole, under its name, once all its bytes are on disk.
#[derive(Debug, Clone)]
pub struct Artifacts {
    root: PathBuf,
}

/// A file or folder in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its last part.
    pub name: String,
    /// Bytes of a file; none for a folder.
    pub size: Option<u64>,
}

/// What can go wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file or folder.
    #[error("No such artifact: '{path}'")]
    NotFound {
        /// The artifact.
        path: ArtifactPath,
    },
    /// A file where a folder is needed, or the other way round.
    #[error("'{path}' {what}")]
    WrongShape {
        /// The artifact.
        path: ArtifactPath,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The sender broke off.
    #[error("the upload of '{path}' broke off")]
    Upload {
        /// The artifact.
        path: ArtifactPath,
        /// How.
        source: io::Error,
    },
    /// The disk refused.
    #[error("failed to {doing} `{path}`")]
    Disk {
        /// `read`, `write`, `list`, `delete`.
        doing: &'static str,
        /// The file on disk.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::WrongShape { .. } | Self::Upload { .. } => ErrorKind::InvalidInput,
            Self::Disk { .. } => ErrorKind::Internal,
        }
    }
}

/// Uploads under way lie here, beside what they become, so that a rename finishes them.
const UPLOADS: &str = ".uploads";

impl Artifacts {
    /// Artifacts in a local folder, created when first written to.
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the artifact is or will be on the local disk.
    pub fn local_path(&self, path: &ArtifactPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Writes a file from a stream; durable when this returns. Whatever had the name is replaced.
    pub async fn put(&self, path: &ArtifactPath, mut bytes: impl AsyncRead + Unpin) -> Result<u64, Error> {
        if path.is_root() || path.as_str().starts_with(UPLOADS) {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is not the name of a file",
            });
        }
        let target = self.local_path(path);
        let uploads = self.root.join(UPLOADS);
        let disk = |source| Error::Disk {
            doing: "write",
            path: target.clone(),
            source,
        };
        tokio::fs::create_dir_all(&uploads).await.map_err(disk)?;
        let temporary = tempfile::Builder::new()
            .tempfile_in(&uploads)
            .map_err(disk)?
            .into_temp_path();
        let mut file = tokio::fs::File::create(&temporary).await.map_err(disk)?;
        let mut chunk = vec![0; 256 * 1024];
        let mut size = 0;
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut bytes, &mut chunk)
                .await
                .map_err(|source| Error::Upload {
                    path: path.clone(),
                    source,
                })?;
            if read == 0 {
                break;
            }
            file.write_all(&chunk[..read]).await.map_err(disk)?;
            size += read as u64;
        }
        file.flush().await.map_err(disk)?;
        file.sync_all().await.map_err(disk)?;
        drop(file);
        let path = path.clone();
        let moved = tokio::task::spawn_blocking(move || move_into_place(temporary, &target, &path));
        moved.await.map_err(|error| Error::Disk {
            doing: "write",
            path: self.root.clone(),
            source: io::Error::other(error),
        })??;
        Ok(size)
    }

    /// Opens a file for reading; with its size.
    pub async fn open(&self, path: &ArtifactPath) -> Result<(tokio::fs::File, u64), Error> {
        let target = self.local_path(path);
        let file = tokio::fs::File::open(&target)
            .await
            .map_err(|source| missing_or("read", path, &target, source))?;
        let metadata = file
            .metadata()
            .await
            .map_err(|source| missing_or("read", path, &target, source))?;
        if metadata.is_dir() {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is a folder; list it instead",
            });
        }
        Ok((file, metadata.len()))
    }

    /// What lies directly under a folder, by name; nothing if the folder is not there. Of a file: nothing.
    pub async fn list(&self, path: &ArtifactPath) -> Result<Vec<Entry>, Error> {
        let target = self.local_path(path);
        let failed = |source| Error::Disk {
            doing: "list",
            path: target.clone(),
            source,
        };
        let mut entries = match tokio::fs::read_dir(&target).await {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_root() && name == UPLOADS {
                continue;
            }
            let metadata = entry.metadata().await.map_err(failed)?;
            found.push(Entry {
                name,
                size: metadata.is_file().then_some(metadata.len()),
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Deletes a file, or a folder with all it holds.
    pub async fn delete(&self, path: &ArtifactPath) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is the root of all artifacts and stays",
            });
        }
        let target = self.local_path(path);
        let failed = |source| missing_or("delete", path, &target, source);
        let metadata = tokio::fs::symlink_metadata(&target).await.map_err(failed)?;
        if metadata.is_dir() {
            tokio::fs::remove_dir_all(&target).await.map_err(failed)
        } else {
            tokio::fs::remove_file(&target).await.map_err(failed)
        }
    }
}

fn missing_or(doing: &'static str, path: &ArtifactPath, target: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound { path: path.clone() },
        _ => Error::Disk {
            doing,
            path: target.to_owned(),
            source,
        },
    }
}

fn move_into_place(temporary: tempfile::TempPath, target: &Path, path: &ArtifactPath) -> Result<(), Error> {
    let disk = |source: io::Error| Error::Disk {
        doing: "write",
        path: target.to_owned(),
        source,
    };
    let folder = target.parent().unwrap_or(target);
    std::fs::create_dir_all(folder).map_err(|source| match source.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Error::WrongShape {
            path: path.clone(),
            what: "lies under a file",
        },
        _ => disk(source),
    })?;
    if target.is_dir() {
        return Err(Error::WrongShape {
            path: path.clone(),
            what: "is a folder",
        });
    }
    temporary.persist(target).map_err(|error| disk(error.error))?;
    // The name is durable only once its folder is.
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::local(folder.path().join("a"));
        artifacts.put(&path("0/m/x.txt"), &b"hello"[..]).await.unwrap();
        let broken = tokio_test_broken();
        assert!(matches!(
            artifacts.put(&path("0/m/y.txt"), broken).await,
            Err(Error::Upload { .. })
        ));
        let entries = artifacts.list(&path("0/m")).await.unwrap();
        assert_eq!(
            entries,
            [Entry {
                name: "x.txt".into(),
                size: Some(5)
            }]
        );
        assert_eq!(
            std::fs::read_dir(folder.path().join("a/.uploads"))
                .unwrap()
                .count(),
            0
        );
        assert_eq!(artifacts.list(&path("")).await.unwrap().len(), 1);
    }

    /// Ten bytes, then the connection is gone.
    fn tokio_test_broken() -> impl AsyncRead + Unpin {
        struct Broken(bool);
        impl AsyncRead for Broken {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                if self.0 {
                    return std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                self.0 = true;
                buffer.put_slice(&[0; 10]);
                std::task::Poll::Ready(Ok(()))
            }
        }
        Broken(false)
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::local(folder.path());
        assert!(matches!(
            artifacts.open(&path("x")).await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            artifacts.delete(&path("x")).await,
            Err(Error::NotFound { .. })
        ));
        artifacts.put(&path("x"), &b""[..]).await.unwrap();
        assert!(matches!(
            artifacts.put(&path("x/y"), &b""[..]).await,
            Err(Error::WrongShape { .. })
        ));
        artifacts.delete(&path("x")).await.unwrap();
        assert!(artifacts.delete(&path("")).await.is_err());
    }
}
