//! The one place that reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lathe_types::Millis;

/// Now. A clock before 1970 counts as 1970.
pub fn now() -> Millis {
    Millis(i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX))
}

/// Now in nanoseconds, to put in order what happens within a millisecond.
pub fn now_nanos() -> u64 {
    u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
