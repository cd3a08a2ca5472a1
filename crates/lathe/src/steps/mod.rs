//! Steps: stages that a worker executes. `engine.rs` is the side of `lathe run`, `worker.rs`, `claim.rs` and
//! `execution.rs` are the side of `lathe worker`; both meet at the server's job table and at the remote.

pub mod cache_limit;
mod claim;
mod engine;
mod execution;
mod worker;

use std::time::Duration;

pub use self::engine::WorkerEngine;
pub use self::worker::{Settings, Worker};

use crate::client::Refused;

/// How often a server that cannot be reached is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Whether the server answered, and the answer is no.
fn refusal(error: &anyhow::Error) -> Option<u16> {
    error.downcast_ref::<Refused>().map(|refused| refused.status)
}

/// Whether a call may succeed if it is made again: the server could not be reached, or asks for patience.
fn may_pass(error: &anyhow::Error) -> bool {
    refusal(error).is_none_or(|status| status == 429 || 500 <= status)
}

/// Whether a path does not lie in the folder that it is relative to.
fn is_outside(path: &str) -> bool {
    path.starts_with('/') || path.contains("://") || path.split('/').any(|part| part == "..")
}
