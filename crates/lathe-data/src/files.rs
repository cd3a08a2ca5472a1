//! Files of people, before anything is tracked.

use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::{Error, Result};

/// What a pattern finds below `folder`, absolute and sorted: `*`, `?`, `[…]` within one name, `**` across folders.
/// Names that begin with a dot must be written out, and files that track data are none.
pub fn glob(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let matcher = matcher(pattern)?;
    let hidden = pattern
        .split('/')
        .any(|part| part.starts_with('.') && part.len() > 1);
    let depth = if pattern.contains("**") {
        usize::MAX
    } else {
        pattern.matches('/').count() + 1
    };
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new(), 1)];
    while let Some((at, prefix, level)) = folders.pop() {
        for entry in fs::read_dir(&at).map_err(Error::read(&at))? {
            let entry = entry.map_err(Error::read(&at))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') && !hidden {
                continue;
            }
            let relpath = format!("{prefix}{name}");
            let tracks = name.ends_with(crate::SUFFIX) || matches!(name.as_str(), "dvc.yaml" | "dvc.lock");
            if matcher.is_match(&relpath) {
                if !tracks {
                    found.push(entry.path());
                }
            } else if level < depth && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), format!("{relpath}/"), level + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn matcher(pattern: &str) -> Result<GlobMatcher> {
    let built = GlobBuilder::new(pattern.trim_start_matches("./"))
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    let glob = built.map_err(|source| Error::Glob {
        pattern: pattern.to_owned(),
        source,
    })?;
    Ok(glob.compile_matcher())
}

/// The names that a pattern of [`glob`] takes.
pub fn matching<'a>(pattern: &str, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>> {
    let matcher = matcher(pattern)?;
    let found = names.into_iter().filter(|name| matcher.is_match(name));
    Ok(found.map(str::to_owned).collect())
}

/// Copies a file or a whole folder to a path where nothing is.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::metadata(from).map_err(Error::read(from))?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    if meta.is_file() {
        let beside = crate::write::new_beside(to)?;
        fs::copy(from, beside.path()).map_err(Error::write(to))?;
        beside
            .persist(to)
            .map_err(|error| Error::write(to)(error.error))?;
        return Ok(());
    }
    if !meta.is_dir() {
        return Err(Error::NotAFile {
            path: from.to_owned(),
        });
    }
    fs::create_dir_all(to).map_err(Error::write(to))?;
    for entry in fs::read_dir(from).map_err(Error::read(from))? {
        let entry = entry.map_err(Error::read(from))?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_names_and_not_what_tracks_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("raw/deep")).unwrap();
        for name in [
            "a.csv",
            "a.csv.dvc",
            ".b.csv",
            "raw/c.csv",
            "raw/deep/d.csv",
            "raw/e.txt",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = glob(root, pattern).unwrap();
            found
                .iter()
                .map(|path| path.strip_prefix(root).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(names("*.csv"), ["a.csv"]);
        assert_eq!(names("raw/*"), ["raw/c.csv", "raw/deep", "raw/e.txt"]);
        assert_eq!(names("**/*.csv"), ["a.csv", "raw/c.csv", "raw/deep/d.csv"]);
        assert!(matches!(glob(root, "[a"), Err(Error::Glob { .. })));
        let known = ["a.csv.dvc", "raw/c.csv", "train"];
        assert_eq!(matching("*.dvc", known).unwrap(), ["a.csv.dvc"]);
        assert_eq!(matching("**/*.csv", known).unwrap(), ["raw/c.csv"]);
    }
}
