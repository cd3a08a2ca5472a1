//! The server in process, on a real database, with a set clock.

mod app;
mod experiments;
mod logged_models;
mod registry;
mod runs;
mod search;
