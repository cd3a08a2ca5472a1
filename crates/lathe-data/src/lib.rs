//! Data versioning in DVC's formats: where a repository keeps its cache, hashes of files and folders, objects put into
//! the cache and taken out of it, and the `.gitignore` lines beside tracked data. It does not parse `dvc.yaml` or
//! write `dvc.lock` (that is `lathe-pipeline`) and does not talk to remotes (that is `lathe-blob`).

mod cache;
mod config;
mod error;
mod gitignore;
mod hash;
mod ignore_rules;
mod repo;
mod scan;
mod tree;
mod write;

pub use cache::Cache;
pub use error::{Error, Result};
pub use hash::{Content, Hashed, hash_path};
pub use repo::{Repo, share_cache, use_own_cache};
pub use scan::pipeline_files;
pub use tree::{Tree, TreeEntry};
pub use write::{remove_path, write_atomically, write_by_rename};
