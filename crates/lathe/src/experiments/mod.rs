//! Experiments as DVC keeps them, so that both tools see the same ones: a commit on top of its baseline, named by
//! `refs/exps/<baseline>/<name>` (`refs.rs`), made without touching branch, index or files (`save.rs`). Those that wait
//! are commits too, under `refs/lathe/queue` (`queue.rs`), and are executed in worktrees that link their data
//! (`isolated.rs`). What is varied is said in Hydra's grammar of overrides (`overrides.rs`), or proposed by a search
//! that hears how earlier trials did (`search.rs`).

mod isolated;
mod names;
pub mod overrides;
mod queue;
mod refs;
mod save;
mod search;

pub use isolated::{Executed, Runner, tags};
pub use names::fresh as fresh_name;
pub use queue::{Entry, Order, State, enqueue, entries, find as find_entry, log_of, remove as remove_entry};
pub use refs::{Experiment, all, check_name, delete, find, of_baselines, parse, reference, store};
pub use save::{Saving, save, snapshot};
pub use search::{Direction, Optuna, measure};
