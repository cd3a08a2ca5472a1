//! Bytes by name: artifact stores and, for data versioning, remotes. Only this crate knows where bytes lie and
//! which SDK reaches them. It does not know what the bytes mean: no runs, no `.dvc` files, no models.

mod artifacts;
mod path;

pub use artifacts::{Artifacts, Entry, Error};
pub use path::{ArtifactPath, PathError};
