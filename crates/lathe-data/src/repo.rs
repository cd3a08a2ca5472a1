use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::{Cache, Error, Result, gitignore, write};

const DVC: &str = ".dvc";

/// A folder that DVC's formats make a repository of.
#[derive(Debug, Clone)]
pub struct Repo {
    root: PathBuf,
    cache: Cache,
    /// The one that decides first.
    settings: Arc<[Config]>,
}

impl Repo {
    /// Finds the repository that holds `start`: the nearest folder upwards with a `.dvc` folder.
    pub fn discover(start: &Path) -> Result<Self> {
        let start = fs::canonicalize(start).map_err(Error::read(start))?;
        match start.ancestors().find(|folder| folder.join(DVC).is_dir()) {
            Some(root) => Self::open(root.to_owned()),
            None => Err(Error::NoRepo { path: start }),
        }
    }

    /// Makes `root` a repository, with the files that `dvc init` makes.
    pub fn init(root: &Path) -> Result<Self> {
        let root = fs::canonicalize(root).map_err(Error::read(root))?;
        let folder = root.join(DVC);
        if folder.exists() {
            return Err(Error::RepoExists { path: root });
        }
        let tmp = folder.join("tmp");
        fs::create_dir_all(&tmp).map_err(Error::write(&tmp))?;
        for (path, content) in [
            (folder.join("config"), ""),
            (folder.join(".gitignore"), "/config.local\n/tmp\n/cache\n"),
            // DVC reads the age of the repository off this file.
            (tmp.join("btime"), ""),
        ] {
            fs::write(&path, content).map_err(Error::write(&path))?;
        }
        let ignored = root.join(".dvcignore");
        if let Ok(mut file) = fs::File::create_new(&ignored) {
            file.write_all(DVCIGNORE.as_bytes())
                .map_err(Error::write(&ignored))?;
        }
        Self::open(root)
    }

    fn open(root: PathBuf) -> Result<Self> {
        let folder = root.join(DVC);
        let mut cache = folder.join("cache");
        let mut settings = Vec::new();
        for name in ["config", "config.local"] {
            let config = Config::load(&folder.join(name))?;
            if let Some(dir) = config.find("cache", "dir") {
                // A relative folder is relative to the file that names it.
                cache = folder.join(dir);
            }
            settings.insert(0, config);
        }
        Ok(Self {
            root,
            cache: Cache::new(cache),
            settings: settings.into(),
        })
    }

    /// The folder that holds `.dvc`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its objects are.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// `.dvc/tmp`, for locks and the like.
    pub fn tmp(&self) -> PathBuf {
        self.root.join(DVC).join("tmp")
    }

    /// Keeps paths (absolute, in the repository) out of git, each with a line in the `.gitignore` beside it unless git
    /// ignores it already.
    pub fn keep_out_of_git(&self, paths: &[PathBuf]) -> Result<()> {
        gitignore::keep_out(&self.root, paths)
    }

    /// A setting of `.dvc/config`, in which `config.local` comes first.
    pub fn setting(&self, section: &str, key: &str) -> Option<&str> {
        self.settings.iter().find_map(|config| config.find(section, key))
    }
}

/// Lets `worktree`, another checkout of the repository at `root`, use the cache of `root`.
pub fn share_cache(root: &Path, worktree: &Path) -> Result<()> {
    let repo = Repo::discover(root)?;
    let config = worktree.join(DVC).join("config.local");
    let text = format!("[cache]\n    dir = {}\n", repo.cache.folder().display());
    write::write_atomically(&config, text.as_bytes())
}

/// Gives `worktree` a cache of its own, whatever its `.dvc/config` says.
pub fn use_own_cache(worktree: &Path) -> Result<()> {
    let config = worktree.join(DVC).join("config.local");
    write::write_atomically(&config, b"[cache]\n    dir = cache\n")
}

const DVCIGNORE: &str = "\
# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
";
