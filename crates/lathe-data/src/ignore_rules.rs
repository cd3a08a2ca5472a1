use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::{Error, Result};

/// What `.dvcignore` files, from the root of the repository downwards, leave out of tracked data.
#[derive(Debug)]
pub struct IgnoreRules {
    name: &'static str,
    files: Vec<Gitignore>,
}

impl Default for IgnoreRules {
    fn default() -> Self {
        Self::named(".dvcignore")
    }
}

impl IgnoreRules {
    /// Rules of files with this name.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            files: Vec::new(),
        }
    }

    /// The rules that hold in `folder`: of every `.dvcignore` from `root` to `folder`, itself not included.
    pub fn above(root: &Path, folder: &Path) -> Result<Self> {
        let mut rules = Self::named(".dvcignore");
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
        let path = folder.join(self.name);
        if !path.is_file() {
            return Ok(false);
        }
        let mut builder = GitignoreBuilder::new(folder);
        // Git passes over a pattern that it cannot read.
        if let Some(source) = builder.add(&path).filter(|_| self.name == ".dvcignore") {
            return Err(Error::Pattern { path, source });
        }
        let rules = builder
            .build()
            .map_err(|source| Error::Pattern { path, source })?;
        if rules.is_empty() {
            return Ok(false);
        }
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
        self.names(path, is_folder)
    }

    /// As [`IgnoreRules::ignores`], by the files alone.
    pub fn names(&self, path: &Path, is_folder: bool) -> bool {
        for rules in self.files.iter().rev() {
            let found = rules.matched(path, is_folder);
            if !found.is_none() {
                return found.is_ignore();
            }
        }
        false
    }
}

/// The rule that decides over a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredBy {
    /// The `.dvcignore` file, relative to the root.
    pub file: String,
    /// Counted from 1; 0 for what is never data.
    pub line: usize,
    /// As written.
    pub pattern: String,
    /// Whether it takes the path back in.
    pub is_exception: bool,
}

/// Which rule of a `.dvcignore` file decides over a path (absolute), or over a folder that it is in.
pub fn ignored_by(repo: &crate::Repo, path: &Path) -> Result<Option<IgnoredBy>> {
    let root = repo.root();
    let Ok(inside) = path.strip_prefix(root) else {
        return Ok(None);
    };
    let mut rules = IgnoreRules::named(".dvcignore");
    let mut at = root.to_owned();
    let mut decided = None;
    for part in inside.components() {
        rules.enter(&at)?;
        at.push(part);
        let is_folder = at.is_dir();
        if is_folder && matches!(part.as_os_str().to_str(), Some(".git" | ".hg" | ".dvc")) {
            return Ok(Some(IgnoredBy {
                file: String::new(),
                line: 0,
                pattern: part.as_os_str().to_string_lossy().into_owned(),
                is_exception: false,
            }));
        }
        for files in rules.files.iter().rev() {
            let found = files.matched(&at, is_folder);
            let Some(glob) = found.inner() else { continue };
            let file = glob.from().unwrap_or(Path::new(""));
            let rule = IgnoredBy {
                file: crate::paths::relative(file, root),
                line: line_of(file, glob.original()),
                pattern: glob.original().to_owned(),
                is_exception: glob.is_whitelist(),
            };
            if !rule.is_exception {
                return Ok(Some(rule));
            }
            decided = Some(rule);
            break;
        }
    }
    Ok(decided.filter(|_| at == path))
}

fn line_of(file: &Path, pattern: &str) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .rposition(|line| line.trim() == pattern)
        .map_or(0, |at| at + 1)
}
