//! Pipelines in DVC's formats: parse `dvc.yaml`, plan what must execute and why, execute it, write `dvc.lock`.
//! Deciding is pure (`plan.rs`); hashing and the cache belong to `lathe-data`, recording runs to the caller.

mod error;
mod execute;
mod graph;
mod guard;
mod lock;
mod matrix;
mod param_files;
mod parse;
mod plan;
mod process;
mod project;
mod record;
mod recorded;
mod run_cache;
mod set_params;
mod snapshot;
mod stage;
mod template;
mod vars;

use lathe_yaml as yaml;

pub use error::{Error, Result};
pub use execute::{ExecuteOptions, Report, StageEvent, execute, plan_project};
pub use plan::{Plan, PlanLine, Reason};
pub use project::Project;
pub use recorded::recorded;
pub use set_params::{parse_param, set_params};
