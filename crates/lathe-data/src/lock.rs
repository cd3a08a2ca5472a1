//! The locks that DVC takes, so that both tools keep out of each other's way.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;

use crate::cache::remove_abandoned;
use crate::{Error, Repo, Result};

/// Whether it is waited as long as a lock is held.
static WAITS: AtomicBool = AtomicBool::new(false);

/// Lets this process wait for locks that others hold, however long that takes.
pub fn wait_for_locks() {
    WAITS.store(true, Ordering::Relaxed);
}

const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps `dvc` and other `lathe` processes from changing the repository while it lives.
#[derive(Debug)]
pub struct RepoLock {
    /// Where DVC writes down what its running stages read and write.
    stages: PathBuf,
    _file: File,
}

impl RepoLock {
    /// Takes `.dvc/tmp/lock`, which every command of DVC holds. Waits for three seconds, as DVC does. What is read
    /// before may have changed: whoever goes by what the repository's files say reads them after this.
    pub fn acquire(repo: &Repo) -> Result<Self> {
        let started = Instant::now();
        loop {
            if let Some(lock) = Self::try_acquire(repo)? {
                return Ok(lock);
            }
            if PATIENCE <= started.elapsed() && !WAITS.load(Ordering::Relaxed) {
                return Err(Self::locked(repo));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What is told of somebody else who holds the lock.
    pub fn locked(repo: &Repo) -> Error {
        let path = repo.tmp().join("lock");
        let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        Error::Locked { path, holder }
    }

    /// The same as [`RepoLock::acquire`], but without waiting; `None` if somebody else holds it.
    pub fn try_acquire(repo: &Repo) -> Result<Option<Self>> {
        let folder = repo.tmp();
        fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::write(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(Error::write(&path)(errno.into())),
        }
        // As DVC's own: whoever is kept out may read who holds it.
        let note = format!(" {}\n", std::process::id());
        file.seek(SeekFrom::Start(0)).map_err(Error::write(&path))?;
        file.set_len(0).map_err(Error::write(&path))?;
        file.write_all(note.as_bytes()).map_err(Error::write(&path))?;
        // Whoever holds the lock is the only one who works here.
        remove_abandoned(&folder);
        remove_abandoned(repo.cache().folder());
        Ok(Some(Self {
            stages: folder.join("rwlock"),
            _file: file,
        }))
    }

    /// Looks whether a running stage of DVC, which lets go of the lock, reads or writes one of `paths` (absolute).
    pub fn refuse_busy(&self, paths: &[&Path]) -> Result<()> {
        check_stages(&self.stages, paths)
    }
}

#[derive(Deserialize)]
struct Owner {
    pid: i32,
    cmd: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Owners {
    write: BTreeMap<PathBuf, Owner>,
    read: BTreeMap<PathBuf, Vec<Owner>>,
}

fn check_stages(file: &Path, paths: &[&Path]) -> Result<()> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::read(file)(error)),
    };
    // DVC writes it in place: a killed one leaves half of it, which names nobody who is alive.
    let owners: Owners = serde_json::from_slice(&text).unwrap_or_default();
    let readers = owners
        .read
        .iter()
        .flat_map(|(path, owners)| owners.iter().map(move |owner| (path, owner)));
    for (path, owner) in owners.write.iter().chain(readers) {
        let overlaps = paths
            .iter()
            .any(|own| own.starts_with(path) || path.starts_with(own));
        let is_own = owner.pid.cast_unsigned() == std::process::id();
        if overlaps && !is_own && is_alive(owner.pid) {
            return Err(Error::Busy {
                path: path.clone(),
                pid: owner.pid,
                command: owner.cmd.clone(),
            });
        }
    }
    Ok(())
}

fn is_alive(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return false;
    };
    !matches!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_not_while_a_stage_of_dvc_runs() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::init(folder.path()).unwrap();
        let held = RepoLock::acquire(&repo).unwrap();
        let error = RepoLock::acquire(&repo).unwrap_err();
        assert!(
            matches!(error, Error::Locked { ref holder, .. } if *holder == std::process::id().to_string())
        );
        drop(held);

        let data = repo.root().join("data");
        let owner = serde_json::json!({ "pid": 1, "cmd": "dvc repro" });
        let owners = serde_json::json!({ "write": { data.to_str().unwrap(): owner }, "read": {} });
        fs::write(repo.tmp().join("rwlock"), owners.to_string()).unwrap();
        let held = RepoLock::acquire(&repo).unwrap();
        let inside = data.join("file");
        assert!(matches!(
            held.refuse_busy(&[&inside]),
            Err(Error::Busy { pid: 1, .. })
        ));
        assert!(held.refuse_busy(&[&repo.root().join("other")]).is_ok());
    }
}
