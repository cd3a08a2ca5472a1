use std::time::{Duration, Instant};

use insta::assert_snapshot;
use lathe_pipeline::{ExecuteOptions, StageEvent};
use lathe_types::executions::StageOutcome;

use crate::repo::TestRepo;

fn stage(command: &str) -> TestRepo {
    TestRepo::new(&[("dvc.yaml", &format!("stages:\n  only:\n    cmd: {command}\n"))])
}

fn printed(repo: &TestRepo, options: ExecuteOptions) -> Vec<String> {
    let (events, result) = repo.try_execute(options);
    result.unwrap();
    let lines = events.into_iter().filter_map(|event| match event {
        StageEvent::Output { line, .. } => Some(line),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_failing_stage_is_named_with_its_exit_code_and_earlier_stages_are_kept() {
    let repo = TestRepo::with_pipeline();
    let pipeline = repo
        .read("dvc.yaml")
        .replace("cat clean.csv", "exit 7; cat clean.csv");
    repo.write("dvc.yaml", &pipeline);
    assert_snapshot!(repo.error(), @"stage `train`: `exit 7; cat clean.csv params.yaml > model && echo . >> trained.log` exited with code 7 [its output is above; stages finished before it are kept]");
    assert_snapshot!(repo.plan(), @"
    keep prepare (up to date)
    execute train (never executed)
    execute notes (never executed)
    ");
    let (events, _) = repo.try_execute(ExecuteOptions::default());
    let failed = events.iter().any(|event| {
        matches!(event, StageEvent::Finished { stage, outcome: StageOutcome::Failed, .. } if stage == "train")
    });
    assert!(failed, "{events:?}");
}

#[test]
fn both_streams_arrive_line_by_line_with_the_last_line_unended() {
    let repo = stage("\"echo out; echo err >&2; printf 'a\\\\rb\\\\nlast'\"");
    let mut lines = printed(&repo, ExecuteOptions::default());
    lines.sort();
    assert_eq!(lines, ["a", "b", "err", "last", "out"]);
}

#[test]
fn the_environment_and_the_path_are_given_to_commands() {
    let repo = stage("\"echo $ADDED $DVC_STAGE; echo ${PATH%%:*}; found-here\"");
    repo.write("bin/found-here", "#!/bin/sh\necho found\n");
    let path = repo.path("bin/found-here");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let repo_with_braces = repo.read("dvc.yaml").replace("${PATH", "\\\\${PATH");
    repo.write("dvc.yaml", &repo_with_braces);
    let lines = printed(
        &repo,
        ExecuteOptions {
            env: vec![
                ("ADDED".into(), "yes".into()),
                (
                    "PATH".into(),
                    format!("{}:/usr/bin:/bin", repo.path("bin").display()),
                ),
            ],
            ..ExecuteOptions::default()
        },
    );
    let bin = repo.path("bin").display().to_string();
    assert_eq!(lines, ["yes only", bin.as_str(), "found"]);
}

#[test]
fn each_line_of_a_command_has_a_shell_of_its_own_and_the_first_failure_ends_the_stage() {
    let repo = stage("|\n      cd /\n      pwd\n      false\n      echo never");
    let (events, result) = repo.try_execute(ExecuteOptions::default());
    assert_snapshot!(result.unwrap_err(), @"stage `only`: `false` exited with code 1");
    let root = repo.repo.root().display().to_string();
    let shown = events
        .iter()
        .any(|event| matches!(event, StageEvent::Output { line, .. } if *line == root));
    assert!(shown, "{events:?}");
}

#[test]
fn what_a_stage_leaves_in_the_background_does_not_hold_it_up_nor_outlive_it() {
    let repo = stage("\"(sleep 2; touch late) & echo done\"");
    let started = Instant::now();
    assert_eq!(printed(&repo, ExecuteOptions::default()), ["done"]);
    assert!(started.elapsed() < Duration::from_millis(1500));
    std::thread::sleep(Duration::from_millis(2500).saturating_sub(started.elapsed()));
    assert!(!repo.path("late").exists());
}

#[test]
fn two_executions_at_once_are_refused() {
    let repo = stage("sleep 2; touch done");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| repo.try_execute(ExecuteOptions::default()).1);
        std::thread::sleep(Duration::from_millis(300));
        let error = repo.try_execute(ExecuteOptions::default()).1.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("another process executes the pipeline")
        );
        first.join().unwrap().unwrap();
    });
}

#[test]
fn missing_inputs_and_outputs_are_named_before_and_after_the_commands() {
    let repo = TestRepo::with_pipeline();
    repo.remove("raw.csv");
    assert_snapshot!(repo.error(), @"stage `prepare`: the dep `raw.csv` does not exist [fetch it with `dvc pull`, or name it in the `outs` of the stage that makes it]");
    repo.write("raw.csv", "a\n");
    repo.write("params.yaml", "train: {}\n");
    assert_snapshot!(repo.error(), @"stage `train`: the param `train.trees` is not in `params.yaml` [write it there, or take it out of the stage's `params`]");
    let pipeline = repo.read("dvc.yaml").replace("> clean.csv", "> typo.csv");
    repo.write("dvc.yaml", &pipeline);
    assert_snapshot!(repo.error(), @"stage `prepare`: its commands did not write the output `clean.csv` [take it out of `outs`, or look why the commands do not write it]");
}
