//! What happens without a user asking: windows close, alerts open, triggers fire, jobs run, gates judge,
//! rollouts advance or roll back. Every decision is a pure function over rows of the store; every act is a row too.
//! It never sees HTTP and never predicts: the binary hands those in.

mod alerts;

pub mod evidence;
pub mod gate;
pub mod jobs;
pub mod reconcile;
pub mod rollout;
pub mod trigger;
pub mod windows;
