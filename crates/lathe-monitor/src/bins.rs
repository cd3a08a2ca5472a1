//! Where a column's values are counted. Numeric edges come from the reference: its quantiles at every 1/64 and far
//! into both tails, and a bin of its own for every value that is common, so that discrete columns are exact.

use serde::{Deserialize, Serialize};

/// The cells that a column is counted in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bins {
    /// Bin `i` holds values from `edges[i - 1]` up to, without, `edges[i]`.
    Numeric { edges: Vec<f64> },
    /// One bin a category, and a last one for all others.
    Categorical { categories: Vec<String> },
}

const QUANTILES: u32 = 64;
const TAILS: [f64; 8] = [0.0001, 0.0005, 0.001, 0.002, 0.998, 0.999, 0.9995, 0.9999];
/// More categories than this share the last bin.
const CATEGORIES_MAX: usize = 1_000;

impl Bins {
    /// Bins for these values, which must not be NaN.
    pub(crate) fn numeric(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut runs: Vec<(f64, usize)> = Vec::new();
        for value in &sorted {
            match runs.last_mut() {
                Some((last, count)) if last == value => *count += 1,
                _ => runs.push((*value, 1)),
            }
        }
        let mut edges = Vec::new();
        let own = |edges: &mut Vec<f64>, value: f64| edges.extend([value, value.next_up()]);
        if runs.len() <= QUANTILES as usize {
            runs.iter().for_each(|(value, _)| own(&mut edges, *value));
        } else {
            let common = sorted.len() as f64 / f64::from(QUANTILES);
            let heavy = runs.iter().filter(|(_, count)| common <= *count as f64);
            heavy.for_each(|(value, _)| own(&mut edges, *value));
            let quantiles = (1..QUANTILES).map(|i| f64::from(i) / f64::from(QUANTILES));
            for q in quantiles.chain(TAILS) {
                edges.push(sorted[((sorted.len() - 1) as f64 * q) as usize]);
            }
        }
        edges.retain(|edge| edge.is_finite());
        edges.sort_unstable_by(f64::total_cmp);
        edges.dedup();
        Self::Numeric { edges }
    }

    /// Bins for these categories, the most common first.
    pub(crate) fn categorical<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = std::collections::BTreeMap::<&str, u64>::new();
        values.for_each(|value| *counts.entry(value).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(CATEGORIES_MAX);
        Self::Categorical {
            categories: counts.into_iter().map(|(name, _)| name.to_owned()).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numeric { edges } => edges.len() + 1,
            Self::Categorical { categories } => categories.len() + 1,
        }
    }

    /// The bin of a number, among `edges`.
    pub(crate) fn of_number(edges: &[f64], value: f64) -> usize {
        edges.partition_point(|edge| *edge <= value)
    }

    /// The bin of a category; the last if it has none.
    pub(crate) fn of_category(categories: &[String], value: &str) -> usize {
        categories
            .iter()
            .position(|known| known == value)
            .unwrap_or(categories.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discrete_column_has_a_bin_for_each_value() {
        let Bins::Numeric { edges } = Bins::numeric(&[0.0, 0.0, 1.0, 2.0]) else {
            panic!("numbers have numeric bins");
        };
        let bins: Vec<usize> = [0.0, 0.5, 1.0, 2.0, 3.0]
            .iter()
            .map(|v| Bins::of_number(&edges, *v))
            .collect();
        assert_eq!(bins, [1, 2, 3, 5, 6]);
    }

    #[test]
    fn a_continuous_column_has_about_72_bins() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i).sqrt()).collect();
        let bins = Bins::numeric(&values).len();
        assert!((70..=72).contains(&bins), "{bins}");
    }
}
