use std::collections::{BTreeMap, BTreeSet};

use crate::cache::Intake;
use crate::dvc_file::{DvcFile, DvcOut, Recorded};
use crate::{Algorithm, Error, Repo, Result, Tree, TreeEntry};

/// Merges two versions of a `.dvc` file that tracks a folder: files that only one side added, changed or removed are
/// taken from that side. The result is written to where `our` is.
pub fn merge(repo: &Repo, ancestor: Option<&DvcFile>, our: &DvcFile, their: &DvcFile) -> Result<()> {
    let [mine] = our.outs() else {
        return Err(refused(format!("it tracks {} things, not one", our.outs().len())));
    };
    let other = same_out(mine, their)?;
    let base = ancestor.map(|ancestor| same_out(mine, ancestor)).transpose()?;
    check(our, ancestor.into_iter().chain([their]))?;
    let files = |out: &DvcOut| -> Result<BTreeMap<String, String>> {
        let Some(recorded) = out.recorded.as_ref().filter(|recorded| recorded.is_folder()) else {
            return Err(refused(format!("`{}` is not a folder", out.path)));
        };
        // The result would be of two kinds of hashes.
        if recorded.algorithm != Algorithm::Md5 {
            return Err(refused(format!("DVC 2 hashed `{}`", out.path)));
        }
        let tree = repo.cache().of(recorded.algorithm).tree(&recorded.md5)?;
        let entries = tree.into_entries().into_iter();
        Ok(entries.map(|entry| (entry.relpath, entry.md5)).collect())
    };
    let base = base.map(files).transpose()?.unwrap_or_default();
    let merged = merged(&base, &files(mine)?, &files(other)?).map_err(|both| {
        refused(format!(
            "both sides changed {}",
            both.iter()
                .map(|path| format!("`{path}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ))
    })?;
    let size = size_of(repo, &merged);
    let entries = merged
        .into_iter()
        .map(|(relpath, md5)| TreeEntry { md5, relpath });
    let tree = Tree::new(entries.collect());
    let hashed = tree.hashed(size.unwrap_or(0));
    let intake = Intake::new(repo.cache(), None);
    intake.put_tree(&hashed.md5, &tree)?;
    intake.finish()?;
    let mut result = our.clone();
    if let Some(out) = result.outs_mut().first_mut() {
        out.recorded = Some(Recorded {
            size,
            ..Recorded::new(&hashed)
        });
    }
    result.save()
}

fn refused(problem: String) -> Error {
    Error::NotMerged { problem }
}

/// Only what is in a folder is merged, and only of what people added.
fn check<'a>(our: &DvcFile, others: impl Iterator<Item = &'a DvcFile>) -> Result<()> {
    for other in others {
        if !our.deps().is_empty() || !other.deps().is_empty() {
            return Err(refused("it is imported".to_owned()));
        }
        if !our.is_alike(other) {
            return Err(refused("its options differ".to_owned()));
        }
    }
    Ok(())
}

/// The only output of the file, if it is the same.
fn same_out<'a>(mine: &DvcOut, file: &'a DvcFile) -> Result<&'a DvcOut> {
    match file.outs() {
        [only] if only.path == mine.path => Ok(only),
        [only] => Err(refused(format!(
            "one side tracks `{}`, the other `{}`",
            mine.path, only.path
        ))),
        several => Err(refused(format!(
            "one side tracks {} things, not one",
            several.len()
        ))),
    }
}

/// The bytes of all files, if the cache holds them.
fn size_of(repo: &Repo, files: &BTreeMap<String, String>) -> Option<u64> {
    let size = |md5: &String| {
        std::fs::metadata(repo.cache().object(md5)?)
            .ok()
            .map(|meta| meta.len())
    };
    files.values().map(size).sum()
}

/// What both sides made of a folder, by path; the error names what both changed, and not to the same.
fn merged(
    base: &BTreeMap<String, String>,
    mine: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> std::result::Result<BTreeMap<String, String>, Vec<String>> {
    let mut result = BTreeMap::new();
    let mut conflicts = Vec::new();
    let paths: BTreeSet<&String> = base.keys().chain(mine.keys()).chain(other.keys()).collect();
    for path in paths {
        let (old, ours, theirs) = (base.get(path), mine.get(path), other.get(path));
        let now = match (ours == old, theirs == old) {
            (true, _) => theirs,
            (false, true) => ours,
            (false, false) if ours == theirs => ours,
            (false, false) => {
                conflicts.push(path.clone());
                continue;
            }
        };
        if let Some(md5) = now {
            result.insert(path.clone(), md5.clone());
        }
    }
    match conflicts.is_empty() {
        true => Ok(result),
        false => Err(conflicts),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn imports_and_other_options_are_not_merged() {
        let file = |text: &str| {
            let text =
                format!("outs:\n- md5: 00000000000000000000000000000000.dir\n  hash: md5\n  path: d\n{text}");
            DvcFile::parse(Path::new("d.dvc"), text).unwrap()
        };
        let plain = file("");
        let checked = |our: &DvcFile, their: &DvcFile| check(our, [&plain, their].into_iter()).is_ok();
        assert!(checked(&plain, &file("")));
        assert!(!checked(&plain, &file("  remote: r\n")));
        assert!(!checked(&plain, &file("desc: mine\n")));
        let described = file("desc: mine\n");
        assert!(check(&described, [&described].into_iter()).is_ok() && !checked(&described, &described));
        let imported = file("deps:\n- path: x\n");
        assert!(check(&imported, [&imported].into_iter()).is_err());
    }

    #[test]
    fn what_one_side_did_is_taken_and_what_both_did_is_named() {
        let of = |text: &str| -> BTreeMap<String, String> {
            let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs
                .map(|(path, md5)| (path.to_owned(), md5.to_owned()))
                .collect()
        };
        let base = of("a=1 b=1 c=1 d=1");
        for (mine, other, expected) in [
            ("a=2 b=1 c=1 d=1", "a=1 b=2 c=1 d=1", Ok("a=2 b=2 c=1 d=1")),
            ("a=1 b=1 c=1", "a=1 b=1 c=1 d=1 e=1", Ok("a=1 b=1 c=1 e=1")),
            (
                "a=1 b=1 c=1 d=1 x=1",
                "a=1 b=1 c=1 d=1 x=1",
                Ok("a=1 b=1 c=1 d=1 x=1"),
            ),
            ("a=1 b=1 c=1", "a=1 b=1 c=1", Ok("a=1 b=1 c=1")),
            ("a=2 b=1 c=1 d=1", "a=3 b=1 c=1 d=1", Err("a")),
            ("b=1 c=1 d=1", "a=3 b=1 c=1 d=1", Err("a")),
            ("a=1 b=1 c=1 d=1 x=1", "a=1 b=1 c=1 d=1 x=2", Err("x")),
        ] {
            let found = merged(&base, &of(mine), &of(other));
            let expected = expected.map(of).map_err(|path| vec![path.to_owned()]);
            assert_eq!(found, expected, "{mine} {other}");
        }
    }
}
