//! What is at a path: md5 of files, and of folders as the list of their files.

mod file;
mod memory;
mod walk;

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use md5::{Digest, Md5};

pub(crate) use file::{Legacy, copy_and_hash, hash_bytes, hash_file, hash_reader};
pub use memory::Memory;
pub(crate) use walk::{Listing, list_files};

use crate::cache::Intake;
use crate::{Error, Repo, Result, Tree, TreeEntry, work};

/// md5 as it is computed.
pub(crate) type Md5Sum = [u8; 16];

/// How a hash is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// md5 of the bytes.
    #[default]
    Md5,
    /// DVC 2: md5 of text files with the line ends of Unix. Its objects lie beside `files/` in the cache.
    Md5Dos2Unix,
}

/// A file or folder by content, as `dvc.lock` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// md5 in hex, with `.dir` for a folder.
    pub md5: String,
    /// Bytes, of all files of a folder.
    pub size: u64,
    /// Files of a folder; `None` for a file.
    pub nfiles: Option<u64>,
    /// A file that may be executed.
    pub is_exec: bool,
}

impl Hashed {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.md5.ends_with(".dir")
    }
}

/// What is at a path: its hash and, for a folder, the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The hash.
    pub hashed: Hashed,
    /// The files of a folder.
    pub tree: Option<Tree>,
}

/// The md5 of some bytes, in hex.
pub fn md5_of(bytes: &[u8]) -> String {
    hex::encode(hash_bytes(bytes))
}

/// Hashes the file or folder at `path`; `None` if there is nothing.
pub fn hash_path(repo: &Repo, path: &Path) -> Result<Option<Content>> {
    hash_path_as(repo, path, Algorithm::Md5)
}

/// As [`hash_path`], with the algorithm that an older DVC used.
pub fn hash_path_as(repo: &Repo, path: &Path, algorithm: Algorithm) -> Result<Option<Content>> {
    Ok(look_at(repo, path, algorithm, None)?.map(|found| found.content))
}

/// What was found at a path, and what of it was left out.
pub(crate) struct Found {
    pub content: Content,
    pub left_out: Vec<String>,
}

/// Hashes what is at `path` and puts it into the cache on the way, if there is an intake to put it into.
pub(crate) fn look_at(
    repo: &Repo,
    path: &Path,
    algorithm: Algorithm,
    intake: Option<&Intake<'_>>,
) -> Result<Option<Found>> {
    let Some(meta) = metadata(path)? else {
        return Ok(None);
    };
    let legacy = Legacy(algorithm == Algorithm::Md5Dos2Unix);
    if !meta.is_dir() {
        if !meta.is_file() {
            return Err(Error::NotAFile {
                path: path.to_owned(),
            });
        }
        let file = file::look_at(repo.memory(), path, legacy, intake)?;
        let hashed = Hashed {
            md5: hex::encode(file.md5),
            size: file.size,
            nfiles: None,
            is_exec: file.mode & 0o111 != 0,
        };
        let content = Content { hashed, tree: None };
        return Ok(Some(Found {
            content,
            left_out: Vec::new(),
        }));
    }
    let Listing { files, left_out } = list_files(repo.root(), path)?;
    let found = work::each(&files, |relpath| {
        let file = file::look_at(repo.memory(), &path.join(relpath), legacy, intake)?;
        Ok((hex::encode(file.md5), file.size))
    })?;
    let size = found.iter().map(|(_, size)| size).sum();
    let entries = files.into_iter().zip(found);
    let entries = entries.map(|(relpath, (md5, _))| TreeEntry { md5, relpath });
    let tree = Tree::new(entries.collect());
    let hashed = tree.hashed(size);
    let content = Content {
        hashed,
        tree: Some(tree),
    };
    Ok(Some(Found { content, left_out }))
}

/// Of the file or folder that a path leads to.
pub(crate) fn metadata(path: &Path) -> Result<Option<Metadata>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(Error::read(path)(error)),
    }
}

impl Tree {
    /// The folder with these files, which hold `size` bytes together.
    pub(crate) fn hashed(&self, size: u64) -> Hashed {
        Hashed {
            md5: format!("{}.dir", hex::encode(Md5::digest(self.to_bytes()))),
            size,
            nfiles: Some(self.entries().len() as u64),
            is_exec: false,
        }
    }
}

pub(crate) fn mode(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> (tempfile::TempDir, Repo) {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::init(folder.path()).unwrap();
        (folder, repo)
    }

    #[test]
    fn an_empty_folder_has_the_hash_that_dvc_gives_it() {
        let (folder, repo) = repo();
        fs::create_dir(folder.path().join("data")).unwrap();
        let content = hash_path(&repo, &repo.root().join("data")).unwrap().unwrap();
        assert_eq!(content.hashed.md5, "d751713988987e9331980363e24189ce.dir");
    }

    #[test]
    fn dvcignore_leaves_files_out_and_the_nearest_file_decides() {
        let (_folder, repo) = repo();
        let root = repo.root();
        fs::create_dir_all(root.join("data/kept")).unwrap();
        fs::write(root.join(".dvcignore"), "*.tmp\n").unwrap();
        fs::write(root.join("data/kept/.dvcignore"), "!b.tmp\n.dvcignore\n").unwrap();
        for name in ["data/a.tmp", "data/a.csv", "data/kept/b.tmp"] {
            fs::write(root.join(name), name).unwrap();
        }
        let content = hash_path(&repo, &root.join("data")).unwrap().unwrap();
        let names: Vec<_> = content
            .tree
            .unwrap()
            .entries()
            .iter()
            .map(|entry| entry.relpath.clone())
            .collect();
        assert_eq!(names, ["a.csv", "kept/b.tmp"]);
    }

    #[test]
    fn a_link_to_a_folder_inside_data_is_left_out_as_dvc_does_and_nothing_is_none() {
        let (_folder, repo) = repo();
        let root = repo.root();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::create_dir_all(root.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.join("elsewhere"), root.join("data/link")).unwrap();
        let found = look_at(&repo, &root.join("data"), Algorithm::Md5, None)
            .unwrap()
            .unwrap();
        assert_eq!(found.left_out, ["link"]);
        assert_eq!(found.content.hashed.md5, "d751713988987e9331980363e24189ce.dir");
        assert_eq!(hash_path(&repo, &root.join("nothing")).unwrap(), None);
    }
}
