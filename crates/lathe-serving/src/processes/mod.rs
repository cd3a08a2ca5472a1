//! Processes that answer for a model which this one does not want to answer for itself: what they do to themselves ends
//! with them. They are started, asked over a socket, ended when they take too long, and started again. What they are
//! asked is for others to say.

pub(crate) mod frame;
mod pool;
mod process;

pub(crate) use pool::Pool;
pub(crate) use process::Plan;
