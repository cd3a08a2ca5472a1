//! Imported data that is wanted and not here: it is brought from where it comes from, not from the project's remotes.

use std::path::Path;

use anyhow::Context;
use lathe_data::{DvcFile, Origin, Recorded, Repo, Tracked, hash_path_as};

use super::Data;
use super::foreign::Foreign;
use super::places::Place;
use super::sync::Scope;
use crate::exit::hinted;

/// What was brought.
#[derive(Debug, Default)]
pub struct Brought {
    /// Outputs.
    pub count: usize,
    /// Whether `.dvc` files say more than before: what nobody had downloaded yet.
    pub is_written: bool,
}

/// Brings what is meant, imported, and in no cache.
pub fn fetch(data: &Data, scope: &Scope, targets: &[String]) -> anyhow::Result<Brought> {
    let elsewhere = scope.tracked_elsewhere(data)?;
    let mut selected = data.select(targets, scope.reach.selection())?;
    for all in &elsewhere {
        let found = lathe_data::select(&data.repo, all, targets, &data.folder, scope.reach.selection());
        // Another commit may not have the target.
        selected.extend(found.unwrap_or_default());
    }
    let jobs = scope.remote.jobs.map(usize::from);
    let mut brought = Brought::default();
    for out in selected.iter().map(|selected| selected.out) {
        let Some(origin) = out.origin.as_ref().filter(|_| out.is_cached && scope.takes(out)) else {
            continue;
        };
        match (&out.recorded, origin) {
            (Some(recorded), Origin::Repo { .. })
                if !data.repo.cache().of(recorded.algorithm).holds(&recorded.md5)? =>
            {
                into_cache(&data.repo, out, data.repo.root(), jobs)?;
                brought.count += 1;
            }
            // Of another commit it would be written into a file that is not that of the commit.
            (None, Origin::Repo { .. } | Origin::Url { .. })
                if data.all.iter().any(|own| std::ptr::eq(own, out)) =>
            {
                let recorded = into_cache(&data.repo, out, data.repo.root(), jobs)?;
                write_down(out, recorded)?;
                brought.count += 1;
                brought.is_written = true;
            }
            _ => {}
        }
    }
    Ok(brought)
}

/// Brings imported data into the cache of `repo`. `folder` is what the paths of other repositories are relative to.
pub fn into_cache(
    repo: &Repo,
    out: &Tracked,
    folder: &Path,
    jobs: Option<usize>,
) -> anyhow::Result<Recorded> {
    let shown = out.shown(repo.root());
    let changed = || {
        hinted(
            format!("`{shown}` is not what was imported any more"),
            "take what is there now with `lathe update`",
        )
    };
    std::fs::create_dir_all(repo.tmp())?;
    let scratch = tempfile::Builder::new()
        .prefix("lathe-import-")
        .tempdir_in(repo.tmp())?;
    let foreign;
    let found = match &out.origin {
        Some(Origin::Repo {
            url,
            rev,
            rev_lock,
            path,
        }) => {
            let revision = rev_lock.as_deref().or(rev.as_deref());
            let mut opened = Foreign::open(url, revision, folder, &repo.tmp(), Some(repo.cache().folder()))
                .with_context(|| format!("`{shown}` is imported"))?;
            opened.jobs = jobs;
            foreign = opened;
            foreign.bring(path, None)?
        }
        Some(Origin::Url { url, mark }) => {
            let near = out.file.parent().unwrap_or(repo.root());
            let place = Place::find(url, near, Some(repo))?;
            let now = place.look()?.mark.map(|(_, value)| value);
            if let (Some(now), Some((_, then))) = (&now, mark)
                && now != then
            {
                return Err(changed());
            }
            let fetched = scratch.path().join("data");
            place.fetch(&fetched, jobs)?;
            fetched
        }
        _ => {
            return Err(hinted(
                format!("`{shown}` is a query of a database"),
                "bring it with `dvc pull`",
            ));
        }
    };
    let algorithm = out.recorded.as_ref().map(|recorded| recorded.algorithm);
    let algorithm = algorithm.unwrap_or_default();
    let content = hash_path_as(repo, &found, algorithm)?.ok_or_else(changed)?;
    let is_same = |recorded: &Recorded| recorded.md5 == content.hashed.md5;
    if !out.recorded.as_ref().is_none_or(is_same) {
        return Err(changed());
    }
    repo.cache().of(algorithm).save(&content, &found)?;
    Ok(Recorded {
        algorithm,
        ..Recorded::new(&content.hashed)
    })
}

fn write_down(out: &Tracked, recorded: Recorded) -> anyhow::Result<()> {
    let mut file = DvcFile::load(&out.file)?;
    if let Some(first) = file.outs_mut().first_mut() {
        first.recorded = Some(recorded);
    }
    Ok(file.save()?)
}
