//! Metadata that must not be lost: runs, registry, deployments, windows, alerts, jobs, events. Only this crate knows
//! SQL. It keeps no bytes of artifacts (`lathe-blob`) and decides nothing (`lathe-automation`): it stores what it is
//! given, whole or not at all, and says so only once it is on disk.

mod access;
mod alerts;
mod arrivals;
mod assessments;
mod audit;
mod db;
mod deployments;
mod error;
mod eval_datasets;
mod executions;
mod experiments;
mod firings;
mod gc;
mod imports;
mod jobs;
mod json;
mod lineage;
mod location;
mod logged_models;
mod metrics;
mod migrations;
mod mlflow_database;
mod params;
mod pattern;
mod projects;
mod roles;
mod rollouts;
mod rows;
mod runs;
mod samples;
mod scorers;
mod sql;
mod tokens;
mod traces;
mod users;
mod verdicts;
mod version_facts;
mod webhooks;
mod windows;

pub mod caller;
pub mod events;
pub mod models;

pub use access::{Facts, Target};
pub use audit::AuditSearch;
pub use db::{Cell, FromColumn, Row, Store, StoreCounts, Tally, Tx, Value};
pub use error::{Cause, Error, Result};
pub use eval_datasets::EvalDatasetSearch;
pub use experiments::ExperimentSearch;
pub use firings::Firing;
pub use gc::{Doomed, GcWanted, Removable};
pub use jobs::Enqueued;
pub use lineage::LineageId;
pub use location::{Location, Postgres};
pub use logged_models::LoggedModelSearch;
pub use metrics::Interval;
pub use mlflow_database::{MlflowDatabase, RunMark, note_last};
pub use projects::Project;
pub use roles::{AccessRole, DEFAULT_WORKSPACE, RoleAssignment, RolePermission};
pub use runs::RunSearch;
pub use samples::LabelCounts;
pub use tokens::NewToken;
pub use traces::{TraceCounts, TraceSearch};
pub use users::{Account, UserChange};
