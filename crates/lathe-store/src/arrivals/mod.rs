//! Metrics between their acknowledgement and their place. A call adds one row to the end of a small table: that is all
//! that has to be on disk before the answer. A hundred points have a hundred histories to go to, each on another page;
//! moved there many thousands at once, dozens of points share every page that is written. The writer moves them when it
//! has nothing else to do or when too many wait, and whoever reads metrics has what was acknowledged moved first.

mod points;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lathe_types::RunId;
use lathe_types::metrics::Metric;

use crate::histories::{self, Point};
use crate::{Error, Result, Store, Tx, Value, runs};

/// Calls that are looked at before it is known how many points they bring.
const CALLS_AT_FIRST: usize = 16;
/// Points that are moved by one change, unless the writer lags behind; bounds how long others wait for it.
const POINTS: usize = 4_096;
/// What waits before the writer moves some between two groups of changes, in points. The more wait, the more of them share
/// a block, and the longer a search takes that needs all of them in their place: about a second at most.
const WAITING: u64 = 524_288;
/// What a call costs at least, in points.
const CALL: usize = 4;

/// How many points wait, as far as this process knows; shared with the writer.
#[derive(Clone)]
pub(crate) struct Backlog(Arc<AtomicU64>);

impl Default for Backlog {
    /// A process before may have left some: the writer looks once.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }
}

impl Backlog {
    fn grew(&self, points: usize) {
        self.0.fetch_add(points.max(CALL) as u64, Ordering::Relaxed);
    }

    /// Whether there is something to do for a writer with nothing else to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Whether some must be moved although others wait.
    pub(crate) fn is_long(&self) -> bool {
        WAITING < self.0.load(Ordering::Relaxed)
    }

    /// Moves the points of one run: the one that waits longest.
    pub(crate) fn shorten(&self, tx: &Tx<'_>) -> Result<()> {
        let waiting = self.0.load(Ordering::Relaxed);
        let points_max = POINTS.max(waiting.saturating_sub(WAITING) as usize);
        let moved = settle(
            tx,
            &Due {
                run_no: None,
                up_to: i64::MAX,
            },
            points_max,
        )? as u64;
        // What another process brought was never counted here.
        let shorter = |waiting: u64| {
            Some(if moved == 0 {
                0
            } else {
                waiting.saturating_sub(moved).max(1)
            })
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
        Ok(())
    }
}

/// What has to be moved before a reader may look.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Of this run only.
    run_no: Option<i64>,
    /// What came until then.
    up_to: i64,
}

impl Store {
    /// Reads metrics, of one run or of any: everything that was acknowledged before is in its place.
    pub(crate) async fn read_metrics<T: Send + 'static>(
        &self,
        of: Option<RunId>,
        query: impl Fn(&Tx<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let query = Arc::new(query);
        let first = query.clone();
        let seen = self
            .read(move |tx| match due(tx, of.as_ref())? {
                Some(due) => Ok(Err(due)),
                None => first(tx).map(Ok),
            })
            .await?;
        let due = match seen {
            Ok(found) => return Ok(found),
            Err(due) => due,
        };
        loop {
            match self.write(move |tx| settle(tx, &due, POINTS)).await {
                Ok(0) => return self.read(move |tx| query(tx)).await,
                Ok(_) => {}
                Err(Error::Full) => return self.read_without_room(due, query).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves what is due, reads, and undoes the move: a full disk keeps nothing new, but what it has can be read.
    async fn read_without_room<T: Send + 'static>(
        &self,
        due: Due,
        query: Arc<impl Fn(&Tx<'_>) -> Result<T> + Send + Sync + 'static>,
    ) -> Result<T> {
        let seen = Arc::new(Mutex::new(None));
        let slot = seen.clone();
        let undone = self.write(move |tx| -> Result<()> {
            while settle(tx, &due, POINTS)? != 0 {}
            let found = query(tx);
            slot.lock().map_err(|_| Error::Closed)?.replace(found);
            Err(Error::Full)
        });
        let undone = undone.await;
        let seen = seen.lock().map_err(|_| Error::Closed)?.take();
        seen.unwrap_or_else(|| Err(undone.err().unwrap_or(Error::Closed)))
    }
}

/// Keeps points of an active run for later, if it is there: one statement, since each is a round trip to PostgreSQL.
pub(crate) fn append_to<'a>(
    tx: &Tx<'_>,
    backlog: &Backlog,
    run: &RunId,
    metrics: impl ExactSizeIterator<Item = &'a Metric>,
) -> Result<bool> {
    let count = metrics.len();
    let kept = tx.execute(
        "INSERT INTO metric_arrivals (run_no, points)
         SELECT run_no, ?2 FROM runs WHERE run_id = ?1 AND lifecycle = 'active'",
        &[run.as_str().into(), Value::Blob(points::written(metrics))],
    )?;
    if kept != 0 {
        backlog.grew(count);
    }
    Ok(kept != 0)
}

/// Keeps points for later.
pub(crate) fn append<'a>(
    tx: &Tx<'_>,
    backlog: &Backlog,
    run_no: i64,
    metrics: impl ExactSizeIterator<Item = &'a Metric>,
) -> Result<()> {
    let count = metrics.len();
    if count == 0 {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO metric_arrivals (run_no, points) VALUES (?1, ?2)",
        &[run_no.into(), Value::Blob(points::written(metrics))],
    )?;
    backlog.grew(count);
    Ok(())
}

fn due(tx: &Tx<'_>, of: Option<&RunId>) -> Result<Option<Due>> {
    let last = |row: &crate::Row<'_>| row.get::<Option<i64>>(0);
    // Most often there is none at all, which is seen without looking for the run.
    let Some(up_to) = tx
        .query_opt("SELECT MAX(arrival_no) FROM metric_arrivals", &[], last)?
        .flatten()
    else {
        return Ok(None);
    };
    let Some(of) = of else {
        return Ok(Some(Due { run_no: None, up_to }));
    };
    let Some(run) = runs::find(tx, of)? else {
        return Ok(None);
    };
    let of_run = "SELECT MAX(arrival_no) FROM metric_arrivals WHERE run_no = ?1";
    let up_to = tx.query_opt(of_run, &[run.no.into()], last)?.flatten();
    Ok(up_to.map(|up_to| Due {
        run_no: Some(run.no),
        up_to,
    }))
}

/// Moves about so many points of one run to their place; how many it were, with what a call costs.
fn settle(tx: &Tx<'_>, due: &Due, points_max: usize) -> Result<usize> {
    let oldest = "SELECT run_no FROM metric_arrivals WHERE arrival_no <= ?1 ORDER BY arrival_no LIMIT 1";
    let run_no = match due.run_no {
        Some(run_no) => run_no,
        None => match tx.query_opt(oldest, &[due.up_to.into()], |row| row.get(0))? {
            Some(run_no) => run_no,
            None => return Ok(0),
        },
    };
    let (mut calls, mut moved, mut last) = (Vec::<Vec<u8>>::new(), 0, None);
    let mut look_at = CALLS_AT_FIRST;
    loop {
        let mut seen = 0;
        tx.for_each(
            "SELECT arrival_no, points FROM metric_arrivals WHERE run_no = ?1 AND ?2 < arrival_no AND arrival_no <= ?3
             ORDER BY arrival_no LIMIT ?4",
            &[run_no.into(), last.unwrap_or(0).into(), due.up_to.into(), (look_at as i64).into()],
            |row| {
                seen += 1;
                if moved < points_max {
                    last = Some(row.get::<i64>(0)?);
                    calls.push(row.get::<Vec<u8>>(1)?);
                    moved += points::count(&calls[calls.len() - 1])?.max(CALL);
                }
                Ok(())
            },
        )?;
        if seen < look_at || points_max <= moved {
            break;
        }
        // What is read and not moved was read for nothing: as many as those before let expect.
        look_at = (points_max - moved).div_ceil(moved.div_ceil(calls.len()));
    }
    let Some(last) = last else { return Ok(0) };
    file(tx, run_no, &calls)?;
    tx.execute(
        "DELETE FROM metric_arrivals WHERE run_no = ?1 AND arrival_no <= ?2",
        &[run_no.into(), last.into()],
    )?;
    Ok(moved)
}

/// Puts points of a run where they are looked for: the history of their metric, and its latest value.
fn file(tx: &Tx<'_>, run_no: i64, calls: &[Vec<u8>]) -> Result<()> {
    let mut metrics: HashMap<&str, Vec<Point>> = HashMap::new();
    for call in calls {
        points::each(call, |key, point| metrics.entry(key).or_default().push(point))?;
    }
    // In the order of the tables, so that neighbours are written together.
    let mut metrics: Vec<(&str, Vec<Point>)> = metrics.into_iter().collect();
    metrics.sort_unstable_by_key(|(key, _)| *key);
    histories::add(tx, run_no, &mut metrics)?;
    let latest = metrics
        .iter()
        .filter_map(|(key, points)| Some((*key, *points.iter().max_by(|a, b| a.in_training(b))?)));
    histories::keep_latest(tx, run_no, latest)
}
