//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use lathe_types::Millis;

/// Now. A clock before 1970 counts as 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
