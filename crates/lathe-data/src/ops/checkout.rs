use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::links;
use crate::cache::Placer;
use crate::hash::{look_at, metadata};
use crate::{Cache, Error, Recorded, Repo, Result, Selected, Tracked, paths, work, write};

/// How data is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckoutOptions {
    /// Also lose files that no cache holds.
    pub force: bool,
    /// Make all links anew.
    pub relink: bool,
    /// What cannot be restored is no error.
    pub allow_missing: bool,
    /// Everything was selected: also remove what nothing tracks any more.
    pub all: bool,
}

/// What changed in the workspace. Paths are relative to the root; those of folders end in `/`.
#[derive(Debug, Clone, Default)]
pub struct Checkout {
    /// Outputs that were not there.
    pub added: Vec<String>,
    /// Outputs that were other ones.
    pub modified: Vec<String>,
    /// Outputs that are gone.
    pub deleted: Vec<String>,
    /// Outputs whose content the cache does not hold; they are left as they are.
    pub failed: Vec<String>,
    /// Files that were not there.
    pub files_added: usize,
    /// Files that were other ones.
    pub files_modified: usize,
    /// Files, or data left behind, that are gone.
    pub files_deleted: usize,
}

/// What has to be done to one output.
struct Plan<'a> {
    out: &'a Tracked,
    cache: Cache,
    /// Path and md5 of each file to write.
    write: Vec<(PathBuf, String)>,
    /// Files to remove, with their md5.
    remove: Vec<(PathBuf, String)>,
    /// Files that are overwritten, with their md5.
    replaced: Vec<(PathBuf, String)>,
    is_new: bool,
}

/// Brings outputs of the workspace to what is written down about them. Files that would be lost are looked for in
/// the cache before anything is changed.
pub fn checkout(
    repo: &Repo,
    all: &[Tracked],
    selected: &[Selected<'_>],
    options: CheckoutOptions,
) -> Result<Checkout> {
    refuse_versioned(repo, selected)?;
    let mut done = Checkout::default();
    let mut plans = Vec::new();
    for selected in selected.iter().filter(|selected| selected.out.is_cached) {
        match plan(repo, selected, options.relink)? {
            Some(plan) => plans.push(plan),
            None if selected.out.recorded.is_some() => done.failed.push(shown(repo, &selected.out.at)),
            None => {}
        }
    }
    if !options.force {
        refuse_losses(&plans)?;
    }
    if options.all {
        for at in links::left_behind(repo, all)? {
            done.deleted.push(shown(repo, &at));
            done.files_deleted += 1;
            write::remove_path(&at)?;
            links::forget(repo, &[at])?;
        }
    }
    for plan in &plans {
        apply(repo, plan, &mut done)?;
    }
    let placed: Vec<_> = plans
        .iter()
        .filter_map(|plan| Some((plan.out.at.clone(), plan.out.recorded.as_ref()?.md5.clone())))
        .collect();
    links::remember_all(repo, &placed)?;
    for list in [
        &mut done.added,
        &mut done.modified,
        &mut done.deleted,
        &mut done.failed,
    ] {
        // Folders first, as DVC lists them.
        list.sort_by_key(|path| (!path.ends_with('/'), path.clone()));
    }
    if !done.failed.is_empty() && !options.allow_missing {
        return Err(Error::NotRestored { paths: done.failed });
    }
    Ok(done)
}

fn refuse_versioned(repo: &Repo, selected: &[Selected<'_>]) -> Result<()> {
    let versioned = selected.iter().filter(|selected| selected.out.is_versioned);
    let paths: Vec<String> = versioned.map(|selected| shown(repo, &selected.out.at)).collect();
    match paths.is_empty() {
        true => Ok(()),
        false => Err(Error::VersionedOutputs { paths }),
    }
}

/// Puts what was recorded in the place of whatever is at a path.
pub fn restore(repo: &Repo, recorded: &Recorded, at: &Path) -> Result<()> {
    let cache = repo.cache().of(recorded.algorithm);
    let missing = || Error::MissingObject {
        md5: recorded.md5.clone(),
    };
    if !cache.holds(&recorded.md5)? {
        return Err(missing());
    }
    let mut files = vec![(at.to_owned(), recorded.md5.clone())];
    if recorded.is_folder() {
        let entries = cache.tree(&recorded.md5)?.into_entries().into_iter();
        files = entries
            .map(|entry| (at.join(&entry.relpath), entry.md5))
            .collect();
    }
    write::remove_path(at)?;
    if recorded.is_folder() {
        fs::create_dir_all(at).map_err(Error::write(at))?;
    }
    place_all(repo, &cache, recorded.is_exec, &files)
}

fn place_all(repo: &Repo, cache: &Cache, is_exec: bool, files: &[(PathBuf, String)]) -> Result<()> {
    let folders: BTreeSet<&Path> = files.iter().filter_map(|(path, _)| path.parent()).collect();
    for folder in folders {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    let placer = Placer::new(cache, repo.memory(), repo.link_kinds(), &repo.tmp())?;
    work::each(files, |(path, md5)| placer.place(md5, is_exec, path))?;
    Ok(())
}

/// `None` if the cache does not hold all that is needed.
fn plan<'a>(repo: &Repo, selected: &Selected<'a>, relink: bool) -> Result<Option<Plan<'a>>> {
    let out = selected.out;
    let Some(recorded) = &out.recorded else {
        return Ok(None);
    };
    let cache = repo.cache().of(recorded.algorithm);
    let mut wanted = BTreeMap::new();
    if recorded.is_folder() {
        if !cache.holds_object(&recorded.md5)? {
            return Ok(None);
        }
        let tree = selected.part_of(&cache.tree(&recorded.md5)?);
        wanted.extend(
            tree.into_entries()
                .into_iter()
                .map(|entry| (entry.relpath, entry.md5)),
        );
    } else {
        wanted.insert(String::new(), recorded.md5.clone());
    }
    let found = look_at(repo, &out.at, recorded.algorithm, None)?;
    let is_new = found.is_none();
    let mut there = BTreeMap::new();
    if let Some(content) = found.map(|found| found.content) {
        match content.tree {
            Some(tree) => {
                let tree = selected.part_of(&tree);
                there.extend(
                    tree.into_entries()
                        .into_iter()
                        .map(|entry| (entry.relpath, entry.md5)),
                );
            }
            None => {
                there.insert(String::new(), content.hashed.md5);
            }
        }
    }
    let place = |relpath: &str| {
        if relpath.is_empty() {
            out.at.clone()
        } else {
            out.at.join(relpath)
        }
    };
    let mut plan = Plan {
        out,
        cache,
        write: Vec::new(),
        remove: Vec::new(),
        replaced: Vec::new(),
        is_new,
    };
    for (relpath, md5) in &there {
        match wanted.get(relpath) {
            None => plan.remove.push((place(relpath), md5.clone())),
            Some(other) if other != md5 => plan.replaced.push((place(relpath), md5.clone())),
            Some(_) => {}
        }
    }
    for (relpath, md5) in wanted {
        if relink || there.get(&relpath) != Some(&md5) {
            plan.write.push((place(&relpath), md5));
        }
    }
    let cache = &plan.cache;
    let held = work::each(&plan.write, |(_, md5)| cache.holds_object(md5))?;
    Ok(held.into_iter().all(|held| held).then_some(plan))
}

fn refuse_losses(plans: &[Plan<'_>]) -> Result<()> {
    let mut lost = Vec::new();
    for plan in plans {
        for (path, md5) in plan.remove.iter().chain(&plan.replaced) {
            if !plan.cache.holds_object(md5)? {
                lost.push(path.clone());
            }
        }
    }
    if lost.is_empty() {
        Ok(())
    } else {
        Err(Error::Unsaved { paths: lost })
    }
}

fn apply(repo: &Repo, plan: &Plan<'_>, done: &mut Checkout) -> Result<()> {
    let at = &plan.out.at;
    let recorded = plan.out.recorded.as_ref();
    for (path, _) in &plan.remove {
        write::remove_path(path)?;
        remove_empty_folders(path, at);
    }
    if recorded.is_some_and(|recorded| recorded.is_folder()) {
        fs::create_dir_all(at).map_err(Error::write(at))?;
    }
    if !plan.write.is_empty() {
        let is_exec = recorded.is_some_and(|recorded| recorded.is_exec);
        place_all(repo, &plan.cache, is_exec, &plan.write)?;
    } else if recorded.is_some_and(|recorded| recorded.is_exec) {
        make_executable(at)?;
    }
    let added = plan.write.len().saturating_sub(plan.replaced.len());
    done.files_added += if plan.is_new || !plan.remove.is_empty() || added > 0 {
        added
    } else {
        0
    };
    done.files_modified += plan.replaced.len();
    done.files_deleted += plan.remove.len();
    if plan.is_new {
        done.added.push(shown(repo, at));
    } else if !plan.write.is_empty() || !plan.remove.is_empty() {
        done.modified.push(shown(repo, at));
    }
    Ok(())
}

fn remove_empty_folders(path: &Path, top: &Path) {
    let mut folder = path.parent();
    while let Some(at) = folder.filter(|at| at.starts_with(top) && *at != top) {
        // It fails where something is left, which is what is wanted.
        if fs::remove_dir(at).is_err() {
            return;
        }
        folder = at.parent();
    }
}

fn make_executable(path: &Path) -> Result<()> {
    let Some(meta) = metadata(path)? else {
        return Ok(());
    };
    let mode = meta.permissions().mode();
    if mode & 0o111 == 0 && mode & 0o777 != 0o444 {
        fs::set_permissions(path, Permissions::from_mode(mode | 0o100)).map_err(Error::write(path))?;
    }
    Ok(())
}

/// Relative to the root, with a `/` after folders.
pub(super) fn shown(repo: &Repo, at: &Path) -> String {
    let path = paths::relative(at, repo.root());
    if at.is_dir() { format!("{path}/") } else { path }
}
