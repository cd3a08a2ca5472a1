use insta::assert_snapshot;

use crate::repo::TestRepo;

fn error_of(pipeline: &str) -> String {
    TestRepo::new(&[("dvc.yaml", pipeline), ("params.yaml", "a: {b: 1}\n")]).error()
}

#[test]
fn mistakes_are_named_with_file_line_stage_and_key() {
    assert_snapshot!(error_of("stages:\n  a: [\n"), @"`dvc.yaml` is not YAML: line 3, column 1: while parsing a node, did not find expected node content [tabs and missing quotes are the usual causes]");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    dpes: [y]\n"), @"`dvc.yaml` line 4, stage `a`, key `dpes`: there is no such key [did you mean `deps`?]");
    assert_snapshot!(error_of("stage:\n  a:\n    cmd: x\n"), @"`dvc.yaml` line 1, key `stage`: there is no such key [did you mean `stages`?]");
    assert_snapshot!(error_of("stages:\n  a:\n    deps: [y]\n"), @"`dvc.yaml` line 2, stage `a`, key `cmd`: is missing: a stage needs a command");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    deps: y\n"), @"`dvc.yaml` line 4, stage `a`, key `deps`: is text, not a list");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    outs:\n    - m: {cahce: false}\n"), @"`dvc.yaml` line 5, stage `a`, key `cahce`: there is no such key [did you mean `cache`?]");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    outs: [/etc/x]\n"), @"`dvc.yaml` line 4, stage `a`, key `outs`: `/etc/x` is outside the repository; give it `cache: false`");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    outs: ['s3://b/k']\n"), @"`dvc.yaml` line 4, stage `a`, key `outs`: `s3://b/k` is outside the repository; give it `cache: false`");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    metrics: ['s3://b/k']\n"), @"`dvc.yaml` line 4, stage `a`, key `metrics`: `s3://b/k` is not on this machine, where files of `metrics` must be");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x ${a.c}\n"), @"`dvc.yaml` line 3, stage `a`, key `cmd`: `${a.c}` is not in params.yaml or `vars`: there is no `c`");
    assert_snapshot!(error_of("stages:\n  a:\n    cmd: x\n    frozen: 1\n"), @"`dvc.yaml` line 4, stage `a`, key `frozen`: is a number, neither `true` nor `false`");
    assert_snapshot!(error_of("vars: [{a: {b: 2}}]\nstages: {}\n"), @"`dvc.yaml` line 1, key `vars`: redefines `a.b`");
}

#[test]
fn circles_and_outputs_of_two_stages_are_refused() {
    assert_snapshot!(
        error_of("stages:\n  a: {cmd: x, deps: [y], outs: [z]}\n  b: {cmd: x, deps: [z], outs: [y]}\n"),
        @"the stages `a`, `b` depend on one another in a circle [take one of the deps out: a stage cannot come before itself]"
    );
    assert_snapshot!(error_of("stages:\n  a: {cmd: x, deps: [y], outs: [y]}\n"), @"stage `a` depends on its own output [take one of the deps out: a stage cannot come before itself]");
    assert_snapshot!(
        error_of("stages:\n  a: {cmd: x, outs: [y]}\n  b: {cmd: x, outs: [y/z]}\n"),
        @"`y/z` of stage `b` overlaps `y` of stage `a` [let each file be written by one stage]"
    );
}

#[test]
fn a_target_that_is_no_stage_is_named_with_one_like_it() {
    let repo = TestRepo::with_pipeline();
    let options = lathe_pipeline::ExecuteOptions {
        selection: lathe_pipeline::Selection {
            targets: vec!["trian".into()],
            ..Default::default()
        },
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
