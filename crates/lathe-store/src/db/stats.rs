//! How the writer is doing: counters that cost next to nothing, for whoever watches the process.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the classes of a duration, in microseconds.
const DURATIONS_US: [u64; 11] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000,
];
/// Upper bounds of the classes of a group's size.
const SIZES: [u64; 8] = [1, 2, 4, 8, 16, 64, 256, 512];

#[derive(Default)]
pub(super) struct Stats {
    depth: AtomicI64,
    durations: Classes<11>,
    sizes: Classes<8>,
}

struct Classes<const N: usize> {
    /// The last one has no bound.
    counts: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Default for Classes<N> {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; N],
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }
}

impl<const N: usize> Classes<N> {
    fn add(&self, bounds: &[u64; N], value: u64) {
        let class = bounds.iter().position(|bound| value <= *bound);
        let counter = class.map_or(&self.beyond, |class| &self.counts[class]);
        counter.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn tally(&self, bounds: &[u64; N]) -> Tally {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        Tally {
            classes: bounds.iter().copied().zip(counts).collect(),
            beyond: self.beyond.load(Relaxed),
            sum: self.sum.load(Relaxed),
        }
    }
}

impl Stats {
    pub(super) fn queued(&self) {
        self.depth.fetch_add(1, Relaxed);
    }

    /// A group of changes was taken from the queue and committed, or failed.
    pub(super) fn committed(&self, changes: usize, took: Duration) {
        self.depth
            .fetch_sub(i64::try_from(changes).unwrap_or(i64::MAX), Relaxed);
        self.durations
            .add(&DURATIONS_US, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.sizes.add(&SIZES, changes as u64);
    }

    pub(super) fn counts(&self) -> StoreCounts {
        StoreCounts {
            // A change is taken before it is counted, so that this may be below zero for a moment.
            queue_depth: self.depth.load(Relaxed).max(0),
            commit_us: self.durations.tally(&DURATIONS_US),
            group_size: self.sizes.tally(&SIZES),
        }
    }
}

/// What the writer has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCounts {
    /// Changes that wait.
    pub queue_depth: i64,
    /// Commits by how many microseconds they took.
    pub commit_us: Tally,
    /// Commits by how many changes shared them.
    pub group_size: Tally,
}

/// How often values fell into which class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The upper bound of each class, which holds it, with its count.
    pub classes: Vec<(u64, u64)>,
    /// The count beyond the last bound.
    pub beyond: u64,
    /// The sum of all values.
    pub sum: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_class_that_holds_it() {
        let stats = Stats::default();
        for _ in 0..5 {
            stats.queued();
        }
        stats.committed(4, Duration::from_micros(1_000));
        stats.committed(1, Duration::from_secs(9));
        let counts = stats.counts();
        assert_eq!((counts.queue_depth, counts.group_size.sum), (0, 5));
        assert_eq!(counts.group_size.classes[..3], [(1, 1), (2, 0), (4, 1)]);
        assert_eq!(
            (counts.commit_us.classes[3], counts.commit_us.beyond),
            ((1_000, 1), 1)
        );
    }
}
