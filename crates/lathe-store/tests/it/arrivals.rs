//! Metrics are in their place for whoever reads them, however they are moved there.

use lathe_store::{RunSearch, Store};
use lathe_types::metrics::NewMetric;
use lathe_types::runs::{LogBatch, NewRun, RunName};
use lathe_types::search::{Comparison, Condition, Field, Test};
use lathe_types::tags::{PageRequest, ViewType};
use lathe_types::{ExperimentId, Millis, RunId};

use crate::{location, store};

const KEYS: usize = 40;
const ALL: PageRequest = PageRequest {
    offset: 0,
    limit: 10_000,
};

pub(crate) async fn run(store: &Store, bits: u128) -> RunId {
    let new = NewRun {
        id: RunId::from_bits(bits),
        experiment_id: ExperimentId::new(0),
        name: RunName::new(format!("run {bits}")).unwrap(),
        user_id: "u".into(),
        start_time: Millis(bits as i64),
        tags: Vec::new(),
    };
    store
        .create_run(new, "artifacts:".into(), Millis(1))
        .await
        .unwrap()
        .info
        .id
}

async fn log(store: &Store, run: &RunId, step: i64) {
    let metric =
        |n| NewMetric::new(format!("m{n}"), step as f64 + n as f64 / 64.0, Millis(step), step).unwrap();
    let batch = LogBatch::new((0..KEYS).map(metric).collect(), Vec::new(), Vec::new()).unwrap();
    store.log_batch(run.clone(), batch).await.unwrap();
}

/// Steps 1 to `last` of every metric, and the last one as the latest.
async fn assert_whole(store: &Store, run: &RunId, last: i64) {
    let latest = store.get_run(run.clone()).await.unwrap().metrics;
    assert_eq!(latest.len(), KEYS);
    assert!(latest.iter().all(|metric| metric.step == last), "{latest:?}");
    for key in ["m0", "m39"] {
        let history = store
            .metric_history(run.clone(), key.into(), ALL)
            .await
            .unwrap()
            .items;
        let steps: Vec<i64> = history.iter().map(|metric| metric.step).collect();
        assert_eq!(steps, (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_read_while_others_log() {
    let (folder, store) = store();
    let clients = (1..=4).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            let run = run(&store, client).await;
            for step in 1..=60 {
                log(&store, &run, step).await;
                // Some readers come at once, others when much waits.
                if step % (client as i64 * 7) == 0 {
                    assert_whole(&store, &run, step).await;
                }
            }
            run
        })
    });
    let mut runs = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        runs.push(client.await.unwrap());
    }
    // Whatever still waits is found by the next process.
    log(&store, &runs[0], 61).await;
    drop(store);
    let again = Store::open(&location(folder.path())).unwrap();
    assert_whole(&again, &runs[0], 61).await;
    assert_whole(&again, &runs[3], 60).await;
}

#[tokio::test]
async fn a_search_sees_metrics_that_were_just_logged_and_a_repeated_point_counts_once() {
    let (_folder, store) = store();
    let (few, many) = (run(&store, 1).await, run(&store, 2).await);
    log(&store, &few, 1).await;
    log(&store, &many, 5).await;
    log(&store, &many, 5).await;
    let below = |bound| RunSearch {
        experiments: vec![ExperimentId::new(0)],
        conditions: vec![Condition {
            field: Field::Metric("m0".into()),
            test: Test::Number(Comparison::Less, bound),
        }],
        order: Vec::new(),
        view: ViewType::ActiveOnly,
        page: ALL,
    };
    let ids =
        |found: Vec<lathe_types::runs::Run>| found.into_iter().map(|run| run.info.id).collect::<Vec<_>>();
    let found = store.search_runs(below(3.0)).await.unwrap().items;
    assert_eq!(ids(found), std::slice::from_ref(&few));
    let found = store.search_runs(below(9.0)).await.unwrap().items;
    assert_eq!(ids(found), [many.clone(), few]);
    let history = store.metric_history(many, "m7".into(), ALL).await.unwrap().items;
    assert_eq!(history.len(), 1);
}
