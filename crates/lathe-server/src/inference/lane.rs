//! How requests reach a model. Cheap ones are answered where they arrive. Dear ones wait in a bounded queue for a thread
//! of their own, and what waits together is answered together: nobody waits for a batch to fill, but while a thread is
//! busy the next batch grows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lathe_serving::{Answers, Model, PredictError, Table};
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::statistics::Totals;

/// A request that is expected to take longer than this gets a thread of its own.
const INLINE_NS_MAX: u64 = 50_000;
/// Rows that are answered together at most; a larger request is answered alone.
const BATCH_ROWS_MAX: usize = 256;
/// Requests that wait at most; more are refused at once, so that nobody waits for an answer that comes too late.
const WAITING_MAX: usize = 1_024;
/// When a refused caller may try again.
const RETRY_AFTER_S: u64 = 1;

/// A model that answers, with its queue and its totals. Outlives the split that it is a target of.
pub(super) struct Served {
    pub(super) model: Arc<Model>,
    pub(super) totals: Totals,
    /// Nanoseconds a row, by recent measurement; 0 until the first.
    row_ns: AtomicU64,
    queue: Mutex<Queue>,
    threads_max: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    threads: usize,
}

struct Waiting {
    table: Arc<Table>,
    since: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Answers, Refusal>>,
}

impl Served {
    pub(super) fn new(model: Model) -> Self {
        let served = Self {
            model: Arc::new(model),
            totals: Totals::default(),
            row_ns: AtomicU64::new(0),
            queue: Mutex::default(),
            threads_max: 0,
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let served = Self {
            threads_max: served.model.processes().unwrap_or_else(cores),
            ..served
        };
        served.warm_up();
        served
    }

    /// Answers the input example once more than loading did, so that the first request finds a known cost.
    fn warm_up(&self) {
        if let Some(example) = self.model.input_example().filter(|example| 0 < example.rows()) {
            let started = Instant::now();
            // Loading has proved that the example can be answered.
            if self.model.predict(&example).is_ok() {
                self.learn(example.rows(), started.elapsed());
            }
        }
    }

    /// Answers a table of rows, before the deadline if there is one.
    pub(super) async fn predict(
        self: &Arc<Self>,
        table: &Arc<Table>,
        deadline: Option<Instant>,
    ) -> Result<Answers, Refusal> {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Refusal::TooLate);
        }
        let expected_ns = self
            .row_ns
            .load(Ordering::Relaxed)
            .saturating_mul(table.rows() as u64);
        let is_here = self.model.processes().is_none();
        if is_here && expected_ns <= INLINE_NS_MAX && table.rows() <= BATCH_ROWS_MAX {
            return self.predict_here(table);
        }
        let answer = self.enqueue(table.clone(), deadline)?;
        let answered = match deadline {
            None => answer.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .map_err(|_| Refusal::TooLate)?,
        };
        answered.unwrap_or_else(|_| Err(Refusal::Failed("the model broke off".into())))
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.queue().waiting.len() as u64
    }

    fn enqueue(
        self: &Arc<Self>,
        table: Arc<Table>,
        deadline: Option<Instant>,
    ) -> Result<oneshot::Receiver<Result<Answers, Refusal>>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let mut queue = self.queue();
        if WAITING_MAX <= queue.waiting.len() {
            return Err(Refusal::Busy {
                retry_after_s: RETRY_AFTER_S,
            });
        }
        queue.waiting.push_back(Waiting {
            table,
            since: Instant::now(),
            deadline,
            reply,
        });
        if queue.threads < self.threads_max {
            queue.threads += 1;
            let served = self.clone();
            tokio::task::spawn_blocking(move || served.work());
        }
        Ok(answer)
    }

    /// Answers what waits until nothing does.
    fn work(&self) {
        let _working = Working(self);
        loop {
            let batch = {
                let mut queue = self.queue();
                let batch = match self.model.processes() {
                    None => next_batch(&mut queue.waiting),
                    Some(_) => queue.waiting.pop_front().into_iter().collect(),
                };
                if batch.is_empty() {
                    return;
                }
                batch
            };
            let now = Instant::now();
            let mut open = Vec::with_capacity(batch.len());
            for waiting in batch {
                self.totals.waited(now - waiting.since);
                // Who left, or gave up meanwhile, needs no answer.
                if waiting.reply.is_closed() || waiting.deadline.is_some_and(|deadline| deadline <= now) {
                    continue;
                }
                open.push(waiting);
            }
            self.answer_together(open);
        }
    }

    fn answer_together(&self, batch: Vec<Waiting>) {
        if let [_, _, ..] = batch.as_slice() {
            let tables: Vec<&Table> = batch.iter().map(|waiting| &*waiting.table).collect();
            let rows: Vec<usize> = tables.iter().map(|table| table.rows()).collect();
            if let Ok(answers) = self.predict_here(&Table::concat(&tables)) {
                for (waiting, answers) in batch.into_iter().zip(answers.split(&rows)) {
                    // A caller that left needs no answer.
                    let _ = waiting.reply.send(Ok(answers));
                }
                return;
            }
        }
        // One alone; or one of several does not fit the model, and only that one is to be told so.
        for waiting in batch {
            let answers = self.predict_here(&waiting.table);
            let _ = waiting.reply.send(answers);
        }
    }

    fn predict_here(&self, table: &Table) -> Result<Answers, Refusal> {
        let started = Instant::now();
        let answers = self.model.predict(table);
        let took = started.elapsed();
        match answers {
            Ok(answers) => {
                self.learn(table.rows(), took);
                self.totals.executed(table.rows(), took);
                Ok(answers)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn learn(&self, rows: usize, took: Duration) {
        let measured = took.as_nanos() as u64 / rows.max(1) as u64;
        let before = self.row_ns.load(Ordering::Relaxed);
        let now = if before == 0 {
            measured
        } else {
            (before * 7 + measured) / 8
        };
        self.row_ns.store(now.max(1), Ordering::Relaxed);
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread at work; counted off also when the model panics.
struct Working<'a>(&'a Served);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.queue().threads -= 1;
    }
}

/// Requests from the front that make a batch together; at least one if any waits.
fn next_batch(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut batch = Vec::new();
    let mut rows = 0;
    while let Some(next) = waiting.front() {
        rows += next.table.rows();
        if !batch.is_empty() && BATCH_ROWS_MAX < rows {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

impl From<PredictError> for Refusal {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Raised(_) => Self::Raised(error.to_string()),
            PredictError::Failed(_) => Self::Failed(error.to_string()),
            PredictError::TooSlow(_) => Self::TooLate,
            PredictError::Away(_) => Self::NotReady(error.to_string()),
            error => Self::Request(error),
        }
    }
}
