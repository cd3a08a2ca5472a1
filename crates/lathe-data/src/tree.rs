use serde::{Deserialize, Serialize};

use lathe_yaml::python_json_string;

use crate::{Error, Result};

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// md5 in hex.
    pub md5: String,
    /// Relative to the folder, `/` separated.
    pub relpath: String,
}

/// The files of a folder, sorted by path: what a `.dir` object lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

impl Tree {
    /// Sorts what a walk found.
    pub fn new(mut entries: Vec<TreeEntry>) -> Self {
        entries.sort_by(|a, b| a.relpath.cmp(&b.relpath));
        Self { entries }
    }

    /// The files at or below a path of it; their paths stay relative to the whole.
    pub fn below(&self, within: &str) -> Self {
        let inside = is_inside(within);
        let entries = self.entries.iter().filter(|entry| inside(&entry.relpath));
        Self {
            entries: entries.cloned().collect(),
        }
    }

    /// The files of it, for who needs nothing else of it.
    pub fn into_entries(self) -> Vec<TreeEntry> {
        self.entries
    }

    /// The files that are neither at nor below a path.
    pub(crate) fn without(&self, within: &str) -> Self {
        let inside = is_inside(within);
        let entries = self.entries.iter().filter(|entry| !inside(&entry.relpath));
        Self {
            entries: entries.cloned().collect(),
        }
    }

    /// With more files, each of which replaces one of the same path.
    pub(crate) fn with(self, more: Vec<TreeEntry>) -> Self {
        let mut entries = self.entries;
        entries.extend(more);
        Self::new(entries)
    }

    /// The files as a folder above sees them.
    pub(crate) fn prefixed(&self, prefix: &str) -> Vec<TreeEntry> {
        let entries = self.entries.iter().map(|entry| TreeEntry {
            md5: entry.md5.clone(),
            relpath: format!("{prefix}/{}", entry.relpath),
        });
        entries.collect()
    }

    /// Sorted by path.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Byte for byte what Python's `json.dumps(…, sort_keys=True)` writes: the md5 of these bytes names the folder.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut json = String::with_capacity(self.entries.len() * 96 + 2);
        json.push('[');
        for (index, entry) in self.entries.iter().enumerate() {
            if 0 < index {
                json.push_str(", ");
            }
            json.push_str(r#"{"md5": ""#);
            json.push_str(&entry.md5);
            json.push_str(r#"", "relpath": "#);
            json.push_str(&python_json_string(&entry.relpath));
            json.push('}');
        }
        json.push(']');
        json.into_bytes()
    }

    /// Reads a `.dir` object; the paths in it stay within the folder.
    pub(crate) fn parse(md5: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |problem: String| Error::DamagedObject {
            md5: md5.to_owned(),
            problem,
        };
        let entries: Vec<TreeEntry> =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        for entry in &entries {
            let outside = entry
                .relpath
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."));
            if outside {
                return Err(damaged(format!("`{}` is no path within a folder", entry.relpath)));
            }
            if !crate::cache::is_md5(&entry.md5) {
                return Err(damaged(format!("`{}` is no md5", entry.md5)));
            }
        }
        Ok(Self::new(entries))
    }
}

fn is_inside(within: &str) -> impl Fn(&str) -> bool {
    move |relpath| {
        let rest = relpath.strip_prefix(within);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_as_python_writes_it() {
        let entry = |relpath: &str| TreeEntry {
            md5: "0123456789abcdef0123456789abcdef".into(),
            relpath: relpath.into(),
        };
        let tree = Tree::new(vec![entry("z"), entry("a/ü\"😀\u{7f}")]);
        assert_eq!(
            String::from_utf8(tree.to_bytes()).unwrap(),
            "[{\"md5\": \"0123456789abcdef0123456789abcdef\", \"relpath\": \"a/\\u00fc\\\"\\ud83d\\ude00\\u007f\"}, \
             {\"md5\": \"0123456789abcdef0123456789abcdef\", \"relpath\": \"z\"}]"
        );
        assert_eq!(Tree::parse("x.dir", &tree.to_bytes()).unwrap(), tree);
    }

    #[test]
    fn a_tree_that_leaves_its_folder_is_refused() {
        let bytes = br#"[{"md5": "0123456789abcdef0123456789abcdef", "relpath": "../../etc/passwd"}]"#;
        let error = Tree::parse("x.dir", bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "object x.dir of the cache is damaged: `../../etc/passwd` is no path within a folder"
        );
    }
}
