use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::hash::hash_file;
use crate::{Content, Error, Result, Tree, write};

/// DVC takes an object of exactly this mode to be whole, and reads one of any other mode again.
const OBJECT_MODE: u32 = 0o444;

/// Files and folders by md5, in DVC's layout: `files/md5/ab/cdef…`.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where `files/` and `runs/` are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the object is or would be; `None` if `md5` is no md5.
    pub fn object(&self, md5: &str) -> Option<PathBuf> {
        is_md5(md5.strip_suffix(".dir").unwrap_or(md5))
            .then(|| self.folder.join("files/md5").join(&md5[..2]).join(&md5[2..]))
    }

    /// Whether the object is there and, for a folder, all its files are.
    pub fn holds(&self, md5: &str) -> Result<bool> {
        if !self.holds_object(md5)? {
            return Ok(false);
        }
        if !md5.ends_with(".dir") {
            return Ok(true);
        }
        for entry in self.tree(md5)?.entries() {
            if !self.holds_object(&entry.md5)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds_object(&self, md5: &str) -> Result<bool> {
        let Some(path) = self.object(md5) else {
            return Ok(false);
        };
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::read(&path)(error)),
        };
        if meta.permissions().mode() & 0o777 == OBJECT_MODE {
            return Ok(true);
        }
        let (found, _) = hash_file(&path)?;
        if md5.strip_suffix(".dir").unwrap_or(md5) != found {
            write::remove_path(&path)?;
            return Ok(false);
        }
        fs::set_permissions(&path, Permissions::from_mode(OBJECT_MODE)).map_err(Error::write(&path))?;
        Ok(true)
    }

    /// The files of a folder in the cache.
    pub fn tree(&self, md5: &str) -> Result<Tree> {
        let path = self.object(md5).ok_or_else(|| missing(md5))?;
        match fs::read(&path) {
            Ok(bytes) => Tree::parse(md5, &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(md5)),
            Err(error) => Err(Error::read(&path)(error)),
        }
    }

    /// Keeps what was hashed at `path`; for a folder its files first, so that a `.dir` object never lists what is
    /// not there.
    pub fn save(&self, content: &Content, path: &Path) -> Result<()> {
        let Some(tree) = &content.tree else {
            return self.save_file(&content.hashed.md5, path);
        };
        for entry in tree.entries() {
            self.save_file(&entry.md5, &path.join(&entry.relpath))?;
        }
        let md5 = &content.hashed.md5;
        if self.holds_object(md5)? {
            return Ok(());
        }
        let target = self.object(md5).ok_or_else(|| missing(md5))?;
        let mut file = write::new_beside(&target)?;
        file.write_all(&tree.to_bytes()).map_err(Error::write(&target))?;
        keep(file, &target)
    }

    fn save_file(&self, md5: &str, path: &Path) -> Result<()> {
        if self.holds_object(md5)? {
            return Ok(());
        }
        let target = self.object(md5).ok_or_else(|| missing(md5))?;
        let file = write::new_beside(&target)?;
        copy(path, file.as_file(), &target)?;
        keep(file, &target)
    }

    /// Puts the object at `path`, in the place of whatever is there.
    pub fn checkout(&self, md5: &str, is_exec: bool, path: &Path) -> Result<()> {
        if !self.holds(md5)? {
            return Err(missing(md5));
        }
        write::remove_path(path)?;
        if !md5.ends_with(".dir") {
            return self.checkout_file(md5, is_exec, path);
        }
        fs::create_dir_all(path).map_err(Error::write(path))?;
        for entry in self.tree(md5)?.entries() {
            self.checkout_file(&entry.md5, false, &path.join(&entry.relpath))?;
        }
        Ok(())
    }

    fn checkout_file(&self, md5: &str, is_exec: bool, path: &Path) -> Result<()> {
        let object = self.object(md5).ok_or_else(|| missing(md5))?;
        let file = write::new_beside(path)?;
        copy(&object, file.as_file(), path)?;
        if is_exec {
            let meta = file.as_file().metadata().map_err(Error::write(path))?;
            let mode = meta.permissions().mode() | 0o100;
            file.as_file()
                .set_permissions(Permissions::from_mode(mode))
                .map_err(Error::write(path))?;
        }
        file.persist(path)
            .map_err(|error| Error::write(path)(error.error))?;
        Ok(())
    }
}

fn missing(md5: &str) -> Error {
    Error::MissingObject { md5: md5.to_owned() }
}

fn keep(file: tempfile::NamedTempFile, target: &Path) -> Result<()> {
    let made = file.as_file();
    made.set_permissions(Permissions::from_mode(OBJECT_MODE))
        .map_err(Error::write(target))?;
    // Its mode tells DVC never to read it again, so it must be whole even after a power cut.
    made.sync_all().map_err(Error::write(target))?;
    file.persist(target)
        .map_err(|error| Error::write(target)(error.error))?;
    Ok(())
}

/// Shares the blocks where the filesystem can, and copies the bytes where it cannot.
fn copy(from: &Path, mut to: &File, target: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(Error::read(from))?;
    if rustix::fs::ioctl_ficlone(to, &source).is_ok() {
        return Ok(());
    }
    std::io::copy(&mut source, &mut to).map_err(Error::write(target))?;
    Ok(())
}

pub(crate) fn is_md5(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
