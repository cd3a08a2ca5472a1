//! Paths as text: without `.` and `..`, and as seen from a folder.

use std::path::{Component, Path, PathBuf};

/// Without `.` and `..`, and without asking the disk. An absolute path stays one.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            Component::ParentDir if normal.has_root() => {}
            part => normal.push(part),
        }
    }
    normal
}

/// `path` as seen from `folder`, both absolute and normal; `.` if they are one.
pub fn relative(path: &Path, folder: &Path) -> String {
    let same = path
        .components()
        .zip(folder.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder.components().skip(same).map(|_| "..".to_owned());
    let down = path
        .components()
        .skip(same)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_folders() {
        let of = |path: &str, folder: &str| relative(&normal(Path::new(path)), &normal(Path::new(folder)));
        assert_eq!(of("/a/b/c", "/a/x/.."), "b/c");
        assert_eq!(of("/a/../store/.", "/r/.dvc"), "../../store");
        assert_eq!(of("/a", "/a"), ".");
        assert_eq!(normal(Path::new("../a/./b/../c")), Path::new("../a/c"));
        assert_eq!(normal(Path::new("/../a")), Path::new("/a"));
    }
}
