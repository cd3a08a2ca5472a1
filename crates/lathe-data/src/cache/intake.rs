use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Permissions};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::{Cache, OBJECT_MODE, Staging, link, missing};
use crate::hash::{Md5Sum, Memory, copy_and_hash, hash_bytes, hash_reader, mode};
use crate::{Algorithm, Error, Result, Tree, work};

/// Up to so many new objects are forced to the disk one by one; for more the whole filesystem is, once.
const SINGLY_MAX: usize = 16;

/// Up to here a file is copied in one piece.
const SMALL_BYTES: u64 = 1 << 20;

/// New objects on their way into a cache. They are written under names that mean nothing, forced to the disk
/// together, and only then renamed: an object that has its name is whole, also after a power cut. DVC never reads an
/// object of mode 0444 again, so it must be.
pub(crate) struct Intake<'a> {
    cache: &'a Cache,
    memory: Option<&'a Memory>,
    staging: OnceLock<Staging>,
    making: Mutex<()>,
    claimed: Mutex<HashSet<(Md5Sum, bool)>>,
    staged: Mutex<Vec<Staged>>,
}

struct Staged {
    at: PathBuf,
    target: PathBuf,
    md5: Md5Sum,
    stamped_ns: i128,
    /// Lists others, so it gets its name last.
    is_tree: bool,
}

impl<'a> Intake<'a> {
    pub fn new(cache: &'a Cache, memory: Option<&'a Memory>) -> Self {
        Self {
            cache,
            memory,
            staging: OnceLock::new(),
            making: Mutex::new(()),
            claimed: Mutex::default(),
            staged: Mutex::default(),
        }
    }

    /// Whether the object is neither in the cache nor on its way into it.
    pub fn wants(&self, md5: &Md5Sum) -> Result<bool> {
        let claimed = self.claimed.lock().expect("no thread panics with it");
        if claimed.contains(&(*md5, false)) {
            return Ok(false);
        }
        drop(claimed);
        Ok(!self.cache.holds_object(&hex::encode(md5))?)
    }

    /// Takes these bytes in.
    pub fn put_bytes(&self, md5: Md5Sum, bytes: &[u8]) -> Result<()> {
        if !self.claim(md5, false) {
            return Ok(());
        }
        let (mut file, at) = self.staging()?.create_with(OBJECT_MODE)?;
        file.write_all(bytes).map_err(Error::write(&at))?;
        self.stage(&file, at, md5, false)
    }

    /// Takes a file in that is read for the first time.
    pub fn put_file(&self, from: &mut File, path: &Path) -> Result<(Md5Sum, u64)> {
        let (mut file, at) = self.staging()?.create()?;
        let (md5, size) = if link::reflink(from, &file) {
            // The clone stays as it is, whatever happens to the original.
            file.rewind().map_err(Error::read(&at))?;
            let mut clone = File::open(&at).map_err(Error::read(&at))?;
            hash_reader(&mut clone).map_err(Error::read(&at))?
        } else {
            let mut failed_to_write = false;
            let copied = copy_and_hash(from, |part| {
                file.write_all(part).inspect_err(|_| failed_to_write = true)
            });
            copied.map_err(|error| match failed_to_write {
                true => Error::write(&at)(error),
                false => Error::read(path)(error),
            })?
        };
        if !self.wants(&md5)? || !self.claim(md5, false) {
            fs::remove_file(&at).map_err(Error::write(&at))?;
            return Ok((md5, size));
        }
        self.stage(&file, at, md5, false)?;
        Ok((md5, size))
    }

    /// Takes in what was hashed at `path` before, if the cache has it not; it must still be the same.
    pub fn keep_known(&self, md5: &str, path: &Path) -> Result<()> {
        let known = parsed(md5)?;
        if !self.wants(&known)? {
            return Ok(());
        }
        let mut from = File::open(path).map_err(Error::read(path))?;
        let (found, _) = self.put_file(&mut from, path)?;
        if found != known {
            return Err(Error::Changed {
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    /// Takes in an object of another cache, if this one has it not and it is what its name says.
    pub fn keep_object(&self, md5: &str, path: &Path) -> Result<()> {
        let known = parsed(md5)?;
        if !self.wants(&known)? || !self.claim(known, false) {
            return Ok(());
        }
        let mut from = File::open(path).map_err(Error::read(path))?;
        let (mut file, at) = self.staging()?.create_with(OBJECT_MODE)?;
        let size = from.metadata().map_err(Error::read(path))?.len();
        let found = if size <= SMALL_BYTES {
            let bytes = link::read_whole(&from, size).map_err(Error::read(path))?;
            file.write_all(&bytes).map_err(Error::write(&at))?;
            hash_bytes(&bytes)
        } else if link::reflink(&from, &file) {
            let mut clone = File::open(&at).map_err(Error::read(&at))?;
            hash_reader(&mut clone).map_err(Error::read(&at))?.0
        } else {
            let mut failed_to_write = false;
            let copied = copy_and_hash(&mut from, |part| {
                file.write_all(part).inspect_err(|_| failed_to_write = true)
            });
            let (found, _) = copied.map_err(|error| match failed_to_write {
                true => Error::write(&at)(error),
                false => Error::read(path)(error),
            })?;
            found
        };
        self.stage_if_whole(&file, at, md5, known, found)
    }

    /// Takes in an object that `bring` writes to the path that it is given; says whether it was there.
    pub fn receive(&self, md5: &str, bring: impl FnOnce(&Path) -> Result<bool>) -> Result<bool> {
        let known = parsed(md5)?;
        if !self.wants(&known)? || !self.claim(known, false) {
            return Ok(true);
        }
        let (file, at) = self.staging()?.create()?;
        if !bring(&at)? {
            fs::remove_file(&at).map_err(Error::write(&at))?;
            return Ok(false);
        }
        drop(file);
        let mut file = File::open(&at).map_err(Error::read(&at))?;
        let (found, _) = hash_reader(&mut file).map_err(Error::read(&at))?;
        let file = File::options().write(true).open(&at).map_err(Error::write(&at))?;
        self.stage_if_whole(&file, at, md5, known, found)?;
        Ok(true)
    }

    fn stage_if_whole(
        &self,
        file: &File,
        at: PathBuf,
        md5: &str,
        known: Md5Sum,
        found: Md5Sum,
    ) -> Result<()> {
        if found != known && self.cache.algorithm == Algorithm::Md5 {
            return Err(Error::DamagedObject {
                md5: md5.to_owned(),
                problem: format!("what arrived has the md5 {}", hex::encode(found)),
            });
        }
        self.stage(file, at, known, false)
    }

    /// Takes the list of a folder in.
    pub fn put_tree(&self, md5: &str, tree: &Tree) -> Result<()> {
        if self.cache.holds_object(md5)? {
            return Ok(());
        }
        self.put_listing(&tree.to_bytes())
    }

    /// Takes the bytes of a `.dir` object in.
    pub fn put_listing(&self, bytes: &[u8]) -> Result<()> {
        let sum = hash_bytes(bytes);
        if !self.claim(sum, true) {
            return Ok(());
        }
        let (mut file, at) = self.staging()?.create()?;
        file.write_all(bytes).map_err(Error::write(&at))?;
        self.stage(&file, at, sum, true)
    }

    fn claim(&self, md5: Md5Sum, is_tree: bool) -> bool {
        self.claimed
            .lock()
            .expect("no thread panics with it")
            .insert((md5, is_tree))
    }

    fn stage(&self, file: &File, at: PathBuf, md5: Md5Sum, is_tree: bool) -> Result<()> {
        let meta = file.metadata().map_err(Error::write(&at))?;
        if mode(&meta) & 0o777 != OBJECT_MODE {
            file.set_permissions(Permissions::from_mode(OBJECT_MODE))
                .map_err(Error::write(&at))?;
        }
        // The stamp is for those who remember.
        let stamped_ns = match self.memory {
            Some(_) => link::stamp(file).map_err(Error::write(&at))?,
            None => 0,
        };
        let name = format!("{}{}", hex::encode(md5), if is_tree { ".dir" } else { "" });
        let target = self.cache.object(&name).ok_or_else(|| missing(&name))?;
        self.staged
            .lock()
            .expect("no thread panics with it")
            .push(Staged {
                at,
                target,
                md5,
                stamped_ns,
                is_tree,
            });
        Ok(())
    }

    fn staging(&self) -> Result<&Staging> {
        if let Some(staging) = self.staging.get() {
            return Ok(staging);
        }
        let _one = self.making.lock().expect("no thread panics with it");
        if self.staging.get().is_none() {
            let made = Staging::inside(self.cache.folder())?;
            // Only who holds the lock sets it.
            let _ = self.staging.set(made);
        }
        Ok(self.staging.get().expect("it was set above"))
    }

    /// Gives all that was taken in its name.
    pub fn finish(self) -> Result<()> {
        let staged = self.staged.into_inner().expect("no thread panics with it");
        let Some(staging) = self.staging.get().filter(|_| !staged.is_empty()) else {
            return Ok(());
        };
        force(staging, &staged)?;
        let folders: BTreeSet<&Path> = staged
            .iter()
            .filter_map(|object| object.target.parent())
            .collect();
        for folder in &folders {
            make_folder(folder, self.cache.shared)?;
        }
        let (trees, files): (Vec<&Staged>, Vec<&Staged>) = staged.iter().partition(|object| object.is_tree);
        work::each(&files, |object| object.name_it(self.memory))?;
        work::each(&trees, |object| object.name_it(self.memory))?;
        sync_folders(staging, &folders, &self.cache.objects());
        Ok(())
    }
}

impl Staged {
    fn name_it(&self, memory: Option<&Memory>) -> Result<()> {
        fs::rename(&self.at, &self.target).map_err(Error::write(&self.target))?;
        if let Some(memory) = memory {
            let meta = fs::metadata(&self.target).map_err(Error::read(&self.target))?;
            memory.learn_own(&meta, self.stamped_ns, self.md5);
        }
        Ok(())
    }
}

fn parsed(md5: &str) -> Result<Md5Sum> {
    let mut known = [0; 16];
    hex::decode_to_slice(md5, &mut known).map_err(|_| missing(md5))?;
    Ok(known)
}

fn force(staging: &Staging, staged: &[Staged]) -> Result<()> {
    if SINGLY_MAX < staged.len() {
        let folder = staging.handle();
        return rustix::fs::syncfs(folder).map_err(|errno| Error::write(&staged[0].at)(errno.into()));
    }
    for object in staged {
        let file = File::open(&object.at).map_err(Error::read(&object.at))?;
        file.sync_all().map_err(Error::write(&object.at))?;
    }
    Ok(())
}

pub(super) fn make_folder(folder: &Path, shared: bool) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    if shared {
        fs::set_permissions(folder, Permissions::from_mode(0o2775)).map_err(Error::write(folder))?;
    }
    Ok(())
}

/// Names are durable once their folders are; where the filesystem cannot do that, they are as durable as it gets. The
/// content is on the disk by then, so forcing the whole filesystem costs no more than one folder does.
fn sync_folders(staging: &Staging, folders: &BTreeSet<&Path>, top: &Path) {
    if SINGLY_MAX < folders.len() && rustix::fs::syncfs(staging.handle()).is_ok() {
        return;
    }
    for folder in folders.iter().copied().chain([top]) {
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
    }
}
