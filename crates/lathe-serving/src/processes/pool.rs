//! The processes of one model: started, handed to one request at a time, and started again when they end, with pauses
//! that grow while they end without having answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::Header;
use super::process::{Broken, Plan, Process};
use crate::PredictError;

/// The first pause before a process is started again; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a request waits for a process that is free, which may have to be started first.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How soon it is seen that a process ended while nobody asked it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Process>,
    /// Processes at work or idle, by number.
    alive: Vec<bool>,
    /// Ends and failed starts since the last answer.
    failures: u32,
    /// What the first process said of the model.
    ready: Option<Header>,
    /// Why the last process that was started did not become ready.
    trouble: Option<String>,
    stopped: bool,
}

impl Pool {
    /// Starts the processes; returns when the first is ready, with what it says of the model, or tells why none will be.
    pub(crate) fn start(plan: Plan) -> Result<(Self, Header), String> {
        let processes = plan.processes;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                alive: vec![false; processes],
                ..State::default()
            }),
            plan,
            changed: Condvar::new(),
        });
        let pool = Self { shared };
        for number in 0..processes {
            let shared = pool.shared.clone();
            std::thread::Builder::new()
                .name("processes".into())
                .spawn(move || shared.keep(number))
                .map_err(|error| format!("no thread can be started: {error}"))?;
        }
        let mut state = pool.shared.state();
        let ready = loop {
            if let Some(ready) = state.ready.take() {
                break ready;
            }
            if let Some(trouble) = state.trouble.take() {
                return Err(trouble);
            }
            state = pool.shared.wait(state, LOOK_EVERY);
        };
        drop(state);
        Ok((pool, ready))
    }

    /// What one process takes now, where the system tells.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.shared.state().idle.first()?.memory_bytes()
    }

    /// Lets the next free process answer.
    pub(crate) fn ask(&self, request: &[u8]) -> Result<(Header, Vec<u8>), PredictError> {
        let mut process = self.shared.take(Instant::now() + WAIT_MAX)?;
        let until = Instant::now() + self.shared.plan.timeout;
        let told = process.ask(request, until);
        let number = process.number;
        match told {
            Ok((header, body)) if header.failed.is_none() => {
                let mut state = self.shared.state();
                state.failures = 0;
                state.idle.push(process);
                self.shared.changed.notify_all();
                Ok((header, body))
            }
            other => {
                drop(process);
                self.shared.lost(number);
                match other {
                    Ok(told) => Ok(told),
                    Err(Broken::TooLate) => Err(PredictError::TooSlow(self.shared.plan.timeout)),
                    Err(Broken::Ended(how)) => Err(PredictError::Failed(format!(
                        "the model did not answer: {how}; it is started again"
                    ))),
                }
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stopped = true;
        state.idle.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Keeps one process alive. It belongs to this thread: the system ends it should the thread end.
    fn keep(&self, number: usize) {
        loop {
            let started = Process::start(&self.plan, number);
            let mut state = self.state();
            if state.stopped {
                return;
            }
            match started {
                Ok((process, ready)) => {
                    state.trouble = None;
                    state.ready = Some(ready);
                    state.alive[number] = true;
                    state.idle.push(process);
                    self.changed.notify_all();
                    while state.alive[number] && !state.stopped {
                        state = self.wait(state, LOOK_EVERY);
                        let ended = |process: &mut Process| process.number == number && !process.is_alive();
                        if let Some(at) = state.idle.iter_mut().position(ended) {
                            state.idle.remove(at);
                            state.alive[number] = false;
                            state.failures += 1;
                        }
                    }
                }
                Err(trouble) => {
                    state.failures += 1;
                    state.trouble = Some(trouble);
                    self.changed.notify_all();
                }
            }
            let pause = PAUSE_MIN
                .saturating_mul(1 << state.failures.saturating_sub(1).min(16))
                .min(PAUSE_MAX);
            let until = Instant::now() + pause;
            while !state.stopped && Instant::now() < until {
                state = self.wait(state, until.saturating_duration_since(Instant::now()));
            }
            if state.stopped {
                return;
            }
        }
    }

    /// A free process. While all are at work or being started it is waited for; if none can be started, not.
    fn take(&self, until: Instant) -> Result<Process, PredictError> {
        let mut state = self.state();
        loop {
            while let Some(mut process) = state.idle.pop() {
                if process.is_alive() {
                    return Ok(process);
                }
                state.alive[process.number] = false;
                state.failures += 1;
                self.changed.notify_all();
            }
            if let Some(trouble) = state.trouble.as_ref().filter(|_| !state.alive.contains(&true)) {
                return Err(PredictError::Away(format!(
                    "the model's {} cannot be started: {trouble}",
                    self.plan.name
                )));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(PredictError::Away(format!(
                    "no {} of the model is free",
                    self.plan.name
                )));
            }
            state = self.wait(state, left);
        }
    }

    fn lost(&self, number: usize) {
        let mut state = self.state();
        state.alive[number] = false;
        state.failures += 1;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
