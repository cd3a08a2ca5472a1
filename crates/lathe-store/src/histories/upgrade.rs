//! Databases of before kept each point in a row.

use super::Point;
use crate::{Result, Tx, Value};

/// Points that are moved at once; bounds the memory it takes.
const POINTS: usize = 65_536;

/// Moves every point to its block.
pub(crate) fn move_rows(tx: &Tx<'_>) -> Result<()> {
    let mut after: Vec<Value> = vec![
        i64::MIN.into(),
        "".into(),
        i64::MIN.into(),
        i64::MIN.into(),
        f64::NEG_INFINITY.into(),
        (-1_i64).into(),
    ];
    loop {
        let found = tx.query(
            &format!(
                "SELECT run_no, key, at, step, value, is_nan FROM metrics
                 WHERE (run_no, key, at, step, value, is_nan) > (?1, ?2, ?3, ?4, ?5, ?6)
                 ORDER BY run_no, key, at, step, value, is_nan LIMIT {POINTS}"
            ),
            &after,
            |row| {
                let value = if row.get(5)? { f64::NAN } else { row.get(4)? };
                let (at, step) = (row.get(2)?, row.get(3)?);
                Ok((
                    row.get::<i64>(0)?,
                    row.get::<String>(1)?,
                    Point { at, step, value },
                ))
            },
        )?;
        let Some((run_no, key, last)) = found.last() else {
            return tx.batch("DROP TABLE metrics");
        };
        after = super::columns(*run_no, key, last).into();
        for run in found.chunk_by(|a, b| a.0 == b.0) {
            let mut metrics: Vec<(&str, Vec<Point>)> = run
                .chunk_by(|a, b| a.1 == b.1)
                .map(|points| (points[0].1.as_str(), points.iter().map(|point| point.2).collect()))
                .collect();
            super::add(tx, run[0].0, &mut metrics)?;
        }
    }
}
