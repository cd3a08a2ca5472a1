use std::fs;
use std::path::Path;

use ignore::gitignore::GitignoreBuilder;

use crate::{Error, Result, write};

/// Adds `path` to the `.gitignore` beside it, as DVC does, unless git ignores it already or there is no git.
pub fn keep_out(root: &Path, path: &Path) -> Result<()> {
    let Some(git_root) = root.ancestors().find(|folder| folder.join(".git").exists()) else {
        return Ok(());
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let name = name.to_str().ok_or_else(|| Error::NotUtf8 {
        path: path.to_owned(),
    })?;
    if is_ignored(git_root, path)? {
        return Ok(());
    }
    let file = folder.join(".gitignore");
    let mut text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::read(&file)(error)),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("/{}\n", escaped(name)));
    write::write_atomically(&file, text.as_bytes())
}

fn is_ignored(git_root: &Path, path: &Path) -> Result<bool> {
    let is_folder = path.is_dir();
    // The file nearest to the path decides, so they are asked from there upwards.
    let mut folder = path.parent();
    while let Some(at) = folder {
        let files = [at.join(".gitignore"), at.join(".git/info/exclude")];
        for file in files.iter().filter(|file| file.is_file()) {
            let mut builder = GitignoreBuilder::new(at);
            // Git passes over a pattern that it cannot read.
            builder.add(file);
            let rules = builder.build().map_err(|source| Error::Pattern {
                path: file.clone(),
                source,
            })?;
            let found = rules.matched_path_or_any_parents(path, is_folder);
            if !found.is_none() {
                return Ok(found.is_ignore());
            }
        }
        if at == git_root {
            break;
        }
        folder = at.parent();
    }
    Ok(false)
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
            keep_out(root, &root.join(name)).unwrap();
        }
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        assert_eq!(read("data/.gitignore"), "/raw\\[1\\].csv\n");
        assert_eq!(read(".gitignore"), "*.tmp\n/model\n");
    }
}
