use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use lathe_blob::{Artifacts, Bucket, Error, Reason, Settings};
use lathe_types::ErrorKind;

use crate::s3_server::{self, KEY, SECRET};
use crate::{all, breaking_off, noise, path};

/// A place in an S3 server: one that starts here, or a prefix of its own where `LATHE_TEST_S3_URL` says.
struct Server {
    settings: Settings,
    url: String,
    folder: Option<PathBuf>,
}

impl Server {
    /// Whether the server keeps the object, as far as its folder can be looked into.
    fn holds(&self, key: &str) -> bool {
        self.folder
            .as_ref()
            .is_none_or(|folder| folder.join(key).is_file())
    }
}

async fn server(root: &Path) -> Server {
    if let Ok(url) = std::env::var("LATHE_TEST_S3_URL") {
        let name = root.file_name().unwrap().to_string_lossy().into_owned();
        return Server {
            settings: Settings::from_environment(std::env::vars()),
            url: format!("{url}/{}", name.trim_start_matches('.')),
            folder: None,
        };
    }
    let folder = root.join("data");
    std::fs::create_dir(&folder).unwrap();
    let endpoint = format!("http://{}", s3_server::serve(root, 0).await);
    let settings = Settings::default()
        .with("AWS_ENDPOINT_URL_S3", endpoint)
        .with("AWS_ACCESS_KEY_ID", KEY)
        .with("AWS_SECRET_ACCESS_KEY", SECRET);
    Server {
        settings,
        url: "s3://data".into(),
        folder: Some(folder),
    }
}

#[tokio::test]
async fn objects_of_every_size_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let bucket = Bucket::open(&format!("{}/a/prefix/", server.url), &server.settings).unwrap();
    for (name, bytes) in [
        ("empty", 0),
        ("small file.txt", 11),
        ("ü/100%/one part", 8 << 20),
        ("several parts", (20 << 20) + 7),
    ] {
        let bytes = noise(bytes);
        let size = Some(bytes.len() as u64);
        bucket.put(&path(name), &bytes[..], size).await.unwrap();
        let opened = bucket.get(&path(name), None).await.unwrap();
        assert_eq!(opened.meta.size, bytes.len() as u64);
        assert!(opened.meta.etag.is_some());
        assert!(all(opened).await == bytes, "{name}");
        assert!(server.holds(&format!("a/prefix/{name}")), "{name}");
    }
    let range = bucket.get(&path("small file.txt"), Some(3..7)).await.unwrap();
    assert_eq!((range.range.clone(), range.meta.size), (3..7, 11));
    assert_eq!(all(range).await, noise(11)[3..7]);
    let asked = vec![path("empty"), path("nothing"), path("several parts")];
    assert_eq!(bucket.exist(asked, 8).await.unwrap(), [true, false, true]);
    assert_eq!(bucket.read(&path("small file.txt"), 11).await.unwrap(), noise(11));
    assert!(bucket.read(&path("small file.txt"), 10).await.is_err());

    let entries = bucket.list(&path("")).await.unwrap();
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.size))
        .collect();
    let expected = [
        ("empty", Some(0)),
        ("several parts", Some((20 << 20) + 7)),
        ("small file.txt", Some(11)),
        ("ü", None),
    ];
    assert_eq!(shown, expected);
    let everything: Vec<_> = bucket.list_all(&path(""), None).try_collect().await.unwrap();
    assert_eq!(everything.len(), 4);
    let later: Vec<_> = bucket
        .list_all(&path(""), Some(&path("several parts")))
        .map_ok(|(name, _)| name)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(later, [path("small file.txt"), path("ü/100%/one part")]);
    assert_eq!(bucket.delete_all(&path("ü")).await.unwrap(), 1);
    bucket.delete(&path("empty")).await.unwrap();
    assert_eq!(bucket.list(&path("")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_old_object() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let bucket = Bucket::open(&server.url, &server.settings).unwrap();
    bucket.put(&path("x"), &b"old"[..], None).await.unwrap();
    for half in [noise(100), noise(30 << 20)] {
        let broken = bucket.put(&path("x"), breaking_off(half), None).await;
        assert!(matches!(broken, Err(Error::Upload { .. })), "{broken:?}");
    }
    let short = bucket.put(&path("x"), &noise(9 << 20)[..], Some(10 << 20)).await;
    assert!(matches!(short, Err(Error::Upload { .. })), "{short:?}");
    assert_eq!(all(bucket.get(&path("x"), None).await.unwrap()).await, b"old");
}

#[tokio::test]
async fn errors_name_bucket_and_key_and_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let Server {
        settings: right, url, ..
    } = server(folder.path()).await;
    let bucket = Bucket::open(&url, &right).unwrap();
    assert!(matches!(
        bucket.get(&path("x"), None).await,
        Err(Error::NotFound { .. })
    ));
    let wrong_secret = right.clone().with("AWS_SECRET_ACCESS_KEY", "guessed");
    let away = right.with("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9");
    for (url, settings, expected, kind) in [
        (
            url.as_str(),
            wrong_secret,
            Reason::Denied,
            ErrorKind::PermissionDenied,
        ),
        (url.as_str(), away, Reason::Away, ErrorKind::Unavailable),
    ] {
        let bucket = Bucket::open(url, &settings).unwrap();
        let error = tokio::time::timeout(Duration::from_secs(90), bucket.put(&path("k/x"), &b"1"[..], None))
            .await
            .expect("retries end")
            .unwrap_err();
        assert!(
            matches!(error, Error::Remote { reason, .. } if reason == expected),
            "{error:?}"
        );
        assert!(error.to_string().contains(&format!("{url}/k/x")), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn parts_go_to_the_store_itself_by_signed_urls() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let artifacts = Artifacts::open(
        &server.url,
        &server.settings,
        folder.path().join("cache"),
        Vec::new(),
    )
    .unwrap();
    let target = path("0/big.bin");
    let hour = Duration::from_secs(3_600);
    let upload = artifacts
        .begin_upload(&target, 2, String::new(), hour)
        .await
        .unwrap();
    let bytes = noise((5 << 20) + 100);
    let (first, second) = bytes.split_at(5 << 20);
    let http = reqwest::Client::new();
    let mut parts = Vec::new();
    for (part, bytes) in upload.parts.unwrap().iter().zip([first, second]) {
        let answer = http.put(&part.url).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        parts.push((part.number, etag));
    }
    assert!(artifacts.head(&target).await.is_err());
    artifacts
        .complete_upload(&target, &upload.id, parts)
        .await
        .unwrap();
    assert!(all(artifacts.get(&target, None).await.unwrap()).await == bytes);
    let url = artifacts.signed_get(&target, hour).await.unwrap().unwrap();
    let answer = http.get(&url).header("range", "bytes=0-3").send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), bytes[..4]);
    let url = artifacts
        .signed_put(&path("0/direct"), hour)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(http.put(&url).body("direct").send().await.unwrap().status(), 200);
    assert_eq!(artifacts.head(&path("0/direct")).await.unwrap().size, 6);
    let stranger = artifacts.complete_upload(
        &target,
        "00000000-0000-0000-0000-000000000000",
        vec![(1, "x".into())],
    );
    assert!(stranger.await.is_err());
    let given_up = artifacts
        .begin_upload(&target, 1, String::new(), hour)
        .await
        .unwrap();
    artifacts.abort_upload(&target, &given_up.id).await.unwrap();
}

#[tokio::test]
async fn a_folder_of_the_store_is_copied_once_and_anew_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let artifacts = Artifacts::open(
        &server.url,
        &server.settings,
        folder.path().join("cache"),
        Vec::new(),
    )
    .unwrap();
    let model = path("1/model");
    assert!(matches!(
        artifacts.folder(&model).await,
        Err(Error::NotFound { .. })
    ));
    artifacts
        .put(&path("1/model/MLmodel"), &b"flavors: {}"[..], None)
        .await
        .unwrap();
    artifacts
        .put(&path("1/model/data/w.bin"), &noise(1_000)[..], None)
        .await
        .unwrap();
    artifacts
        .put(&path("1/model2/other"), &b""[..], None)
        .await
        .unwrap();
    let first = artifacts.folder(&model).await.unwrap();
    assert_eq!(std::fs::read(first.join("data/w.bin")).unwrap(), noise(1_000));
    assert!(!first.join("other").exists());
    assert_eq!(artifacts.folder(&model).await.unwrap(), first);
    artifacts
        .put(&path("1/model/MLmodel"), &b"flavors: {a}"[..], None)
        .await
        .unwrap();
    let second = artifacts.folder(&model).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(std::fs::read(second.join("MLmodel")).unwrap(), b"flavors: {a}");
}

#[tokio::test]
async fn a_folder_answers_the_same_calls() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("remote").display());
    let bucket = Bucket::open(&url, &Settings::default()).unwrap();
    let bytes = noise((9 << 20) + 1);
    bucket
        .put(&path("files/md5/ab/cd"), &bytes[..], None)
        .await
        .unwrap();
    assert!(all(bucket.get(&path("files/md5/ab/cd"), None).await.unwrap()).await == bytes);
    assert_eq!(
        std::fs::metadata(folder.path().join("remote/files/md5/ab/cd"))
            .unwrap()
            .len(),
        bytes.len() as u64
    );
    assert_eq!(bucket.list(&path("files/md5")).await.unwrap()[0].name, "ab");
    let asked = vec![path("files/md5/ab/cd"), path("files/md5/ab/ce")];
    assert_eq!(bucket.exist(asked, 4).await.unwrap(), [true, false]);
    assert!(
        bucket
            .signed_get(&path("x"), Duration::from_secs(1))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_location_is_reached_only_below_a_root() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let root = format!("{}/runs", server.url);
    let roots = vec![format!("{root}/"), "mlflow-artifacts:/".to_owned()];
    let own = folder.path().join("own").display().to_string();
    let artifacts = Artifacts::open(&own, &server.settings, folder.path().join("cache"), roots).unwrap();
    let run = format!("{root}/0/a/artifacts");
    let (there, below) = artifacts.within(&run).unwrap().unwrap();
    assert_eq!(below, path("0/a/artifacts"));
    there.put(&below.join(&path("x")), &b"x"[..], None).await.unwrap();
    assert!(server.holds("runs/0/a/artifacts/x"));
    for elsewhere in [
        format!("{root}2/x"),
        server.url.clone(),
        format!("{root}/../x"),
        "s3://other/runs/x".to_owned(),
        "/etc".to_owned(),
        "file:///etc".to_owned(),
    ] {
        assert!(artifacts.within(&elsewhere).unwrap().is_none(), "{elsewhere}");
    }
}
