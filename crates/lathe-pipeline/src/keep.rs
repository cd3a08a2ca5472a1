//! What a stage made is kept: its outputs in the cache, what it was made of in the run cache, both in the lock.

use lathe_data::Repo;

use crate::execute::Locks;
use crate::lock::LockEntry;
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::{Error, Project, Result, record, run_cache};

/// Puts the outputs of a stage into the cache, if it is to `commit` them, and makes the entry of the lock.
pub(crate) fn keep(
    repo: &Repo,
    project: &Project,
    stage: &Stage,
    commit: bool,
    missing: &dyn Fn(String, String) -> Error,
) -> Result<LockEntry> {
    let mut files = Snapshot::default();
    files.look_at_inputs(repo, project, stage)?;
    files.look_at_outs(repo, project, stage)?;
    let entry = record::entry_of(stage, &files, true)?;
    let is_remembered = stage.is_remembered() && commit;
    for out in &stage.outs {
        if files.identity(&out.at).is_none() {
            return Err(missing(stage.address(), out.path.clone()));
        }
        // What lies behind a URL stays there.
        let Some(content) = files.content(&out.at) else {
            continue;
        };
        if (out.cache && commit) || is_remembered {
            repo.cache().save(content, &repo.root().join(&out.at))?;
        }
    }
    if is_remembered {
        run_cache::save(repo, &entry)?;
    }
    Ok(entry)
}

/// Whether the files are not what the lock says of a stage.
pub fn differs_from_lock(repo: &Repo, project: &Project, index: usize) -> Result<bool> {
    let stage = &project.stages()[index];
    let mut files = Snapshot::default();
    files.look_at_inputs(repo, project, stage)?;
    files.look_at_outs(repo, project, stage)?;
    let now = record::entry_of(stage, &files, false)?;
    Ok(!Locks::new(repo.root()).of(stage)?.holds(&stage.name, &now))
}

/// Takes the files as they are for what stages read and made: outputs go into the cache, the locks are written. Nothing
/// is executed.
pub fn commit_stages(repo: &Repo, project: &Project, stages: &[usize]) -> Result<()> {
    let mut locks = Locks::new(repo.root());
    for (order, &index) in stages.iter().enumerate() {
        let stage = &project.stages()[index];
        let missing = |stage, path| Error::CommitOutMissing { stage, path };
        let entry = keep(repo, project, stage, true, &missing)?;
        locks.of(stage)?.set(&stage.name, &entry, order);
        let outs = stage.outs.iter().filter(|out| out.cache);
        locks.keep_out_of_git(order, outs.map(|out| repo.root().join(&out.at)));
    }
    locks.settle(usize::MAX);
    locks.write(repo, true)
}
