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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories;
    use crate::{Location, Store};

    #[tokio::test]
    async fn a_row_for_each_point_becomes_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(folder.path().join("lathe.db"))).unwrap();
        let moved = store.write(|tx| {
            tx.batch(
                "CREATE TABLE metrics (run_no BIGINT NOT NULL, key VARCHAR NOT NULL, at BIGINT NOT NULL,
                     step BIGINT NOT NULL, value DOUBLE PRECISION NOT NULL, is_nan BIGINT NOT NULL,
                     PRIMARY KEY (run_no, key, at, step, value, is_nan));
                 WITH RECURSIVE steps (step) AS (SELECT 0 UNION ALL SELECT step + 1 FROM steps WHERE step < 69999)
                 INSERT INTO metrics SELECT 1, 'long', 1000 + step, step, step / 8.0, 0 FROM steps;
                 INSERT INTO metrics VALUES (2, 'a', 5, -6, 0, 0), (2, 'b', 5, -6, 0, 1)",
            )?;
            move_rows(tx)?;
            let page = |run_no, key, limit| histories::page(tx, run_no, key, 0, limit);
            Ok((page(1, "long", 80_000)?, page(2, "a", 9)?, page(2, "b", 9)?))
        });
        let (long, number, nan) = moved.await.unwrap();
        assert_eq!(long.len(), 70_000);
        assert!(long.iter().enumerate().all(|(step, found)| {
            let step = step as i64;
            (found.at, found.step, found.value) == (1000 + step, step, step as f64 / 8.0)
        }));
        let value = 0.0;
        assert_eq!(
            number,
            [Point {
                at: 5,
                step: -6,
                value
            }]
        );
        assert!(nan.len() == 1 && nan[0].value.is_nan());
    }
}
