//! The repository's lock while stages are executed. DVC holds it but while commands run, and so is it here: whoever looks
//! at a stage, restores it or keeps what it made is alone with the cache and the locks of the pipelines, and commands
//! can use the repository themselves.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lathe_data::{Repo, RepoLock};

use super::process::Interruption;
use crate::Result;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After how long it is told that somebody else holds the lock.
const QUIET: Duration = Duration::from_secs(3);

/// The lock, which stages that are looked at beside one another hold together.
pub struct Custody {
    repo: Repo,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    lock: Option<RepoLock>,
    /// How many need it.
    holders: usize,
    /// How many execute commands, which may need it themselves.
    commands: usize,
}

impl State {
    /// Without commands the next stage will need it at once.
    fn settle(&mut self) {
        if self.holders == 0 && 0 < self.commands {
            self.lock = None;
        }
    }
}

/// Keeps the lock taken while it lives.
pub struct Held(Arc<Mutex<State>>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.holders -= 1;
        state.settle();
    }
}

/// Commands are being executed while it lives.
pub struct Commanding(Arc<Mutex<State>>);

impl Drop for Commanding {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).commands -= 1;
    }
}

impl Custody {
    /// Nobody holds it yet.
    pub fn new(repo: &Repo) -> Self {
        Self {
            repo: repo.clone(),
            state: Arc::default(),
        }
    }

    /// Takes the lock as soon as nobody else holds it: what a stage made in hours is not given up because somebody sends
    /// data. `None` if an interruption came first. `told` hears once for whom it waits.
    pub fn hold(&self, interruption: &Interruption, told: &mut dyn FnMut(String)) -> Result<Option<Held>> {
        let started = Instant::now();
        let mut is_told = false;
        loop {
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.lock.is_none() {
                    state.lock = RepoLock::try_acquire(&self.repo)?;
                }
                if state.lock.is_some() {
                    state.holders += 1;
                    return Ok(Some(Held(self.state.clone())));
                }
            }
            if interruption.came() {
                return Ok(None);
            }
            if QUIET <= started.elapsed() && !is_told {
                is_told = true;
                told(format!("{}: waiting for it to end", RepoLock::locked(&self.repo)));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Lets commands use the repository, as soon as nobody else here needs the lock.
    pub fn let_commands(&self) -> Commanding {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commands += 1;
        state.settle();
        Commanding(self.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_find_the_lock_free_and_nobody_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::init(folder.path()).unwrap();
        let is_free = || RepoLock::try_acquire(&repo).unwrap().is_some();
        let interruption = Interruption::watch().unwrap();
        let custody = Custody::new(&repo);
        let hold = || custody.hold(&interruption, &mut |_| {}).unwrap().unwrap();

        let held = hold();
        let beside = hold();
        assert!(!is_free());
        drop(held);
        drop(beside);
        assert!(!is_free(), "the next stage needs it at once");
        let commanding = custody.let_commands();
        assert!(is_free());
        let held = hold();
        assert!(!is_free());
        drop(held);
        assert!(is_free());
        drop(commanding);
        drop(hold());
        assert!(!is_free());
        drop(custody);
        assert!(is_free());
    }
}
