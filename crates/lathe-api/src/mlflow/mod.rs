//! The JSON of MLflow's REST API. Fields that protocol buffers leave unset are left out, empty lists too; 64-bit
//! integers may come as numbers or texts and go out as numbers; unknown fields are ignored.

pub mod access;
pub mod artifacts;
pub mod assessments;
mod body;
pub mod datasets;
pub mod eval_datasets;
pub mod experiments;
mod json;
pub mod logged_models;
pub mod metrics;
pub mod models;
mod pages;
pub mod runs;
pub mod scorers;
mod times;
pub mod trace_metrics;
pub mod traces;
pub mod traces_v2;
pub mod webhooks;

pub use body::{parse_body, parse_query};
pub use json::{Bool, Double, Empty, Int64, KeyValue};
pub use pages::{max_results, page_request, page_token, parse_page_token};
pub use times::{Duration, Timestamp};
