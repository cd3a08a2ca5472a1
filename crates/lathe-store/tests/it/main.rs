//! The store on a real database.

mod db;

use lathe_store::{Location, Store};

/// A store in a folder that goes away with the guard.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Sqlite(folder.path().join("lathe.db"))).unwrap();
    (folder, store)
}
