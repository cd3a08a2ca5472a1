//! Pipelines in DVC's formats: parse `dvc.yaml`, plan what must execute and why, execute it, write `dvc.lock`.
//! Deciding is pure (`plan.rs`); hashing and the cache belong to `lathe-data`, recording runs to the caller.

mod dag;
mod edit;
mod error;
mod execute;
mod external;
mod graph;
mod keep;
mod lock;
mod locked_outs;
mod matrix;
mod param_files;
mod parse;
mod pipeline_file;
mod plan;
mod project;
mod record;
mod recorded;
mod remove_param;
mod remove_stage;
mod run_cache;
mod set_dataset;
mod set_params;
mod snapshot;
mod sources;
mod stage;
mod states;
mod template;
mod vars;

use lathe_yaml as yaml;

pub use dag::{Dag, DagOptions};
pub use edit::{NewOut, NewStage, add_stage, declare, set_frozen};
pub use error::{Error, Result};
pub use execute::{
    Commands, Elsewhere, Engine, EnvironmentMark, ExecuteOptions, Fetch, Interruption, OnFailure, Orders,
    Report, Shell, StageEvent, Step, TraceMode, Watchdog, execute, plan_project,
};
pub use external::{Dataset, External, Failure, Reach, Seen, SeenBy};
pub use graph::Graph;
pub use keep::{commit_stages, differs_from_lock};
pub use locked_outs::locked_outs;
pub use param_files::ParamFiles;
pub use pipeline_file::PipelineFile;
pub use plan::{Plan, PlanLine, Reason};
pub use project::{Project, Selection};
pub use recorded::recorded;
pub use remove_param::{has_param, remove_param};
pub use remove_stage::remove_stage;
pub use set_dataset::set_dataset;
pub use set_params::{parse_param, set_params};
pub use sources::{Source, is_source};
pub use stage::{Dep, Kind, Out, OutKind, ParamFile, Stage};
pub use states::{
    Change, Content, Files, Found, LockedPath, Plot, PlotQuery, Point, State, Style, TEMPLATES, Workspace,
    diff, flat,
};
