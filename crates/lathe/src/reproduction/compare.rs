//! What a rebuild came out as, output by output.

use std::path::Path;

use lathe_data::Repo;
use lathe_diff::{FileDifference, Likeness, Rules};
use lathe_types::executions::HashedPath;

use super::report::{OutReport, StageReport};
use super::{Built, Target};
use crate::determinism::Variation;
use crate::objects;

/// Compares every output of the rebuild with the recorded one.
pub fn compare(
    root: &Path,
    target: &Target,
    built: &Built,
    rules: &Rules,
) -> anyhow::Result<Vec<StageReport>> {
    let expected = Repo::discover(root)?;
    let rebuilt = Repo::discover(&built.root)?;
    let mut stages = Vec::new();
    for stage in &target.stages {
        let mut outs = Vec::new();
        for out in &stage.outs {
            outs.push(compare_out(&expected, &rebuilt, out, rules)?);
        }
        stages.push(StageReport {
            stage: stage.stage.clone(),
            outs,
        });
    }
    Ok(stages)
}

fn compare_out(
    expected: &Repo,
    rebuilt: &Repo,
    out: &HashedPath,
    rules: &Rules,
) -> anyhow::Result<OutReport> {
    let place = rebuilt.root().join(&out.path);
    let found = lathe_data::hash_path(rebuilt, &place)?.map(|content| content.hashed.md5);
    let mut report = OutReport {
        path: out.path.clone(),
        expected_md5: out.md5.clone(),
        found_md5: found.clone(),
        likeness: Likeness::Different,
        files: Vec::new(),
        note: None,
    };
    if found.as_ref().is_some_and(|md5| *md5 != out.md5) {
        objects::find(expected, &[super::by_hash(out)])?;
    }
    let cache = expected.cache();
    match found {
        None => report.note = Some("the rebuild did not make it".into()),
        Some(md5) if md5 == out.md5 => report.likeness = Likeness::Identical,
        Some(_) if !cache.holds(&out.md5)? => {
            report.note = Some(
                "neither the cache nor a remote holds the recorded content, so only hashes were compared"
                    .into(),
            );
        }
        Some(_) => {
            let scratch = tempfile::tempdir()?;
            // Under its own name, by which its format is known.
            let recorded = scratch.path().join(place.file_name().unwrap_or_default());
            cache.checkout(&out.md5, false, &recorded)?;
            report.files = named(lathe_diff::compare(&recorded, &place, rules)?, &out.path);
            report.likeness = worst(&report.files);
        }
    }
    Ok(report)
}

/// Compares the outputs of two rebuilds; what differs, though only `variation` was changed.
pub fn compare_rebuilds(
    target: &Target,
    first: &Built,
    other: &Built,
    rules: &Rules,
) -> anyhow::Result<Vec<(String, FileDifference)>> {
    let mut found = Vec::new();
    for stage in &target.stages {
        for out in &stage.outs {
            let differences =
                lathe_diff::compare(&first.root.join(&out.path), &other.root.join(&out.path), rules)?;
            let differences = named(differences, &out.path);
            found.extend(
                differences
                    .into_iter()
                    .map(|difference| (stage.stage.clone(), difference)),
            );
        }
    }
    Ok(found)
}

/// Files of an output by their paths in the project.
fn named(files: Vec<FileDifference>, out: &str) -> Vec<FileDifference> {
    files
        .into_iter()
        .map(|file| FileDifference {
            path: match file.path.as_str() {
                "" => out.to_owned(),
                inner => format!("{out}/{inner}"),
            },
            ..file
        })
        .collect()
}

/// Files that differ in nothing that is listed (modes, empty folders) make different hashes of the same content.
fn worst(files: &[FileDifference]) -> Likeness {
    files
        .iter()
        .map(|file| file.likeness)
        .max()
        .unwrap_or(Likeness::Equivalent)
}

impl Built {
    /// For people: what was changed in this rebuild.
    pub fn told(&self) -> String {
        match self.variation {
            None => "the same settings".into(),
            Some(variation) => Variation::name(variation).into(),
        }
    }
}
