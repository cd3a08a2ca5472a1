//! Pipelines on real repositories with real commands; locks are compared with what DVC 3.67 wrote.
#![expect(clippy::unwrap_used, reason = "what a test needs is there, or the test fails")]

mod commands;
mod compatibility;
mod definitions;
mod execution;
mod random;
mod repo;
mod setting_params;
mod surroundings;
