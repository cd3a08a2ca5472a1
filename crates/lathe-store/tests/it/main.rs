//! The store on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod arrivals;
mod db;
mod graphs;
mod histories;
mod steps;

use lathe_store::{Location, Store};

/// A store in a folder that goes away with the guard.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&location(folder.path())).unwrap();
    (folder, store)
}

/// A file in the folder, or a schema of the PostgreSQL server that `LATHE_TEST_POSTGRES` names.
fn location(folder: &std::path::Path) -> Location {
    let postgres = std::env::var("LATHE_TEST_POSTGRES").ok();
    Location::scratch(folder, postgres.as_deref()).unwrap()
}
