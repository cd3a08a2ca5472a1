//! Effects and tests on binned counts. Formulas in the order of their use; `r` is the reference, `w` the window.

use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::profile::ColumnProfile;

/// Earth mover's distance of order 1 in units of the values, each bin's mass at its mean.
pub(crate) fn wasserstein(r: &ColumnProfile, w: &ColumnProfile) -> f64 {
    let points = |side: &ColumnProfile, sign: f64| -> Vec<(f64, f64)> {
        let n = side.n as f64;
        let bins = side
            .counts
            .iter()
            .zip(&side.sums)
            .filter(|(count, _)| 0 < **count);
        bins.map(|(count, sum)| (sum / *count as f64, sign * *count as f64 / n))
            .collect()
    };
    let mut points = [points(r, 1.0), points(w, -1.0)].concat();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut gap = 0.0;
    let mut distance = 0.0;
    for pair in points.windows(2) {
        gap += pair[0].1;
        distance += f64::abs(gap) * (pair[1].0 - pair[0].0);
    }
    distance
}

/// What [`wasserstein`] gives on average without any drift: ∫ √(F(1−F)) dx · √(2a/π) with a = 1/n + 1/m, since
/// F_n − G_m at a point is about normal with variance a·F(1−F).
pub(crate) fn wasserstein_noise(r: &ColumnProfile, n: u64) -> f64 {
    let a = 1.0 / r.n.max(1) as f64 + 1.0 / n.max(1) as f64;
    let means: Vec<(f64, f64)> = r
        .counts
        .iter()
        .zip(&r.sums)
        .filter(|(count, _)| 0 < **count)
        .map(|(count, sum)| (sum / *count as f64, *count as f64 / r.n as f64))
        .collect();
    let mut below = 0.0;
    let mut integral = 0.0;
    for pair in means.windows(2) {
        below += pair[0].1;
        integral += (below * (1.0f64 - below)).max(0.0).sqrt() * (pair[1].0 - pair[0].0);
    }
    integral * (2.0 * a / std::f64::consts::PI).sqrt()
}

/// The greatest distance of the two distribution functions at the bins' edges: at most the exact one.
pub(crate) fn kolmogorov_smirnov(r: &ColumnProfile, w: &ColumnProfile) -> f64 {
    let (n, m) = (r.n as f64, w.n as f64);
    let (mut below_r, mut below_w, mut greatest) = (0, 0, 0.0f64);
    for (in_r, in_w) in r.counts.iter().zip(&w.counts) {
        below_r += in_r;
        below_w += in_w;
        greatest = greatest.max((below_r as f64 / n - below_w as f64 / m).abs());
    }
    greatest
}

/// Probability of a distance `d` or more without drift: Kolmogorov's series with Stephens' correction (1970).
pub(crate) fn kolmogorov_smirnov_p(d: f64, n: u64, m: u64) -> f64 {
    let effective = (n as f64 * m as f64 / (n + m) as f64).sqrt();
    let lambda = (effective + 0.12 + 0.11 / effective) * d;
    if lambda < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|j| {
        let j = f64::from(j);
        let sign = if j % 2.0 == 1.0 { 1.0 } else { -1.0 };
        sign * (-2.0 * j * j * lambda * lambda).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

/// Jensen-Shannon distance with natural logarithms: 0 to √ln 2 ≈ 0.83 (Lin 1991).
pub(crate) fn jensen_shannon(r: &[u64], w: &[u64]) -> f64 {
    let (n, m) = (r.iter().sum::<u64>() as f64, w.iter().sum::<u64>() as f64);
    let part = |p: f64, mid: f64| if p == 0.0 { 0.0 } else { p * (p / mid).ln() };
    let divergence: f64 = r
        .iter()
        .zip(w)
        .map(|(a, b)| {
            let (p, q) = (*a as f64 / n, *b as f64 / m);
            let mid = (p + q) / 2.0;
            (part(p, mid) + part(q, mid)) / 2.0
        })
        .sum();
    divergence.max(0.0).sqrt()
}

/// What [`jensen_shannon`] gives on average without drift: the divergence is about a·χ²(k−1)/8, a = 1/n + 1/m.
pub(crate) fn jensen_shannon_noise(bins: usize, n: u64, m: u64) -> f64 {
    let a = 1.0 / n.max(1) as f64 + 1.0 / m.max(1) as f64;
    (a * bins.saturating_sub(1) as f64 / 8.0).sqrt()
}

/// Pearson's test of homogeneity on the 2 × k table (1900). Categories expected fewer than 5 times are pooled, as
/// the χ² approximation needs; none if fewer than two are left.
pub(crate) fn contingency_p(r: &[u64], w: &[u64]) -> Option<f64> {
    let (n, m) = (r.iter().sum::<u64>() as f64, w.iter().sum::<u64>() as f64);
    let smaller = n.min(m) / (n + m);
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut rare = (0.0, 0.0);
    for (a, b) in r.iter().zip(w) {
        let (a, b) = (*a as f64, *b as f64);
        if (a + b) * smaller < 5.0 {
            rare = (rare.0 + a, rare.1 + b);
        } else {
            cells.push((a, b));
        }
    }
    if 0.0 < rare.0 + rare.1 {
        cells.push(rare);
    }
    if cells.len() < 2 {
        return None;
    }
    let statistic: f64 = cells
        .iter()
        .map(|(a, b)| {
            let (expected_a, expected_b) = ((a + b) * n / (n + m), (a + b) * m / (n + m));
            (a - expected_a).powi(2) / expected_a + (b - expected_b).powi(2) / expected_b
        })
        .sum();
    let distribution = ChiSquared::new((cells.len() - 1) as f64).ok()?;
    Some(distribution.sf(statistic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4 * b.abs().max(1e-3)
    }

    #[test]
    fn values_equal_those_of_scipy() {
        // scipy.stats.kstwobign.sf with Stephens' correction; scipy.stats.chi2_contingency(correction=False);
        // scipy.spatial.distance.jensenshannon.
        let d = kolmogorov_smirnov_p(0.15, 100, 100);
        let p = contingency_p(&[30, 70], &[45, 55]).unwrap();
        let distance = jensen_shannon(&[30, 70], &[45, 55]);
        assert!(
            close(d, 0.193_042) && close(p, 0.028_460) && close(distance, 0.109_826),
            "{d} {p} {distance}"
        );
    }
}
