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
