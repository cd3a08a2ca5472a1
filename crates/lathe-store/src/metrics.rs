//! Histories of metrics.

use lathe_types::metrics::{Metric, RunMetric};
use lathe_types::tags::{Page, PageRequest};
use lathe_types::{Millis, RunId};

use crate::histories::{self, Point};
use crate::{Result, Row, Store, runs};

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
            let mut points = histories::page(tx, run.no, &key, page.offset, page.limit + 1)?;
            let next = (page.limit < points.len()).then_some(page.offset + page.limit as u64);
            points.truncate(page.limit);
            let items = points.into_iter().map(|point| point.named(&key)).collect();
            Ok(Page { items, next })
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
                found.extend(of_run(id, &key, histories::page(tx, run.no, &key, 0, left)?));
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
                    let steps = interval.steps.unwrap_or((i64::MIN, i64::MAX));
                    let points = histories::thinned(tx, run.no, &interval.key, steps, interval.points_max)?;
                    found.extend(of_run(id, &interval.key, points));
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

fn of_run(id: &RunId, key: &str, points: Vec<Point>) -> impl Iterator<Item = RunMetric> {
    points.into_iter().map(move |point| RunMetric {
        run_id: id.to_string(),
        metric: point.named(key),
    })
}
