//! Repositories and their caches on a real disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lathe_data::{Error, Repo, hash_path, share_cache};

fn repo() -> (tempfile::TempDir, Repo) {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::init(folder.path()).unwrap();
    (folder, repo)
}

#[test]
fn a_repository_is_made_with_the_files_of_dvc_and_found_from_below() {
    let (folder, repo) = repo();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n");
    assert_eq!(read(".dvc/config"), "");
    assert_eq!(read(".dvcignore").lines().count(), 3);
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    let found = Repo::discover(&folder.path().join("a/b")).unwrap();
    assert_eq!(found.root(), repo.root());
    assert!(matches!(Repo::init(folder.path()), Err(Error::RepoExists { .. })));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(
        Repo::discover(elsewhere.path()),
        Err(Error::NoRepo { .. })
    ));
}

#[test]
fn the_local_config_decides_over_the_cache_and_a_worktree_shares_it() {
    let (folder, _) = repo();
    fs::write(
        folder.path().join(".dvc/config"),
        "[cache]\n    dir = ../shared\n",
    )
    .unwrap();
    let repo = Repo::discover(folder.path()).unwrap();
    assert_eq!(repo.cache().folder(), repo.root().join("shared"));

    let (worktree, _) = self::repo();
    share_cache(folder.path(), worktree.path()).unwrap();
    let sharing = Repo::discover(worktree.path()).unwrap();
    assert_eq!(sharing.cache().folder(), repo.cache().folder());
}

#[test]
fn what_is_saved_comes_back_and_a_folder_is_whole_or_not_held() {
    let (_folder, repo) = repo();
    let data = repo.root().join("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("a"), "1").unwrap();
    fs::write(data.join("deep/b"), "2").unwrap();
    let content = hash_path(&repo, &data).unwrap().unwrap();
    let md5 = content.hashed.md5.clone();
    assert!(!repo.cache().holds(&md5).unwrap());
    repo.cache().save(&content, &data).unwrap();

    fs::write(data.join("stray"), "3").unwrap();
    repo.cache().checkout(&md5, false, &data).unwrap();
    assert_eq!(hash_path(&repo, &data).unwrap().unwrap(), content);

    let file = &content.tree.unwrap().entries()[1].md5.clone();
    fs::remove_file(repo.cache().object(file).unwrap()).unwrap();
    assert!(!repo.cache().holds(&md5).unwrap());
    let error = repo.cache().checkout(&md5, false, &data).unwrap_err();
    assert_eq!(error.to_string(), format!("object {md5} is not in the cache"));
    assert!(
        data.join("a").exists(),
        "what is there is not removed for what is missing"
    );
}

#[test]
fn an_object_that_was_written_to_is_found_out_by_its_mode() {
    let (_folder, repo) = repo();
    let data = repo.root().join("data");
    fs::write(&data, "1").unwrap();
    let content = hash_path(&repo, &data).unwrap().unwrap();
    repo.cache().save(&content, &data).unwrap();
    let object = repo.cache().object(&content.hashed.md5).unwrap();
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(repo.cache().holds(&content.hashed.md5).unwrap());
    assert_eq!(fs::metadata(&object).unwrap().permissions().mode() & 0o777, 0o444);

    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&object, "other").unwrap();
    assert!(!repo.cache().holds(&content.hashed.md5).unwrap());
    assert!(!object.exists());
}
