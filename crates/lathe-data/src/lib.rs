//! Data versioning in DVC's formats: where a repository keeps its cache, hashes of files and folders, objects put into
//! the cache and taken out of it, `.dvc` files, settings, locks, and the `.gitignore` lines beside tracked data. It
//! does not parse `dvc.yaml` or write `dvc.lock` (that is `lathe-pipeline`), starts no processes (git is asked by the
//! binary) and knows no protocol (that is `lathe-blob`).

mod cache;
mod config;
mod dvc_file;
mod error;
mod files;
mod gitignore;
mod hash;
mod ignore_rules;
mod lock;
pub mod ops;
mod paths;
pub mod remote;
mod repo;
mod scan;
mod tracked;
mod tree;
mod work;
mod write;

pub use cache::{Cache, LinkKind};
pub use config::{Config, ConfigEdit, Ini, Level, set_config_folders};
pub use dvc_file::{Collected, DvcFile, DvcOut, Origin, Recorded, SUFFIX, collect, recorded};
pub use error::{Error, Result, counted};
pub use files::{copy_tree, glob, matching};
pub use hash::{Algorithm, Content, Hashed, Memory, hash_path, hash_path_as, md5_of};
pub use ignore_rules::{IgnoredBy, ignored_by};
pub use lock::{RepoLock, wait_for_locks};
pub use paths::{normal as normal_path, relative as relative_path};
pub use repo::{Repo, share_cache, use_cache, use_own_cache};
pub use scan::pipeline_files;
pub use tracked::{DataKind, Selected, Selection, Tracked, select};
pub use tree::{Tree, TreeEntry};
pub use work::each_on;
pub use write::{remove_path, write_atomically, write_by_rename};
