use std::io;
use std::path::{Path, PathBuf};

use lathe_types::ErrorKind;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why data could not be found, hashed, saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `.dvc` upwards.
    #[error("`{path}` is not in a DVC repository")]
    NoRepo {
        /// Where the search began.
        path: PathBuf,
    },
    /// `.dvc` is there already.
    #[error("`{path}` is a DVC repository already")]
    RepoExists {
        /// Its root.
        path: PathBuf,
    },
    /// A line of `.dvc/config` that is no setting.
    #[error("`{path}` line {line}: `{text}` is neither a section nor a setting")]
    Config {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is there.
        text: String,
    },
    /// Reading from the disk failed.
    #[error("failed to read `{path}`")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing to the disk failed.
    #[error("failed to write `{path}`")]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Sockets, pipes and devices have no content to version.
    #[error("`{path}` is neither a file nor a folder")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A link to a folder inside tracked data: its content would silently be left out.
    #[error("`{path}` is a link to a folder inside tracked data")]
    LinkedFolder {
        /// The link.
        path: PathBuf,
    },
    /// DVC's formats hold paths as text.
    #[error("the name of `{path}` is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The cache holds no such object.
    #[error("object {md5} is not in the cache")]
    MissingObject {
        /// md5 in hex, with `.dir` for a folder.
        md5: String,
    },
    /// An object of the cache that cannot be what its name says.
    #[error("object {md5} of the cache is damaged: {problem}")]
    DamagedObject {
        /// md5 in hex, with `.dir` for a folder.
        md5: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern that gitignore syntax does not know.
    #[error("`{path}` holds a pattern that cannot be read")]
    Pattern {
        /// The ignore file.
        path: PathBuf,
        /// Which, and why.
        source: ignore::Error,
    },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRepo { .. } | Self::MissingObject { .. } => ErrorKind::NotFound,
            Self::RepoExists { .. } => ErrorKind::AlreadyExists,
            Self::Config { .. }
            | Self::NotAFile { .. }
            | Self::LinkedFolder { .. }
            | Self::NotUtf8 { .. }
            | Self::Pattern { .. } => ErrorKind::InvalidInput,
            Self::Read { .. } | Self::Write { .. } | Self::DamagedObject { .. } => ErrorKind::Internal,
        }
    }

    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepo { .. } => Some("make one with `lathe init` in the root of the git repository"),
            Self::RepoExists { .. } => Some("go on with it: nothing needs to be made"),
            Self::Config { .. } => Some("write `[section]` lines and `key = value` lines below them"),
            Self::NotAFile { .. } => Some("move it out of the tracked data, or name it in `.dvcignore`"),
            Self::LinkedFolder { .. } => {
                Some("replace the link by the folder, or name it in `.dvcignore` to leave it out")
            }
            Self::NotUtf8 { .. } => Some("rename it: DVC's formats hold paths as UTF-8 text"),
            Self::MissingObject { .. } => {
                Some("fetch it with `dvc pull`, or make it again by executing its stage")
            }
            Self::DamagedObject { .. } => Some("delete the object, then fetch or make it again"),
            Self::Read { .. } | Self::Write { .. } | Self::Pattern { .. } => None,
        }
    }
}
