//! Pipelines on real repositories with real commands; locks are compared with what DVC 3.67 wrote.

mod commands;
mod compatibility;
mod definitions;
mod execution;
mod repo;
mod setting_params;
