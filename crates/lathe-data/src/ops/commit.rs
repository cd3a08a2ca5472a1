use super::{links, place};
use crate::cache::Intake;
use crate::dvc_file::{DvcFile, Recorded};
use crate::hash::{Algorithm, look_at};
use crate::{Error, Repo, Result};

/// Takes what is in the workspace for what a `.dvc` file tracks: keeps it in the cache and writes it down.
pub fn commit(repo: &Repo, file: &DvcFile, allow_missing: bool, relink: bool) -> Result<()> {
    take(repo, file, allow_missing, relink, false)
}

/// As [`commit`], and what DVC 2 wrote gets the form of DVC 3 even if it did not change.
pub fn renew(repo: &Repo, file: &DvcFile) -> Result<()> {
    take(repo, file, false, true, true)
}

fn take(repo: &Repo, file: &DvcFile, allow_missing: bool, relink: bool, renews_legacy: bool) -> Result<()> {
    let mut file = file.clone();
    let cache = repo.cache();
    let intake = Intake::new(cache, Some(repo.memory()));
    let places: Vec<_> = file.outs().iter().map(|out| file.place_of(out)).collect();
    for (out, at) in file.outs_mut().iter_mut().zip(&places) {
        if allow_missing && !at.exists() {
            continue;
        }
        let legacy = Algorithm::Md5Dos2Unix;
        let is_unchanged_legacy = match &out.recorded {
            Some(recorded) if recorded.algorithm == legacy && !renews_legacy => {
                let found = look_at(repo, at, legacy, None)?;
                found.is_some_and(|found| found.content.hashed.md5 == recorded.md5)
            }
            _ => false,
        };
        if is_unchanged_legacy {
            continue;
        }
        let keep = out.is_cached().then_some(&intake);
        let found = look_at(repo, at, Algorithm::Md5, keep)?;
        let content = found
            .map(|found| found.content)
            .ok_or_else(|| Error::NothingThere { path: at.clone() })?;
        if let (Some(keep), Some(tree)) = (keep, &content.tree) {
            keep.put_tree(&content.hashed.md5, tree)?;
        }
        out.recorded = Some(Recorded::new(&content.hashed));
    }
    intake.finish()?;
    repo.keep_out_of_git(&places)?;
    file.save()?;
    for at in places.iter().filter(|at| relink && at.exists()) {
        place::relink(repo, at)?;
    }
    links::remember(repo, &file)
}
