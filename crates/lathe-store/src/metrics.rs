//! Histories of metrics.

use lathe_types::metrics::{Metric, RunMetric};
use lathe_types::tags::{Page, PageRequest};
use lathe_types::{Millis, RunId};

use crate::sql::Sql;
use crate::{Result, Row, Store, Tx, Value, runs};

/// Which points of which runs are wanted, thinned out to a number that can be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// The runs.
    pub runs: Vec<RunId>,
    /// The metric.
    pub key: String,
    /// The first and the last step; none: all.
    pub steps: Option<(i64, i64)>,
    /// At most how many points of each run.
    pub points_max: usize,
}

impl Store {
    /// The values of one metric of a run, oldest first.
    pub async fn metric_history(&self, id: RunId, key: String, page: PageRequest) -> Result<Page<Metric>> {
        self.read_metrics(Some(id.clone()), move |tx| {
            let run = runs::numbered(tx, &id)?;
            let mut sql = Sql::new("SELECT key, value, is_nan, at, step FROM metrics WHERE run_no = ");
            sql.bind(run.no).push(" AND key = ").bind(&key);
            sql.push(" ORDER BY at, step, value");
            sql.page(tx, page, |row| metric(row, 0))
        })
        .await
    }

    /// The values of one metric of several runs, run after run, at most `limit` in all. Runs that do not exist have none.
    pub async fn metric_histories(
        &self,
        ids: Vec<RunId>,
        key: String,
        limit: usize,
    ) -> Result<Vec<RunMetric>> {
        self.read_metrics(None, move |tx| {
            let mut found = Vec::new();
            for id in &ids {
                let Some(run) = runs::find(tx, id)? else { continue };
                let left = limit - found.len();
                let metrics = tx.query(
                    "SELECT key, value, is_nan, at, step FROM metrics WHERE run_no = ?1 AND key = ?2
                     ORDER BY at, step, value LIMIT ?3",
                    &[run.no.into(), (&key).into(), (left as i64).into()],
                    |row| metric(row, 0),
                )?;
                found.extend(of_run(id, metrics));
            }
            Ok(found)
        })
        .await
    }

    /// The values of one metric of several runs, so many of each, evenly chosen, always with the last. Runs that do not
    /// exist have none.
    pub async fn metric_intervals(&self, interval: Interval) -> Result<Vec<RunMetric>> {
        self.read_metrics(None, move |tx| {
            let mut found = Vec::new();
            for id in &interval.runs {
                if let Some(run) = runs::find(tx, id)? {
                    found.extend(of_run(id, thinned(tx, run.no, &interval)?));
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Reads key, value, is_nan, at, step, from this column on.
pub(crate) fn metric(row: &Row<'_>, first: usize) -> Result<Metric> {
    let is_nan: bool = row.get(first + 2)?;
    Ok(Metric {
        key: row.get(first)?,
        value: if is_nan { f64::NAN } else { row.get(first + 1)? },
        at: Millis(row.get(first + 3)?),
        step: row.get(first + 4)?,
    })
}

fn of_run(id: &RunId, metrics: Vec<Metric>) -> impl Iterator<Item = RunMetric> {
    metrics.into_iter().map(|metric| RunMetric {
        run_id: id.to_string(),
        metric,
    })
}

fn thinned(tx: &Tx<'_>, run_no: i64, interval: &Interval) -> Result<Vec<Metric>> {
    let (first, last) = interval.steps.unwrap_or((i64::MIN, i64::MAX));
    let params: [Value; 5] = [
        run_no.into(),
        (&interval.key).into(),
        first.into(),
        last.into(),
        (interval.points_max.max(1) as i64).into(),
    ];
    tx.query(
        "WITH points AS (
             SELECT key, value, is_nan, at, step,
                    NTILE(CAST(?5 AS INTEGER)) OVER (ORDER BY step, at, value, is_nan) AS bucket,
                    ROW_NUMBER() OVER (ORDER BY step, at, value, is_nan) AS place,
                    COUNT(*) OVER () AS points
             FROM metrics WHERE run_no = ?1 AND key = ?2 AND step BETWEEN ?3 AND ?4
         ), ranked AS (
             SELECT key, value, is_nan, at, step, bucket, place, points,
                    ROW_NUMBER() OVER (PARTITION BY bucket ORDER BY place) AS place_in_bucket
             FROM points
         )
         SELECT key, value, is_nan, at, step FROM ranked
         WHERE place = points OR (place_in_bucket = 1 AND bucket < ?5)
         ORDER BY place",
        &params,
        |row| metric(row, 0),
    )
}
