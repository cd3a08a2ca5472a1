//! Numbers that stand for categories: how often a category, or several together, came with which target. They are
//! looked up by a hash of the categories, and computed in f32 as CatBoost computes them.

use std::collections::HashMap;

use crate::error::Fault;

/// What marks a bucket without an entry.
const NO_HASH: u64 = u64::MAX;
const MIX: u64 = 0x4906_ba49_4954_cb65;

/// What is looked up together, by the numbers that the file gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Projection {
    /// Columns of categories.
    pub(super) categories: Vec<i32>,
    /// Columns of numbers with the bits of the border that they must exceed.
    pub(super) floats: Vec<(i32, u32)>,
    /// Columns of categories with the hash that they must have.
    pub(super) equals: Vec<(i32, i32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Borders,
    Buckets,
    BinarizedTargetMean,
    FloatTargetMean,
    Counter,
    Frequency,
}

impl Kind {
    pub(super) fn of_number(number: u8) -> Result<Self, Fault> {
        Ok(match number {
            0 => Self::Borders,
            1 => Self::Buckets,
            2 => Self::BinarizedTargetMean,
            3 => Self::FloatTargetMean,
            4 => Self::Counter,
            5 => Self::Frequency,
            other => return Err(unknown(other)),
        })
    }

    pub(super) fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "Borders" => Self::Borders,
            "Buckets" => Self::Buckets,
            "BinarizedTargetMeanValue" => Self::BinarizedTargetMean,
            "FloatTargetMeanValue" => Self::FloatTargetMean,
            "Counter" => Self::Counter,
            "FeatureFreq" => Self::Frequency,
            other => return Err(unknown(other)),
        })
    }

    pub(super) fn is_mean(self) -> bool {
        matches!(self, Self::BinarizedTargetMean | Self::FloatTargetMean)
    }

    pub(super) fn is_count(self) -> bool {
        matches!(self, Self::Counter | Self::Frequency)
    }
}

fn unknown(kind: impl std::fmt::Display) -> Fault {
    Fault::Unsupported(format!(
        "the native engine does not know CatBoost's statistics of categories of the kind `{kind}`"
    ))
}

/// How counts become a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior {
    pub(super) border: i32,
    pub(super) numerator: f32,
    pub(super) denominator: f32,
    pub(super) shift: f32,
    pub(super) scale: f32,
}

impl Prior {
    fn number(&self, good: f32, total: f32) -> f32 {
        let ratio = (good + self.numerator) / (total + self.denominator);
        (ratio + self.shift) * self.scale
    }
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Statistics {
    kind: Kind,
    entries: HashMap<u64, u32>,
    counts: Counts,
}

#[derive(Debug)]
pub(super) enum Counts {
    /// Of each target class.
    Classes { counts: Vec<i32>, classes: usize },
    /// Of all, and what they are divided by.
    All { counts: Vec<i32>, of: i32 },
    /// Sums of targets, and how many.
    Means(Vec<(f32, i32)>),
}

impl Statistics {
    /// Entries lead to counts; checks that they do.
    pub(super) fn new(
        kind: Kind,
        entries: impl Iterator<Item = (u64, u32)>,
        counts: Counts,
    ) -> Result<Self, Fault> {
        let count = match &counts {
            Counts::Classes { classes: 0 | 1, .. } => {
                return Err("statistics of categories have fewer than two target classes".into());
            }
            Counts::Classes { counts, classes } => counts.len() / classes,
            Counts::All { counts, .. } => counts.len(),
            Counts::Means(means) => means.len(),
        };
        let mut known = HashMap::new();
        for (hash, entry) in entries.filter(|(hash, _)| *hash != NO_HASH) {
            if count <= entry as usize {
                return Err("an entry of the statistics of categories leads to no counts".into());
            }
            known.entry(hash).or_insert(entry);
        }
        Ok(Self {
            kind,
            entries: known,
            counts,
        })
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let counts = match &self.counts {
            Counts::Classes { counts, .. } | Counts::All { counts, .. } => 4 * counts.capacity(),
            Counts::Means(means) => 8 * means.capacity(),
        };
        // An entry takes 16 bytes and a mark.
        (17 * self.entries.capacity() + counts) as u64
    }

    /// Whether a prior's border is one of the target classes.
    pub(super) fn takes(&self, prior: &Prior) -> bool {
        match &self.counts {
            Counts::Classes { classes, .. } => {
                usize::try_from(prior.border).is_ok_and(|border| border < *classes)
            }
            _ => true,
        }
    }

    /// The number of what has this hash.
    pub(super) fn number(&self, hash: u64, prior: &Prior) -> f32 {
        let entry = self.entries.get(&hash).map(|entry| *entry as usize);
        match &self.counts {
            Counts::All { counts, of } => {
                let count = entry.map_or(0, |entry| counts[entry]);
                prior.number(count as f32, *of as f32)
            }
            Counts::Means(means) => {
                let (sum, count) = entry.map_or((0.0, 0), |entry| means[entry]);
                prior.number(sum, count as f32)
            }
            Counts::Classes { counts, classes } => {
                let Some(entry) = entry else {
                    return prior.number(0.0, 0.0);
                };
                let counts = &counts[entry * classes..(entry + 1) * classes];
                let sum = |counts: &[i32]| counts.iter().map(|count| i64::from(*count)).sum::<i64>() as f32;
                let border = prior.border.unsigned_abs() as usize;
                let good = match self.kind {
                    Kind::Buckets => counts[border] as f32,
                    _ if 2 < *classes => sum(&counts[border + 1..]),
                    _ => counts[1] as f32,
                };
                prior.number(good, sum(counts))
            }
        }
    }
}

/// The hash of several things together, thing after thing.
pub(super) fn join(hash: u64, next: u64) -> u64 {
    hash.wrapping_add(next.wrapping_mul(MIX)).wrapping_mul(MIX)
}
