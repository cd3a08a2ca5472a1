//! The environment that stages are executed in, and what they read and write beside what they declare.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use lathe_pipeline::{EnvironmentMark, ExecuteOptions, OnFailure, TraceMode, declare};

use crate::repo::{PIPELINE, TestRepo};

#[test]
fn a_stage_is_executed_again_in_another_environment_and_its_lock_stays() {
    let repo = TestRepo::with_pipeline();
    repo.execute();
    let lock = repo.read("dvc.lock");
    let options = |digest: &str, known: &[(&str, &str)]| ExecuteOptions {
        environment: Some(EnvironmentMark {
            digest: digest.into(),
            known: known
                .iter()
                .map(|(stage, digest)| ((*stage).to_owned(), (*digest).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        }),
        ..ExecuteOptions::default()
    };
    assert_snapshot!(repo.execute_with(options("new", &[("train", "old"), ("notes", "new")])), @"
    Unchanged prepare (up to date)
    Executed train (environment changed)
    Unchanged notes (up to date)
    ");
    assert_eq!(repo.read("trained.log"), ".\n.\n");
    assert_eq!(repo.read("dvc.lock"), lock);
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_not_declared_is_told_fails_if_asked_to_and_can_be_added() {
    let repo = TestRepo::new(&[
        (
            "dvc.yaml",
            "stages:\n  s:\n    wdir: work\n    cmd: cat in hidden ../code.py > out && echo x > left && echo y > gone && rm gone\n    deps:\n    - in\n    outs:\n    - out\n",
        ),
        ("work/in", "1\n"),
        ("work/hidden", "2\n"),
        ("code.py", "3\n"),
    ]);
    let traced = |mode| ExecuteOptions {
        trace: Some(mode),
        jobs: 4,
        ..ExecuteOptions::default()
    };
    let error = repo.try_execute(traced(TraceMode::Strict)).1.unwrap_err();
    assert_snapshot!(error, @"stage `s` does not declare `code.py`, `work/hidden`, `work/left`");
    let stages = repo.try_execute(traced(TraceMode::Report)).1.unwrap();
    let undeclared = stages[0].undeclared.clone().unwrap();
    assert_eq!(undeclared.read, ["code.py", "work/hidden"]);
    assert_eq!(undeclared.written, ["work/left"]);
    let project = repo.load().unwrap();
    declare(
        &repo.repo,
        &project.stages()[0],
        &undeclared.read,
        &undeclared.written,
    )
    .unwrap();
    assert!(repo.read("dvc.yaml").ends_with(
        "    deps:\n    - in\n    - ../code.py\n    - hidden\n    outs:\n    - out\n    - left\n"
    ));
    let stages = repo.try_execute(traced(TraceMode::Strict)).1.unwrap();
    assert_eq!(
        stages[0].undeclared.as_ref().map(|files| files.is_empty()),
        Some(true)
    );
}

#[test]
fn stages_at_once_leave_the_lock_of_one_after_the_other_and_failures_skip_what_follows() {
    let files = [
        ("dvc.yaml", PIPELINE),
        ("params.yaml", "train:\n  trees: 10\n"),
        ("raw.csv", "a,b\n"),
        ("text.md", "text\n"),
    ];
    let (one, many) = (TestRepo::new(&files), TestRepo::new(&files));
    one.execute();
    many.execute_with(ExecuteOptions {
        jobs: 3,
        ..ExecuteOptions::default()
    });
    assert_eq!(one.read("dvc.lock"), many.read("dvc.lock"));
    assert_eq!(one.read(".gitignore"), many.read(".gitignore"));

    let broken = many.read("dvc.yaml").replace("tr a-z A-Z", "false && tr a-z A-Z");
    many.write("dvc.yaml", &broken.replace("cp text.md", "cp -f text.md"));
    let project = many.load().unwrap();
    let options = ExecuteOptions {
        jobs: 2,
        on_failure: OnFailure::KeepGoing,
        ..ExecuteOptions::default()
    };
    let report = lathe_pipeline::execute(&many.repo, &project, options, &mut |_| {}).unwrap();
    let failed: Vec<&str> = report.failures.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(failed, ["prepare"]);
    assert_eq!(report.skipped, ["train"]);
    let notes = report.stages.iter().find(|stage| stage.stage == "notes").unwrap();
    assert_eq!(notes.outcome, lathe_types::executions::StageOutcome::Executed);
}
