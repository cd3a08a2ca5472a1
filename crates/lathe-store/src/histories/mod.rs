//! Histories of metrics as they lie in the database: blocks of neighbouring points, each a row. A row for each point
//! would be a place in an index for each point; a block is found once for all its points and written at once.
//!
//! The blocks of one metric of a run do not overlap: what lies before the first point of a block lies in the blocks
//! before it. So a point belongs to exactly one block, and a page of a history is a range of blocks.

mod blocks;
mod latest;
mod merge;
mod upgrade;

use std::cmp::Ordering;

use lathe_types::Millis;
use lathe_types::metrics::Metric;

use crate::{Result, Tx, Value};

pub(crate) use latest::keep_latest;
pub(crate) use merge::add;
pub(crate) use upgrade::move_rows;

/// A value of a metric whose name and run are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: i64,
    pub(crate) step: i64,
    pub(crate) value: f64,
}

impl Point {
    pub(crate) fn of(metric: &Metric) -> Self {
        Self {
            at: metric.at.0,
            step: metric.step,
            value: metric.value,
        }
    }

    pub(crate) fn named(self, key: &str) -> Metric {
        Metric {
            key: key.to_owned(),
            value: self.value,
            at: Millis(self.at),
            step: self.step,
        }
    }

    /// NaN is kept as 0, beside a column that says so.
    fn stored(&self) -> f64 {
        if self.value.is_nan() { 0.0 } else { self.value }
    }

    /// The order of a history. What is equal in it is the same point, logged twice.
    fn in_history(&self, other: &Self) -> Ordering {
        let place = |point: &Self| (point.at, point.step, point.stored(), point.value.is_nan());
        compared(place(self), place(other))
    }

    /// The order of steps, by which the latest of several values is known.
    pub(crate) fn in_training(&self, other: &Self) -> Ordering {
        let place = |point: &Self| (point.step, point.at, point.stored(), point.value.is_nan());
        compared(place(self), place(other))
    }
}

fn compared(a: (i64, i64, f64, bool), b: (i64, i64, f64, bool)) -> Ordering {
    // No NaN comes here, so that the order is total.
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// `run_no, key, at, step, value, is_nan` of a point.
pub(crate) fn columns(run_no: i64, key: &str, point: &Point) -> [Value; 6] {
    [
        run_no.into(),
        key.into(),
        point.at.into(),
        point.step.into(),
        point.stored().into(),
        point.value.is_nan().into(),
    ]
}

/// At most `limit` points of a history, from the one that comes after `offset` others.
pub(crate) fn page(tx: &Tx<'_>, run_no: i64, key: &str, offset: u64, limit: usize) -> Result<Vec<Point>> {
    let end = offset.saturating_add(limit as u64);
    let (mut passed, mut first, mut before_first, mut blocks) = (0, 0, 0, 0);
    tx.for_each(
        "SELECT point_count FROM metric_blocks WHERE run_no = ?1 AND key = ?2 ORDER BY at, step, value, is_nan",
        &[run_no.into(), key.into()],
        |row| {
            let next = passed + row.get::<i64>(0)? as u64;
            if next <= offset {
                (first, before_first) = (first + 1, next);
            } else if passed < end {
                blocks += 1;
            }
            passed = next;
            Ok(())
        },
    )?;
    let mut points = Vec::new();
    tx.for_each(
        "SELECT points FROM metric_blocks WHERE run_no = ?1 AND key = ?2 ORDER BY at, step, value, is_nan
         LIMIT ?3 OFFSET ?4",
        &[run_no.into(), key.into(), Value::Int(blocks), Value::Int(first)],
        |row| blocks::read(&row.get::<Vec<u8>>(0)?, &mut points),
    )?;
    points.drain(..points.len().min((offset - before_first.min(offset)) as usize));
    points.truncate(limit);
    Ok(points)
}

/// So many points of those whose step lies within these bounds, evenly chosen in the order of training, always with the
/// last.
pub(crate) fn thinned(
    tx: &Tx<'_>,
    run_no: i64,
    key: &str,
    steps: (i64, i64),
    points_max: usize,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    let mut block = Vec::new();
    tx.for_each(
        "SELECT points FROM metric_blocks WHERE run_no = ?1 AND key = ?2 ORDER BY at, step, value, is_nan",
        &[run_no.into(), key.into()],
        |row| {
            block.clear();
            blocks::read(&row.get::<Vec<u8>>(0)?, &mut block)?;
            points.extend(
                block
                    .iter()
                    .filter(|point| (steps.0..=steps.1).contains(&point.step)),
            );
            Ok(())
        },
    )?;
    points.sort_by(Point::in_training);
    Ok(evenly(points.len(), points_max)
        .map(|place| points[place])
        .collect())
}

/// The first place of each of `parts` parts of `count` places, as equal as can be and the longer ones first, and instead
/// of the last part's first place its last.
fn evenly(count: usize, parts: usize) -> impl Iterator<Item = usize> {
    let parts = parts.clamp(1, count.max(1));
    let (length, longer) = (count / parts, count % parts);
    let firsts = (0..parts - 1).map(move |part| part * length + part.min(longer));
    firsts.chain(count.checked_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_chosen_evenly_and_always_with_the_last() {
        let chosen = |count, parts| evenly(count, parts).collect::<Vec<_>>();
        assert!(chosen(0, 3).is_empty());
        assert_eq!(chosen(1, 3), [0]);
        assert_eq!(chosen(3, 3), [0, 1, 2]);
        assert_eq!(chosen(10, 4), [0, 3, 6, 9]);
        assert_eq!(chosen(11, 4), [0, 3, 6, 10]);
        assert_eq!(chosen(5, 1), [4]);
        assert_eq!(chosen(5, 0), [4]);
    }

    #[test]
    fn nan_and_zero_are_two_points_and_both_zeros_one() {
        let point = |value| Point {
            at: 1,
            step: 2,
            value,
        };
        assert_eq!(point(f64::NAN).in_history(&point(f64::NAN)), Ordering::Equal);
        assert_eq!(point(0.0).in_history(&point(f64::NAN)), Ordering::Less);
        assert_eq!(point(-0.0).in_history(&point(0.0)), Ordering::Equal);
        assert_eq!(
            point(f64::INFINITY).in_history(&point(f64::MAX)),
            Ordering::Greater
        );
    }
}
