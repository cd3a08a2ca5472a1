use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::ignore_rules::IgnoreRules;
use crate::{Error, Repo, Result};

/// Folders nest less deep than this.
const DEPTH_MAX: usize = 256;

/// Every `dvc.yaml` of the repository, relative to its root: those of a folder before those below it, each level in
/// the order of names. What git or `.dvcignore` leave out is not looked at, nor what a `.dvc` file tracks.
pub fn pipeline_files(repo: &Repo) -> Result<Vec<String>> {
    let has_git = repo.root().ancestors().any(|folder| folder.join(".git").exists());
    let mut scan = Scan {
        root: repo.root(),
        has_git,
        ignored: IgnoreRules::default(),
        git: GitRules::default(),
        found: Vec::new(),
    };
    if has_git {
        scan.git.above(repo.root())?;
    }
    scan.folder(repo.root(), 0)?;
    Ok(scan.found)
}

struct Scan<'a> {
    root: &'a Path,
    has_git: bool,
    ignored: IgnoreRules,
    git: GitRules,
    found: Vec<String>,
}

impl Scan<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let mut has_pipeline = false;
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let entry = entry.map_err(Error::read(folder))?;
            let kind = entry.file_type().map_err(Error::read(folder))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == "dvc.yaml" {
                has_pipeline = true;
            }
        }
        if !has_pipeline && folders.is_empty() {
            return Ok(());
        }
        let entered = self.ignored.enter(folder)?;
        let git_entered = self.has_git && self.git.enter(folder)?;
        let path = folder.join("dvc.yaml");
        if has_pipeline && !self.ignored.ignores(&path, false) && !self.git.ignores(&path, false) {
            let relative = path.strip_prefix(self.root).expect("the walk began at the root");
            let relative = relative
                .to_str()
                .ok_or_else(|| Error::NotUtf8 { path: path.clone() })?;
            self.found.push(relative.to_owned());
        }
        folders.sort();
        for inner in folders {
            let mut tracker = inner.clone().into_os_string();
            tracker.push(".dvc");
            let tracked = Path::new(&tracker).is_file();
            if depth < DEPTH_MAX
                && !tracked
                && !self.ignored.ignores(&inner, true)
                && !self.git.ignores(&inner, true)
            {
                self.folder(&inner, depth + 1)?;
            }
        }
        if entered {
            self.ignored.leave();
        }
        if git_entered {
            self.git.files.pop();
        }
        Ok(())
    }
}

/// What `.gitignore` files leave out, the nearest file first.
#[derive(Default)]
pub(crate) struct GitRules {
    files: Vec<Gitignore>,
}

impl GitRules {
    /// The rules of the folders around `folder`, up to the one with `.git`.
    pub(crate) fn above(&mut self, folder: &Path) -> Result<()> {
        let mut around: Vec<&Path> = Vec::new();
        for at in folder.ancestors() {
            if at != folder {
                around.push(at);
            }
            if at.join(".git").exists() {
                let exclude = at.join(".git/info/exclude");
                if exclude.is_file() {
                    self.add(at, &exclude)?;
                }
                break;
            }
        }
        for at in around.into_iter().rev() {
            self.enter(at)?;
        }
        Ok(())
    }

    /// Adds the rules of `folder`; says whether it has any.
    pub(crate) fn enter(&mut self, folder: &Path) -> Result<bool> {
        let path = folder.join(".gitignore");
        if !path.is_file() {
            return Ok(false);
        }
        self.add(folder, &path)?;
        Ok(true)
    }

    fn add(&mut self, folder: &Path, path: &Path) -> Result<()> {
        let mut builder = GitignoreBuilder::new(folder);
        // Git passes over a pattern that it cannot read.
        builder.add(path);
        let rules = builder.build().map_err(|source| Error::Pattern {
            path: path.to_owned(),
            source,
        })?;
        self.files.push(rules);
        Ok(())
    }

    /// Whether git would leave the path out, the folders around it aside.
    pub(crate) fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        for rules in self.files.iter().rev() {
            let found = rules.matched(path, is_folder);
            if !found.is_none() {
                return found.is_ignore();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_are_found_below_the_root_and_not_where_they_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::init(folder.path()).unwrap();
        let root = repo.root();
        fs::create_dir(root.join(".git")).unwrap();
        for at in ["", "b", "a/deep", "skipped", "data", "nested", "hidden", "a/one"] {
            fs::create_dir_all(root.join(at)).unwrap();
            fs::write(root.join(at).join("dvc.yaml"), "").unwrap();
        }
        fs::write(root.join(".gitignore"), "/skipped\n").unwrap();
        fs::write(root.join("a/.gitignore"), "/one/dvc.yaml\n").unwrap();
        fs::write(root.join(".dvcignore"), "hidden\n").unwrap();
        fs::write(root.join("data.dvc"), "").unwrap();
        fs::create_dir(root.join("nested/.dvc")).unwrap();
        assert_eq!(
            pipeline_files(&repo).unwrap(),
            ["dvc.yaml", "a/deep/dvc.yaml", "b/dvc.yaml"]
        );
    }
}
