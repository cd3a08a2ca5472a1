use lathe_types::drift::{BinShare, ColumnKind, ColumnVerdict, DriftReport, Outcome};
use lathe_types::project::DriftSpec;

use crate::Reference;
use crate::bins::Bins;
use crate::distance::{
    contingency_p, jensen_shannon, jensen_shannon_noise, kolmogorov_smirnov, kolmogorov_smirnov_p,
    wasserstein, wasserstein_noise,
};
use crate::profile::{ColumnProfile, Profile};
use crate::reference::ReferenceColumn;

/// Which part of the reference a window is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// All of it.
    Training,
    /// The rows of this month of the year, 1 to 12, of any year.
    Month(u8),
}

/// Bars that are drawn at most.
const BARS_MAX: usize = 24;

/// Compares a window with the reference. A column has drifted when the effect reaches its threshold *and* the
/// difference is significant: either alone is a false alarm, on small windows or on large ones. A column that
/// cannot be compared says why and never fails the others.
pub fn compare(reference: &Reference, against: Against, window: &Profile, spec: &DriftSpec) -> DriftReport {
    let columns: Vec<ColumnVerdict> = reference
        .columns
        .iter()
        .zip(&window.columns)
        .map(|(column, profile)| compare_column(column, against, profile, spec))
        .collect();
    let tested = columns
        .iter()
        .filter(|column| matches!(column.outcome, Outcome::Ok | Outcome::Drift))
        .count();
    let drifted = columns
        .iter()
        .filter(|column| column.outcome == Outcome::Drift)
        .count();
    let share = drifted as f64 / tested.max(1) as f64;
    let outcome = match (tested, drifted) {
        (0, _)
            if columns
                .iter()
                .any(|column| column.outcome == Outcome::Insufficient) =>
        {
            Outcome::Insufficient
        }
        (0, _) => Outcome::Untestable,
        (_, 1..) if spec.share <= share => Outcome::Drift,
        _ => Outcome::Ok,
    };
    DriftReport {
        outcome,
        columns,
        share,
        share_threshold: spec.share,
        reference: match against {
            Against::Training => "training".into(),
            Against::Month(month) => format!("training, month {month}"),
        },
    }
}

fn compare_column(
    column: &ReferenceColumn,
    against: Against,
    window: &ColumnProfile,
    spec: &DriftSpec,
) -> ColumnVerdict {
    let (method, threshold) = match column.kind {
        ColumnKind::Numeric => ("wasserstein", spec.numeric),
        ColumnKind::Categorical => ("jensenshannon", spec.categorical),
    };
    let empty = ColumnProfile::empty(&column.bins);
    let reference = match against {
        Against::Training => &column.whole,
        Against::Month(month) => column.months.get(&month).unwrap_or(&empty),
    };
    let mut verdict = ColumnVerdict {
        column: column.name.clone(),
        kind: column.kind,
        outcome: Outcome::Untestable,
        method: method.into(),
        score: 0.0,
        threshold,
        p_value: None,
        alpha: spec.alpha,
        noise_floor: 0.0,
        reference: reference.summary(),
        window: window.summary(),
        histogram: histogram(column, reference, window),
        reason: None,
    };
    let mut says = |outcome, reason: String| {
        verdict.outcome = outcome;
        verdict.reason = Some(reason);
    };
    if spec.ignore.contains(&column.name) {
        says(Outcome::Untestable, "ignored, as asked".into());
    } else if reference.n < spec.min_rows {
        says(
            Outcome::Insufficient,
            format!("{} reference rows, {} needed", reference.n, spec.min_rows),
        );
    } else if window.rows() < spec.min_rows {
        says(
            Outcome::Insufficient,
            format!("{} rows, {} needed", window.rows(), spec.min_rows),
        );
    } else if window.n == 0 {
        says(Outcome::Drift, "every value is missing".into());
    } else {
        measure(column.kind, reference, window, &mut verdict);
    }
    verdict
}

fn measure(kind: ColumnKind, reference: &ColumnProfile, window: &ColumnProfile, verdict: &mut ColumnVerdict) {
    match kind {
        ColumnKind::Numeric => {
            let spread = reference.std().unwrap_or_default();
            if spread == 0.0 {
                let same = window.min == reference.min && window.max == reference.max;
                verdict.outcome = if same { Outcome::Ok } else { Outcome::Drift };
                verdict.reason = Some("the reference has one value only".into());
                return;
            }
            verdict.score = wasserstein(reference, window) / spread;
            verdict.noise_floor = wasserstein_noise(reference, window.n) / spread;
            let distance = kolmogorov_smirnov(reference, window);
            verdict.p_value = Some(kolmogorov_smirnov_p(distance, reference.n, window.n));
        }
        ColumnKind::Categorical => {
            let bins = reference
                .counts
                .iter()
                .zip(&window.counts)
                .filter(|(r, w)| 0 < **r + **w)
                .count();
            verdict.score = jensen_shannon(&reference.counts, &window.counts);
            verdict.noise_floor = jensen_shannon_noise(bins, reference.n, window.n);
            verdict.p_value = contingency_p(&reference.counts, &window.counts);
        }
    }
    let large = verdict.threshold <= verdict.score;
    let significant = verdict.p_value.is_some_and(|p| p < verdict.alpha);
    verdict.outcome = if large && significant {
        Outcome::Drift
    } else {
        Outcome::Ok
    };
}

fn histogram(column: &ReferenceColumn, reference: &ColumnProfile, window: &ColumnProfile) -> Vec<BinShare> {
    let share = |count: u64, side: &ColumnProfile| count as f64 / side.n.max(1) as f64;
    match &column.bins {
        Bins::Categorical { categories } => {
            let shown = categories.len().min(BARS_MAX - 1);
            let mut bars: Vec<BinShare> = (0..shown)
                .map(|bin| BinShare {
                    label: categories[bin].clone(),
                    reference: share(reference.counts[bin], reference),
                    window: share(window.counts[bin], window),
                })
                .collect();
            let rest = |side: &ColumnProfile| share(side.counts[shown..].iter().sum(), side);
            if 0.0 < rest(reference) + rest(window) {
                bars.push(BinShare {
                    label: "other".into(),
                    reference: rest(reference),
                    window: rest(window),
                });
            }
            bars
        }
        Bins::Numeric { .. } => {
            // Bins of equal width over both ranges; each fine bin's mass goes where its mean lies.
            let ends = [column.whole.min, window.min, column.whole.max, window.max];
            let low = ends.iter().flatten().copied().fold(f64::INFINITY, f64::min);
            let high = ends.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
            if !low.is_finite() {
                return Vec::new();
            }
            let width = if low == high {
                1.0
            } else {
                (high - low) / BARS_MAX as f64
            };
            let mut bars: Vec<BinShare> = (0..if low == high { 1 } else { BARS_MAX })
                .map(|bar| BinShare {
                    label: format!(
                        "{} – {}",
                        short(low + bar as f64 * width),
                        short(low + (bar + 1) as f64 * width)
                    ),
                    reference: 0.0,
                    window: 0.0,
                })
                .collect();
            let last = bars.len() - 1;
            let place = |count: u64, sum: f64| {
                let position = (sum / count as f64 - low) / width;
                (position as usize).min(last)
            };
            for (count, sum) in reference
                .counts
                .iter()
                .zip(&reference.sums)
                .filter(|(count, _)| 0 < **count)
            {
                bars[place(*count, *sum)].reference += share(*count, reference);
            }
            for (count, sum) in window
                .counts
                .iter()
                .zip(&window.sums)
                .filter(|(count, _)| 0 < **count)
            {
                bars[place(*count, *sum)].window += share(*count, window);
            }
            bars
        }
    }
}

/// Three significant digits.
fn short(number: f64) -> String {
    let digits = 2 - number.abs().max(1e-9).log10().floor() as i32;
    let text = format!("{number:.*}", digits.clamp(0, 6) as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
