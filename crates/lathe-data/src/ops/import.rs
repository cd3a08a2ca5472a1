use super::{links, place};
use crate::cache::Intake;
use crate::dvc_file::{DvcFile, Origin, Recorded};
use crate::hash::{Algorithm, look_at};
use crate::{Error, Repo, Result};

/// Tracks what was brought to the place of a `.dvc` file's output, and writes down where it came from.
pub fn import(repo: &Repo, file: &DvcFile, origin: &Origin) -> Result<()> {
    let mut file = file.clone();
    let Some(at) = file.outs().first().map(|out| file.place_of(out)) else {
        return Ok(());
    };
    let intake = Intake::new(repo.cache(), Some(repo.memory()));
    let found = look_at(repo, &at, Algorithm::Md5, Some(&intake))?;
    let content = found
        .ok_or_else(|| Error::NothingThere { path: at.clone() })?
        .content;
    if let Some(tree) = &content.tree {
        intake.put_tree(&content.hashed.md5, tree)?;
    }
    intake.finish()?;
    let recorded = Recorded::new(&content.hashed);
    file.set_origin(origin, Some(&recorded));
    if let Some(out) = file.outs_mut().first_mut() {
        out.recorded = Some(recorded);
    }
    repo.keep_out_of_git(std::slice::from_ref(&at))?;
    file.save()?;
    place::relink(repo, &at)?;
    links::remember(repo, &file)
}
