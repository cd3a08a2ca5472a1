use lathe_data::Repo;
use lathe_types::Millis;
use lathe_types::executions::{StageExecution, StageOutcome};

use crate::lock::Lock;
use crate::record::execution_of;
use crate::{Project, Result};

/// What `dvc.lock` says of every stage that it has an entry of, in the order of dependencies.
pub fn recorded(repo: &Repo, project: &Project) -> Result<Vec<StageExecution>> {
    let lock = Lock::load(repo.root())?;
    let mut stages = Vec::new();
    for stage in project.in_order(&[])? {
        if let Some(entry) = lock.find(&stage.name)? {
            let reason = "recorded in dvc.lock".to_owned();
            let never = (Millis::default(), Millis::default());
            stages.push(execution_of(
                stage,
                &entry,
                reason,
                StageOutcome::Unchanged,
                never,
            ));
        }
    }
    Ok(stages)
}
