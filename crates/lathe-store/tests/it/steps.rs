//! Claims on steps, in a time of the tests' own.

use lathe_store::Store;
use lathe_store::steps::{StepEnd, WANTED};
use lathe_types::executions::StageUsage;
use lathe_types::jobs::{JobState, NewJob};
use lathe_types::steps::{Step, StepOutput, StepPlace, StepResult};
use lathe_types::{Millis, Span};

const LEASE: Span = Span(1_000);
const NOW: Millis = Millis(1_000_000);

fn step(project: &str) -> Step {
    Step {
        project: project.into(),
        run_id: "r".into(),
        stage: "train".into(),
        wdir: String::new(),
        commands: vec!["true".into()],
        env: Vec::new(),
        timeout: None,
        inputs: Vec::new(),
        outs: Vec::new(),
        environment: None,
    }
}

fn done() -> StepEnd {
    StepEnd::Done(Box::new(StepResult {
        usage: StageUsage::default(),
        outs: Vec::new(),
        failure: None,
    }))
}

fn at(ms: i64) -> Millis {
    NOW.plus(Span(ms))
}

async fn claim(store: &Store, worker: &str, now: Millis) -> Option<i64> {
    let claimed = store.claim_step(None, worker.into(), LEASE, now).await.unwrap();
    claimed.map(|job| job.id)
}

fn piece(attempt: u32, at: u64, text: &str) -> Option<StepOutput> {
    Some(StepOutput {
        place: StepPlace { attempt, at },
        text: text.into(),
    })
}

#[tokio::test]
async fn a_lease_that_ran_out_is_anothers_and_the_first_has_no_say() {
    let (_folder, store) = super::store();
    let id = store.queue_step("a".into(), step("p"), NOW).await.unwrap().id;
    assert_eq!(claim(&store, "one", NOW).await, Some(id));
    assert_eq!(claim(&store, "two", at(900)).await, None);
    assert!(
        store
            .keep_step(id, "one".into(), LEASE, None, at(900))
            .await
            .unwrap()
    );
    assert_eq!(claim(&store, "two", at(1_500)).await, None);
    assert_eq!(claim(&store, "two", at(2_000)).await, Some(id));
    assert!(
        !store
            .keep_step(id, "one".into(), LEASE, piece(1, 0, "x\n"), at(2_001))
            .await
            .unwrap()
    );
    assert!(!store.end_step(id, "one".into(), done(), at(2_001)).await.unwrap());
    assert!(store.end_step(id, "two".into(), done(), at(2_002)).await.unwrap());
    let followed = store
        .follow_step(id, StepPlace::default(), at(2_003))
        .await
        .unwrap();
    assert_eq!(
        (followed.job.state, followed.output),
        (JobState::Done, Vec::new())
    );
}

#[tokio::test]
async fn what_is_told_twice_is_kept_once_and_in_order() {
    let (_folder, store) = super::store();
    let id = store.queue_step("a".into(), step("p"), NOW).await.unwrap().id;
    claim(&store, "one", NOW).await;
    for output in [
        piece(1, 2, "b\n"),
        piece(1, 0, "a\n"),
        piece(1, 0, "a\n"),
        piece(7, 0, "no\n"),
    ] {
        assert!(
            store
                .keep_step(id, "one".into(), LEASE, output, NOW)
                .await
                .unwrap()
        );
    }
    let all = store
        .follow_step(id, StepPlace::default(), NOW)
        .await
        .unwrap()
        .output;
    assert_eq!(all, [piece(1, 0, "a\n").unwrap(), piece(1, 2, "b\n").unwrap()]);
    let rest = StepPlace { attempt: 1, at: 2 };
    assert_eq!(store.follow_step(id, rest, NOW).await.unwrap().output.len(), 1);
}

#[tokio::test]
async fn a_step_that_nobody_asks_after_is_not_executed() {
    let (_folder, store) = super::store();
    let id = store.queue_step("a".into(), step("p"), NOW).await.unwrap().id;
    let late = NOW.plus(WANTED);
    assert_eq!(claim(&store, "one", late).await, None);
    store
        .follow_step(id, StepPlace::default(), at(60_000))
        .await
        .unwrap();
    assert_eq!(claim(&store, "one", late).await, Some(id));
    // The one who asked is gone while it is executed.
    assert!(
        !store
            .keep_step(id, "one".into(), LEASE, None, late.plus(WANTED))
            .await
            .unwrap()
    );
    assert_eq!(store.get_job(id).await.unwrap().state, JobState::Failed);
}

#[tokio::test]
async fn a_step_fails_for_good_when_its_attempts_are_used_up_but_not_by_being_given_back() {
    let (_folder, store) = super::store();
    let id = store.queue_step("a".into(), step("p"), NOW).await.unwrap().id;
    for _ in 0..9 {
        assert_eq!(claim(&store, "one", NOW).await, Some(id));
        assert!(
            store
                .end_step(id, "one".into(), StepEnd::Released, NOW)
                .await
                .unwrap()
        );
    }
    let mut now = NOW;
    for attempt in 1..=5 {
        now = now.plus(Span(2_000));
        assert_eq!(claim(&store, "one", now).await, Some(id), "{attempt}");
        assert!(
            store
                .end_step(id, "one".into(), StepEnd::Failed("no room".into()), now)
                .await
                .unwrap()
        );
        assert_eq!(claim(&store, "one", now).await, None, "at once");
    }
    let job = store.get_job(id).await.unwrap();
    assert_eq!(
        (job.state, job.error.as_deref()),
        (JobState::Failed, Some("no room"))
    );

    // The same if every worker went without a word; whoever asks hears of it.
    let id = store.queue_step("b".into(), step("p"), now).await.unwrap().id;
    for _ in 0..5 {
        assert_eq!(claim(&store, "one", now).await, Some(id));
        now = now.plus(Span(2_000));
    }
    let job = store
        .follow_step(id, StepPlace::default(), now)
        .await
        .unwrap()
        .job;
    assert_eq!(job.error.as_deref(), Some("the worker disappeared"));
}

#[tokio::test]
async fn a_worker_of_one_project_is_given_no_others_and_steps_keep_no_other_job_waiting() {
    let (_folder, store) = super::store();
    for key in 0..150 {
        store.queue_step(format!("{key}"), step("p"), NOW).await.unwrap();
    }
    let mine = store
        .claim_step(Some("q".into()), "one".into(), LEASE, NOW)
        .await
        .unwrap();
    assert!(mine.is_none());
    let new = NewJob {
        kind: "retrain".into(),
        key: "k".into(),
        payload: serde_json::json!({}),
        cause: "user".into(),
        attempts_max: 1,
    };
    store.enqueue_job(new, NOW).await.unwrap();
    let claimed = store
        .claim_job(&["gate", "retrain"], "server", LEASE, NOW)
        .await
        .unwrap();
    assert_eq!(claimed.unwrap().kind, "retrain");
}
