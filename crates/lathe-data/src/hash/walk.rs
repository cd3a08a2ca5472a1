use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::ignore_rules::IgnoreRules;
use crate::{Error, Result};

/// The files below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Relative to the folder, `/` separated, in no order.
    pub files: Vec<String>,
    /// Links to folders, which DVC passes over.
    pub left_out: Vec<String>,
}

/// Lists what belongs to the folder `top`: all files that no `.dvcignore` leaves out. Anything that has no content to
/// version is an error, before anything is read.
pub(crate) fn list_files(root: &Path, top: &Path) -> Result<Listing> {
    let mut walk = Walk {
        top,
        rules: IgnoreRules::above(root, top)?,
        listing: Listing::default(),
    };
    walk.folder(top, "")?;
    Ok(walk.listing)
}

struct Walk<'a> {
    top: &'a Path,
    rules: IgnoreRules,
    listing: Listing,
}

impl Walk<'_> {
    /// `prefix` is the folder relative to the top, with a `/` at its end if it is not the top.
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entered = self.rules.enter(folder)?;
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let entry = entry.map_err(Error::read(folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::read(&path))?;
            let (is_folder, is_file) = if kind.is_symlink() {
                // A link counts as the file that it leads to.
                match fs::metadata(&path) {
                    Ok(meta) => (meta.is_dir(), meta.is_file()),
                    Err(_) if self.rules.ignores(&path, false) => continue,
                    Err(source) => return Err(Error::BrokenLink { path, source }),
                }
            } else {
                (kind.is_dir(), kind.is_file())
            };
            if self.rules.ignores(&path, is_folder) {
                continue;
            }
            let relpath = format!("{prefix}{}", name_of(&entry.file_name(), &path)?);
            if is_folder && kind.is_symlink() {
                self.listing.left_out.push(relpath);
            } else if is_folder {
                self.folder(&path, &format!("{relpath}/"))?;
            } else if is_file {
                self.listing.files.push(relpath);
            } else {
                return Err(Error::NotAFile { path });
            }
        }
        if entered {
            self.rules.leave();
        }
        debug_assert!(folder.starts_with(self.top));
        Ok(())
    }
}

fn name_of<'a>(name: &'a OsStr, path: &Path) -> Result<&'a str> {
    name.to_str().ok_or_else(|| Error::NotUtf8 {
        path: path.to_owned(),
    })
}
