//! Where data is, and how it is linked to the cache.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::links;
use crate::cache::{LinkKind, Placer, is_same_file};
use crate::dvc_file::{DvcFile, SUFFIX};
use crate::{Error, Repo, Result, hash_path, paths, work, write};

/// Turns files that are in the cache into links to it, if `cache.type` wants links.
pub(super) fn relink(repo: &Repo, at: &Path) -> Result<()> {
    let kinds = repo.link_kinds();
    // A copy that is there is as good as any, and so are blocks that are shared already.
    let wanted = kinds.iter().find(|kind| **kind != LinkKind::Reflink);
    if !matches!(wanted, Some(LinkKind::Hardlink | LinkKind::Symlink))
        || kinds.first() == Some(&LinkKind::Copy)
    {
        return Ok(());
    }
    let Some(content) = hash_path(repo, at)? else {
        return Ok(());
    };
    let files: Vec<(PathBuf, String)> = match content.tree {
        None => vec![(at.to_owned(), content.hashed.md5.clone())],
        Some(tree) => tree
            .entries()
            .iter()
            .map(|entry| (at.join(&entry.relpath), entry.md5.clone()))
            .collect(),
    };
    let placer = Placer::new(repo.cache(), repo.memory(), kinds, &repo.tmp())?;
    work::each(&files, |(path, md5)| {
        let is_linked = repo
            .cache()
            .object(md5)
            .is_some_and(|object| is_same_file(&object, path));
        if is_linked {
            Ok(())
        } else {
            placer.place(md5, content.hashed.is_exec, path)
        }
    })?;
    Ok(())
}

/// Turns links to the cache into files of their own.
pub fn unprotect(repo: &Repo, at: &Path) -> Result<()> {
    let Some(meta) = crate::hash::metadata(at)? else {
        return Err(Error::NothingThere { path: at.to_owned() });
    };
    let files = match meta.is_dir() {
        false => vec![at.to_owned()],
        true => {
            let listing = crate::hash::list_files(repo.root(), at)?;
            listing.files.iter().map(|relpath| at.join(relpath)).collect()
        }
    };
    work::each(&files, |path| {
        let link = fs::symlink_metadata(path).map_err(Error::read(path))?;
        if link.is_symlink() || 1 < link.nlink() {
            let copy = write::new_beside(path)?;
            fs::copy(path, copy.path()).map_err(Error::write(path))?;
            copy.persist(path)
                .map_err(|error| Error::write(path)(error.error))?;
        }
        // DVC gives every such file this mode, so that one that could be executed no longer can be.
        fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(Error::write(path))
    })?;
    Ok(())
}

/// Gives data another place; its `.dvc` file goes along if it bears the data's name. Returns the new `.dvc` file.
pub fn move_data(repo: &Repo, file: &DvcFile, from: &Path, to: &Path) -> Result<PathBuf> {
    let name = from.file_name().unwrap_or_default();
    let to = match to.is_dir() {
        true => to.join(name),
        false => to.to_owned(),
    };
    if to.symlink_metadata().is_ok() {
        return Err(Error::NotTrackable {
            path: to,
            reason: "there is something already",
        });
    }
    if !to.starts_with(repo.root()) {
        return Err(Error::NotTrackable {
            path: to,
            reason: "it is not inside of the project",
        });
    }
    let old_path = file.path().to_owned();
    let bears_name = old_path.file_name().and_then(|file| file.to_str())
        == Some(&format!("{}{SUFFIX}", name.to_string_lossy()));
    let (new_path, out) = if bears_name {
        let to_name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (to.with_file_name(format!("{to_name}{SUFFIX}")), to_name)
    } else {
        let folder = old_path.parent().unwrap_or(Path::new("/"));
        (old_path.clone(), paths::relative(&to, folder))
    };
    if new_path != old_path && new_path.exists() {
        return Err(Error::NotTrackable {
            path: new_path,
            reason: "there is such a file already",
        });
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    // The new file is there before the old one goes: at no time nothing tracks the data.
    if from.symlink_metadata().is_ok() {
        fs::rename(from, &to).map_err(Error::write(&to))?;
    }
    file.moved(new_path.clone(), out).save()?;
    repo.keep_out_of_git(std::slice::from_ref(&to))?;
    if new_path != old_path {
        write::remove_path(&old_path)?;
    }
    repo.let_into_git(from)?;
    links::forget(repo, &[from.to_owned()])?;
    links::remember(repo, &DvcFile::load(&new_path)?)?;
    Ok(new_path)
}

/// Forgets data: removes the `.dvc` file and lets git see the data again; with `outs` the data goes too.
pub fn remove(repo: &Repo, file: &DvcFile, outs: bool) -> Result<()> {
    let places: Vec<PathBuf> = file.outs().iter().map(|out| file.place_of(out)).collect();
    for at in &places {
        if outs {
            write::remove_path(at)?;
        } else if at.exists() {
            // What is left is the user's, and must outlive the cache's objects.
            unprotect(repo, at)?;
        }
        repo.let_into_git(at)?;
    }
    links::forget(repo, &places)?;
    write::remove_path(file.path())
}
