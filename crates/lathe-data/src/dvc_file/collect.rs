use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{DvcFile, SUFFIX};
use crate::ignore_rules::IgnoreRules;
use crate::{Error, Repo, Result};

/// The files of a project that track data.
#[derive(Debug, Default)]
pub struct Collected {
    /// `.dvc` files, by path.
    pub dvc_files: Vec<DvcFile>,
    /// Where a `dvc.yaml` is, absolute.
    pub pipelines: Vec<PathBuf>,
}

/// Finds all of them in the workspace. Tracked folders are not entered, nor what git or `.dvcignore` leaves out.
pub fn collect(repo: &Repo) -> Result<Collected> {
    let mut search = Search {
        ignored: IgnoreRules::named(".dvcignore"),
        kept_out: IgnoreRules::named(".gitignore"),
        tracked: BTreeSet::new(),
        found: Collected::default(),
    };
    search.folder(repo.root())?;
    search.found.dvc_files.sort_by(|a, b| a.path().cmp(b.path()));
    search.found.pipelines.sort();
    Ok(search.found)
}

struct Search {
    ignored: IgnoreRules,
    kept_out: IgnoreRules,
    tracked: BTreeSet<PathBuf>,
    found: Collected,
}

impl Search {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let entered = (self.ignored.enter(folder)?, self.kept_out.enter(folder)?);
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let entry = entry.map_err(Error::read(folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let kind = entry.file_type().map_err(Error::read(&path))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(name) = name.to_str() else { continue };
            let is_dvc_file = name.ends_with(SUFFIX) && name != SUFFIX;
            if !is_dvc_file && name != "dvc.yaml" {
                continue;
            }
            if self.ignored.ignores(&path, false) || self.kept_out.names(&path, false) || !path.is_file() {
                continue;
            }
            if is_dvc_file {
                let file = DvcFile::load(&path)?;
                self.tracked
                    .extend(file.outs().iter().map(|out| file.place_of(out)));
                self.found.dvc_files.push(file);
            } else {
                self.found.pipelines.push(path);
            }
        }
        for path in folders {
            let passed_over = self.tracked.contains(&path)
                || self.ignored.ignores(&path, true)
                || self.kept_out.names(&path, true);
            if !passed_over {
                self.folder(&path)?;
            }
        }
        if entered.0 {
            self.ignored.leave();
        }
        if entered.1 {
            self.kept_out.leave();
        }
        Ok(())
    }
}
