//! Nouns shared by every room: ids, records, limits, error kinds. A value of these types is valid by construction,
//! so whoever holds one checks nothing again. No IO, no clock, no SQL and no HTTP lives here.

mod errors;
mod ids;
mod input;
mod time;

pub mod access;
pub mod alerts;
pub mod assessments;
pub mod audit;
pub mod datasets;
pub mod deployments;
pub mod drift;
pub mod eval_datasets;
pub mod events;
pub mod executions;
pub mod experiments;
pub mod gates;
pub mod graphs;
pub mod imports;
pub mod jobs;
pub mod lineage;
pub mod logged_models;
pub mod metrics;
pub mod models;
pub mod project;
pub mod runs;
pub mod samples;
pub mod scorers;
pub mod search;
pub mod steps;
pub mod tags;
pub mod trace_metrics;
pub mod traces;
pub mod users;
pub mod webhooks;
pub mod windows;

pub use errors::{ErrorKind, already_exists, does_not_exist};
pub use ids::{ExperimentId, IdError, LoggedModelId, PredictionId, RunId};
pub use input::{InputError, required};
pub use tags::{Lifecycle, ViewType};
pub use time::{Millis, Span, SpanError};
