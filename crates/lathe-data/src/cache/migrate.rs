use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Cache, OBJECT_MODE, is_md5};
use crate::hash::hash_file;
use crate::{Algorithm, Error, Result, work, write};

impl Cache {
    /// The objects that DVC 2 left: path, and whether it is the list of a folder.
    pub fn legacy_objects(&self) -> Result<Vec<PathBuf>> {
        let folder = self.of(Algorithm::Md5Dos2Unix).objects();
        let mut found = Vec::new();
        for (name, at) in entries(&folder)? {
            if name.len() != 2 || !at.is_dir() {
                continue;
            }
            for (rest, path) in entries(&at)? {
                let whole = format!("{name}{rest}");
                if is_md5(whole.strip_suffix(".dir").unwrap_or(&whole)) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Gives objects of DVC 2 a second name, by the md5 of their bytes, where DVC 3 looks; says how many got one. Nothing
    /// is copied where the file system can link.
    pub fn migrate(&self, objects: &[PathBuf]) -> Result<usize> {
        let linked = work::each(objects, |object| {
            let (md5, _) = hash_file(object)?;
            let end = match object.extension().is_some_and(|end| end == "dir") {
                true => ".dir",
                false => "",
            };
            let name = format!("{}{end}", hex::encode(md5));
            let new = self.of(Algorithm::Md5);
            let target = new.object(&name).ok_or_else(|| super::missing(&name))?;
            if target.exists() {
                return Ok(0);
            }
            link(object, &target)
        })?;
        Ok(linked.into_iter().sum())
    }
}

fn link(object: &Path, target: &Path) -> Result<usize> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    let meta = fs::metadata(object).map_err(Error::read(object))?;
    if meta.permissions().mode() & 0o777 != OBJECT_MODE {
        fs::set_permissions(object, fs::Permissions::from_mode(OBJECT_MODE)).map_err(Error::write(object))?;
    }
    match fs::hard_link(object, target) {
        Ok(()) => Ok(1),
        // Two objects of the same bytes: the other one was first.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(0),
        Err(_) => {
            let bytes = fs::read(object).map_err(Error::read(object))?;
            write::write_atomically(target, &bytes)?;
            let mode = fs::Permissions::from_mode(OBJECT_MODE);
            fs::set_permissions(target, mode).map_err(Error::write(target))?;
            Ok(1)
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(folder)(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(Error::read(folder))?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(found)
}
