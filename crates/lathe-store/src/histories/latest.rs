//! The latest value of each metric of a run, by which runs are searched and shown.

use super::{Point, columns};
use crate::{Result, Tx, Value, rows};

/// Keeps these where they are later than what is kept already; no metric comes twice.
pub(crate) fn keep_latest<'a>(
    tx: &Tx<'_>,
    run_no: i64,
    points: impl IntoIterator<Item = (&'a str, Point)>,
) -> Result<()> {
    let values: Vec<Value> = points
        .into_iter()
        .flat_map(|(key, point)| columns(run_no, key, &point))
        .collect();
    rows::insert(
        tx,
        "latest_metrics (run_no, key, at, step, value, is_nan)",
        6,
        &values,
        "ON CONFLICT (run_no, key) DO UPDATE
         SET at = excluded.at, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan
         WHERE (latest_metrics.step, latest_metrics.at, latest_metrics.value, latest_metrics.is_nan)
             < (excluded.step, excluded.at, excluded.value, excluded.is_nan)",
    )
    .map(drop)
}
