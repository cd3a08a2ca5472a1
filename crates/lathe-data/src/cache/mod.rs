mod intake;
mod link;
mod migrate;
mod place;
mod staging;

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) use intake::Intake;
pub use link::LinkKind;
pub(crate) use link::{is_same_file, read_whole};
pub(crate) use place::Placer;
pub(crate) use staging::{Staging, remove_abandoned};

use crate::hash::hash_file;
use crate::{Algorithm, Content, Error, Result, Tree, work, write};

/// DVC takes an object of exactly this mode to be whole, and reads one of any other mode again.
pub(crate) const OBJECT_MODE: u32 = 0o444;

/// Files and folders by md5, in DVC's layout: `files/md5/ab/cdef…`; of DVC 2 `ab/cdef…`.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    algorithm: Algorithm,
    /// Whether the group may write folders.
    shared: bool,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, shared: bool) -> Self {
        Self {
            folder,
            algorithm: Algorithm::Md5,
            shared,
        }
    }

    /// The objects in the same folder that were hashed with this algorithm.
    pub fn of(&self, algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            ..self.clone()
        }
    }

    /// Where the objects of its algorithm are.
    pub(crate) fn objects(&self) -> PathBuf {
        match self.algorithm {
            Algorithm::Md5 => self.folder.join("files/md5"),
            Algorithm::Md5Dos2Unix => self.folder.clone(),
        }
    }

    /// Where `files/` and `runs/` are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the object is or would be; `None` if `md5` is no md5.
    pub fn object(&self, md5: &str) -> Option<PathBuf> {
        is_md5(md5.strip_suffix(".dir").unwrap_or(md5))
            .then(|| self.objects().join(&md5[..2]).join(&md5[2..]))
    }

    /// Whether the object is there and, for a folder, all its files are.
    pub fn holds(&self, md5: &str) -> Result<bool> {
        if !self.holds_object(md5)? {
            return Ok(false);
        }
        if !md5.ends_with(".dir") {
            return Ok(true);
        }
        let tree = self.tree(md5)?;
        let held = work::each(tree.entries(), |entry| {
            if self.holds_object(&entry.md5)? {
                Ok(())
            } else {
                Err(missing(&entry.md5))
            }
        });
        match held {
            Ok(_) => Ok(true),
            Err(Error::MissingObject { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this one object is there, whatever it lists; also among those of DVC 2.
    pub fn holds_one(&self, md5: &str) -> Result<bool> {
        Ok(self.holds_object(md5)? || self.of(Algorithm::Md5Dos2Unix).holds_object(md5)?)
    }

    /// Whether this one object is there, whatever it lists.
    pub(crate) fn holds_object(&self, md5: &str) -> Result<bool> {
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
        if self.algorithm == Algorithm::Md5 && md5.strip_suffix(".dir").unwrap_or(md5) != hex::encode(found) {
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
        let intake = Intake::new(self, None);
        let keep = |md5: &str, path: &Path| match self.algorithm {
            Algorithm::Md5 => intake.keep_known(md5, path),
            // The bytes are kept as they are, and are not what their name is the md5 of.
            Algorithm::Md5Dos2Unix => intake.keep_object(md5, path),
        };
        let Some(tree) = &content.tree else {
            keep(&content.hashed.md5, path)?;
            return intake.finish();
        };
        work::each(tree.entries(), |entry| {
            keep(&entry.md5, &path.join(&entry.relpath))
        })?;
        intake.put_tree(&content.hashed.md5, tree)?;
        intake.finish()
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
        let source = File::open(&object).map_err(Error::read(&object))?;
        link::copy_bytes(&source, file.as_file()).map_err(Error::write(path))?;
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

pub(crate) fn missing(md5: &str) -> Error {
    Error::MissingObject { md5: md5.to_owned() }
}

pub(crate) fn is_md5(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
