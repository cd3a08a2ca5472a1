use std::collections::BTreeMap;

use lathe_types::drift::Performance;
use lathe_types::project::PerformanceSpec;

/// The metrics that windows can be judged by.
pub const METRICS: [&str; 4] = ["rmse", "mae", "bias", "accuracy"];

/// The errors of predictions whose labels are known: pairs of (prediction, label), of `rows` answered in all.
///
/// `rmse`, `mae` and `bias` (mean of prediction − label) for numbers; `accuracy` is the share of equal pairs, for
/// classes that are numbers.
pub fn performance(spec: &PerformanceSpec, pairs: &[(f64, f64)], rows: u64) -> Performance {
    let n = pairs.len().max(1) as f64;
    let mean = |of: fn(f64, f64) -> f64| pairs.iter().map(|(p, y)| of(*p, *y)).sum::<f64>() / n;
    let metrics = BTreeMap::from([
        ("rmse".to_owned(), mean(|p, y| (p - y) * (p - y)).sqrt()),
        ("mae".to_owned(), mean(|p, y| (p - y).abs())),
        ("bias".to_owned(), mean(|p, y| p - y)),
        ("accuracy".to_owned(), mean(|p, y| f64::from(p == y))),
        ("mean_label".to_owned(), mean(|_, y| y)),
        ("mean_prediction".to_owned(), mean(|p, _| p)),
    ]);
    Performance {
        metric: spec.metric.clone(),
        value: metrics.get(&spec.metric).copied().unwrap_or(f64::NAN),
        labelled: pairs.len() as u64,
        coverage: pairs.len() as f64 / rows.max(1) as f64,
        metrics,
    }
}
