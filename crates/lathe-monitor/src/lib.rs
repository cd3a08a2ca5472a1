//! Drift as arithmetic: profiles, windows, distances, tests, verdicts, diagnoses. Pure: nothing here reads a
//! clock, a file or a database, so the same inputs always give the same verdict.

mod bins;
mod compare;
mod diagnose;
mod distance;
mod judge;
mod performance;
mod profile;
mod reference;

pub use compare::{Against, compare};
pub use diagnose::diagnose;
pub use judge::{Judgement, Standing, judge};
pub use performance::{METRICS, performance};
pub use profile::{Cell, Profile};
pub use reference::{BuildError, RawColumn, Reference};
