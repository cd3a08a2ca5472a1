use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use lathe_data::Repo;
use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// How long the watchdog of an execution that was killed may take to end its stages.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lets one process at a time execute the pipeline, as long as the file lives. The commands of a stage do not inherit
/// it; DVC's own lock is let go of for them (`custody.rs`).
pub fn only_one(repo: &Repo) -> Result<File> {
    let folder = repo.tmp();
    std::fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
    let path = folder.join("lathe.lock");
    let file = File::create(&path).map_err(Error::write(&path))?;
    let started = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if started.elapsed() < PATIENCE => thread::sleep(LOOK_EVERY),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Busy {
                    root: repo.root().to_owned(),
                });
            }
            Err(errno) => return Err(Error::write(&path)(errno.into())),
        }
    }
}
