//! The loop on a real database: samples in, windows, alerts, triggers, jobs and rollouts out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lathe_automation::jobs::{Handler, JobDone, JobError};
use lathe_automation::{jobs, reconcile, windows};
use lathe_monitor::{Cell, RawColumn, Reference};
use lathe_store::{Location, Store};
use lathe_types::alerts::{Alert, AlertKind, AlertState};
use lathe_types::deployments::{LatencyHistogram, Role, RolloutState, TargetStats};
use lathe_types::drift::ColumnKind;
use lathe_types::jobs::{JobState, NewJob};
use lathe_types::models::{ModelName, NewModelVersion};
use lathe_types::samples::{Label, Sample};
use lathe_types::windows::Window;
use lathe_types::{Millis, PredictionId, Span};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

const HOUR: i64 = 3_600_000;
/// Rows of a window; of a window of an hour.
const ROWS: i64 = 120;

fn now() -> Millis {
    Millis(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64)
}

struct Loop {
    store: Store,
    samples: mpsc::Sender<Sample>,
    tasks: tokio::task::JoinSet<()>,
    _folder: Option<tempfile::TempDir>,
    sent: i64,
}

/// A deployment `m` with version 1, profiled on rows with x = 0..99 and evaluated with an rmse of 5.
async fn start() -> Loop {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&location(folder.path())).unwrap();
    let name = || ModelName::new("name", "m".into()).unwrap();
    store
        .create_registered_model(name(), None, Vec::new(), now())
        .await
        .unwrap();
    for _ in 0..2 {
        let version = NewModelVersion {
            name: name(),
            source: "s3://elsewhere/model".into(),
            run_id: None,
            run_link: None,
            model_id: None,
            description: None,
            tags: Vec::new(),
        };
        store.register_model_version(version, now()).await.unwrap();
    }
    let spec = json!({
        "project": { "name": "p" },
        "deployment": { "m": {
            "model": "models:/m@champion", "min_requests": 5,
            "rollout": [{ "shadow": "300ms" }, { "canary": 50, "for": "300ms" }, { "canary": 100 }],
            "abort": "canary.error_rate > 0.1",
        } },
        "monitor": { "m": { "window": "1h", "performance": { "metric": "rmse", "max": 10.0 } } },
        "trigger": { "retrain": {
            "when": "alert.kind == 'performance'",
            "then": { "run": "dvc.yaml", "gate": "m", "deploy": "m", "set": { "until": "alert.at" } },
            "cooldown": "1h",
        } },
    });
    store
        .declare_project(
            "p",
            "/nowhere".into(),
            serde_json::from_value(spec).unwrap(),
            now(),
        )
        .await
        .unwrap();
    let column = RawColumn {
        name: "x".into(),
        kind: ColumnKind::Numeric,
        cells: (0..1_000).map(|i| Cell::Number(f64::from(i % 100))).collect(),
    };
    let reference = Reference::build(vec![column], None).unwrap();
    store
        .put_reference("m", 1, serde_json::to_value(&reference).unwrap())
        .await
        .unwrap();
    store
        .put_version_facts("m", 1, json!({ "metrics": { "rmse": 5.0 } }))
        .await
        .unwrap();
    store.set_stable("m", 1, now()).await.unwrap();
    let (samples, tasks) = watch(&store);
    Loop {
        store,
        samples,
        tasks,
        _folder: Some(folder),
        sent: 0,
    }
}

fn watch(store: &Store) -> (mpsc::Sender<Sample>, tokio::task::JoinSet<()>) {
    let (samples, receiver) = mpsc::channel(10_000);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(windows::watch(store.clone(), receiver, now));
    tasks.spawn(reconcile::run(store.clone(), now));
    (samples, tasks)
}

impl Loop {
    /// The hour `hour`, with x moved by `shift`; and its labels, which miss the predictions by `error`.
    async fn hour(&mut self, hour: i64, shift: f64, error: Option<f64>) {
        let mut labels = Vec::new();
        for row in 0..ROWS {
            self.sent += 1;
            let prediction_id = PredictionId::from_bits(self.sent as u128);
            let x = (row * 37 % 100) as f64 + shift;
            let sample = Sample {
                members: Vec::new(),
                prediction_id: prediction_id.clone(),
                deployment: "m".into(),
                model: "m".into(),
                version: 1,
                role: Role::Stable,
                at: Millis(hour * HOUR + row * HOUR / ROWS),
                latency_us: 100,
                features: Map::from_iter([("x".to_owned(), json!(x))]),
                prediction: json!(50.0),
            };
            self.samples.send(sample).await.unwrap();
            if let Some(error) = error {
                labels.push(Label {
                    prediction_id,
                    value: json!(50.0 + error),
                    at: None,
                });
            }
        }
        self.store.insert_labels(labels, now()).await.unwrap();
    }

    /// What `look` finds, once it finds something.
    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Store) -> Option<T>) -> T {
        for _ in 0..400 {
            if let Some(found) = look(&self.store).await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what} never came");
    }

    async fn closed(&self, count: usize) -> Vec<Window> {
        self.until("a closed window", async |store| {
            let mut windows = store.list_windows("m", 100).await.unwrap();
            windows.retain(|window| window.closed);
            windows.reverse();
            (count <= windows.len()).then_some(windows)
        })
        .await
    }

    async fn alert(&self, kind: AlertKind) -> Alert {
        self.until("the alert", async |store| {
            let alerts = store.list_alerts(None, 10).await.unwrap();
            alerts.into_iter().find(|alert| alert.kind == kind)
        })
        .await
    }
}

#[tokio::test]
async fn windows_close_by_event_time_and_hold_every_row() {
    let mut on = start().await;
    for hour in 0..3 {
        on.hour(hour, 0.0, None).await;
    }
    let windows = on.closed(2).await;
    assert_eq!(windows.len(), 2, "the third hour may still go on");
    for (hour, window) in windows.iter().enumerate() {
        assert_eq!(
            (window.start, window.rows),
            (Millis(hour as i64 * HOUR), ROWS as u64)
        );
        assert_eq!(json!(window.drift.as_ref().unwrap().outcome), "ok");
    }
}

#[tokio::test]
async fn a_stopped_watcher_goes_on_where_it_was() {
    let mut on = start().await;
    on.hour(0, 0.0, None).await;
    on.until("the open window", async |store| {
        let windows = store.list_windows("m", 10).await.unwrap();
        windows.into_iter().find(|window| window.rows == ROWS as u64)
    })
    .await;
    on.tasks.shutdown().await;
    (on.samples, on.tasks) = watch(&on.store);
    on.hour(1, 0.0, None).await;
    on.hour(2, 0.0, None).await;
    let windows = on.closed(2).await;
    assert_eq!((windows[0].rows, windows[1].rows), (ROWS as u64, ROWS as u64));
}

#[tokio::test]
async fn drift_opens_an_alert_after_two_windows_and_resolves_by_itself() {
    let mut on = start().await;
    on.hour(0, 0.0, None).await;
    on.hour(1, 40.0, None).await;
    on.hour(2, 40.0, None).await;
    on.closed(2).await;
    assert!(
        on.store.list_alerts(None, 10).await.unwrap().is_empty(),
        "one window is not enough"
    );
    on.hour(3, 0.0, None).await;
    let alert = on.alert(AlertKind::Drift).await;
    assert_eq!(
        (alert.at, alert.diagnosis.since),
        (Millis(3 * HOUR), Millis(HOUR))
    );
    assert_eq!(alert.diagnosis.columns[0].column, "x");
    on.hour(4, 0.0, None).await;
    on.until("the end of the alert", async |store| {
        let alerts = store.list_alerts(None, 10).await.unwrap();
        (alerts[0].state == AlertState::Resolved).then_some(())
    })
    .await;
    assert!(
        on.store.list_jobs(10).await.unwrap().is_empty(),
        "the trigger is about errors only"
    );
}

#[tokio::test]
async fn late_labels_open_an_alert_that_fires_its_trigger_once() {
    let mut on = start().await;
    for hour in 0..4 {
        on.hour(hour, 0.0, None).await;
    }
    on.closed(3).await;
    let late: Vec<Label> = (1..=3 * ROWS)
        .map(|id| Label {
            prediction_id: PredictionId::from_bits(id as u128),
            value: json!(50.0 + 20.0),
            at: None,
        })
        .collect();
    on.store.insert_labels(late, now()).await.unwrap();
    let alert = on.alert(AlertKind::Performance).await;
    assert_eq!(
        (alert.diagnosis.error_before, alert.diagnosis.error_now),
        (Some(5.0), Some(20.0))
    );
    let job = on
        .until("the job", async |store| {
            store.list_jobs(10).await.unwrap().into_iter().next()
        })
        .await;
    assert_eq!(
        (job.kind.as_str(), job.cause),
        ("retrain", format!("alert/{}", alert.id))
    );
    assert_eq!(job.payload["set"]["until"], json!(alert.at.to_string()));
    on.hour(5, 0.0, Some(30.0)).await;
    on.hour(6, 0.0, Some(30.0)).await;
    on.closed(5).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(on.store.list_jobs(10).await.unwrap().len(), 1);
}

fn stats(rollout: i64, step: usize, version: u32, role: Role, requests: u64, errors: u64) -> TargetStats {
    let mut latency = LatencyHistogram::default();
    (0..requests).for_each(|_| latency.record(500));
    TargetStats {
        deployment: "m".into(),
        rollout,
        step,
        version,
        role,
        requests,
        errors,
        latency,
    }
}

#[tokio::test]
async fn a_good_version_goes_through_every_step_and_moves_the_alias() {
    let on = start().await;
    let rollout = on.store.start_rollout("m", 2, None, now()).await.unwrap();
    let ended = on
        .until("the end of the rollout", async |store| {
            let running = store.get_deployment("m").await.unwrap().rollout;
            if let Some(running) = running {
                let role = if running.step == 0 {
                    Role::Shadow
                } else {
                    Role::Canary
                };
                let counts = [
                    stats(rollout.id, running.step, 2, role, 1, 0),
                    stats(rollout.id, running.step, 1, Role::Stable, 1, 0),
                ];
                store.add_target_stats(counts.to_vec()).await.unwrap();
                return None;
            }
            store.list_rollouts("m", 1).await.unwrap().into_iter().next()
        })
        .await;
    assert_eq!(ended.state, RolloutState::Promoted);
    assert_eq!(on.store.find_model_alias("m", "champion").await.unwrap(), Some(2));
    assert_eq!(on.store.get_deployment("m").await.unwrap().previous, Some(1));
}

#[tokio::test]
async fn a_failing_version_is_rolled_back_and_the_alias_stays() {
    let on = start().await;
    let rollout = on.store.start_rollout("m", 2, None, now()).await.unwrap();
    let counts = [
        stats(rollout.id, 0, 2, Role::Shadow, 10, 5),
        stats(rollout.id, 0, 1, Role::Stable, 10, 0),
    ];
    on.store.add_target_stats(counts.to_vec()).await.unwrap();
    let ended = on
        .until("the end of the rollout", async |store| {
            let newest = store.list_rollouts("m", 1).await.unwrap().into_iter().next();
            newest.filter(|rollout| rollout.state != RolloutState::Running)
        })
        .await;
    assert_eq!(ended.state, RolloutState::RolledBack);
    assert!(ended.reason.unwrap().contains("canary.error_rate = 0.500"));
    assert_eq!(on.store.get_deployment("m").await.unwrap().stable, Some(1));
}

#[tokio::test]
async fn a_job_is_retried_and_its_follow_up_is_queued_once() {
    let on = start().await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = attempts.clone();
    let flaky: Handler = Arc::new(move |_| {
        let attempt = counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if attempt == 0 {
                return Err(JobError {
                    message: "not yet".into(),
                    retry: true,
                });
            }
            let next = NewJob {
                kind: "other".into(),
                key: "other/1".into(),
                payload: Value::Null,
                cause: "job/1".into(),
                attempts_max: 1,
            };
            Ok(JobDone {
                result: json!("done"),
                follow_ups: vec![next],
            })
        })
    });
    let new = NewJob {
        kind: "flaky".into(),
        key: "flaky/1".into(),
        payload: Value::Null,
        cause: "user".into(),
        attempts_max: 3,
    };
    let first = on.store.enqueue_job(new.clone(), now()).await.unwrap();
    let again = on.store.enqueue_job(new, now()).await.unwrap();
    assert!(again.already && again.job.id == first.job.id);
    let worker = tokio::spawn(jobs::work(
        on.store.clone(),
        BTreeMap::from([("flaky", flaky)]),
        now,
    ));
    let job = on
        .until("the end of the job", async |store| {
            let job = store.get_job(first.job.id).await.unwrap();
            (job.state == JobState::Done).then_some(job)
        })
        .await;
    worker.abort();
    assert_eq!((job.attempts, job.result), (2, Some(json!("done"))));
    let queued = on.store.list_jobs(10).await.unwrap();
    assert_eq!(queued.iter().filter(|job| job.kind == "other").count(), 1);
    assert!(
        on.store
            .claim_job(&["other"], "w", Span(1_000), now())
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        on.store
            .claim_job(&["other"], "v", Span(1_000), now())
            .await
            .unwrap()
            .is_none(),
        "it is leased"
    );
}

/// A file in the folder, or a schema of the PostgreSQL server that `LATHE_TEST_POSTGRES` names.
fn location(folder: &std::path::Path) -> Location {
    let postgres = std::env::var("LATHE_TEST_POSTGRES").ok();
    Location::scratch(folder, postgres.as_deref()).unwrap()
}
