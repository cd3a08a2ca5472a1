//! New points find their blocks, are merged into them, and blocks that grew too long are split.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{Point, blocks, columns};
use crate::{Result, Tx, Value, rows};

/// Metrics whose blocks are looked for by one statement. Few sizes, so that few statements are kept parsed.
const SIZES: [usize; 4] = [128, 32, 8, 1];
const COLUMNS: usize = 6;

/// What of a metric is not in its place yet, in the order of the history.
struct Pending<'a> {
    key: &'a str,
    points: &'a [Point],
}

/// The block in which a point belongs.
struct Target {
    block_no: i64,
    points: Vec<Point>,
    /// Where the block after it begins.
    next: Option<Point>,
}

/// Adds points to the histories of a run's metrics; no metric comes twice. What is there already is not added again.
pub(crate) fn add(tx: &Tx<'_>, run_no: i64, metrics: &mut [(&str, Vec<Point>)]) -> Result<()> {
    for (_, points) in metrics.iter_mut() {
        // The sort is stable: of what is equal the first stays.
        points.sort_by(Point::in_history);
        points.dedup_by(|later, first| first.in_history(later) == Ordering::Equal);
    }
    let mut pending: Vec<Pending<'_>> = metrics
        .iter()
        .map(|(key, points)| Pending { key, points })
        .collect();
    // Most often a metric's points all follow what is there, and one round places them.
    loop {
        pending.retain(|metric| !metric.points.is_empty());
        if pending.is_empty() {
            return Ok(());
        }
        place_first(tx, run_no, &mut pending)?;
    }
}

/// Places the first points of each metric: all that belong in the same block.
fn place_first(tx: &Tx<'_>, run_no: i64, pending: &mut [Pending<'_>]) -> Result<()> {
    let mut written = Vec::new();
    for (metric, target) in targets(tx, run_no, pending)? {
        let metric = &mut pending[metric];
        let Some(target) = target else {
            write(
                run_no,
                metric.key,
                metric.points,
                blocks::POINTS_MAX,
                &mut written,
            );
            metric.points = &[];
            continue;
        };
        let here = target.next.map_or(metric.points.len(), |next| {
            metric
                .points
                .partition_point(|point| point.in_history(&next) == Ordering::Less)
        });
        let (now, later) = metric.points.split_at(here);
        metric.points = later;
        let merged = merged(&target.points, now);
        if merged.len() == target.points.len() {
            continue;
        }
        if merged.first().map(|first| first.in_history(&target.points[0])) == Some(Ordering::Less) {
            let begins_earlier = "DELETE FROM metric_blocks WHERE block_no = ?1";
            tx.execute(begins_earlier, &[target.block_no.into()])?;
        }
        // The end of a history grows: full blocks stay as they are. Elsewhere both halves get room.
        let length = match target.next {
            None => blocks::POINTS_MAX,
            Some(_) => merged.len().div_ceil(merged.len().div_ceil(blocks::POINTS_MAX)),
        };
        write(run_no, metric.key, &merged, length, &mut written);
    }
    rows::insert(
        tx,
        "metric_blocks (run_no, key, at, step, value, is_nan, point_count, points)",
        COLUMNS + 2,
        &written,
        "ON CONFLICT (run_no, key, at, step, value, is_nan) DO UPDATE
         SET point_count = excluded.point_count, points = excluded.points",
    )
    .map(drop)
}

fn write(run_no: i64, key: &str, points: &[Point], length: usize, into: &mut Vec<Value>) {
    for block in points.chunks(length) {
        into.extend(columns(run_no, key, &block[0]));
        into.push((block.len() as i64).into());
        into.push(Value::Blob(blocks::written(block)));
    }
}

/// Both in order, each point once.
fn merged(old: &[Point], new: &[Point]) -> Vec<Point> {
    let mut all = Vec::with_capacity(old.len() + new.len());
    let (mut old, mut new) = (old, new);
    while let (Some(a), Some(b)) = (old.first(), new.first()) {
        let order = a.in_history(b);
        if order == Ordering::Greater {
            all.push(*b);
        } else {
            all.push(*a);
            old = &old[1..];
        }
        if order != Ordering::Less {
            new = &new[1..];
        }
    }
    all.extend(old);
    all.extend(new);
    all
}

/// For each metric the block in which its first point belongs: the last one that begins no later, else the first of all.
fn targets(tx: &Tx<'_>, run_no: i64, pending: &[Pending<'_>]) -> Result<Vec<(usize, Option<Target>)>> {
    let mut found = Vec::with_capacity(pending.len());
    let mut begin = 0;
    while begin < pending.len() {
        let left = pending.len() - begin;
        let size = SIZES.into_iter().find(|size| *size <= left).unwrap_or(1);
        let mut params: Vec<Value> = Vec::with_capacity(size * COLUMNS + 1);
        for (place, metric) in pending.iter().enumerate().skip(begin).take(size) {
            params.extend(columns(place as i64, metric.key, &metric.points[0]));
        }
        params.push(run_no.into());
        let numbers = tx.query(&neighbours_sql(size), &params, |row| {
            let place = row.get::<i64>(0)? as usize;
            let [before, after, second]: [Option<i64>; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(match before {
                Some(before) => (place, Some(before), after),
                None => (place, after, second),
            })
        })?;
        let wanted = numbers
            .iter()
            .flat_map(|(_, target, next)| target.iter().chain(next));
        let mut blocks = blocks(tx, wanted)?;
        for (place, target, next) in numbers {
            let next = next.and_then(|next| blocks.get(&next)?.first().copied());
            let target = target.and_then(|block_no| {
                let points = blocks.remove(&block_no)?;
                Some(Target {
                    block_no,
                    points,
                    next,
                })
            });
            found.push((place, target));
        }
        begin += size;
    }
    Ok(found)
}

fn blocks<'a>(tx: &Tx<'_>, wanted: impl Iterator<Item = &'a i64>) -> Result<HashMap<i64, Vec<Point>>> {
    let wanted: Vec<i64> = wanted.copied().collect();
    let mut found = HashMap::with_capacity(wanted.len());
    for numbers in wanted.chunks(rows::NUMBERS_MAX) {
        let numbers = rows::padded(numbers.iter().copied());
        let sql = format!(
            "SELECT block_no, points FROM metric_blocks WHERE block_no IN ({})",
            vec!["?"; numbers.len()].join(",")
        );
        let numbers: Vec<Value> = numbers.into_iter().map(Value::from).collect();
        tx.for_each(&sql, &numbers, |row| {
            let mut points = Vec::new();
            blocks::read(&row.get::<Vec<u8>>(1)?, &mut points)?;
            found.insert(row.get(0)?, points);
            Ok(())
        })?;
    }
    Ok(found)
}

/// For each wanted point the last block that begins no later and the first two that begin later. Single numbers, each
/// from the index: a join would be PostgreSQL's to plan, which takes a new table for a small one and reads all of it.
fn neighbours_sql(size: usize) -> String {
    let mut wanted = String::new();
    for place in 0..size {
        let first = place * COLUMNS + 1;
        let [place, key, at, step, value, is_nan] = std::array::from_fn(|column| first + column);
        if !wanted.is_empty() {
            wanted.push(',');
        }
        wanted.push_str(&format!(
            "(CAST(?{place} AS BIGINT), CAST(?{key} AS TEXT), CAST(?{at} AS BIGINT), CAST(?{step} AS BIGINT),
              CAST(?{value} AS DOUBLE PRECISION), CAST(?{is_nan} AS BIGINT))"
        ));
    }
    let of_metric = format!(
        "SELECT block_no FROM metric_blocks WHERE run_no = ?{} AND key = w.key",
        size * COLUMNS + 1
    );
    let later = format!(
        "{of_metric} AND (at, step, value, is_nan) > (w.at, w.step, w.value, w.is_nan)
         ORDER BY at, step, value, is_nan LIMIT 1"
    );
    format!(
        "WITH wanted (place, key, at, step, value, is_nan) AS (VALUES {wanted})
         SELECT w.place,
             ({of_metric} AND (at, step, value, is_nan) <= (w.at, w.step, w.value, w.is_nan)
              ORDER BY at DESC, step DESC, value DESC, is_nan DESC LIMIT 1),
             ({later}),
             ({later} OFFSET 1)
         FROM wanted AS w"
    )
}
