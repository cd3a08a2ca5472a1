use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::{Error, Result, write};

/// Adds each path to the `.gitignore` beside it, as DVC does, unless git ignores it already or there is no git. Each
/// file is read and written once, whatever the number of paths.
pub fn keep_out(root: &Path, paths: &[PathBuf]) -> Result<()> {
    let Some(git_root) = root.ancestors().find(|folder| folder.join(".git").exists()) else {
        return Ok(());
    };
    let mut rules = Rules {
        git_root,
        by_folder: HashMap::new(),
    };
    let mut folders: Vec<(&Path, Vec<String>)> = Vec::new();
    let mut positions: HashMap<&Path, usize> = HashMap::new();
    for path in paths {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let name = name
            .to_str()
            .ok_or_else(|| Error::NotUtf8 { path: path.clone() })?;
        if rules.ignore(path)? {
            continue;
        }
        let position = *positions.entry(folder).or_insert(folders.len());
        if position == folders.len() {
            folders.push((folder, Vec::new()));
        }
        let line = format!("/{}", escaped(name));
        if !folders[position].1.contains(&line) {
            folders[position].1.push(line);
        }
    }
    for (folder, lines) in folders {
        add_lines(&folder.join(".gitignore"), &lines)?;
    }
    Ok(())
}

fn add_lines(file: &Path, lines: &[String]) -> Result<()> {
    let mut text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::read(file)(error)),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    write::write_atomically(file, text.as_bytes())
}

/// Removes the line of `path` from the `.gitignore` beside it, and the file if nothing else is in it, as DVC does.
pub fn let_in(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let file = folder.join(".gitignore");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::read(&file)(error)),
    };
    let line = format!("/{}", escaped(name));
    if !text.lines().any(|known| known.trim() == line) {
        return Ok(());
    }
    let kept: String = text
        .split_inclusive('\n')
        .filter(|known| known.trim() != line)
        .collect();
    if kept.is_empty() {
        return write::remove_path(&file);
    }
    write::write_atomically(&file, kept.as_bytes())
}

/// The rules of each folder, read when they are first asked for.
struct Rules<'a> {
    git_root: &'a Path,
    by_folder: HashMap<PathBuf, Vec<Gitignore>>,
}

impl Rules<'_> {
    /// The file nearest to the path decides, so they are asked from there upwards.
    fn ignore(&mut self, path: &Path) -> Result<bool> {
        let is_folder = path.is_dir();
        let mut folder = path.parent();
        while let Some(at) = folder {
            for rules in self.of(at)? {
                let found = rules.matched_path_or_any_parents(path, is_folder);
                if !found.is_none() {
                    return Ok(found.is_ignore());
                }
            }
            if at == self.git_root {
                break;
            }
            folder = at.parent();
        }
        Ok(false)
    }

    fn of(&mut self, folder: &Path) -> Result<&[Gitignore]> {
        if !self.by_folder.contains_key(folder) {
            let mut found = Vec::new();
            for name in [".gitignore", ".git/info/exclude"] {
                let file = folder.join(name);
                if !file.is_file() {
                    continue;
                }
                let mut builder = GitignoreBuilder::new(folder);
                // Git passes over a pattern that it cannot read.
                builder.add(&file);
                found.push(
                    builder
                        .build()
                        .map_err(|source| Error::Pattern { path: file, source })?,
                );
            }
            self.by_folder.insert(folder.to_owned(), found);
        }
        Ok(self.by_folder.get(folder).map_or(&[], Vec::as_slice))
    }
}

/// Characters that gitignore syntax would read as a pattern.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if matches!(c, '[' | ']' | '!' | '*' | '#' | '?') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_added_once_and_only_if_git_does_not_ignore_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join(".gitignore"), "*.tmp").unwrap();
        for name in ["data/raw[1].csv", "data/raw[1].csv", "data/x.tmp", "model"] {
            keep_out(root, &[root.join(name)]).unwrap();
        }
        keep_out(root, &["a", "b", "data/x.tmp", "a"].map(|name| root.join(name))).unwrap();
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        assert_eq!(read("data/.gitignore"), "/raw\\[1\\].csv\n");
        assert_eq!(read(".gitignore"), "*.tmp\n/model\n/a\n/b\n");
        let_in(&root.join("data/raw[1].csv")).unwrap();
        let_in(&root.join("model")).unwrap();
        assert!(!root.join("data/.gitignore").exists());
        assert_eq!(read(".gitignore"), "*.tmp\n/a\n/b\n");
    }
}
