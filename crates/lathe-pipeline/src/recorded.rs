use lathe_data::Repo;
use lathe_types::executions::{StageExecution, StageOutcome};

use crate::lock::Lock;
use crate::record::{Done, execution_of};
use crate::{Project, Result, Selection};

/// What the locks say of every stage that they have an entry of, in the order of dependencies.
pub fn recorded(repo: &Repo, project: &Project) -> Result<Vec<StageExecution>> {
    let all = Selection {
        all: true,
        ..Selection::default()
    };
    let mut locks = std::collections::HashMap::new();
    let mut stages = Vec::new();
    for index in project.select(&all)? {
        let stage = &project.stages()[index];
        if !locks.contains_key(&stage.file) {
            locks.insert(stage.file.clone(), Lock::load(repo.root(), &stage.file)?);
        }
        if let Some(entry) = locks[&stage.file].find(&stage.name)? {
            let done = Done {
                reason: "recorded in dvc.lock".to_owned(),
                outcome: StageOutcome::Unchanged,
                span: Default::default(),
                usage: None,
                attempts: 0,
                log: None,
                undeclared: None,
            };
            stages.push(execution_of(stage, &entry, done));
        }
    }
    Ok(stages)
}
