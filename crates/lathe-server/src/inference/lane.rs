//! How requests reach a model. Cheap ones are answered where they arrive. Dear ones wait in a bounded queue for a thread
//! of their own, and what waits together is answered together: nobody waits for a batch to fill, but while a thread is
//! busy the next batch grows.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Shared;
use lathe_serving::{Answers, Facts, Model, PredictError, Table};
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::shelf::{Origin, Shelf};
use super::statistics::Totals;

/// A request that is expected to take longer than this gets a thread of its own.
const INLINE_NS_MAX: u64 = 50_000;
/// Rows that are answered together at most; a larger request is answered alone.
const BATCH_ROWS_MAX: usize = 256;
/// Requests that wait at most; more are refused at once, so that nobody waits for an answer that comes too late.
pub(super) const WAITING_MAX: usize = 1_024;
/// When a refused caller may try again.
const RETRY_AFTER_S: u64 = 1;

/// A model that answers, with its queue and its totals. Outlives the split that it is a target of.
pub(super) struct Served {
    facts: Arc<Facts>,
    /// None while it has made room for others.
    model: RwLock<Option<Arc<Model>>>,
    /// Where it goes on and off; none for a model that always stays.
    shelf: Option<(Arc<Shelf>, Origin)>,
    /// The number of the request that asked last.
    asked: AtomicU64,
    /// Loads it, for all who wait for that.
    loading: Mutex<Option<Loading>>,
    /// Who waits for it to be loaded.
    expecting: AtomicUsize,
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

type Loading = Shared<Pin<Box<dyn Future<Output = Result<Arc<Model>, String>> + Send>>>;

struct Waiting {
    model: Arc<Model>,
    table: Arc<Table>,
    since: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Answers, Refusal>>,
}

impl Served {
    /// A model that stays in memory.
    pub(super) fn new(model: Model) -> Self {
        Self::with(model, None)
    }

    /// A model that makes room for others, and is loaded again from its origin.
    pub(super) fn shelved(model: Model, shelf: Arc<Shelf>, origin: Origin) -> Self {
        Self::with(model, Some((shelf, origin)))
    }

    fn with(model: Model, shelf: Option<(Arc<Shelf>, Origin)>) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let asked = shelf.as_ref().map_or(0, |(shelf, _)| shelf.request());
        let model = Arc::new(model);
        let served = Self {
            facts: model.facts().clone(),
            totals: Totals::default(),
            row_ns: AtomicU64::new(0),
            queue: Mutex::default(),
            threads_max: model.processes().unwrap_or_else(cores),
            shelf,
            asked: AtomicU64::new(asked),
            loading: Mutex::default(),
            expecting: AtomicUsize::new(0),
            model: RwLock::new(Some(model.clone())),
        };
        served.warm_up(&model);
        served
    }

    /// What the model is, whether it is in memory or not.
    pub(super) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The rows that were saved with it, while it is in memory.
    pub(super) fn example(&self) -> Option<Table> {
        self.loaded()?.input_example()
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.shelf.as_ref().map(|(_, origin)| origin)
    }

    /// The number of the request that asked last.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded().is_some()
    }

    fn loaded(&self) -> Option<Arc<Model>> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the model out of memory, once whoever asks it has the answer.
    pub(super) fn take(&self) -> Option<Arc<Model>> {
        self.model.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, model: Arc<Model>) {
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = Some(model);
    }

    /// The model; if it has made room for others it is loaded first, once for all who ask meanwhile.
    async fn model(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Arc<Model>, Refusal> {
        if let Some((shelf, _)) = &self.shelf {
            self.asked.store(shelf.request(), Ordering::Relaxed);
        }
        if let Some(model) = self.loaded() {
            return Ok(model);
        }
        let _expecting = Expecting::new(&self.expecting)?;
        let loading = self.loading()?;
        let loaded = match deadline {
            None => loading.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), loading)
                .await
                .map_err(|_| Refusal::TooLate)?,
        };
        loaded.map_err(Refusal::Failed)
    }

    /// Begins to load it, or joins whoever did.
    fn loading(self: &Arc<Self>) -> Result<Loading, Refusal> {
        let Some((shelf, _)) = &self.shelf else {
            return Err(Refusal::NotReady("the model is not loaded".into()));
        };
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loading) = &*loading {
            return Ok(loading.clone());
        }
        // A task of its own: it goes on when those who wait give up.
        let (shelf, served) = (shelf.clone(), self.clone());
        let task = tokio::spawn(async move {
            let loaded = shelf.load_again(served.clone()).await;
            *served.loading.lock().unwrap_or_else(PoisonError::into_inner) = None;
            loaded
        });
        let begun: Loading = async move {
            match task.await {
                Ok(loaded) => loaded,
                Err(error) => Err(error.to_string()),
            }
        }
        .boxed()
        .shared();
        *loading = Some(begun.clone());
        Ok(begun)
    }

    /// Answers the input example once more than loading did, so that the first request finds a known cost.
    fn warm_up(&self, model: &Model) {
        if let Some(example) = model.input_example().filter(|example| 0 < example.rows()) {
            let started = Instant::now();
            // Loading has proved that the example can be answered.
            if model.predict(&example).is_ok() {
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
        let model = self.model(deadline).await?;
        let is_here = self.facts.processes().is_none();
        if is_here && expected_ns <= INLINE_NS_MAX && table.rows() <= BATCH_ROWS_MAX {
            return self.predict_here(&model, table);
        }
        let answer = self.enqueue(model, table.clone(), deadline)?;
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
        model: Arc<Model>,
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
            model,
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
                let batch = match self.facts.batches() {
                    true => next_batch(&mut queue.waiting),
                    false => queue.waiting.pop_front().into_iter().collect(),
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
        if let [first, _, ..] = batch.as_slice() {
            let model = first.model.clone();
            let tables: Vec<&Table> = batch.iter().map(|waiting| &*waiting.table).collect();
            let rows: Vec<usize> = tables.iter().map(|table| table.rows()).collect();
            if let Ok(answers) = self.predict_here(&model, &Table::concat(&tables)) {
                for (waiting, answers) in batch.into_iter().zip(answers.split(&rows)) {
                    // A caller that left needs no answer.
                    let _ = waiting.reply.send(Ok(answers));
                }
                return;
            }
        }
        // One alone; or one of several does not fit the model, and only that one is to be told so.
        for waiting in batch {
            let answers = self.predict_here(&waiting.model, &waiting.table);
            let _ = waiting.reply.send(answers);
        }
    }

    fn predict_here(&self, model: &Model, table: &Table) -> Result<Answers, Refusal> {
        let started = Instant::now();
        // A fault of ours in one model is that model's failure: the connection, and the others, go on.
        let answers = catch_unwind(AssertUnwindSafe(|| model.predict(table)));
        let took = started.elapsed();
        match answers.unwrap_or_else(|_| Err(PredictError::Failed("the model broke off".into()))) {
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

/// A request that waits for the model to be loaded.
struct Expecting<'a>(&'a AtomicUsize);

impl<'a> Expecting<'a> {
    fn new(count: &'a AtomicUsize) -> Result<Self, Refusal> {
        let expecting = Self(count);
        match count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
            true => Ok(expecting),
            false => Err(Refusal::Busy {
                retry_after_s: RETRY_AFTER_S,
            }),
        }
    }
}

impl Drop for Expecting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
