//! Runs with everything they logged: a statement for each kind of thing, not for each run.

use std::collections::BTreeMap;

use lathe_types::runs::Run;
use lathe_types::tags::Tag;

use super::{Numbered, inputs};
use crate::rows::{NUMBERS_MAX, padded};
use crate::sql::Sql;
use crate::{Error, Result, Row, Tx, metrics};

/// Adds to a run everything it logged.
pub(crate) fn whole(tx: &Tx<'_>, run: Numbered) -> Result<Run> {
    all_whole(tx, vec![run])?.pop().ok_or(Error::Closed)
}

/// Adds to each run everything it logged; the order stays.
pub(super) fn all_whole(tx: &Tx<'_>, runs: Vec<Numbered>) -> Result<Vec<Run>> {
    let mut whole = Vec::with_capacity(runs.len());
    let mut runs = runs.into_iter();
    loop {
        let some: Vec<Numbered> = runs.by_ref().take(NUMBERS_MAX).collect();
        if some.is_empty() {
            return Ok(whole);
        }
        whole.extend(some_whole(tx, some)?);
    }
}

fn some_whole(tx: &Tx<'_>, runs: Vec<Numbered>) -> Result<Vec<Run>> {
    let numbers = padded(runs.iter().map(|run| run.no));
    let mut metrics = by_run(
        tx,
        "SELECT run_no, key, value, is_nan, at, step FROM latest_metrics WHERE run_no IN ",
        " ORDER BY run_no, key",
        &numbers,
        |row| metrics::metric(row, 1),
    )?;
    let mut params = by_run(
        tx,
        "SELECT run_no, key, value FROM params WHERE run_no IN ",
        " ORDER BY run_no, key",
        &numbers,
        tag,
    )?;
    let mut tags = by_run(
        tx,
        "SELECT run_no, key, value FROM tags WHERE run_no IN ",
        " ORDER BY run_no, key",
        &numbers,
        tag,
    )?;
    let mut datasets = inputs::datasets(tx, &numbers)?;
    let mut models_in = by_run(
        tx,
        "SELECT run_no, model_id FROM run_models WHERE direction = 'input' AND run_no IN ",
        " ORDER BY run_no, model_id",
        &numbers,
        |row| row.get(1),
    )?;
    let mut models_out = by_run(
        tx,
        "SELECT run_no, model_id, step FROM run_models WHERE direction = 'output' AND run_no IN ",
        " ORDER BY run_no, step, model_id",
        &numbers,
        |row| Ok((row.get(1)?, row.get(2)?)),
    )?;
    let whole = runs.into_iter().map(|Numbered { no, info }| Run {
        info,
        metrics: metrics.remove(&no).unwrap_or_default(),
        params: params.remove(&no).unwrap_or_default(),
        tags: tags.remove(&no).unwrap_or_default(),
        datasets: datasets.remove(&no).unwrap_or_default(),
        models_in: models_in.remove(&no).unwrap_or_default(),
        models_out: models_out.remove(&no).unwrap_or_default(),
    });
    Ok(whole.collect())
}

/// What the rows of each run hold; the first column is its number.
pub(super) fn by_run<T>(
    tx: &Tx<'_>,
    select: &'static str,
    order: &'static str,
    numbers: &[i64],
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<BTreeMap<i64, Vec<T>>> {
    let mut sql = Sql::new(select);
    sql.bind_list(numbers.iter().copied()).push(order);
    let mut found: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for (no, item) in sql.all(tx, |row| Ok((row.get(0)?, read(row)?)))? {
        found.entry(no).or_default().push(item);
    }
    Ok(found)
}

fn tag(row: &Row<'_>) -> Result<Tag> {
    Ok(Tag {
        key: row.get(1)?,
        value: row.get(2)?,
    })
}
