//! Processes that answer for a model which this one does not want to answer for itself: what they do to themselves ends
//! with them. They are started, asked over a socket, ended when they take too long, and started again. What they are
//! asked is for others to say.

mod confinement;
pub(crate) mod frame;
mod pool;
mod process;

pub use confinement::Launcher;
pub(crate) use confinement::{Allowed, confined};
pub use frame::tell_failure;
pub(crate) use pool::Pool;
pub(crate) use process::Plan;
