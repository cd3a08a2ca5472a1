use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::{Error, Result};

/// What `.dvcignore` files, from the root of the repository downwards, leave out of tracked data.
#[derive(Debug, Default)]
pub struct IgnoreRules {
    files: Vec<Gitignore>,
}

impl IgnoreRules {
    /// The rules that hold in `folder`: of every `.dvcignore` from `root` to `folder`, itself not included.
    pub fn above(root: &Path, folder: &Path) -> Result<Self> {
        let mut rules = Self::default();
        let Ok(inside) = folder.strip_prefix(root) else {
            return Ok(rules);
        };
        let mut at = root.to_owned();
        for part in inside.components() {
            rules.enter(&at)?;
            at.push(part);
        }
        Ok(rules)
    }

    /// Adds the rules of `folder`; says whether it has any.
    pub fn enter(&mut self, folder: &Path) -> Result<bool> {
        let path = folder.join(".dvcignore");
        if !path.is_file() {
            return Ok(false);
        }
        let mut builder = GitignoreBuilder::new(folder);
        if let Some(source) = builder.add(&path) {
            return Err(Error::Pattern { path, source });
        }
        let rules = builder
            .build()
            .map_err(|source| Error::Pattern { path, source })?;
        self.files.push(rules);
        Ok(true)
    }

    /// Forgets the rules added last.
    pub fn leave(&mut self) {
        self.files.pop();
    }

    /// The nearest file that names the path decides.
    pub fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        if is_folder && (matches!(name, Some(".git" | ".hg" | ".dvc")) || path.join(".dvc").is_dir()) {
            return true;
        }
        for rules in self.files.iter().rev() {
            let found = rules.matched(path, is_folder);
            if !found.is_none() {
                return found.is_ignore();
            }
        }
        false
    }
}
