//! Experiments as DVC keeps them, so that both tools see the same ones: a commit on top of its baseline, named by
//! `refs/exps/<baseline>/<name>` (`refs.rs`), made without touching branch, index or files (`save.rs`). Those that wait
//! are commits too, under `refs/lathe/queue` (`queue.rs`) and in DVC's own queue (`dvc_queue.rs`), and are executed in worktrees that link their data
//! (`isolated.rs`). What is varied is said in Hydra's grammar of overrides (`overrides.rs`), or proposed by a search
//! that hears how earlier trials did (`search.rs`).

pub mod dvc_queue;
mod isolated;
mod names;
pub mod overrides;
mod pickle;
mod queue;
mod refs;
mod save;
mod search;

pub use isolated::{Executed, Runner, is_inside, tags};
pub use names::fresh as fresh_name;
pub use queue::{
    Entry, Order, State, ask_to_stop, clean, enqueue, entries, find as find_entry, forget_stop, is_running,
    is_to_stop, kill, printed, remove as remove_entry,
};
pub use refs::{Experiment, all, check_name, delete, find, of_baselines, parse, reference, store};
pub use save::{Saving, save, snapshot};
pub use search::{Direction, Optuna, measure};
