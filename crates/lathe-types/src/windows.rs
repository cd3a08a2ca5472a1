//! A window: the samples of one period of a deployment, profiled, compared and judged.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Millis;
use crate::drift::{DriftReport, Performance};

/// One period of a deployment, in event time. Its key is (deployment, start).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The deployment.
    pub deployment: String,
    /// The first instant of the period.
    pub start: Millis,
    /// The first instant after it.
    pub end: Millis,
    /// The version that answered most of it.
    pub version: u32,
    /// Answered rows.
    pub rows: u64,
    /// Whether the period is over and the drift verdict stands.
    pub closed: bool,
    /// The mergeable profile, in `lathe-monitor`'s form.
    pub profile: Value,
    /// The verdict on the inputs; none while open.
    pub drift: Option<DriftReport>,
    /// The error on labels; none until enough have arrived.
    pub performance: Option<Performance>,
}
