//! The outcome of comparing a window with its reference, and what it means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No drift that is both large and significant.
    Ok,
    /// Effect at or over its threshold, and significant.
    Drift,
    /// Too few rows to say.
    Insufficient,
    /// Cannot be compared; the reason says why.
    Untestable,
}

/// How a column's values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Ordered values: Wasserstein distance in reference standard deviations, Kolmogorov-Smirnov test.
    Numeric,
    /// Unordered values: Jensen-Shannon distance, contingency test.
    Categorical,
}

/// One bar of the two histograms drawn side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BinShare {
    /// "0.25 – 0.5", a category, or "other".
    pub label: String,
    /// Share of the reference's values, 0 to 1.
    pub reference: f64,
    /// Share of the window's values, 0 to 1.
    pub window: f64,
}

/// What a side looks like in a few numbers. Numbers of numeric columns only are absent for categories.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// Rows, missing ones included.
    pub rows: u64,
    /// Share of missing (null or NaN) values, 0 to 1.
    pub missing_share: f64,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub std: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Share of values outside the reference's range, or of categories it never had.
    pub unseen_share: f64,
}

/// The verdict on one column of one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnVerdict {
    /// The column.
    pub column: String,
    /// How it was compared.
    pub kind: ColumnKind,
    /// The verdict.
    pub outcome: Outcome,
    /// The effect's name: `wasserstein` or `jensenshannon`.
    pub method: String,
    /// The effect: standard deviations for `wasserstein`, 0 to 0.83 for `jensenshannon`.
    pub score: f64,
    /// An effect under this is not drift, however significant.
    pub threshold: f64,
    /// Probability of such a difference without any drift; none if no test applies.
    pub p_value: Option<f64>,
    /// A p-value over this is not drift, however large the effect.
    pub alpha: f64,
    /// The score expected without drift at these sizes.
    pub noise_floor: f64,
    /// The reference in a few numbers.
    pub reference: ColumnSummary,
    /// The window in a few numbers.
    pub window: ColumnSummary,
    /// Both histograms, at most 24 bars.
    pub histogram: Vec<BinShare>,
    /// Why it is insufficient or untestable.
    pub reason: Option<String>,
}

/// The verdict on a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// Drift when the share of drifted columns is at least `share_threshold`.
    pub outcome: Outcome,
    /// One verdict a column, in the model's order.
    pub columns: Vec<ColumnVerdict>,
    /// Drifted columns over tested ones, 0 to 1.
    pub share: f64,
    /// From `lathe.toml`.
    pub share_threshold: f64,
    /// What it was compared with: `training`, or `training, month 1`.
    pub reference: String,
}

/// How well the predictions of a window were, on the labels that have arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// The metric that is judged, `rmse` say.
    pub metric: String,
    /// Its value on the labelled rows.
    pub value: f64,
    /// Rows with a label.
    pub labelled: u64,
    /// Labelled rows over all rows, 0 to 1.
    pub coverage: f64,
    /// Every metric of the task: `rmse`, `mae`, `bias`, `mean_label`, `mean_prediction` for a regression.
    pub metrics: BTreeMap<String, f64>,
}

/// What most likely happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The inputs look as the reference did at the same time of year.
    Season,
    /// Values went missing, left their range, or froze.
    BrokenInput,
    /// The inputs look as they should, the answers no longer fit: the world changed.
    ChangedWorld,
    /// The inputs moved in a way that no season of the reference shows.
    ShiftedInputs,
}

/// One column that moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnMovement {
    /// The column.
    pub column: String,
    /// The effect, as in its verdict.
    pub score: f64,
    /// Mean in the reference.
    pub reference_mean: Option<f64>,
    /// Mean in the window.
    pub window_mean: Option<f64>,
    /// The first window of the unbroken row of drifted windows.
    pub since: Millis,
    /// Whether the same time of year in the reference explains it; none if the reference does not cover it.
    pub seasonal: Option<bool>,
}

/// An alert explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The most likely cause.
    pub cause: Cause,
    /// Two or three sentences for people.
    pub summary: String,
    /// The columns that moved, greatest effect first.
    pub columns: Vec<ColumnMovement>,
    /// When it began: the start of the first bad window.
    pub since: Millis,
    /// The judged error when the model was evaluated, if known.
    pub error_before: Option<f64>,
    /// The judged error on the newest labelled window, if there are labels.
    pub error_now: Option<f64>,
    /// The observations the cause follows from, one a line.
    pub evidence: Vec<String>,
}
