use insta::assert_snapshot;

use crate::repo::TestRepo;

fn error_of(pipeline: &str) -> String {
    TestRepo::new(&[("dvc.yaml", pipeline), ("params.yaml", "a: {b: 1}\n")]).error()
}

#[test]
fn mistakes_are_named_with_file_line_stage_and_key() {
    assert_snapshot!(error_of("stages:\n  a: [\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    dpes: [y]\n"), @"");
    assert_snapshot!(error_of("stage:\n  a:\n    cmd: x\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    deps: [y]\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    deps: y\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    outs:\n    - m: {cahce: false}\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    outs: [/etc/x]\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    deps: ['s3://b/k']\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x ${a.c}\n"), @"");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    frozen: 1\n"), @"");
    assert_snapshot!(error_of("vars: [{a: {b: 2}}]\nstages: {}\n"), @"");
}

#[test]
fn circles_and_outputs_of_two_stages_are_refused() {
    assert_snapshot!(
        error_of("stages:\n  a: {cmd: x, deps: [y], outs: [z]}\n  b: {cmd: x, deps: [z], outs: [y]}\n"),
        @""
    );
    assert_snapshot!(error_of("stages:\n  a: {cmd: x, deps: [y], outs: [y]}\n"), @"");
    assert_snapshot!(
        error_of("stages:\n  a: {cmd: x, outs: [y]}\n  b: {cmd: x, outs: [y/z]}\n"),
        @""
    );
}

#[test]
fn a_target_that_is_no_stage_is_named_with_one_like_it() {
    let repo = TestRepo::with_pipeline();
    let options = lathe_pipeline::ExecuteOptions {
        targets: vec!["trian".into()],
        ..Default::default()
    };
    let error = repo.try_execute(options).1.unwrap_err();
    assert_eq!(error.to_string(), "there is no stage `trian`");
    assert_eq!(error.hint().unwrap(), "did you mean `train`?");
}

#[test]
fn a_repository_without_a_pipeline_says_so() {
    let error = TestRepo::new(&[]).load().unwrap_err();
    assert!(error.to_string().starts_with("there is no `dvc.yaml` in `"));
    assert_eq!(error.kind(), lathe_types::ErrorKind::NotFound);
}
