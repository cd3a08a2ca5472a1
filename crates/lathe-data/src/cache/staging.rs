use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, Result};

const PREFIX: &str = ".lathe-staging-";

/// A folder for files that are not whole yet, on the filesystem that they will be renamed within. It goes with the
/// process; what a killed process left is removed by the next one that stages in the same place.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    /// Held as long as the folder is in use.
    lock: File,
    next: AtomicUsize,
}

impl Staging {
    /// Makes the folder inside of `parent`.
    pub fn inside(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).map_err(Error::write(parent))?;
        remove_abandoned(parent);
        loop {
            let folder = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(parent)
                .map_err(Error::write(parent))?
                .keep();
            // Until it is locked, another thread or process may take it for abandoned.
            let lock = match File::open(&folder) {
                Ok(lock) => lock,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::read(&folder)(error)),
            };
            // On a filesystem without locks nothing is ever taken for abandoned.
            let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) || !folder.exists() {
                continue;
            }
            return Ok(Self {
                folder,
                lock,
                next: AtomicUsize::new(0),
            });
        }
    }

    /// A name in it that nobody has.
    pub fn name(&self) -> PathBuf {
        self.folder
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// A new file in it, and its name.
    pub fn create(&self) -> Result<(File, PathBuf)> {
        let path = self.name();
        let file = File::create_new(&path).map_err(Error::write(&path))?;
        Ok((file, path))
    }

    /// As [`Staging::create`], with a mode that may be without the right to write: this process can, as long as the
    /// file is open. The user's mask is taken off it.
    pub fn create_with(&self, mode: u32) -> Result<(File, PathBuf)> {
        let path = self.name();
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(Error::write(&path))?;
        Ok((file, path))
    }

    /// The folder, open.
    pub fn handle(&self) -> &File {
        &self.lock
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes what killed processes left in a folder.
pub(crate) fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else {
            continue;
        };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_stage_at_once_do_not_take_one_another_for_dead() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let staging = Staging::inside(parent.path()).unwrap();
                        staging.create().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_living_one_uses_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let abandoned = parent.path().join(format!("{PREFIX}x"));
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join("0"), "half").unwrap();
        let living = Staging::inside(parent.path()).unwrap();
        living.create().unwrap();
        assert!(!abandoned.exists());
        let other = Staging::inside(parent.path()).unwrap();
        assert!(living.folder.join("0").exists());
        drop((living, other));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
