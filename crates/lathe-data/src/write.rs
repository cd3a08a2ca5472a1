use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// Replaces the file by one of this content: written beside it, flushed to the disk and renamed, so that a crash
/// leaves the old file or the new one. The mode of a file that was there is kept.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = new_beside(path)?;
    file.write_all(content).map_err(Error::write(path))?;
    if let Ok(old) = fs::metadata(path) {
        let mode = old.permissions().mode() & 0o777;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))
            .map_err(Error::write(path))?;
    }
    file.as_file().sync_all().map_err(Error::write(path))?;
    file.persist(path)
        .map_err(|error| Error::write(path)(error.error))?;
    sync_folder_of(path);
    Ok(())
}

/// As [`write_atomically`] without waiting for the disk: a crash of the process leaves the old file or the new one, a
/// power cut possibly an empty one. For what can be made again and is written often.
pub fn write_by_rename(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = new_beside(path)?;
    file.write_all(content).map_err(Error::write(path))?;
    if let Ok(old) = fs::metadata(path) {
        let mode = old.permissions().mode() & 0o777;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))
            .map_err(Error::write(path))?;
    }
    file.persist(path)
        .map_err(|error| Error::write(path)(error.error))?;
    Ok(())
}

/// A new file in the folder of `path`, which is made if need be; its mode is the user's default.
pub(crate) fn new_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    Builder::new()
        .prefix(".lathe-")
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(Error::write(folder))
}

/// A rename is durable only once its folder is; where the filesystem cannot do that, it is as durable as it gets.
fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| fs::File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

/// Removes a file, a link or a whole folder; what is not there is fine.
pub fn remove_path(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Error::write(path)(error))
        }
        _ => Ok(()),
    }
}
