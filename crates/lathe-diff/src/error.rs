use std::io;
use std::path::PathBuf;

/// Why two things could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A tolerance is neither a number nor a percentage.
    #[error("`{text}` is no tolerance: write a number as `0.001`, or a share as `\"1%\"`")]
    Tolerance {
        /// As written.
        text: String,
    },
}

impl Error {
    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}

/// A result of a comparison.
pub type Result<T, E = Error> = std::result::Result<T, E>;
