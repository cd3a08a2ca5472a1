use std::time::Duration;

use lathe_types::executions::StageUsage;

use super::StageEvent;
use super::one_stage::{Commands, Orders};
use crate::Result;
use crate::stage::Stage;

/// A stage whose commands are to be executed: its inputs are in the workspace, its outputs are out of the way.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// After how long its commands are ended.
    pub timeout: Option<Duration>,
    /// What is meant for here: folder, environment, what ends it.
    pub commands: Commands<'a>,
}

/// Executes the commands of stages, here or elsewhere. When it returns without an error, the outputs that were made are
/// in the workspace. What is looked at before and recorded after is the same for all engines.
pub trait Engine: Send + Sync {
    /// Executes the commands of one stage.
    fn execute(&self, step: Step<'_>, show: &mut dyn FnMut(StageEvent)) -> (StageUsage, Result<()>);
}

/// This machine, in the workspace itself.
pub struct Local;

impl Engine for Local {
    fn execute(&self, step: Step<'_>, show: &mut dyn FnMut(StageEvent)) -> (StageUsage, Result<()>) {
        let orders = Orders {
            stage: step.stage.address(),
            wdir: step.stage.wdir.clone(),
            commands: step.stage.commands(),
        };
        step.commands.execute(&orders, step.timeout, show)
    }
}
