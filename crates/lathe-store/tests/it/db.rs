use lathe_store::{Error, Location, Store};
use lathe_types::{ErrorKind, Millis};
use serde_json::json;

use crate::{location, store};

#[tokio::test]
async fn a_failed_change_leaves_nothing_and_spoils_no_neighbour() {
    let (_folder, store) = store();
    let writes = (0..64).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |tx| {
                    lathe_store::events::append(tx, Millis(i), "test", "x", "y", &json!({}))?;
                    if i % 2 == 0 {
                        Ok(())
                    } else {
                        Err(Error::Invalid {
                            message: "odd".into(),
                        })
                    }
                })
                .await
                .is_ok()
        })
    });
    let mut kept = 0;
    for write in writes.collect::<Vec<_>>() {
        kept += usize::from(write.await.unwrap());
    }
    let events = store.list_events(0, 1_000).await.unwrap();
    assert_eq!((kept, events.len()), (32, 32));
    assert!(events.iter().all(|event| event.at.0 % 2 == 0));
}

#[tokio::test]
async fn a_panicking_change_is_undone_and_the_store_goes_on() {
    let (_folder, store) = store();
    let panicked = store
        .write(|tx| -> lathe_store::Result<()> {
            lathe_store::events::append(tx, Millis(1), "test", "x", "y", &json!({}))?;
            panic!("on purpose")
        })
        .await;
    assert!(panicked.is_err());
    store
        .write(|tx| lathe_store::events::append(tx, Millis(2), "test", "x", "y", &json!({})))
        .await
        .unwrap();
    assert_eq!(store.list_events(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_from_the_future_is_refused() {
    let (folder, store) = store();
    store
        .write(|tx| tx.batch("INSERT INTO lathe_schema (version) VALUES (9999)"))
        .await
        .unwrap();
    drop(store);
    let error = Store::open(&location(folder.path())).err().unwrap();
    assert!(matches!(error, Error::NewerSchema { found: 9999, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Internal);
}

/// SQLite's log begins anew only when all of it was copied: it must do so although somebody always writes, and readers
/// come and go, since a log that only grows ends in a commit that copies all of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_begins_anew_under_load() {
    let (folder, store) = store();
    let Location::Sqlite(file) = location(folder.path()) else {
        return;
    };
    let log = file.with_extension("db-wal");
    let text = "x".repeat(100_000);
    let writers = (0..4).map(|writer| {
        let (store, text) = (store.clone(), text.clone());
        tokio::spawn(async move {
            for _ in 0..500 {
                let text = text.clone();
                store
                    .write(move |tx| {
                        lathe_store::events::append(tx, Millis(writer), "test", "x", "y", &json!(text))
                    })
                    .await
                    .unwrap();
                store.list_events(0, 1).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut longest = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        longest = std::fs::metadata(&log).map_or(longest, |log| log.len().max(longest));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // Two hundred megabytes were written.
    assert!((1 << 20..48 << 20).contains(&longest), "{longest} bytes");
}
