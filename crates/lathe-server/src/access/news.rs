//! What a run logs while it runs would fill the audit log: of each kind of such a change to one thing by one user only
//! the first in a while is told.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lathe_store::caller::Act;

const WHILE: Duration = Duration::from_secs(600);
const ENTRIES_MAX: usize = 10_000;

/// Remembers what was told lately.
#[derive(Debug, Default)]
pub struct ToldLately {
    hasher: RandomState,
    told: Mutex<HashMap<u64, Instant>>,
}

impl ToldLately {
    /// Whether nothing like it was told lately; remembers it.
    pub(super) fn is_news(&self, act: &Act) -> bool {
        let key = self.hasher.hash_one((&act.who, &act.action, act.subject()));
        let now = Instant::now();
        let mut told = self
            .told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if ENTRIES_MAX <= told.len() {
            told.retain(|_, since| now.saturating_duration_since(*since) < WHILE);
        }
        if ENTRIES_MAX <= told.len() {
            told.clear();
        }
        match told.get(&key) {
            Some(since) if now.saturating_duration_since(*since) < WHILE => false,
            _ => {
                told.insert(key, now);
                true
            }
        }
    }
}
