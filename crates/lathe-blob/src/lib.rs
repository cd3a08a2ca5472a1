//! Bytes by name: artifact stores and, for data versioning, remotes. Only this crate knows where bytes lie and
//! which SDK reaches them. It does not know what the bytes mean: no runs, no `.dvc` files, no models.

mod artifacts;
mod bucket;
mod error;
mod folder;
mod path;
mod settings;

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use lathe_types::Millis;

pub use artifacts::{Artifacts, PartUpload, Swept, below};
pub use bucket::{Bucket, Listing, SignedPart};
pub use error::{Error, Reason};
pub use path::{ArtifactPath, PathError};
pub use settings::Settings;

/// A file or folder in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its last part.
    pub name: String,
    /// Bytes of a file; none for a folder.
    pub size: Option<u64>,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its bytes.
    pub size: u64,
    /// Changes when the file does; as in the header of that name, with its quotes.
    pub etag: Option<String>,
    /// When it was written.
    pub modified: Millis,
}

/// A file, or a range of it, that is being read.
pub struct Opened {
    /// The whole file's.
    pub meta: Meta,
    /// Which bytes come.
    pub range: Range<u64>,
    /// The bytes as they come.
    pub chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("meta", &self.meta)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
