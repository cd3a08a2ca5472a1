use std::fs::{self, File, Metadata, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Cache, LinkKind, Staging, link, missing};
use crate::hash::{Md5Sum, Memory, copy_and_hash, hash_bytes, hash_reader, mode};
use crate::{Error, Result, write};

/// Puts objects of a cache into the workspace: made under a name that means nothing, then renamed over what is there.
/// An object whose hash is not remembered is read, and what is found damaged never arrives.
pub(crate) struct Placer<'a> {
    cache: &'a Cache,
    memory: &'a Memory,
    kinds: &'a [LinkKind],
    staging: Staging,
}

/// Up to here a file is copied in one piece.
const SMALL_BYTES: u64 = 1 << 20;

impl<'a> Placer<'a> {
    /// `tmp` is on the filesystem of the workspace.
    pub fn new(cache: &'a Cache, memory: &'a Memory, kinds: &'a [LinkKind], tmp: &Path) -> Result<Self> {
        Ok(Self {
            cache,
            memory,
            kinds,
            staging: Staging::inside(tmp)?,
        })
    }

    /// Puts the object at `target`, whose folder is there and which is no folder.
    pub fn place(&self, md5: &str, is_exec: bool, target: &Path) -> Result<()> {
        let path = self.cache.object(md5).ok_or_else(|| missing(md5))?;
        let mut sum = [0; 16];
        hex::decode_to_slice(md5, &mut sum).map_err(|_| missing(md5))?;
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(md5)),
            Err(error) => return Err(Error::read(&path)(error)),
        };
        if mode(&meta) & 0o777 != super::OBJECT_MODE && !self.cache.holds_object(md5)? {
            return Err(missing(md5));
        }
        let object = Object {
            path: &path,
            md5,
            sum,
            trusted: self.cache.algorithm != crate::Algorithm::Md5 || self.memory.find(&meta) == Some(sum),
            meta,
        };
        for kind in self.kinds {
            let done = match kind {
                LinkKind::Reflink => self.clone_to(&object, is_exec, target)?,
                LinkKind::Hardlink => self.hardlink_to(&object, is_exec, target)?,
                LinkKind::Symlink => self.symlink_to(&object, target)?,
                LinkKind::Copy => {
                    self.copy_to(&object, is_exec, target)?;
                    true
                }
            };
            if done {
                return Ok(());
            }
        }
        Err(Error::NoLink {
            path: target.to_owned(),
        })
    }

    fn clone_to(&self, object: &Object<'_>, is_exec: bool, target: &Path) -> Result<bool> {
        if !link::may_reflink() {
            return Ok(false);
        }
        let source = File::open(object.path).map_err(Error::read(object.path))?;
        let (file, at) = self.staging.create()?;
        if !link::reflink(&source, &file) {
            fs::remove_file(&at).map_err(Error::write(&at))?;
            return Ok(false);
        }
        self.verify(object)?;
        self.finish(&file, &at, object.sum, is_exec, target)?;
        Ok(true)
    }

    fn copy_to(&self, object: &Object<'_>, is_exec: bool, target: &Path) -> Result<()> {
        let mut source = File::open(object.path).map_err(Error::read(object.path))?;
        let (mut file, at) = self.staging.create()?;
        if object.meta.len() <= SMALL_BYTES {
            let bytes = link::read_whole(&source, object.meta.len()).map_err(Error::read(object.path))?;
            if !object.trusted {
                self.judge(object, hash_bytes(&bytes))?;
            }
            file.write_all(&bytes).map_err(Error::write(target))?;
        } else if object.trusted {
            std::io::copy(&mut source, &mut file).map_err(Error::write(target))?;
        } else {
            let mut failed_to_write = false;
            let copied = copy_and_hash(&mut source, |part| {
                file.write_all(part).inspect_err(|_| failed_to_write = true)
            });
            let (sum, _) = copied.map_err(|error| match failed_to_write {
                true => Error::write(target)(error),
                false => Error::read(object.path)(error),
            })?;
            self.judge(object, sum)?;
        }
        self.finish(&file, &at, object.sum, is_exec, target)
    }

    fn hardlink_to(&self, object: &Object<'_>, is_exec: bool, target: &Path) -> Result<bool> {
        // Every empty file would be one, and a file system bears only so many names for one file.
        if object.meta.len() == 0 {
            self.copy_to(object, is_exec, target)?;
            return Ok(true);
        }
        self.verify(object)?;
        let at = self.staging.name();
        if fs::hard_link(object.path, &at).is_err() {
            return Ok(false);
        }
        self.rename(&at, target)?;
        if let Ok(after) = fs::metadata(object.path) {
            self.memory.learn_linked(&object.meta, &after, object.sum);
        }
        Ok(true)
    }

    fn symlink_to(&self, object: &Object<'_>, target: &Path) -> Result<bool> {
        self.verify(object)?;
        let at = self.staging.name();
        let whole = fs::canonicalize(object.path).map_err(Error::read(object.path))?;
        if std::os::unix::fs::symlink(whole, &at).is_err() {
            return Ok(false);
        }
        match fs::rename(&at, target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::CrossesDevices => Ok(false),
            Err(error) => Err(Error::write(target)(error)),
        }
    }

    /// Reads an object that is not remembered.
    fn verify(&self, object: &Object<'_>) -> Result<()> {
        if object.trusted {
            return Ok(());
        }
        let mut file = File::open(object.path).map_err(Error::read(object.path))?;
        let (sum, _) = hash_reader(&mut file).map_err(Error::read(object.path))?;
        self.judge(object, sum)
    }

    fn judge(&self, object: &Object<'_>, found: Md5Sum) -> Result<()> {
        if found != object.sum {
            return Err(Error::DamagedObject {
                md5: object.md5.to_owned(),
                problem: format!("its content has the md5 {}", hex::encode(found)),
            });
        }
        let after = fs::metadata(object.path).map_err(Error::read(object.path))?;
        self.memory.learn(&object.meta, &after, found);
        Ok(())
    }

    fn finish(&self, file: &File, at: &Path, sum: Md5Sum, is_exec: bool, target: &Path) -> Result<()> {
        if is_exec {
            let meta = file.metadata().map_err(Error::write(target))?;
            let executable = Permissions::from_mode(meta.permissions().mode() | 0o100);
            file.set_permissions(executable).map_err(Error::write(target))?;
        }
        let stamped_ns = link::stamp(file).map_err(Error::write(target))?;
        if self.rename(at, target)? && self.cache.algorithm == crate::Algorithm::Md5 {
            let meta = file.metadata().map_err(Error::write(target))?;
            self.memory.learn_own(&meta, stamped_ns, sum);
        }
        Ok(())
    }

    /// Says whether the file itself arrived; on another filesystem its copy does.
    fn rename(&self, at: &Path, target: &Path) -> Result<bool> {
        match fs::rename(at, target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let beside = write::new_beside(target)?;
                fs::copy(at, beside.path()).map_err(Error::write(target))?;
                beside
                    .persist(target)
                    .map_err(|error| Error::write(target)(error.error))?;
                Ok(false)
            }
            Err(error) => Err(Error::write(target)(error)),
        }
    }
}

struct Object<'a> {
    path: &'a Path,
    md5: &'a str,
    sum: Md5Sum,
    meta: Metadata,
    /// Known to be what its name says.
    trusted: bool,
}
