//! Failed logins are counted by address, and by address and name; too many and the next have to wait. Only failures
//! count, so that nobody can lock others out by their name alone from elsewhere.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// For how long failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one name from one address.
const BY_NAME: u32 = 10;
/// Failures of all names from one address.
const BY_ADDRESS: u32 = 60;
/// Entries at most; beyond, the oldest windows are forgotten.
const ENTRIES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Throttle {
    /// How long this address has to wait before it may try this name again.
    pub(super) fn wait(&self, address: &str, name: &str, now: Instant) -> Option<Duration> {
        let failures = self.lock();
        let wait = |key: &str, most: u32| {
            let (since, count) = failures.get(key)?;
            let left = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
            (most <= *count && !left.is_zero()).then_some(left)
        };
        wait(&by_name(address, name), BY_NAME).max(wait(address, BY_ADDRESS))
    }

    /// Counts a failure.
    pub(super) fn failed(&self, address: &str, name: &str, now: Instant) {
        let mut failures = self.lock();
        if ENTRIES_MAX <= failures.len() {
            failures.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
        }
        if ENTRIES_MAX <= failures.len() {
            failures.clear();
        }
        for key in [by_name(address, name), address.to_owned()] {
            let entry = failures.entry(key).or_insert((now, 0));
            if WINDOW <= now.saturating_duration_since(entry.0) {
                *entry = (now, 0);
            }
            entry.1 = entry.1.saturating_add(1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, u32)>> {
        self.failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn by_name(address: &str, name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("{address} {}", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_failures_have_to_wait_and_only_those() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..BY_NAME {
            assert_eq!(throttle.wait("1.2.3.4", "Ann", now), None);
            throttle.failed("1.2.3.4", "ann", now);
        }
        assert_eq!(throttle.wait("1.2.3.4", "ANN", now), Some(WINDOW));
        assert_eq!(throttle.wait("1.2.3.4", "bob", now), None);
        assert_eq!(throttle.wait("5.6.7.8", "ann", now), None);
        assert_eq!(throttle.wait("1.2.3.4", "ann", now + WINDOW), None);
        for number in 0..BY_ADDRESS {
            throttle.failed("9.9.9.9", &format!("user{number}"), now);
        }
        assert!(throttle.wait("9.9.9.9", "somebody else", now).is_some());
        for number in 0..2 * ENTRIES_MAX {
            throttle.failed(&format!("{number}"), "x", now);
        }
        assert!(throttle.lock().len() <= ENTRIES_MAX + 1);
    }
}
