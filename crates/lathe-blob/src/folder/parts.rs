//! Uploads in parts: each part is a file of its own until the upload is completed, so that one that breaks off goes on
//! with the parts that are missing.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use tokio::io::AsyncRead;

use super::{Create, Folder, blocking, is_missing, is_reserved, meta_of, missing, walk};
use crate::{ArtifactPath, Error};

/// How folders with parts begin.
pub(super) const PARTS: &str = "parts-";
/// Which artifact the parts are of.
const TARGET: &str = "target";
/// Is there once the artifact is: a client that asks again is told the same.
const DONE: &str = "done";

impl Folder {
    /// Begins an upload under an id that nobody can guess.
    pub async fn begin_parts(&self, path: &ArtifactPath, id: &str) -> Result<(), Error> {
        if path.is_root() || is_reserved(path) {
            return Err(Error::WrongShape {
                path: path.clone(),
                what: "is not the name of a file",
            });
        }
        let (folder, id, target) = (self.clone(), id.to_owned(), path.clone());
        blocking(move || {
            std::fs::create_dir_all(&folder.root)?;
            let parts = walk(folder.uploads()?, [format!("{PARTS}{id}").as_str()], Create::Yes)?;
            write_small(&parts, TARGET, target.as_str().as_bytes())
        })
        .await
        .map_err(|source| self.disk("write", path, source))
    }

    /// Writes one part; durable when this returns. Returns its tag.
    pub async fn put_part(
        &self,
        id: &str,
        number: u32,
        bytes: impl AsyncRead + Unpin,
    ) -> Result<String, Error> {
        let (folder, upload) = (self.clone(), id.to_owned());
        let begun = blocking(move || {
            let parts = folder.parts(&upload)?;
            let path = target_of(&parts)?;
            Ok((folder.draft()?, parts, path))
        });
        let (draft, parts, path) = begun.await.map_err(|source| self.not_known(id, source))?;
        let (draft, _) = self.fill(&path, draft, bytes).await?;
        let moved = blocking(move || {
            let drafted = draft.temporary.file_name().unwrap_or_default().to_owned();
            let name = number.to_string();
            rustix::fs::renameat(&draft.uploads, drafted, &parts, name.as_str())?;
            let _ = draft.temporary.keep();
            rustix::fs::fsync(&parts)?;
            Ok(meta_of(&rustix::fs::fstat(&draft.file)?).etag.unwrap_or_default())
        });
        moved.await.map_err(|source| self.not_known(id, source))
    }

    /// The parts that are there: number, bytes, tag.
    pub async fn list_parts(&self, id: &str) -> Result<Vec<(u32, u64, String)>, Error> {
        let (folder, upload) = (self.clone(), id.to_owned());
        let listed = blocking(move || {
            let parts = folder.parts(&upload)?;
            let mut found = Vec::new();
            for entry in rustix::fs::Dir::read_from(&parts)? {
                let entry = entry?;
                let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                let stat = rustix::fs::statat(&parts, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                let meta = meta_of(&stat);
                found.push((number, meta.size, meta.etag.unwrap_or_default()));
            }
            found.sort();
            Ok(found)
        });
        listed.await.map_err(|source| self.not_known(id, source))
    }

    /// Joins the parts 1 to n, which must have the given tags, to the artifact; durable when this returns.
    pub async fn complete_parts(
        &self,
        path: &ArtifactPath,
        id: &str,
        etags: Vec<String>,
    ) -> Result<(), Error> {
        let (folder, upload, target) = (self.clone(), id.to_owned(), path.clone());
        let completed = blocking(move || {
            let parts = folder.parts(&upload)?;
            if target_of(&parts)? != target {
                return Err(missing());
            }
            if open_part(&parts, DONE).is_ok() {
                return Ok(None);
            }
            let mut draft = folder.draft()?;
            for (number, etag) in (1..).zip(&etags) {
                let mut part = match open_part(&parts, &number.to_string()) {
                    Ok(part) => part,
                    Err(error) if is_missing(&error) => return Ok(Some(format!("has no part {number}"))),
                    Err(error) => return Err(error),
                };
                let found = meta_of(&rustix::fs::fstat(&part)?).etag.unwrap_or_default();
                // Some clients take the quotes off.
                if found.trim_matches('"') != etag.trim_matches('"') {
                    return Ok(Some(format!(
                        "has another part {number} than the one that was named"
                    )));
                }
                io::copy(&mut part, &mut draft.file)?;
            }
            draft.file.sync_all()?;
            folder.publish(draft, &target)?;
            write_small(&parts, DONE, b"")?;
            for number in 1..=etags.len() {
                rustix::fs::unlinkat(&parts, number.to_string().as_str(), AtFlags::empty())?;
            }
            Ok(None)
        });
        match completed.await {
            Ok(None) => Ok(()),
            Ok(Some(what)) => Err(Error::Parts {
                path: path.clone(),
                what,
            }),
            Err(error) if is_missing(&error) => Err(self.not_known(id, error)),
            Err(error) => Err(self.not_written(path, error)),
        }
    }

    /// Gives an upload up; one that is not known is fine.
    pub async fn abort_parts(&self, path: &ArtifactPath, id: &str) -> Result<(), Error> {
        let (folder, upload, target) = (self.clone(), id.to_owned(), path.clone());
        let removed = blocking(move || {
            let parts = folder.parts(&upload)?;
            if target_of(&parts)? != target {
                return Err(missing());
            }
            std::fs::remove_dir_all(folder.root.join(super::UPLOADS).join(format!("{PARTS}{upload}")))
        });
        match removed.await {
            Err(error) if !is_missing(&error) => Err(self.disk("delete", path, error)),
            _ => Ok(()),
        }
    }

    fn parts(&self, id: &str) -> io::Result<OwnedFd> {
        let known = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !known {
            return Err(missing());
        }
        walk(
            self.open_root()?,
            [super::UPLOADS, format!("{PARTS}{id}").as_str()],
            Create::No,
        )
    }

    fn not_known(&self, id: &str, source: io::Error) -> Error {
        let path = ArtifactPath::default();
        match is_missing(&source) {
            true => Error::Parts {
                path,
                what: format!("`{}` is not known: it was completed, given up or swept", clip(id)),
            },
            false => self.disk("write", &path, source),
        }
    }
}

fn clip(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

fn target_of(parts: &OwnedFd) -> io::Result<ArtifactPath> {
    let mut text = String::new();
    open_part(parts, TARGET)?.read_to_string(&mut text)?;
    ArtifactPath::parse(&text).map_err(io::Error::other)
}

fn open_part(parts: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(parts, name, flags, Mode::empty())?))
}

fn write_small(folder: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::Write::write_all(&mut file, bytes)?;
    file.rewind()?;
    file.sync_all()?;
    Ok(rustix::fs::fsync(folder)?)
}
