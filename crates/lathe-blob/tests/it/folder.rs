use std::os::unix::fs::symlink;

use lathe_blob::{Artifacts, Entry, Error};
use lathe_types::Millis;

use crate::{all, breaking_off, noise, path};

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[tokio::test]
async fn a_file_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::local(folder.path().join("a"));
    artifacts
        .put(&path("0/m/x.txt"), &b"hello"[..], None)
        .await
        .unwrap();
    for (bytes, size) in [(noise(10), None), (noise(600_000), None)] {
        let broken = artifacts.put(&path("0/m/y.txt"), breaking_off(bytes), size).await;
        assert!(matches!(broken, Err(Error::Upload { .. })), "{broken:?}");
    }
    let short = artifacts.put(&path("0/m/x.txt"), &b"hell"[..], Some(5)).await;
    assert!(matches!(short, Err(Error::Upload { .. })), "{short:?}");
    let entries = artifacts.list(&path("0/m")).await.unwrap();
    assert_eq!(
        entries,
        [Entry {
            name: "x.txt".into(),
            size: Some(5)
        }]
    );
    let uploads = std::fs::read_dir(folder.path().join("a/.uploads")).unwrap();
    assert_eq!(uploads.count(), 0);
    assert_eq!(names(&artifacts.list(&path("")).await.unwrap()), ["0"]);
    let first = artifacts.head(&path("0/m/x.txt")).await.unwrap();
    artifacts
        .put(&path("0/m/x.txt"), &b"HELLO"[..], Some(5))
        .await
        .unwrap();
    let opened = artifacts.get(&path("0/m/x.txt"), Some(1..4)).await.unwrap();
    assert_ne!(opened.meta.etag, first.etag);
    assert_eq!(all(opened).await, b"ELL");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::local(folder.path().join("not/yet"));
    assert!(matches!(
        artifacts.get(&path("x"), None).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        artifacts.delete(&path("x")).await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(artifacts.list(&path("")).await.unwrap(), []);
    artifacts.put(&path("x"), &b""[..], None).await.unwrap();
    for under_a_file in ["x/y", "x/y/z"] {
        let put = artifacts.put(&path(under_a_file), &b""[..], None).await;
        assert!(matches!(put, Err(Error::WrongShape { .. })), "{put:?}");
    }
    assert!(matches!(
        artifacts.get(&path("x/y"), None).await,
        Err(Error::NotFound { .. })
    ));
    artifacts.put(&path("d/e"), &b""[..], None).await.unwrap();
    let onto_a_folder = artifacts.put(&path("d"), &b""[..], None).await;
    assert!(
        matches!(onto_a_folder, Err(Error::WrongShape { .. })),
        "{onto_a_folder:?}"
    );
    assert!(matches!(
        artifacts.get(&path("d"), None).await,
        Err(Error::WrongShape { .. })
    ));
    artifacts.delete(&path("x")).await.unwrap();
    artifacts.delete(&path("d")).await.unwrap();
    assert_eq!(artifacts.list(&path("")).await.unwrap(), []);
    assert!(artifacts.delete(&path("")).await.is_err());
}

#[tokio::test]
async fn no_link_leads_out_and_no_half_upload_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let root = folder.path().join("root");
    let artifacts = Artifacts::local(&root);
    artifacts.put(&path("0/a"), &b"a"[..], None).await.unwrap();
    symlink(&outside, root.join("0/folder")).unwrap();
    symlink(outside.join("secret"), root.join("0/file")).unwrap();
    symlink("/nowhere", root.join("0/dangling")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("0/pipe"), rustix::fs::Mode::RUSR).unwrap();
    for link in ["0/file", "0/folder/secret", "0/dangling", "0/pipe"] {
        let read = artifacts.get(&path(link), None).await;
        assert!(matches!(read, Err(Error::NotFound { .. })), "{link}: {read:?}");
    }
    for link in ["0/folder/new", "0/folder/deep/new"] {
        let put = artifacts.put(&path(link), &b"x"[..], None).await;
        assert!(matches!(put, Err(Error::WrongShape { .. })), "{link}: {put:?}");
        assert!(artifacts.delete(&path(link)).await.is_err());
    }
    assert!(artifacts.delete(&path("0/folder/secret")).await.is_err());
    assert_eq!(names(&artifacts.list(&path("0")).await.unwrap()), ["a"]);
    assert_eq!(artifacts.list(&path("0/folder")).await.unwrap(), []);
    // A file that takes the name of a link replaces the link.
    artifacts.put(&path("0/file"), &b"mine"[..], None).await.unwrap();
    std::fs::write(root.join(".uploads/put-half"), "half").unwrap();
    for hidden in [".uploads/put-half", ".uploads"] {
        assert!(artifacts.get(&path(hidden), None).await.is_err());
        assert!(artifacts.put(&path(hidden), &b""[..], None).await.is_err());
        assert!(artifacts.delete(&path(hidden)).await.is_err());
        assert_eq!(artifacts.list(&path(hidden)).await.unwrap(), []);
    }
    artifacts
        .put(&path(".uploads-of-mine"), &b""[..], None)
        .await
        .unwrap();
    // What is deleted with a link in it leaves what the link names alone.
    artifacts.delete(&path("0")).await.unwrap();
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn a_sweep_takes_what_is_left_and_nothing_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::local(folder.path());
    let long_ago = filetime_of(
        &folder.path().join(".uploads"),
        &["put-left", "parts-aa/1", "gone-x/it/deep"],
    );
    artifacts.put(&path("kept"), &b"kept"[..], None).await.unwrap();
    artifacts
        .begin_upload(&path("later"), 2, "b".repeat(32), Default::default())
        .await
        .unwrap();
    let held = std::fs::File::create(folder.path().join(".uploads/put-held")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let soon = artifacts.sweep(long_ago, Millis(0)).await.unwrap();
    assert_eq!(soon.leftovers, 1, "only the folder that was being deleted");
    let swept = artifacts.sweep(long_ago.plus_hours(2), Millis(0)).await.unwrap();
    assert_eq!(swept.leftovers, 1, "and the file that nobody holds");
    let swept = artifacts.sweep(long_ago, long_ago.plus_hours(1)).await.unwrap();
    assert_eq!(swept.leftovers, 2);
    let mut left: Vec<_> = std::fs::read_dir(folder.path().join(".uploads"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["put-held"]);
    assert_eq!(names(&artifacts.list(&path("")).await.unwrap()), ["kept"]);
}

/// Makes files; returns a time just after.
fn filetime_of(root: &std::path::Path, files: &[&str]) -> Millis {
    for file in files {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Millis(now.as_millis() as i64)
}

trait Later {
    fn plus_hours(self, hours: i64) -> Self;
}

impl Later for Millis {
    fn plus_hours(self, hours: i64) -> Self {
        Self(self.0 + hours * 3_600_000)
    }
}

#[tokio::test]
async fn parts_are_taken_in_any_order_and_joined_at_one_stroke() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::local(folder.path());
    let id = "0123456789abcdef0123456789abcdef";
    let target = path("0/big.bin");
    let begin = artifacts.begin_upload(&target, 3, id.into(), Default::default());
    assert_eq!(begin.await.unwrap().parts, None);
    let bytes = noise(700_000);
    let (a, rest) = bytes.split_at(300_000);
    let (b, c) = rest.split_at(300_000);
    let broken = artifacts.put_part(id, 2, breaking_off(b[..1_000].to_vec())).await;
    assert!(matches!(broken, Err(Error::Upload { .. })), "{broken:?}");
    let mut parts = Vec::new();
    for (number, part) in [(3, c), (1, a)] {
        parts.push((number, artifacts.put_part(id, number, part).await.unwrap()));
    }
    let early = artifacts.complete_upload(&target, id, parts.clone()).await;
    assert!(matches!(early, Err(Error::Parts { .. })), "{early:?}");
    let listed = artifacts.list_parts(id).await.unwrap();
    assert_eq!(
        listed.iter().map(|part| (part.0, part.1)).collect::<Vec<_>>(),
        [(1, 300_000), (3, 100_000)]
    );
    parts.push((2, artifacts.put_part(id, 2, b).await.unwrap()));
    let wrong_tag = vec![parts[1].clone(), (2, "x".into()), parts[0].clone()];
    for (target, parts) in [(&target, wrong_tag), (&path("0/other.bin"), parts.clone())] {
        let refused = artifacts.complete_upload(target, id, parts).await;
        assert!(matches!(refused, Err(Error::Parts { .. })), "{refused:?}");
    }
    assert!(
        artifacts.head(&target).await.is_err(),
        "nothing is to be seen before the end"
    );
    for _asked_again in 0..2 {
        artifacts
            .complete_upload(&target, id, parts.clone())
            .await
            .unwrap();
    }
    assert!(all(artifacts.get(&target, None).await.unwrap()).await == bytes);
    artifacts.abort_upload(&target, id).await.unwrap();
    assert!(artifacts.put_part(id, 1, a).await.is_err());
    for odd in ["", "../x", "zz", "0/1"] {
        assert!(
            matches!(artifacts.put_part(odd, 1, a).await, Err(Error::Parts { .. })),
            "{odd}"
        );
    }
    for count in [0, 10_001] {
        let begun = artifacts
            .begin_upload(&target, count, id.into(), Default::default())
            .await;
        assert!(matches!(begun, Err(Error::Parts { .. })));
    }
}

#[test]
fn a_location_is_a_folder_or_a_store() {
    let open = |url: &str| Artifacts::open(url, &Default::default(), "cache".into(), Vec::new());
    let local = |url: &str| open(url).unwrap().local_path(&path("x")).unwrap();
    assert_eq!(local("./a"), std::path::Path::new("./a/x"));
    assert_eq!(local("/a/b:c"), std::path::Path::new("/a/b:c/x"));
    assert_eq!(local("file:///a"), std::path::Path::new("/a/x"));
    assert_eq!(local("file://localhost/a"), std::path::Path::new("/a/x"));
    assert_eq!(local("file:a"), std::path::Path::new("a/x"));
    for wrong in ["", "file:", "file://", "hdfs://host/a", "s3://"] {
        assert!(open(wrong).is_err(), "{wrong}");
    }
}
