use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::Intake;
use crate::dvc_file::{DvcFile, Recorded, SUFFIX};
use crate::hash::{Algorithm, look_at, metadata};
use crate::ignore_rules::IgnoreRules;
use crate::ops::{links, place};
use crate::{Content, Error, Repo, Result, Tracked, Tree, paths};

/// How data is added.
#[derive(Debug, Clone, Default)]
pub struct AddOptions {
    /// The `.dvc` file to write, absolute; beside the data if absent.
    pub file: Option<PathBuf>,
    /// Only write down what is there, without keeping it in the cache.
    pub no_commit: bool,
    /// Leave files of the workspace as they are, whatever `cache.type` says.
    pub no_relink: bool,
}

/// What was added.
#[derive(Debug, Clone)]
pub struct Added {
    /// The data, absolute.
    pub at: PathBuf,
    /// The `.dvc` file, absolute.
    pub file: PathBuf,
    /// Links to folders, which are no part of a tracked folder.
    pub left_out: Vec<PathBuf>,
}

/// One thing to add, decided before anything is read.
struct Plan {
    file: DvcFile,
    out: PathBuf,
    /// A path inside of the tracked folder, if only that is added.
    within: Option<String>,
    exists: bool,
}

/// Tracks what is at `targets` (absolute): into the cache, then a `.dvc` file, then `.gitignore`. Each file is read
/// once: the bytes that were hashed are the bytes that are kept.
pub fn add(
    repo: &Repo,
    files: &[DvcFile],
    all: &[Tracked],
    targets: &[PathBuf],
    options: &AddOptions,
) -> Result<Vec<Added>> {
    let mut plans: Vec<Plan> = Vec::new();
    for target in targets {
        let plan = plan(repo, files, all, target, options)?;
        if let Some(other) = plans
            .iter()
            .find(|other| overlap(&other.out, &plan.out) && other.out != plan.out)
        {
            return Err(Error::Overlap {
                path: plan.out,
                other: other.out.clone(),
                file: paths::relative(other.file.path(), repo.root()),
            });
        }
        plans.push(plan);
    }
    let cache = repo.cache();
    let intake = Intake::new(cache, Some(repo.memory()));
    let keep = (!options.no_commit).then_some(&intake);
    let mut added = Vec::new();
    // Several parts of one folder add up.
    let mut trees = BTreeMap::new();
    for plan in &mut plans {
        let source = match &plan.within {
            Some(within) => plan.out.join(within),
            None => plan.out.clone(),
        };
        let found = look_at(repo, &source, Algorithm::Md5, keep)?;
        let left_out = found.as_ref().map_or(&[][..], |found| &found.left_out).iter();
        let left_out = left_out.map(|relpath| source.join(relpath)).collect();
        let content = found.map(|found| found.content);
        if let Some(tree) = content.as_ref().and_then(|content| content.tree.as_ref()) {
            refuse_ignore_files(&source, tree)?;
        }
        let (recorded, tree) = match (&plan.within, content) {
            (Some(within), content) => merged(repo, plan, within, content, &trees)?,
            (None, Some(content)) => (Recorded::new(&content.hashed), content.tree),
            (None, None) => return Err(Error::NothingThere { path: source }),
        };
        if let (Some(keep), Some(tree)) = (keep, &tree) {
            keep.put_tree(&recorded.md5, tree)?;
        }
        if let Some(tree) = tree {
            trees.insert(plan.out.clone(), (recorded.clone(), tree));
        }
        let out = plan.out.clone();
        if let Some(tracked) = out_of(&mut plan.file, &out) {
            tracked.recorded = Some(recorded);
        }
        added.push(Added {
            at: source,
            file: plan.file.path().to_owned(),
            left_out,
        });
    }
    // Everything is in the cache for good before a file says so.
    intake.finish()?;
    let outs: Vec<PathBuf> = plans.iter().map(|plan| plan.out.clone()).collect();
    repo.keep_out_of_git(&outs)?;
    for (plan, added) in plans.iter().zip(&added) {
        // Another target may have changed the same file.
        save_merged(&plan.file, &plan.out)?;
        if !options.no_commit && !options.no_relink {
            place::relink(repo, &added.at)?;
        }
        links::remember(repo, &plan.file)?;
    }
    Ok(added)
}

fn out_of<'a>(file: &'a mut DvcFile, at: &Path) -> Option<&'a mut crate::DvcOut> {
    let index = file.outs().iter().position(|out| file.place_of(out) == at)?;
    file.outs_mut().get_mut(index)
}

fn save_merged(file: &DvcFile, at: &Path) -> Result<()> {
    if !file.path().exists() || file.outs().len() < 2 {
        return file.save();
    }
    let mut current = DvcFile::load(file.path())?;
    let recorded = file.outs().iter().find(|out| file.place_of(out) == at);
    let recorded = recorded.and_then(|out| out.recorded.clone());
    if let Some(out) = out_of(&mut current, at) {
        out.recorded = recorded;
    }
    current.save()
}

fn plan(
    repo: &Repo,
    files: &[DvcFile],
    all: &[Tracked],
    target: &Path,
    options: &AddOptions,
) -> Result<Plan> {
    let not = |reason| Error::NotTrackable {
        path: target.to_owned(),
        reason,
    };
    let name = target.file_name().ok_or_else(|| not("it has no name"))?;
    let name = name.to_str().ok_or_else(|| Error::NotUtf8 {
        path: target.to_owned(),
    })?;
    if !target.starts_with(repo.root()) || target == repo.root() {
        return Err(not("it is not inside of the project"));
    }
    if target.starts_with(repo.dvc_folder()) {
        return Err(not("it belongs to DVC itself"));
    }
    if name.ends_with(SUFFIX) || matches!(name, "dvc.yaml" | "dvc.lock") {
        return Err(not("it is a file that tracks data"));
    }
    if name.contains(['\n', '\r']) {
        return Err(not(
            "its name holds a line break, which no line of `.gitignore` can name",
        ));
    }
    let meta = metadata(target)?;
    let rules = IgnoreRules::above(repo.root(), target)?;
    if rules.ignores(target, meta.as_ref().is_some_and(std::fs::Metadata::is_dir)) {
        return Err(not("`.dvcignore` leaves it out"));
    }
    let inside_link = target
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != repo.root())
        .any(Path::is_symlink);
    if inside_link {
        return Err(not("it is inside of a folder that is a link"));
    }
    for out in all.iter().filter(|out| overlap(&out.at, target)) {
        if out.at == target && out.stage.is_none() {
            continue;
        }
        if target.starts_with(&out.at)
            && let Some(stage) = &out.stage
        {
            return Err(Error::OutputOfStage {
                path: target.to_owned(),
                stage: stage.clone(),
            });
        }
        let is_folder = out.recorded.as_ref().is_none_or(Recorded::is_folder);
        if out.at.starts_with(target) || !is_folder {
            return Err(Error::Overlap {
                path: target.to_owned(),
                other: out.at.clone(),
                file: out.address(repo.root()),
            });
        }
    }
    for file in files {
        for out in file.outs() {
            let at = file.place_of(out);
            let Ok(within) = target.strip_prefix(&at) else {
                continue;
            };
            let within = within.to_string_lossy().into_owned();
            return Ok(Plan {
                file: file.clone(),
                within: (!within.is_empty()).then_some(within),
                out: at,
                exists: meta.is_some(),
            });
        }
    }
    if meta.is_none() {
        return Err(Error::NothingThere {
            path: target.to_owned(),
        });
    }
    let path = match &options.file {
        Some(file) => file.clone(),
        None => target.with_file_name(format!("{name}{SUFFIX}")),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let out = paths::relative(target, folder);
    Ok(Plan {
        file: DvcFile::new(path, out),
        out: target.to_owned(),
        within: None,
        exists: true,
    })
}

fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The folder with one part of it replaced by what is there now; a part that is not there any more goes.
fn merged(
    repo: &Repo,
    plan: &Plan,
    within: &str,
    content: Option<Content>,
    trees: &BTreeMap<PathBuf, (Recorded, Tree)>,
) -> Result<(Recorded, Option<Tree>)> {
    let out = plan
        .file
        .outs()
        .iter()
        .find(|out| plan.file.place_of(out) == plan.out);
    let mut before = out.and_then(|out| out.recorded.as_ref());
    let old = match (trees.get(&plan.out), before) {
        (Some((recorded, tree)), _) => {
            before = Some(recorded);
            tree.clone()
        }
        (None, Some(recorded)) => repo.cache().of(recorded.algorithm).tree(&recorded.md5)?,
        (None, None) => Tree::new(Vec::new()),
    };
    let replaced = old.below(within);
    if replaced.entries().is_empty() && !plan.exists {
        return Err(Error::NothingThere {
            path: plan.out.join(within),
        });
    }
    let new = content
        .as_ref()
        .map_or_else(Vec::new, |content| match &content.tree {
            Some(tree) => tree.prefixed(within),
            None => vec![crate::TreeEntry {
                md5: content.hashed.md5.clone(),
                relpath: within.to_owned(),
            }],
        });
    let tree = old.without(within).with(new);
    let size = content.as_ref().map(|content| content.hashed.size);
    let hashed = tree.hashed(0);
    // DVC does not look at the other files for their sizes.
    let old_size = before
        .and_then(|recorded| recorded.size)
        .filter(|size| *size != 0);
    let size = match (replaced.entries().is_empty(), old_size, size) {
        (true, Some(old), Some(new)) => Some(old + new),
        _ if before.is_some_and(|recorded| recorded.md5 == hashed.md5) => {
            before.and_then(|recorded| recorded.size)
        }
        _ => None,
    };
    let recorded = Recorded {
        size,
        ..Recorded::new(&hashed)
    };
    Ok((recorded, Some(tree)))
}

/// As DVC: rules inside of tracked data would come and go with it.
fn refuse_ignore_files(folder: &Path, tree: &Tree) -> Result<()> {
    let found = tree
        .entries()
        .iter()
        .find(|entry| entry.relpath == ".dvcignore" || entry.relpath.ends_with("/.dvcignore"));
    match found {
        None => Ok(()),
        Some(entry) => Err(Error::NotTrackable {
            path: folder.join(&entry.relpath),
            reason: "a `.dvcignore` file inside of tracked data is not allowed",
        }),
    }
}
