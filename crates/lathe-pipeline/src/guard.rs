use std::fs::File;

use lathe_data::Repo;
use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// Lets one process at a time execute the pipeline, as long as the file lives. The commands of a stage do not inherit
/// it, and DVC's own lock stays free for them.
pub fn only_one(repo: &Repo) -> Result<File> {
    let folder = repo.tmp();
    std::fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
    let path = folder.join("lathe.lock");
    let file = File::create(&path).map_err(Error::write(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy {
            root: repo.root().to_owned(),
        }),
        Err(errno) => Err(Error::write(&path)(errno.into())),
    }
}
