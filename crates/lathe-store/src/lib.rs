//! Metadata that must not be lost: runs, registry, deployments, windows, alerts, jobs, events. Only this crate knows
//! SQL. It keeps no bytes of artifacts (`lathe-blob`) and decides nothing (`lathe-automation`): it stores what it is
//! given, whole or not at all, and says so only once it is on disk.

mod alerts;
mod db;
mod deployments;
mod error;
mod executions;
mod experiments;
mod firings;
mod jobs;
mod json;
mod lineage;
mod location;
mod logged_models;
mod metrics;
mod migrations;
mod params;
mod projects;
mod rollouts;
mod rows;
mod runs;
mod samples;
mod sql;
mod verdicts;
mod version_facts;
mod windows;

pub mod events;
pub mod models;

pub use db::{Cell, FromColumn, Row, Store, Tx, Value};
pub use error::{Cause, Error, Result};
pub use experiments::ExperimentSearch;
pub use firings::Firing;
pub use jobs::Enqueued;
pub use lineage::LineageId;
pub use location::{Location, Postgres};
pub use logged_models::LoggedModelSearch;
pub use metrics::Interval;
pub use projects::Project;
pub use runs::RunSearch;
pub use samples::LabelCounts;
