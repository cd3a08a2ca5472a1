use std::collections::BTreeMap;

use super::Remote;
use crate::hash::hash_bytes;
use crate::{Algorithm, Error, Repo, Result, Selected, Tree};

/// Objects of one algorithm, with the paths that people know them by.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// How they were hashed.
    pub algorithm: Algorithm,
    /// Files.
    pub files: BTreeMap<String, String>,
    /// Folders, with the md5 of each file in them.
    pub folders: BTreeMap<String, (String, Vec<String>)>,
    /// Folders whose list of files nobody could give.
    pub unknown: BTreeMap<String, String>,
    /// Lists of folders that were fetched just now and are not in the cache yet.
    pub fetched: Vec<Tree>,
}

/// The objects that outputs are made of. Lists of folders that the cache does not hold are asked of the remote, if
/// one is given.
pub fn used_objects(
    repo: &Repo,
    selected: &[Selected<'_>],
    algorithm: Algorithm,
    remote: Option<&Remote>,
) -> Result<Objects> {
    let mut objects = Objects {
        algorithm,
        ..Objects::default()
    };
    let cache = repo.cache().of(algorithm);
    for selected in selected {
        let out = selected.out;
        let Some(recorded) = out
            .recorded
            .as_ref()
            .filter(|recorded| recorded.algorithm == algorithm)
        else {
            continue;
        };
        if !out.is_cached {
            continue;
        }
        let name = out.shown(repo.root());
        if !recorded.is_folder() {
            objects.files.entry(recorded.md5.clone()).or_insert(name);
            continue;
        }
        let tree = match cache.tree(&recorded.md5) {
            Ok(tree) => Some(tree),
            Err(Error::MissingObject { .. }) => match remote {
                Some(remote) => read_tree(repo, remote, &recorded.md5, algorithm)?.inspect(|tree| {
                    objects.fetched.push(tree.clone());
                }),
                None => None,
            },
            Err(error) => return Err(error),
        };
        let Some(tree) = tree else {
            objects.unknown.insert(recorded.md5.clone(), name);
            continue;
        };
        let part = selected.part_of(&tree);
        for entry in part.entries() {
            let shown = format!("{name}/{}", entry.relpath);
            objects.files.entry(entry.md5.clone()).or_insert(shown);
        }
        let md5s = part.into_entries().into_iter().map(|entry| entry.md5).collect();
        objects.folders.insert(recorded.md5.clone(), (name, md5s));
    }
    Ok(objects)
}

fn read_tree(repo: &Repo, remote: &Remote, md5: &str, algorithm: Algorithm) -> Result<Option<Tree>> {
    let Some(bytes) = remote.read(md5, algorithm, &repo.tmp())? else {
        return Ok(None);
    };
    if algorithm == Algorithm::Md5 && format!("{}.dir", hex::encode(hash_bytes(&bytes))) != md5 {
        return Err(Error::DamagedObject {
            md5: md5.to_owned(),
            problem: format!("what remote `{}` holds is something else", remote.name),
        });
    }
    Tree::parse(md5, &bytes).map(Some)
}
