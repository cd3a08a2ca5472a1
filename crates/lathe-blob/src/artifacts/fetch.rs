//! Copies of what lies in an object store, for those who need files on disk. A copy is named by what was there, so that
//! it is made once and never goes stale.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::{ArtifactPath, Bucket, Error, Meta};

/// More files than any model has.
const FILES_MAX: usize = 100_000;
const FILES_AT_ONCE: usize = 4;
/// Copies of one place that stay: the one in use, and those before that may still be.
const COPIES_MAX: usize = 3;

pub(super) async fn folder(bucket: &Bucket, path: &ArtifactPath, cache: &Path) -> Result<PathBuf, Error> {
    let mut files: Vec<(ArtifactPath, Meta)> = bucket
        .list_all(path, None)
        .take(FILES_MAX + 1)
        .try_collect()
        .await?;
    if files.is_empty() {
        return Err(Error::NotFound { path: path.clone() });
    }
    if FILES_MAX < files.len() {
        return Err(Error::WrongShape {
            path: path.clone(),
            what: "holds more files than are fetched at once",
        });
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let place = cache.join(&hex::encode(Sha256::digest(bucket.url_of(path)))[..32]);
    let target = place.join(digest(&files));
    if target.is_dir() {
        return Ok(target);
    }
    let disk = |source| Error::Disk {
        doing: "write",
        path: target.clone(),
        source,
    };
    std::fs::create_dir_all(&place).map_err(disk)?;
    let draft = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(&place)
        .map_err(disk)?;
    stream::iter(files.iter().map(Ok))
        .try_for_each_concurrent(FILES_AT_ONCE, |(name, meta)| {
            let below = name.as_str().strip_prefix(path.as_str()).unwrap_or_default();
            let file = draft.path().join(below.trim_start_matches('/'));
            async move { fetch(bucket, name, meta, &file).await }
        })
        .await?;
    let draft = draft.keep();
    match std::fs::rename(&draft, &target) {
        Ok(()) => {}
        // Another one was faster, with the same files.
        Err(_) if target.is_dir() => {
            let _ = std::fs::remove_dir_all(&draft);
        }
        Err(error) => {
            let _ = std::fs::remove_dir_all(&draft);
            return Err(disk(error));
        }
    }
    forget_older(&place, &target);
    Ok(target)
}

async fn fetch(bucket: &Bucket, name: &ArtifactPath, meta: &Meta, file: &Path) -> Result<(), Error> {
    let disk = |source| Error::Disk {
        doing: "write",
        path: file.to_owned(),
        source,
    };
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(disk)?;
    }
    let mut chunks = bucket.get(name, None).await?.chunks;
    let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
    let mut written = 0;
    while let Some(chunk) = chunks.try_next().await.map_err(disk)? {
        out.write_all(&chunk).await.map_err(disk)?;
        written += chunk.len() as u64;
    }
    out.flush().await.map_err(disk)?;
    if written != meta.size {
        return Err(disk(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it changed while it was read; try again",
        )));
    }
    Ok(())
}

fn digest(files: &[(ArtifactPath, Meta)]) -> String {
    let mut hash = Sha256::new();
    for (name, meta) in files {
        let tag = meta.etag.as_deref().unwrap_or_default();
        hash.update(format!("{name}\n{}\n{tag}\n{}\n", meta.size, meta.modified.0));
    }
    hex::encode(&hash.finalize()[..16])
}

/// Removes the oldest copies of a place. Nothing depends on it.
fn forget_older(place: &Path, newest: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else {
        return;
    };
    let mut copies: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .filter(|(_, path)| path != newest)
        .collect();
    copies.sort();
    let excess = copies.len().saturating_sub(COPIES_MAX - 1);
    for (_, path) in copies.into_iter().take(excess) {
        let _ = std::fs::remove_dir_all(path);
    }
}
