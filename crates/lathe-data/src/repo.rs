use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Cache, Config, Error, Ini, LinkKind, Memory, Result, config, gitignore, write};

const DVC: &str = ".dvc";
/// Where hashes are remembered, in `.dvc/tmp`.
const HASHES: &str = "lathe-hashes";

/// A folder that DVC's formats make a repository of.
#[derive(Debug, Clone)]
pub struct Repo {
    root: PathBuf,
    config: Config,
    cache: Cache,
    link_kinds: Vec<LinkKind>,
    no_scm: bool,
    memory: Arc<Memory>,
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

    /// The `.dvc` folder around `start`, if there is one.
    pub fn find_folder(start: &Path) -> Result<Option<PathBuf>> {
        let start = fs::canonicalize(start).map_err(Error::read(start))?;
        let mut folders = start.ancestors().map(|folder| folder.join(DVC));
        Ok(folders.find(|folder| folder.is_dir()))
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

    /// Opens the repository whose root is known.
    pub fn open(root: PathBuf) -> Result<Self> {
        let folder = root.join(DVC);
        let config = Config::load(Some(&folder))?;
        let cache = config
            .find_path("cache", "dir")
            .unwrap_or_else(|| folder.join("cache"));
        let shared = config.find("cache", "shared") == Some("group");
        Ok(Self {
            link_kinds: config.link_kinds()?,
            no_scm: config.find_bool("core", "no_scm")?.unwrap_or(false),
            cache: Cache::new(cache, shared),
            memory: Arc::new(Memory::at(folder.join("tmp").join(HASHES))),
            config,
            root,
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

    /// Its settings, and those around it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where its settings are: `.dvc`.
    pub fn dvc_folder(&self) -> PathBuf {
        self.root.join(DVC)
    }

    /// How files of the workspace get their content, in the order to try.
    pub fn link_kinds(&self) -> &[LinkKind] {
        &self.link_kinds
    }

    /// Whether files of the workspace may be the cache's own.
    pub fn links_to_cache(&self) -> bool {
        let is_link = |kind: &LinkKind| matches!(kind, LinkKind::Hardlink | LinkKind::Symlink);
        self.link_kinds.iter().any(is_link)
    }

    /// Hashes of files that did not change since they were computed.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether git is to be left alone.
    pub fn no_scm(&self) -> bool {
        self.no_scm
    }

    /// `.dvc/tmp`, for locks and the like.
    pub fn tmp(&self) -> PathBuf {
        self.root.join(DVC).join("tmp")
    }

    /// Keeps paths (absolute, in the repository) out of git, each with a line in the `.gitignore` beside it unless git
    /// ignores it already.
    pub fn keep_out_of_git(&self, paths: &[PathBuf]) -> Result<()> {
        match self.no_scm {
            true => Ok(()),
            false => gitignore::keep_out(&self.root, paths),
        }
    }

    /// Takes back what [`Repo::keep_out_of_git`] did.
    pub fn let_into_git(&self, path: &Path) -> Result<()> {
        match self.no_scm {
            true => Ok(()),
            false => gitignore::let_in(path),
        }
    }

    /// A setting, in which the level nearest to this checkout decides.
    pub fn setting(&self, section: &str, key: &str) -> Option<&str> {
        self.config.find(section, key)
    }
}

/// Lets `worktree`, another checkout of the repository at `root`, use the cache of `root`, its settings and the hashes
/// that it remembers. Unless `cache.type` is set, data is linked to the cache there, not copied.
pub fn share_cache(root: &Path, worktree: &Path) -> Result<()> {
    let repo = Repo::discover(root)?;
    let mut own = settings_elsewhere(&repo);
    own.set("cache", "dir", &repo.cache.folder().display().to_string());
    if repo.config.find("cache", "type").is_none() {
        // A hard link would change the object's ctime, by which its hash is remembered.
        own.set("cache", "type", "reflink,symlink,copy");
    }
    let folder = worktree.join(DVC);
    write::write_atomically(&folder.join("config.local"), own.to_text().as_bytes())?;
    repo.memory.save();
    let hashes = repo.tmp().join(HASHES);
    if hashes.is_file() {
        let to = folder.join("tmp").join(HASHES);
        fs::create_dir_all(folder.join("tmp")).map_err(Error::write(&to))?;
        fs::copy(&hashes, &to).map_err(Error::write(&to))?;
    }
    Ok(())
}

/// Lets `clone`, a copy of another repository, keep its objects in the cache at `cache`, and find what its settings name
/// by paths if it was at `from` on this machine.
pub fn use_cache(from: Option<&Path>, clone: &Path, cache: &Path) -> Result<()> {
    let mut own = match from {
        Some(from) => settings_elsewhere(&Repo::discover(from)?),
        None => Ini::default(),
    };
    own.set("cache", "dir", &cache.display().to_string());
    own.set("cache", "type", "reflink,copy");
    write::write_atomically(&clone.join(DVC).join("config.local"), own.to_text().as_bytes())
}

/// Settings of one checkout alone, and paths, which mean something else in another folder.
fn settings_elsewhere(repo: &Repo) -> Ini {
    let mut own = Ini::default();
    for (level, path, ini) in repo.config.levels() {
        for (section, settings) in ini.sections() {
            for (key, value) in settings {
                if let Some(value) = config::value_elsewhere(level, path, section, key, value) {
                    own.set(section, key, &value);
                }
            }
        }
    }
    own
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
