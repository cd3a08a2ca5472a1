use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail};

use crate::exit::hinted;
use crate::{git, process};

const NAMESPACE: &str = "refs/exps";

/// A saved experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Its name, unique among those of its baseline.
    pub name: String,
    /// The commit it was begun from.
    pub baseline: String,
    /// The commit that holds its files; its parent is the baseline.
    pub commit: String,
}

/// Where git keeps the experiment: `refs/exps/01/2345…/name`, as DVC does.
pub fn reference(baseline: &str, name: &str) -> String {
    let (first, rest) = baseline.split_at(2.min(baseline.len()));
    format!("{NAMESPACE}/{first}/{rest}/{name}")
}

/// Every experiment, in the order in which they were committed.
pub fn all(root: &Path) -> anyhow::Result<Vec<Experiment>> {
    let listed = process::output_of(
        "git",
        &[
            "for-each-ref",
            "--sort=committerdate",
            "--format=%(objectname) %(refname)",
            NAMESPACE,
        ],
        root,
    )?;
    let parsed = listed.lines().filter_map(|line| {
        let (commit, name) = line.split_once(' ')?;
        let (baseline, name) = parse(name)?;
        Some(Experiment {
            name,
            baseline,
            commit: commit.to_owned(),
        })
    });
    Ok(parsed.collect())
}

/// Those of some baselines.
pub fn of_baselines(root: &Path, baselines: &HashSet<String>) -> anyhow::Result<Vec<Experiment>> {
    let mut found = all(root)?;
    found.retain(|experiment| baselines.contains(&experiment.baseline));
    Ok(found)
}

/// Baseline and name of a reference to an experiment. DVC keeps references for its own use beside them, which do not
/// have this form.
pub fn parse(reference: &str) -> Option<(String, String)> {
    let mut parts = reference.strip_prefix(NAMESPACE)?.strip_prefix('/')?.split('/');
    let (first, rest, name) = (parts.next()?, parts.next()?, parts.next()?);
    let baseline = format!("{first}{rest}");
    let is_commit = first.len() == 2
        && matches!(baseline.len(), 40 | 64)
        && baseline.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_commit && parts.next().is_none()).then(|| (baseline, name.to_owned()))
}

/// The experiment that a name, a whole reference or a commit means; one of `HEAD`'s if several have the name.
pub fn find(root: &Path, wanted: &str) -> anyhow::Result<Option<Experiment>> {
    let is_meant = |experiment: &Experiment| {
        experiment.name == wanted
            || reference(&experiment.baseline, &experiment.name) == wanted
            || (7 <= wanted.len() && experiment.commit.starts_with(wanted))
    };
    let mut found: Vec<Experiment> = all(root)?.into_iter().filter(is_meant).collect();
    if 1 < found.len()
        && let Some(head) = git::commit_of(root, "HEAD")
        && found.iter().any(|experiment| experiment.baseline == head)
    {
        found.retain(|experiment| experiment.baseline == head);
    }
    match found.as_slice() {
        [_, _, ..] => {
            let meant = found.iter();
            let meant: Vec<String> = meant
                .map(|experiment| reference(&experiment.baseline, &experiment.name))
                .collect();
            Err(hinted(
                format!("`{wanted}` may mean {}", meant.join(" or ")),
                "give the whole reference",
            ))
        }
        _ => Ok(found.pop()),
    }
}

/// Refuses a name that git would not take as the last part of a reference.
pub fn check_name(root: &Path, name: &str) -> anyhow::Result<()> {
    let whole = format!("{NAMESPACE}/00/{}/{name}", "0".repeat(38));
    let is_good =
        !name.contains('/') && process::output_of("git", &["check-ref-format", &whole], root).is_ok();
    if !is_good {
        return Err(hinted(
            format!("`{name}` cannot be the name of an experiment"),
            "use letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(())
}

/// Writes the reference. Another experiment of the name is only replaced if `force` says so.
pub fn store(root: &Path, experiment: &Experiment, force: bool) -> anyhow::Result<()> {
    let at = reference(&experiment.baseline, &experiment.name);
    let mut args = vec!["update-ref", "--create-reflog", &at, &experiment.commit];
    // Nobody else's may be there by the time it is written.
    let nothing = "0".repeat(experiment.commit.len());
    if !force {
        args.push(&nothing);
    }
    match process::output_of("git", &args, root) {
        Ok(_) => Ok(()),
        Err(_) if !force && git::commit_of(root, &at).is_some() => Err(hinted(
            format!("there is an experiment `{}` already", experiment.name),
            "give another name, or replace it with `--force`",
        )),
        Err(error) => Err(error),
    }
}

/// Takes a reference away; its commit stays until git collects it.
pub fn delete(root: &Path, reference: &str) -> anyhow::Result<()> {
    if !reference.starts_with("refs/exps/") && !reference.starts_with("refs/lathe/") {
        bail!("`{reference}` is not an experiment's");
    }
    process::output_of("git", &["update-ref", "-d", reference], root)
        .map(drop)
        .with_context(|| format!("`{reference}` cannot be removed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written() {
        let baseline = "95367334569c98eebb4f45288c3dcd2912cdd04c";
        let at = reference(baseline, "first");
        assert_eq!(at, "refs/exps/95/367334569c98eebb4f45288c3dcd2912cdd04c/first");
        assert_eq!(parse(&at), Some((baseline.to_owned(), "first".to_owned())));
    }

    #[test]
    fn references_of_dvcs_own_are_no_experiments() {
        for own in [
            "refs/exps/exec/EXEC_HEAD",
            "refs/exps/stash",
            "refs/exps/celery/stash",
            "refs/exps/apply/ORIG_HEAD",
            "refs/exps/95/367334569c98eebb4f45288c3dcd2912cdd04c",
        ] {
            assert_eq!(parse(own), None, "{own}");
        }
    }
}
