//! The worker: claims jobs, keeps their leases, runs their handlers, records what came of them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lathe_store::Store;
use lathe_types::jobs::{Job, NewJob};
use lathe_types::{Millis, Span};
use serde_json::Value;

/// A job done.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDone {
    /// What came of it.
    pub result: Value,
    /// Jobs that follow.
    pub follow_ups: Vec<NewJob>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// Why, in words for people.
    pub message: String,
    /// Whether another attempt may help.
    pub retry: bool,
}

/// What does the work of one kind of job. Handlers may be run twice for one job.
pub type Handler =
    Arc<dyn Fn(Job) -> Pin<Box<dyn Future<Output = Result<JobDone, JobError>> + Send>> + Send + Sync>;

/// A claim holds this long unless it is extended; a worker that died is replaced after it.
const LEASE: Span = Span(30_000);
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// Due retries are looked for this often, new jobs at once.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Jobs that run at once, of any kind.
const AT_ONCE: usize = 2;

/// Works on jobs until it is dropped.
pub async fn work(store: Store, handlers: BTreeMap<&'static str, Handler>, now: fn() -> Millis) {
    // The process and its start: a restarted server is another worker.
    let worker = format!("{}-{}", std::process::id(), now().0);
    let kinds: Vec<&str> = handlers.keys().copied().collect();
    let mut running = tokio::task::JoinSet::new();
    let mut commits = store.commits();
    loop {
        while running.try_join_next().is_some() {}
        if running.len() < AT_ONCE {
            match store.claim_job(&kinds, &worker, LEASE, now()).await {
                Ok(Some(job)) => {
                    if let Some(handler) = handlers.get(job.kind.as_str()) {
                        running.spawn(run(store.clone(), handler.clone(), job, worker.clone(), now));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "jobs cannot be claimed"),
            }
        }
        // A process that only records has no other sign of a new job than its own commits.
        let changed = async {
            if commits.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            // Under load something is committed all the time: once in a while is often enough.
            () = changed => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn run(store: Store, handler: Handler, job: Job, worker: String, now: fn() -> Millis) {
    let (id, attempt, attempts_max) = (job.id, job.attempts, job.attempts_max);
    tracing::info!(job = id, kind = job.kind, attempt, "a job starts");
    let mut work = handler(job);
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            () = tokio::time::sleep(EXTEND_EVERY) => match store.extend_lease(id, &worker, LEASE, now()).await {
                Ok(true) => {}
                // Somebody else took it over: what this attempt does no longer counts.
                Ok(false) => return,
                Err(error) => tracing::warn!(job = id, %error, "the lease cannot be extended"),
            },
        }
    };
    let recorded = match outcome {
        Ok(done) => store.finish_job(id, done.result, done.follow_ups, now()).await,
        Err(error) => {
            tracing::warn!(job = id, error = error.message, "a job failed");
            let again = error.retry && attempt < attempts_max;
            let retry_at = again.then(|| now().plus(backoff(attempt)));
            store.fail_job(id, error.message, retry_at, now()).await
        }
    };
    if let Err(error) = recorded {
        tracing::error!(job = id, %error, "what came of a job cannot be recorded");
    }
}

/// 2, 4, 8… seconds, five minutes at most.
fn backoff(attempt: u32) -> Span {
    Span(1_000 << attempt.min(9)).min(Span(300_000))
}
