use crate::hash::metadata;
use crate::{Repo, Result, Tracked, hash_path_as};

/// How an output differs from what is written down about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutChange {
    /// Its content is not in the cache.
    NotInCache,
    /// It is not in the workspace.
    Deleted,
    /// It is another one.
    Modified,
    /// Nothing is written down.
    New,
}

impl OutChange {
    /// As DVC calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInCache => "not in cache",
            Self::Deleted => "deleted",
            Self::Modified => "modified",
            Self::New => "new",
        }
    }
}

/// Compares an output with what is written down about it.
pub fn out_change(repo: &Repo, out: &Tracked) -> Result<Option<OutChange>> {
    let Some(recorded) = &out.recorded else {
        return Ok(Some(match metadata(&out.at)? {
            None => OutChange::Deleted,
            Some(_) => OutChange::New,
        }));
    };
    if out.is_cached && !repo.cache().of(recorded.algorithm).holds(&recorded.md5)? {
        return Ok(Some(OutChange::NotInCache));
    }
    match hash_path_as(repo, &out.at, recorded.algorithm)? {
        None => Ok(Some(OutChange::Deleted)),
        Some(content) if content.hashed.md5 != recorded.md5 => Ok(Some(OutChange::Modified)),
        Some(_) => Ok(None),
    }
}
