use std::fs;

use insta::assert_snapshot;
use lathe_pipeline::ExecuteOptions;

use crate::repo::TestRepo;

#[test]
fn a_second_execution_keeps_everything() {
    let repo = TestRepo::with_pipeline();
    assert_snapshot!(repo.plan(), @"
    execute prepare (never executed)
    execute train (after prepare)
    execute notes (never executed)
    ");
    assert_snapshot!(repo.execute(), @"
    Executed prepare (never executed)
    Executed train (never executed)
    Executed notes (never executed)
    ");
    let lock = repo.read("dvc.lock");
    assert_snapshot!(repo.plan(), @"
    keep prepare (up to date)
    keep train (up to date)
    keep notes (up to date)
    ");
    assert_snapshot!(repo.execute(), @"
    Unchanged prepare (up to date)
    Unchanged train (up to date)
    Unchanged notes (up to date)
    ");
    assert_eq!(repo.read("dvc.lock"), lock);
    assert_eq!(repo.read(".gitignore"), "/clean.csv\n/model\n/notes.html\n");
}

#[test]
fn a_changed_dep_executes_its_stage_and_all_after_it() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    repo.write("raw.csv", "c,d\n");
    assert_snapshot!(repo.plan(), @"
    execute prepare (`raw.csv` changed)
    execute train (after prepare)
    keep notes (up to date)
    ");
    assert_snapshot!(repo.execute(), @"
    Executed prepare (`raw.csv` changed)
    Executed train (`clean.csv` changed)
    Unchanged notes (up to date)
    ");
}

#[test]
fn a_stage_whose_inputs_turn_out_the_same_is_kept() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    repo.write("raw.csv", "A,b\n");
    assert_snapshot!(repo.execute(), @"
    Executed prepare (`raw.csv` changed)
    Unchanged train (up to date)
    Unchanged notes (up to date)
    ");
}

#[test]
fn params_commands_and_outputs_are_looked_at() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    repo.write("params.yaml", "train:\n  trees: 20\nunused: 1\n");
    repo.remove("clean.csv");
    repo.write("notes.html", "edited");
    assert_snapshot!(repo.plan(), @"
    execute prepare (output `clean.csv` is missing)
    execute train (after prepare)
    execute notes (output `notes.html` is changed)
    ");
    assert_snapshot!(repo.execute(), @"
    Restored prepare (output `clean.csv` is missing)
    Executed train (param `train.trees` changed)
    Restored notes (output `notes.html` is changed)
    ");
    let pipeline = repo.read("dvc.yaml").replace("cp text.md", "cp -f text.md");
    repo.write("dvc.yaml", &pipeline);
    assert_snapshot!(repo.plan(), @"
    keep prepare (up to date)
    keep train (up to date)
    execute notes (command changed)
    ");
}

#[test]
fn an_execution_with_the_same_inputs_is_restored() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    let model = repo.read("model");
    repo.write("params.yaml", "train:\n  trees: 20\n");
    repo.execute();
    assert_ne!(repo.read("model"), model);
    repo.write("params.yaml", "train:\n  trees: 10\n");
    assert_snapshot!(repo.execute(), @"
    Unchanged prepare (up to date)
    Restored train (param `train.trees` changed)
    Unchanged notes (up to date)
    ");
    assert_eq!(repo.read("model"), model);
    assert_eq!(repo.read("trained.log"), ".\n.\n");
    assert_snapshot!(repo.plan(), @"
    keep prepare (up to date)
    keep train (up to date)
    keep notes (up to date)
    ");

    repo.write("params.yaml", "train:\n  trees: 20\n");
    let options = ExecuteOptions {
        run_cache: false,
        selection: lathe_pipeline::Selection {
            targets: vec!["train".into()],
            ..Default::default()
        },
        ..ExecuteOptions::default()
    };
    assert_snapshot!(repo.execute_with(options), @"
    Unchanged prepare (up to date)
    Executed train (param `train.trees` changed)
    ");
}

#[test]
fn force_executes_what_has_not_changed() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    let options = ExecuteOptions {
        force: true,
        selection: lathe_pipeline::Selection {
            targets: vec!["train".into()],
            ..Default::default()
        },
        ..ExecuteOptions::default()
    };
    assert_snapshot!(repo.execute_with(options), @"
    Executed prepare (forced)
    Executed train (forced)
    ");
    assert_eq!(repo.read("prepared.log"), ".\n.\n");
}

#[test]
fn folders_are_outputs_like_files() {
    let repo = TestRepo::new(&[
        (
            "dvc.yaml",
            "
stages:
  split:
    cmd: mkdir -p parts/deep && cp raw.csv parts/deep/a && cp raw.csv parts/b
    deps: [raw.csv]
    outs: [parts]
  join:
    cmd: cat parts/b parts/deep/a > whole
    deps: [parts]
    outs: [whole]
",
        ),
        ("raw.csv", "1\n"),
    ]);
    repo.execute();
    assert!(
        repo.read("dvc.lock")
            .contains(".dir\n      size: 4\n      nfiles: 2\n")
    );
    fs::remove_dir_all(repo.path("parts")).unwrap();
    assert_snapshot!(repo.execute(), @"
    Restored split (output `parts` is missing)
    Unchanged join (up to date)
    ");
    assert_eq!(repo.read("parts/deep/a"), "1\n");

    repo.write("parts/more", "left over\n");
    assert_snapshot!(repo.plan(), @"
    execute split (output `parts` is changed)
    execute join (after split)
    ");
    repo.execute();
    assert!(!repo.path("parts/more").exists());
}

#[test]
fn outputs_are_removed_first_unless_they_persist() {
    let repo = TestRepo::new(&[(
        "dvc.yaml",
        "
stages:
  count:
    cmd: echo . >> fresh && echo . >> kept
    always_changed: true
    outs:
      - fresh
      - kept: {persist: true}
",
    )]);
    repo.execute();
    assert_snapshot!(repo.execute(), @"Executed count (always executed)");
    assert_eq!(repo.read("fresh"), ".\n");
    assert_eq!(repo.read("kept"), ".\n.\n");
}

#[test]
fn frozen_stages_and_uncached_metrics_stay_out_of_execution_and_cache() {
    let repo = TestRepo::new(&[
        (
            "dvc.yaml",
            "
stages:
  old:
    cmd: 'false'
    deps: [raw.csv]
    outs: [ancient]
    frozen: true
  measure:
    cmd: echo '{}' > metrics.json
    deps: [ancient]
    metrics:
      - metrics.json: {cache: false}
",
        ),
        ("raw.csv", "1\n"),
        ("ancient", "kept by hand\n"),
    ]);
    assert_snapshot!(repo.execute(), @"
    Unchanged old (frozen, output `ancient` is changed)
    Executed measure (never executed)
    ");
    assert_eq!(repo.read("ancient"), "kept by hand\n");
    assert_eq!(repo.read(".gitignore"), "/ancient\n");
    assert_snapshot!(repo.execute(), @"
    Unchanged old (frozen)
    Unchanged measure (up to date)
    ");
}

#[test]
fn a_stage_in_its_own_folder_finds_its_paths_there() {
    let repo = TestRepo::new(&[
        (
            "dvc.yaml",
            "
stages:
  inner:
    wdir: sub
    cmd: cat ../raw.csv conf.yaml > made/out
    deps: [../raw.csv]
    params: [{conf.yaml: [x]}]
    outs: [made/out]
  outer:
    cmd: cp sub/made/out copy
    deps: [sub/made]
    outs: [copy]
",
        ),
        ("raw.csv", "1\n"),
        ("sub/conf.yaml", "x: 1\n"),
    ]);
    assert_snapshot!(repo.execute(), @"
    Executed inner (never executed)
    Executed outer (never executed)
    ");
    assert_eq!(repo.read("copy"), "1\nx: 1\n");
    let (_, stages) = repo.try_execute(ExecuteOptions::default());
    let stages = stages.unwrap();
    assert_eq!(stages[0].deps[0].path, "raw.csv");
    assert_eq!(stages[0].outs[0].path, "sub/made/out");
    assert_eq!(stages[0].params["sub/conf.yaml:x"], 1);
}
