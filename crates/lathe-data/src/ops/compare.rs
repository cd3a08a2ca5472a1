use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Error, Hashed, Repo, Result, Tracked, hash_path_as, paths};

/// Data at one time: every tracked path, relative to the root.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Outputs and, if they were wanted and are known, the files in them.
    pub entries: BTreeMap<String, IndexEntry>,
    /// Folders whose files are not known.
    pub unknown: BTreeSet<String>,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// md5 in hex, with `.dir` for a folder.
    pub md5: String,
}

impl IndexEntry {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.md5.ends_with(".dir")
    }
}

/// How two indexes differ. Paths of folders end in `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// In the second only, with its hash.
    pub added: Vec<(String, String)>,
    /// In the first only, with its hash.
    pub deleted: Vec<(String, String)>,
    /// In both, with both hashes.
    pub modified: Vec<(String, String, String)>,
    /// Old path, new path, hash.
    pub renamed: Vec<(String, String, String)>,
    /// In both, and the same.
    pub unchanged: Vec<String>,
    /// What of the second may be in the first or not.
    pub unknown: Vec<String>,
}

/// What is written down; the files of folders only if they are wanted.
pub fn index_of_records(repo: &Repo, all: &[Tracked], with_files: bool) -> Result<Index> {
    let mut index = Index::default();
    for out in all.iter().filter(|out| out.is_cached) {
        let Some(recorded) = &out.recorded else { continue };
        let path = paths::relative(&out.at, repo.root());
        if recorded.is_folder() && with_files {
            match repo.cache().of(recorded.algorithm).tree(&recorded.md5) {
                Ok(tree) => index.insert_files(&path, tree.entries()),
                Err(Error::MissingObject { .. }) => {
                    index.unknown.insert(path.clone());
                }
                Err(error) => return Err(error),
            }
        }
        index.entries.insert(
            path,
            IndexEntry {
                md5: recorded.md5.clone(),
            },
        );
    }
    Ok(index)
}

/// What is in the workspace.
pub fn index_of_workspace(repo: &Repo, all: &[Tracked], with_files: bool) -> Result<Index> {
    let mut index = Index::default();
    for out in all.iter().filter(|out| out.is_cached) {
        let algorithm = out
            .recorded
            .as_ref()
            .map_or_else(Default::default, |recorded| recorded.algorithm);
        let Some(content) = hash_path_as(repo, &out.at, algorithm)? else {
            continue;
        };
        let path = paths::relative(&out.at, repo.root());
        if let Some(tree) = content.tree.filter(|_| with_files) {
            index.insert_files(&path, tree.entries());
        }
        let Hashed { md5, .. } = content.hashed;
        index.entries.insert(path, IndexEntry { md5 });
    }
    Ok(index)
}

impl Index {
    fn insert_files(&mut self, path: &str, entries: &[crate::TreeEntry]) {
        for entry in entries {
            self.entries.insert(
                format!("{path}/{}", entry.relpath),
                IndexEntry {
                    md5: entry.md5.clone(),
                },
            );
        }
    }

    /// Only what is at or below one of these paths.
    pub fn limited_to(mut self, paths: &[String]) -> Self {
        if !paths.is_empty() {
            let below = |path: &str, top: &String| {
                path.strip_prefix(top.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            self.entries
                .retain(|path, _| paths.iter().any(|top| below(path, top)));
        }
        self
    }

    fn is_unknown(&self, path: &str) -> bool {
        self.unknown.iter().any(|folder| {
            path.strip_prefix(folder.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// A path as it is shown.
fn shown(path: &str, md5: &str) -> String {
    if md5.ends_with(".dir") {
        format!("{path}/")
    } else {
        path.to_owned()
    }
}

/// Compares two indexes. What went at one path and came at another is renamed.
pub fn compare(old: &Index, new: &Index) -> Differences {
    let mut found = Differences::default();
    let paths: BTreeSet<&String> = old.entries.keys().chain(new.entries.keys()).collect();
    for path in paths {
        let (before, after) = (old.entries.get(path), new.entries.get(path));
        if old.is_unknown(path) || new.is_unknown(path) {
            found.unknown.extend(after.map(|entry| shown(path, &entry.md5)));
            continue;
        }
        match (before, after) {
            (None, Some(after)) => found.added.push((shown(path, &after.md5), after.md5.clone())),
            (Some(before), None) => found.deleted.push((shown(path, &before.md5), before.md5.clone())),
            (Some(before), Some(after)) if before == after => found.unchanged.push(shown(path, &before.md5)),
            (Some(before), Some(after)) => {
                found
                    .modified
                    .push((shown(path, &before.md5), before.md5.clone(), after.md5.clone()));
            }
            (None, None) => {}
        }
    }
    find_renames(&mut found);
    found
}

fn find_renames(found: &mut Differences) {
    let mut gone: BTreeMap<String, VecDeque<String>> = BTreeMap::new();
    for (path, md5) in &found.deleted {
        gone.entry(md5.clone()).or_default().push_back(path.clone());
    }
    let mut taken = BTreeSet::new();
    let added = std::mem::take(&mut found.added);
    for (path, md5) in added {
        match gone.get_mut(&md5).and_then(VecDeque::pop_front) {
            Some(old) => {
                taken.insert(old.clone());
                found.renamed.push((old, path, md5));
            }
            None => found.added.push((path, md5)),
        }
    }
    found.deleted.retain(|(path, _)| !taken.contains(path));
}
