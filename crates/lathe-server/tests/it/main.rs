//! The server in process, on a real database, with a set clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod accounts;
mod app;
mod connections;
mod databases;
mod experiments;
mod graphs;
mod inference;
mod logged_models;
mod operations;
mod random;
mod registry;
mod runs;
mod search;
mod traces;
