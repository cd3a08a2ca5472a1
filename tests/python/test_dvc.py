"""`dvc` and `lathe` in turn on one repository."""

import json
import subprocess
import sys

import pytest
from conftest import git, lathe

PIPELINE = """stages:
  upper:
    cmd: tr a-z A-Z < in.txt > upper.txt
    deps:
    - in.txt
    outs:
    - upper.txt
  split:
    cmd: mkdir -p parts && split -l ${split.lines} upper.txt parts/
    deps:
    - upper.txt
    params:
    - split.lines
    outs:
    - parts
  count:
    cmd: 'echo "{\\"n\\": $(ls parts | wc -l)}" > count.json'
    deps:
    - parts
    metrics:
    - count.json:
        cache: false
"""


def dvc(folder, *args):
    done = subprocess.run([sys.executable, "-m", "dvc", *args], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "--quiet")
    dvc(tmp_path, "init", "--quiet")
    (tmp_path / "lathe.toml").write_text('[project]\nname = "letters"\n')
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text("split:\n  lines: 2\n")
    (tmp_path / "in.txt").write_text("a\nb\nc\nd\ne\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "-m", "start")
    return tmp_path


def test_dvc_finds_nothing_to_do_after_lathe(repository):
    lathe("run", cwd=repository)
    assert (repository / "count.json").read_text() == '{"n": 3}\n'
    ours = (repository / "dvc.lock").read_bytes()
    assert "up to date" in dvc(repository, "status")
    assert "Running" not in dvc(repository, "repro")
    assert (repository / "dvc.lock").read_bytes() == ours
    dvc(repository, "repro", "--force", "--no-run-cache")
    assert (repository / "dvc.lock").read_bytes() == ours, "dvc writes the same lock byte for byte"


def test_lathe_finds_nothing_to_do_after_dvc(repository):
    dvc(repository, "repro")
    theirs = (repository / "dvc.lock").read_bytes()
    assert json.loads(lathe("status", "--json", cwd=repository).stdout)["up_to_date"]
    lathe("run", "--force", "--no-run-cache", cwd=repository)
    assert (repository / "dvc.lock").read_bytes() == theirs


def test_only_what_depends_on_a_change_is_executed(repository):
    lathe("run", cwd=repository)
    report = json.loads(lathe("run", "--json", "-S", "split.lines=1", cwd=repository).stdout)
    assert {s["stage"]: s["outcome"] for s in report["stages"]} == {
        "upper": "unchanged",
        "split": "executed",
        "count": "executed",
    }
    assert "up to date" in dvc(repository, "status")
    back = json.loads(lathe("run", "--json", "-S", "split.lines=2", cwd=repository).stdout)
    assert [s["outcome"] for s in back["stages"]] == ["unchanged", "restored", "restored"]


@pytest.mark.parametrize(
    "change, told",
    [
        (("cmd: tr a-z A-Z < in.txt > upper.txt", "cmd: exit 7"), "upper"),
        (("    - in.txt", "    - missing.txt"), "missing.txt"),
        (("stages:", "stages: ["), "dvc.yaml"),
        (("    deps:\n    - in.txt", "    dep:\n    - in.txt"), "dep"),
        (("    - in.txt", "    - parts"), "circle"),
        (("${split.lines}", "${split.line}"), "split.line"),
    ],
)
def test_a_broken_pipeline_is_told_with_its_place_and_changes_nothing(repository, change, told):
    text = (repository / "dvc.yaml").read_text()
    assert change[0] in text
    (repository / "dvc.yaml").write_text(text.replace(*change))
    done = lathe("run", cwd=repository, code=1)
    assert told in done.stderr, done.stderr
    assert done.stdout == "" or "upper" in done.stdout
    assert not (repository / "dvc.lock").exists()


WIDE = """vars:
- names:
    first: one
stages:
  each:
    foreach:
      a: {from: 1, to: 3}
      b: {from: 4, to: 9}
    do:
      cmd: mkdir -p out && seq ${item.from} ${item.to} > out/${key}.txt
      outs:
      - out/${key}.txt
  grid:
    matrix:
      size: [1, 2]
      kind: [x, "${names.first}"]
    cmd: echo ${item.size} ${item.kind} > grid-${item.size}-${item.kind}.txt
    outs:
    - grid-${item.size}-${item.kind}.txt:
        persist: true
  join:
    wdir: work
    cmd:
    - cat ../out/a.txt ../out/b.txt > all.txt
    - mkdir -p deep/er && cp all.txt deep/er/copy && touch deep/empty
    desc: two commands in a folder of their own
    deps:
    - ../out/a.txt
    - ../out/b.txt
    - ../texts
    params:
    - ../other.yaml:
      - a.list
      - flag
    outs:
    - all.txt
    - deep
  show:
    cmd: 'echo "{\\"lines\\": 9}" > lines.json && echo x,y > plot.csv && echo 1,2 >> plot.csv'
    deps:
    - work/deep
    always_changed: false
    metrics:
    - lines.json:
        cache: false
    plots:
    - plot.csv:
        cache: false
        x: x
  done:
    frozen: true
    cmd: exit 1
    deps:
    - work/all.txt
"""


def test_both_write_the_same_lock_for_every_kind_of_stage(repository):
    (repository / "dvc.yaml").write_text(WIDE)
    (repository / "other.yaml").write_text("a:\n  list: [1, 2.50, 'x y', null]\nflag: true\n")
    (repository / "work").mkdir()
    (repository / "texts/sub").mkdir(parents=True)
    (repository / "texts/ä b.txt").write_text("ü")
    (repository / "texts/sub/run.sh").write_text("true")
    (repository / "texts/sub/run.sh").chmod(0o755)
    lathe("run", cwd=repository)
    ours = (repository / "dvc.lock").read_text()
    assert "up to date" in dvc(repository, "status")
    (repository / "dvc.lock").unlink()
    dvc(repository, "repro", "--no-run-cache")
    assert (repository / "dvc.lock").read_text() == ours
    assert json.loads(lathe("status", "--json", cwd=repository).stdout)["up_to_date"]


def test_what_one_executed_the_other_restores(repository):
    dvc(repository, "repro")
    (repository / "dvc.lock").unlink()
    for name in ("upper.txt", "count.json"):
        (repository / name).unlink()
    report = json.loads(lathe("run", "--json", cwd=repository).stdout)
    outcomes = {stage["stage"]: stage["outcome"] for stage in report["stages"]}
    assert outcomes["upper"] == "restored" and outcomes["split"] == "restored", outcomes
    assert (repository / "upper.txt").read_text() == "A\nB\nC\nD\nE\n"
    assert "up to date" in dvc(repository, "status")


def test_an_output_changed_by_hand_is_made_again(repository):
    lathe("run", cwd=repository)
    (repository / "upper.txt").unlink()
    (repository / "upper.txt").write_text("by hand")
    assert "upper.txt" in dvc(repository, "status")
    assert not json.loads(lathe("status", "--json", cwd=repository).stdout)["up_to_date"]
    lathe("run", cwd=repository)
    assert (repository / "upper.txt").read_text() == "A\nB\nC\nD\nE\n"
    assert "up to date" in dvc(repository, "status")


def test_a_failing_stage_keeps_what_was_finished_before_it(repository):
    text = (repository / "dvc.yaml").read_text()
    (repository / "dvc.yaml").write_text(text.replace("cmd: mkdir -p parts", "cmd: exit 9 #"))
    done = lathe("run", cwd=repository, code=1)
    assert "split" in done.stderr and "9" in done.stderr, done.stderr
    (repository / "dvc.yaml").write_text(text)
    report = json.loads(lathe("run", "--json", cwd=repository).stdout)
    assert [stage["outcome"] for stage in report["stages"]] == ["unchanged", "executed", "executed"]
