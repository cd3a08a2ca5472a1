//! Bytes by name: artifact stores and, for data versioning, remotes. Only this crate knows where bytes lie and
//! which SDK reaches them. It does not know what the bytes mean: no runs, no `.dvc` files, no models.

use std::path::PathBuf;

/// Where artifacts lie.
#[derive(Debug, Clone)]
pub struct Artifacts {
    root: PathBuf,
}

impl Artifacts {
    /// Artifacts in a local folder, created when first written to.
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The local folder.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}
