use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use md5::{Digest, Md5};

use crate::ignore_rules::IgnoreRules;
use crate::{Error, Repo, Result, Tree, TreeEntry};

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

/// What is at a path: its hash and, for a folder, the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The hash.
    pub hashed: Hashed,
    /// The files of a folder.
    pub tree: Option<Tree>,
}

/// Hashes the file or folder at `path`; `None` if there is nothing.
pub fn hash_path(repo: &Repo, path: &Path) -> Result<Option<Content>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Error::read(path)(error)),
    };
    if meta.is_dir() {
        let mut walk = Walk {
            top: path,
            rules: IgnoreRules::above(repo.root(), path)?,
            entries: Vec::new(),
            size: 0,
        };
        walk.folder(path)?;
        let tree = Tree::new(walk.entries);
        return Ok(Some(Content {
            hashed: Hashed {
                md5: format!("{}.dir", hex::encode(Md5::digest(tree.to_bytes()))),
                size: walk.size,
                nfiles: Some(tree.entries().len() as u64),
                is_exec: false,
            },
            tree: Some(tree),
        }));
    }
    if !meta.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    let (md5, size) = hash_file(path)?;
    Ok(Some(Content {
        hashed: Hashed {
            md5,
            size,
            nfiles: None,
            is_exec: meta.permissions().mode() & 0o111 != 0,
        },
        tree: None,
    }))
}

struct Walk<'a> {
    top: &'a Path,
    rules: IgnoreRules,
    entries: Vec<TreeEntry>,
    size: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let entered = self.rules.enter(folder)?;
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let path = entry.map_err(Error::read(folder))?.path();
            let link = fs::symlink_metadata(&path).map_err(Error::read(&path))?;
            // A link counts as the file that it leads to.
            let meta = fs::metadata(&path);
            if self
                .rules
                .ignores(&path, meta.as_ref().is_ok_and(fs::Metadata::is_dir))
            {
                continue;
            }
            let meta = meta.map_err(Error::read(&path))?;
            if meta.is_dir() && link.is_symlink() {
                return Err(Error::LinkedFolder { path });
            }
            if meta.is_dir() {
                self.folder(&path)?;
            } else if meta.is_file() {
                self.file(&path)?;
            } else {
                return Err(Error::NotAFile { path });
            }
        }
        if entered {
            self.rules.leave();
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let relpath = path.strip_prefix(self.top).expect("the walk began at the top");
        let relpath = relpath.to_str().ok_or_else(|| Error::NotUtf8 {
            path: path.to_owned(),
        })?;
        let (md5, size) = hash_file(path)?;
        self.size += size;
        self.entries.push(TreeEntry {
            md5,
            relpath: relpath.to_owned(),
        });
        Ok(())
    }
}

/// The md5 in hex of a file, and its size in bytes.
pub(crate) fn hash_file(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(Error::read(path))?;
    let mut hasher = Md5::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(Error::read(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    Ok((hex::encode(hasher.finalize()), size))
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
    fn a_link_to_a_folder_inside_data_is_refused_and_nothing_is_none() {
        let (_folder, repo) = repo();
        let root = repo.root();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::create_dir_all(root.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.join("elsewhere"), root.join("data/link")).unwrap();
        let error = hash_path(&repo, &root.join("data")).unwrap_err();
        assert!(matches!(error, Error::LinkedFolder { .. }), "{error}");
        assert_eq!(hash_path(&repo, &root.join("nothing")).unwrap(), None);
    }
}
