//! Where things are: flag, then environment, then `lathe.toml`, then the default.

use std::path::{Path, PathBuf};

use crate::project::ProjectFile;

/// The folder of the embedded store inside a project.
pub const STATE_FOLDER: &str = ".lathe";

/// Where a command finds the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A running server.
    Server(String),
    /// A store of this repository, opened in this process.
    Embedded {
        /// The database.
        database: PathBuf,
        /// The artifacts.
        artifacts: PathBuf,
    },
}

impl Place {
    /// The place that flag, `LATHE_SERVER` (both in `flag`) or `lathe.toml` name, else the embedded store in `root`.
    pub fn choose(flag: Option<&str>, project: Option<&ProjectFile>, root: &Path) -> Self {
        let declared = project.and_then(|project| project.spec.project.server.as_deref());
        match flag.or(declared) {
            Some(url) => Self::Server(url.trim_end_matches('/').to_owned()),
            None => Self::embedded_in(root),
        }
    }

    /// The embedded store of a repository.
    pub fn embedded_in(root: &Path) -> Self {
        let folder = root.join(STATE_FOLDER);
        Self::Embedded {
            database: folder.join("lathe.db"),
            artifacts: folder.join("artifacts"),
        }
    }
}

/// The folder for what several projects share, as `~/.cache/lathe`.
pub fn cache_folder() -> anyhow::Result<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("LATHE_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|base| base.join("lathe")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache").join("lathe")));
    base.ok_or_else(|| crate::exit::hinted("no cache folder is known", "set `LATHE_CACHE_DIR` or `HOME`"))
}

/// The folder for what Lathe needs and cannot make again by itself, as `~/.local/share/lathe`.
pub fn data_folder() -> anyhow::Result<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("LATHE_DATA_DIR")
        .or_else(|| variable("XDG_DATA_HOME").map(|base| base.join("lathe")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/lathe")));
    base.ok_or_else(|| crate::exit::hinted("no data folder is known", "set `LATHE_DATA_DIR` or `HOME`"))
}

/// `.lathe/` ignores itself, so that a repository that nobody made a project stays clean.
pub fn keep_state_out_of_git(root: &Path) -> anyhow::Result<()> {
    let folder = root.join(STATE_FOLDER);
    let file = folder.join(".gitignore");
    if !file.exists() {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&file, "*\n")?;
    }
    Ok(())
}

/// The user's home folder.
pub fn home() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").filter(|value| !value.is_empty());
    home.map(PathBuf::from)
        .ok_or_else(|| crate::exit::hinted("no home folder is known", "set `HOME`"))
}

/// Where DVC keeps the settings of the machine and of the user.
pub fn dvc_config_folders() -> (Option<PathBuf>, Option<PathBuf>) {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let system = variable("DVC_SYSTEM_CONFIG_DIR").unwrap_or_else(|| {
        let folders = std::env::var("XDG_CONFIG_DIRS").unwrap_or_default();
        let first = folders.split(':').find(|folder| !folder.is_empty());
        Path::new(first.unwrap_or("/etc/xdg")).join("dvc")
    });
    let global = variable("DVC_GLOBAL_CONFIG_DIR")
        .or_else(|| variable("XDG_CONFIG_HOME").map(|base| base.join("dvc")))
        .or_else(|| variable("HOME").map(|home| home.join(".config/dvc")));
    (Some(system), global)
}
