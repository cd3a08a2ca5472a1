//! `fixtures/dvc.lock` was written by DVC 3.67 from the files beside it and the inputs below.

use std::fs;

use crate::repo::TestRepo;

fn repo() -> TestRepo {
    TestRepo::new(&[
        ("dvc.yaml", include_str!("fixtures/dvc.yaml")),
        ("params.yaml", include_str!("fixtures/params.yaml")),
        ("other.json", include_str!("fixtures/other.json")),
        ("data/raw.csv", "a,b\n1,2\n"),
        ("adir/x", "hi\n"),
        ("adir/sub/ü", "ho\n"),
        ("src/p.py", "code\n"),
    ])
}

#[test]
fn the_lock_is_byte_for_byte_what_dvc_writes() {
    let repo = repo();
    repo.execute();
    pretty_equal(&repo.read("dvc.lock"), include_str!("fixtures/dvc.lock"));
}

#[test]
fn what_dvc_executed_is_up_to_date_once_its_data_is_here() {
    let repo = repo();
    repo.execute();
    repo.write("dvc.lock", include_str!("fixtures/dvc.lock"));
    let executed: Vec<String> = repo
        .plan()
        .lines()
        .filter(|line| !line.starts_with("keep"))
        .map(str::to_owned)
        .collect();
    assert_eq!(executed, [""; 0]);
}

#[test]
fn the_run_cache_has_the_keys_of_dvc() {
    let repo = repo();
    repo.execute();
    // Found in the cache of the repository that the fixtures come from.
    for entry in RUNS {
        let path = repo.path(".dvc/cache/runs").join(entry);
        assert!(fs::metadata(&path).is_ok(), "{}", path.display());
    }
}

#[test]
fn objects_are_read_only_and_folders_are_listed_as_dvc_lists_them() {
    use std::os::unix::fs::PermissionsExt;
    let repo = repo();
    repo.execute();
    let lock = repo.read("dvc.lock");
    let dir = lock
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("md5: ")
                .filter(|md5| md5.ends_with(".dir"))
        })
        .unwrap();
    let object = repo.path(".dvc/cache/files/md5").join(&dir[..2]).join(&dir[2..]);
    // The first folder of the lock is `adir/`, a dep, which is not kept.
    assert!(!object.exists());
    let kept = repo.path(".dvc/cache/files/md5");
    for folder in fs::read_dir(kept).unwrap() {
        for object in fs::read_dir(folder.unwrap().path()).unwrap() {
            let mode = object.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o444);
        }
    }
}

fn pretty_equal(found: &str, wanted: &str) {
    for (index, (a, b)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(a, b, "line {}", index + 1);
    }
    assert_eq!(found, wanted);
}

const RUNS: &[&str] = &[
    "0f/0fefaa17ebe8830cd5e44b66a31d6f88a4d567d282e633476300e714e551f843/9bc2a5e315f3cfe1cc788ae1606367109db192984f7214da905e1b153aae2eac",
    "3e/3eb87625a723eb0576785db01f7ec6891de0f60d02b75163fa82204179c50285/18fee0156b96201c76dad237877548e8a4f9b13533bc22386e5aabec0ef8600b",
    "6d/6db755070cfb4e8c394c14325e1eedf6fc0321ca052e75f8bb82db40ea2cba76/f735ec8d68cd1ba7c7852295129182bbdd63f1c07d66852472074216033e1a78",
];
