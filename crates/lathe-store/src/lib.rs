//! Metadata that must not be lost: runs, registry, deployments, windows, alerts, jobs, events. Only this crate knows
//! SQL. It keeps no bytes of artifacts (`lathe-blob`) and decides nothing (`lathe-automation`): it stores what it is
//! given, whole or not at all, and says so only once it is on disk.

mod db;
mod error;
mod experiments;
mod migrations;

pub mod events;

pub use db::{Location, Row, Store, Tx, Value};
pub use error::{Error, Result};
