//! The store on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod db;

use lathe_store::{Location, Store};

/// A store in a folder that goes away with the guard.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Sqlite(folder.path().join("lathe.db"))).unwrap();
    (folder, store)
}
