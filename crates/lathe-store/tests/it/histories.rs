//! Histories hold every point once and in order, however they came.

#[path = "../../../../fuzz/checks/dice.rs"]
mod dice;

use std::collections::BTreeMap;

use dice::Dice;
use lathe_store::{Interval, Store};
use lathe_types::metrics::{Metric, NewMetric};
use lathe_types::runs::LogBatch;
use lathe_types::tags::PageRequest;
use lathe_types::{Millis, RunId};

use crate::arrivals::run;
use crate::store;

/// What orders a point in a history; floating-point numbers by their bits, as all are positive or NaN.
type Place = (i64, i64, u64, bool);

fn place(metric: &Metric) -> Place {
    let value = if metric.value.is_nan() { 0.0 } else { metric.value };
    (metric.at.0, metric.step, value.to_bits(), metric.value.is_nan())
}

async fn log(store: &Store, run: &RunId, metrics: &[Metric]) {
    for batch in metrics.chunks(1_000) {
        let new = batch
            .iter()
            .map(|metric| NewMetric::new(metric.key.clone(), metric.value, metric.at, metric.step).unwrap());
        let batch = LogBatch::new(new.collect(), Vec::new(), Vec::new()).unwrap();
        store.log_batch(run.clone(), batch).await.unwrap();
    }
}

async fn history(store: &Store, run: &RunId, key: &str, limit: usize) -> Vec<Metric> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let page = store
            .metric_history(run.clone(), key.into(), PageRequest { offset, limit })
            .await
            .unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => offset = next,
            None => return all,
        }
    }
}

fn point(key: &str, at: i64, step: i64, value: f64) -> Metric {
    Metric {
        key: key.into(),
        value,
        at: Millis(at),
        step,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_in_any_order_and_some_of_them_twice_make_the_same_history() {
    let (_folder, store) = store();
    let mut dice = Dice(0x5eed);
    let mut expected: BTreeMap<(RunId, &str), BTreeMap<Place, Metric>> = BTreeMap::new();
    let runs = [run(&store, 1).await, run(&store, 2).await];
    for round in 0..30 {
        for run in &runs {
            let mut batch = Vec::new();
            for _ in 0..1 + dice.below(400) {
                // One in order as training logs it, one at random, one that has a single time and step.
                let key = ["in order", "anywhere", "at once"][dice.below(3)];
                let (at, step) = match key {
                    "in order" => (
                        round * 1_000 + batch.len() as i64,
                        round * 1_000 + batch.len() as i64,
                    ),
                    "anywhere" => (dice.below(2_000) as i64, dice.below(50) as i64 - 25),
                    _ => (7, 7),
                };
                let value = match dice.below(20) {
                    0 => f64::NAN,
                    _ => dice.below(300) as f64 / 8.0,
                };
                let metric = point(key, at, step, value);
                expected
                    .entry((run.clone(), key))
                    .or_default()
                    .entry(place(&metric))
                    .or_insert_with(|| metric.clone());
                batch.push(metric);
            }
            log(&store, run, &batch).await;
            if dice.below(3) == 0 {
                // A reader has what waits moved at once.
                store.get_run(run.clone()).await.unwrap();
            }
        }
    }
    for ((run, key), points) in &expected {
        for limit in [100_000, 100, 7] {
            let found: Vec<Place> = history(&store, run, key, limit).await.iter().map(place).collect();
            let wanted: Vec<Place> = points.keys().copied().collect();
            assert!(
                found == wanted,
                "{key} by {limit}: {} and {} points",
                found.len(),
                wanted.len()
            );
        }
        let latest = store.get_run(run.clone()).await.unwrap().metrics;
        let latest = latest.iter().find(|metric| metric.key == *key).unwrap();
        let last = points
            .keys()
            .max_by_key(|(at, step, value, nan)| (*step, *at, *value, *nan));
        assert_eq!(Some(&place(latest)), last, "{key}");
    }
}

#[tokio::test]
async fn a_thinned_history_is_in_the_order_of_steps() {
    let (_folder, store) = store();
    let run = run(&store, 1).await;
    // The clock went backwards.
    let points: Vec<Metric> = (0..1_000)
        .map(|step| point("loss", 5_000 - step, step, step as f64))
        .collect();
    log(&store, &run, &points).await;
    let interval = |steps, points_max| Interval {
        runs: vec![run.clone()],
        key: "loss".into(),
        steps,
        points_max,
    };
    let steps = |found: Vec<lathe_types::metrics::RunMetric>| -> Vec<i64> {
        found.iter().map(|point| point.metric.step).collect()
    };
    let found = store.metric_intervals(interval(None, 5)).await.unwrap();
    assert_eq!(steps(found), [0, 200, 400, 600, 999]);
    let found = store.metric_intervals(interval(Some((10, 12)), 5)).await.unwrap();
    assert_eq!(steps(found), [10, 11, 12]);
    let found = store
        .metric_intervals(interval(Some((2_000, 3_000)), 5))
        .await
        .unwrap();
    assert!(found.is_empty());
}
