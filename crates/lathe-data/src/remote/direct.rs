use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Place, Remote, key};
use crate::cache::Intake;
use crate::hash::hash_reader;
use crate::{Algorithm, Error, Hashed, Recorded, Result, Tree, TreeEntry, work, write};

/// A file that is to be sent, at a path of this machine.
#[derive(Debug)]
pub enum Source {
    /// It stays.
    Here(PathBuf),
    /// It was brought for this, and goes.
    Fetched(tempfile::TempPath),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Here(path) => path,
            Self::Fetched(path) => path,
        }
    }
}

/// What is to be sent: a file, or a folder of files by their paths in it.
pub enum Direct<T> {
    /// One file.
    File(T),
    /// Path and file.
    Folder(Vec<(String, T)>),
}

/// A file that was sent.
struct Sent {
    md5: String,
    size: u64,
}

/// Sends what no cache holds to a remote, and keeps it out of the cache. `open` brings a file to this machine, one for
/// each of those on their way at once. The list of a folder goes last.
pub fn send<T: Sync>(
    remote: &Remote,
    what: &Direct<T>,
    tmp: &Path,
    open: impl Fn(&T) -> Result<Source> + Sync,
) -> Result<Recorded> {
    let items: Vec<&T> = match what {
        Direct::File(item) => vec![item],
        Direct::Folder(items) => items.iter().map(|(_, item)| item).collect(),
    };
    let sent = match &remote.place {
        Place::Folder(cache) => {
            let intake = Intake::new(cache, None);
            let sent = work::each_on(remote.jobs, 1, &items, |item| take(&intake, &open(item)?));
            intake.finish()?;
            sent?
        }
        Place::Store(_) => work::each_on(remote.jobs, 1, &items, |item| upload(remote, &open(item)?))?,
    };
    let Direct::Folder(items) = what else {
        let [sent] = sent.as_slice() else {
            return Err(Error::NothingThere { path: tmp.to_owned() });
        };
        return Ok(Recorded::new(&Hashed {
            md5: sent.md5.clone(),
            size: sent.size,
            nfiles: None,
            // As DVC: what was never here has no mode.
            is_exec: false,
        }));
    };
    let size = sent.iter().map(|sent| sent.size).sum();
    let entries = items.iter().zip(sent).map(|((relpath, _), sent)| TreeEntry {
        md5: sent.md5,
        relpath: relpath.clone(),
    });
    let tree = Tree::new(entries.collect());
    let hashed = tree.hashed(size);
    match &remote.place {
        Place::Folder(cache) => {
            let intake = Intake::new(cache, None);
            intake.put_tree(&hashed.md5, &tree)?;
            intake.finish()?;
        }
        Place::Store(store) => {
            let mut list = write::new_beside(&tmp.join("list"))?;
            list.write_all(&tree.to_bytes())
                .map_err(Error::write(list.path()))?;
            store.put(list.path(), &key(&hashed.md5, Algorithm::Md5))?;
        }
    }
    Ok(Recorded::new(&hashed))
}

fn take(intake: &Intake<'_>, source: &Source) -> Result<Sent> {
    let path = source.path();
    let mut file = File::open(path).map_err(Error::read(path))?;
    let (md5, size) = intake.put_file(&mut file, path)?;
    Ok(Sent {
        md5: hex::encode(md5),
        size,
    })
}

fn upload(remote: &Remote, source: &Source) -> Result<Sent> {
    let Place::Store(store) = &remote.place else {
        return Err(Error::NoRemote);
    };
    let path = source.path();
    let mut file = File::open(path).map_err(Error::read(path))?;
    let before = file.metadata().map_err(Error::read(path))?;
    let (md5, size) = hash_reader(&mut file).map_err(Error::read(path))?;
    let md5 = hex::encode(md5);
    let name = key(&md5, Algorithm::Md5);
    if store.exist(std::slice::from_ref(&name), 1)? != [true] {
        store.put(path, &name)?;
        // What was sent is what was hashed, or it goes.
        let after = fs::metadata(path).map_err(Error::read(path))?;
        if after.len() != before.len() || after.modified().ok() != before.modified().ok() {
            store.delete(&name)?;
            return Err(Error::Changed {
                path: path.to_owned(),
            });
        }
    }
    Ok(Sent { md5, size })
}
