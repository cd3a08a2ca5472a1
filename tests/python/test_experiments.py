"""Experiments: those of `lathe exp` are DVC's and the other way round; sweeps, queues and searches run apart."""

import json
import os
import sqlite3
import subprocess
import sys
import time

import conftest
import pytest

PIPELINE = """\
stages:
  prepare:
    cmd: cp src.txt data.txt
    deps: [src.txt]
    outs: [data.txt]
  train:
    cmd: python3 train.py
    deps: [data.txt, train.py]
    params: [lr, model.depth]
    outs: [model.txt]
    metrics:
    - metrics.json:
        cache: false
"""
TRAIN = """\
import json, re
text = open("params.yaml").read()
lr = float(re.search(r"lr: (\\S+)", text)[1])
depth = int(re.search(r"depth: (\\S+)", text)[1])
if lr > 100:
    raise SystemExit("diverged at " + str(lr))
json.dump({"loss": (lr - 0.3) ** 2 + depth, "nested": {"depth": depth}}, open("metrics.json", "w"))
open("model.txt", "w").write(text)
"""


ENVIRONMENT = {
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
    "DVC_NO_ANALYTICS": "1",
    "NO_COLOR": "1",
}


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def lathe(*args, cwd, code=0):
    return conftest.lathe(*args, cwd=cwd, code=code, **ENVIRONMENT)


def told(*args, cwd):
    return json.loads(lathe("--json", *args, cwd=cwd).stdout)


def dvc(*args, cwd):
    return run(sys.executable, "-m", "dvc", *args, cwd=cwd).stdout


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    for command in (["init", "-q", "-b", "main"], ["config", "user.email", "a@b.c"], ["config", "user.name", "A"]):
        run("git", *command, cwd=root)
    lathe("init", cwd=root)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "train.py").write_text(TRAIN)
    (root / "src.txt").write_text("hello\n")
    (root / "params.yaml").write_text("lr: 0.1  # rate\nmodel:\n  depth: 3\nunused: x\n")
    run("git", "add", "-A", cwd=root)
    run("git", "commit", "-qm", "base", cwd=root)
    return root


def names(shown):
    return [e["name"] for state in shown for e in state["experiments"] or []]


def test_both_tools_see_the_same_experiments(project):
    ours = told("exp", "run", "-n", "ours", "-S", "lr=0.2", cwd=project)
    assert ours["experiment"]["name"] == "ours"
    assert (project / "params.yaml").read_text() == "lr: 0.2  # rate\nmodel:\n  depth: 3\nunused: x\n"
    theirs = dvc("exp", "run", "-n", "theirs", "-S", "model.depth=5", cwd=project)
    assert "theirs" in theirs

    shown, expected = told("exp", "show", cwd=project), json.loads(dvc("exp", "show", "--json", cwd=project))
    assert sorted(names(shown)) == sorted(names(expected)) == ["ours", "theirs"]

    def comparable(states):
        for state in states:
            for experiment in state["experiments"] or []:
                yield from comparable(experiment["revs"])
            data = state["data"]
            for values in data["metrics"].values():
                values.pop("error", None)
            yield state["rev"], {key: data[key] for key in ("rev", "timestamp", "params", "metrics", "deps", "outs")}

    assert dict(comparable(shown)) == dict(comparable(expected))
    for options in ([], ["--name-only"], ["--sha-only"], ["-A"]):
        assert sorted(lathe("exp", "list", *options, cwd=project).stdout.split()) == sorted(
            dvc("exp", "list", *options, cwd=project).split()
        )
    assert told("exp", "diff", "ours", "theirs", cwd=project) == json.loads(
        dvc("exp", "diff", "ours", "theirs", "--json", cwd=project)
    )

    lathe("exp", "rename", "theirs", "deeper", cwd=project)
    assert "deeper" in dvc("exp", "list", "--name-only", cwd=project)
    lathe("exp", "branch", "deeper", "better", cwd=project)
    assert "depth: 5" in run("git", "show", "better:params.yaml", cwd=project).stdout
    dvc("exp", "apply", "ours", cwd=project)
    lathe("status", cwd=project)
    assert "lr: 0.2" in (project / "params.yaml").read_text()
    dvc("exp", "remove", "ours", cwd=project)
    lathe("exp", "remove", "deeper", cwd=project)
    assert lathe("exp", "list", cwd=project).stdout == ""


def test_an_applied_experiment_brings_its_outputs_and_keeps_what_was_changed(project):
    lathe("exp", "run", "-n", "one", "-S", "lr=0.2", cwd=project)
    lathe("exp", "run", "-n", "two", "-S", "lr=0.4", cwd=project)
    assert "lr: 0.4" in (project / "model.txt").read_text()
    (project / "train.py").write_text(TRAIN + "# mine\n")
    answer = lathe("exp", "apply", "one", cwd=project).stdout
    assert "lr: 0.2" in (project / "model.txt").read_text()
    assert (project / "train.py").read_text() == TRAIN
    assert told("run", cwd=project)["executed"] == 0
    assert "refs/lathe/before-apply" in answer
    assert "# mine" in run("git", "show", "refs/lathe/before-apply:train.py", cwd=project).stdout


def test_a_sweep_runs_apart_and_every_experiment_is_a_tracked_run(project):
    before = {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}
    done = told("exp", "run", "-n", "grid", "-S", "lr=0.1,0.3", "-S", "model.depth=range(1,3)", "-j", "2", cwd=project)
    assert sorted(one["name"] for one in done["experiments"]) == ["grid-1", "grid-2", "grid-3", "grid-4"]
    assert {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()} == before
    assert not list((project / ".lathe" / "experiments").glob("*/"))
    assert "grid-1" not in run("git", "worktree", "list", cwd=project).stdout
    dvc_sees = json.loads(dvc("exp", "show", "--json", cwd=project))
    losses = {
        e["name"]: e["revs"][0]["data"]["metrics"]["metrics.json"]["data"]["loss"]
        for state in dvc_sees
        for e in state["experiments"] or []
    }
    assert min(losses, key=losses.get) == "grid-3"
    table = lathe("exp", "show", "--sort-by", "loss", "--only-changed", cwd=project).stdout
    order = [line.split("[")[1].split("]")[0] for line in table.splitlines() if "[" in line]
    assert order == ["grid-3", "grid-1", "grid-4", "grid-2"], table
    assert "unused" not in table and "depth" in table

    run_id = next(one["run_id"] for one in done["experiments"] if one["name"] == "grid-3")
    with sqlite3.connect(project / ".lathe/lathe.db") as records:
        sql = "SELECT key, value FROM params JOIN runs USING (run_no) WHERE run_id = ?"
        logged = dict(records.execute(sql, [run_id]))
        name = records.execute("SELECT name FROM runs WHERE run_id = ?", [run_id]).fetchone()[0]
    assert (logged["lr"], logged["model.depth"], name) == ("0.3", "1", "grid-3")


def test_a_queue_waits_survives_failures_and_says_what_was_printed(project):
    queued = told("exp", "run", "--queue", "-n", "later", "-S", "lr=0.5,1000", cwd=project)["queued"]
    assert queued == ["later-1", "later-2"]
    assert [one["state"] for one in told("queue", "status", cwd=project)] == ["queued", "queued"]
    waiting = [e for s in told("exp", "show", cwd=project) for e in s["experiments"] or []]
    assert {e["name"]: e["executor"]["state"] for e in waiting} == {"later-1": "queued", "later-2": "queued"}
    (project / "src.txt").write_text("changed after it was queued\n")
    failed = lathe("queue", "start", "-j", "2", cwd=project, code=1)
    assert "later-2 failed" in failed.stderr and "diverged at 1000" in failed.stdout
    assert [(one["name"], one["state"]) for one in told("queue", "status", cwd=project)] == [("later-2", "failed")]
    assert "diverged at 1000" in lathe("queue", "logs", "later-2", cwd=project).stdout
    saved = run("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=project).stdout.strip()
    assert saved.endswith("/later-1")
    assert run("git", "show", f"{saved}:src.txt", cwd=project).stdout == "hello\n"
    lathe("queue", "remove", "--all", cwd=project)
    assert told("queue", "status", cwd=project) == []


def test_a_search_learns_and_a_draw_repeats(project):
    drawn = [
        [one["changes"] for one in told("exp", "run", "-S", "lr=uniform(0,1)", "--trials", "2", cwd=project)["experiments"]]
        for _ in range(2)
    ]
    assert sorted(drawn[0]) == sorted(drawn[1])
    answer = lathe(
        "exp", "run", "-n", "tpe", "-S", "lr=uniform(0,1)", "-S", "model.depth=1,2", "--trials", "8",
        "--search", "tpe", "--objective", "loss", cwd=project,
    ).stdout  # fmt: skip
    assert answer.splitlines()[-1].startswith("best: tpe-"), answer
    assert len([name for name in names(told("exp", "show", cwd=project)) if name.startswith("tpe-")]) == 8


def test_bad_input_is_named_and_changes_nothing(project):
    before = (project / "params.yaml").read_bytes()
    for arguments, words in (
        (["-S", "no.such=1"], "no parameter `no.such`"),
        (["-S", "+lr=1"], "has a parameter `lr` already"),
        (["-S", "lr=dance(1)"], "dance"),
        (["-S", "lr=uniform(0,1)"], "--trials"),
        (["-n", "a/b"], "cannot be the name"),
        (["--trials", "3", "--search", "tpe", "-S", "lr=1,2"], "metric to go by"),
    ):
        refused = lathe("exp", "run", *arguments, cwd=project, code=1)
        assert words in refused.stderr, refused.stderr
    assert (project / "params.yaml").read_bytes() == before
    assert run("git", "for-each-ref", "refs/exps", "refs/lathe", cwd=project).stdout == ""
    lathe("exp", "run", "-n", "once", "-S", "lr=0.2", cwd=project)
    assert "already" in lathe("exp", "run", "-n", "once", "-S", "lr=0.3", cwd=project, code=1).stderr
    assert "no experiment `twice`" in lathe("exp", "apply", "twice", cwd=project, code=1).stderr
    lathe("exp", "run", "-S", "~unused", "-S", "+extra.deep=[1,2]", "-n", "shape", cwd=project)
    assert (project / "params.yaml").read_text() == "lr: 0.2  # rate\nmodel:\n  depth: 3\nextra:\n  deep: [1,2]\n"


def test_experiments_travel_with_git(project, tmp_path):
    remote = tmp_path / "remote.git"
    run("git", "init", "-q", "--bare", str(remote), cwd=tmp_path)
    run("git", "remote", "add", "origin", str(remote), cwd=project)
    run("git", "push", "-q", "origin", "main", cwd=project)
    lathe("exp", "run", "-n", "gone", "-S", "lr=0.2", cwd=project)
    assert "gone" in lathe("exp", "push", "origin", cwd=project).stdout
    clone = tmp_path / "clone"
    run("git", "clone", "-q", "-b", "main", str(remote), str(clone), cwd=tmp_path)
    assert lathe("exp", "list", "origin", cwd=clone).stdout.split()[-1] == "[gone]"
    assert "gone" in lathe("exp", "pull", "origin", "gone", cwd=clone).stdout
    assert names(told("exp", "show", cwd=clone)) == ["gone"]


def test_experiments_link_the_data_that_they_need_and_travel_with_it(project, tmp_path):
    """The data of a `.dvc` file is brought into the worktree as links to the cache; it goes along with push and pull."""
    git_remote, store = tmp_path / "remote.git", tmp_path / "store"
    run("git", "init", "-q", "--bare", str(git_remote), cwd=tmp_path)
    run("git", "remote", "add", "origin", str(git_remote), cwd=project)
    (project / "raw").mkdir()
    for number in range(5):
        (project / f"raw/{number}.txt").write_text(f"{number}\n")
    (project / "unneeded.bin").write_bytes(b"x" * 100_000)
    lathe("add", "raw", "unneeded.bin", cwd=project)
    # Relative to `.dvc`, which lies elsewhere in a worktree.
    lathe("remote", "add", "-d", "store", os.path.relpath(store, project), cwd=project)
    (project / "dvc.yaml").write_text(
        PIPELINE.replace(
            "cp src.txt data.txt",
            "cat raw/*.txt src.txt > data.txt; find raw -type l | wc -l > links.txt; ls > here.txt",
        )
        .replace("deps: [src.txt]", "deps: [src.txt, raw]")
        .replace("outs: [data.txt]", "outs: [data.txt, links.txt, here.txt]")
    )
    run("git", "add", "-A", cwd=project)
    run("git", "commit", "-qm", "data", cwd=project)
    run("git", "push", "-q", "origin", "main", cwd=project)
    done = told("exp", "run", "-n", "apart", "-S", "lr=0.2,0.4", "-j", "2", cwd=project)
    assert len(done["experiments"]) == 2, done
    lathe("exp", "apply", "apart-1", cwd=project)
    links, here = (project / "links.txt").read_text(), (project / "here.txt").read_text().split()
    assert links.strip() in ("0", "5") and "unneeded.bin" not in here and "raw" in here
    device = os.stat(project).st_dev
    if links.strip() == "0":
        # Blocks are shared there instead.
        assert os.stat(project / ".dvc/cache").st_dev == device
    assert (project / "data.txt").read_text() == "0\n1\n2\n3\n4\nhello\n"
    assert not (project / "raw/0.txt").is_symlink()
    for path in (project / ".dvc/cache/files/md5").rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o444

    assert "files of data" in lathe("exp", "push", "origin", cwd=project).stdout
    run("git", "checkout", "-q", ".", cwd=project)
    clone = tmp_path / "clone"
    run("git", "clone", "-q", "-b", "main", str(git_remote), str(clone), cwd=tmp_path)
    (clone / ".dvc/config").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n")
    assert "files of data" in lathe("exp", "pull", "origin", "apart-1", cwd=clone).stdout
    lathe("exp", "apply", "apart-1", cwd=clone)
    assert (clone / "data.txt").read_text() == "0\n1\n2\n3\n4\nhello\n"
    assert told("run", "--pull", cwd=clone)["executed"] == 0
    # What no stage needs stayed where it was.
    assert list(json.loads(dvc("status", "--json", cwd=clone))) == ["unneeded.bin.dvc"]


def test_both_tools_see_one_queue(project):
    lathe("exp", "run", "--queue", "-n", "ours", "-S", "lr=0.5", cwd=project)
    dvc("exp", "run", "--queue", "-n", "theirs", "-S", "lr=0.6", "train", cwd=project)
    shown = dvc("queue", "status", cwd=project)
    assert "ours" in shown and "theirs" in shown and shown.count("Queued") == 2
    states = {one["name"]: (one["state"], one["tool"]) for one in told("queue", "status", cwd=project)}
    assert states == {"ours": ("queued", "lathe"), "theirs": ("queued", "dvc")}
    waiting = [e for state in json.loads(dvc("exp", "show", "--json", cwd=project)) for e in state["experiments"] or []]
    assert {e["name"] for e in waiting} == {"ours", "theirs"}
    # What is taken out by one is gone for the other.
    lathe("exp", "run", "--queue", "-n", "away", "-S", "lr=0.7", cwd=project)
    dvc("queue", "remove", "away", cwd=project)
    assert "away" not in lathe("queue", "status", cwd=project).stdout
    lathe("exp", "run", "--queue", "-n", "away", "-S", "lr=0.7", cwd=project)
    dvc("queue", "remove", "away", cwd=project)
    dvc("exp", "run", "--queue", "-n", "gone", "-S", "lr=0.8", cwd=project)
    lathe("queue", "remove", "gone", cwd=project)
    assert "gone" not in dvc("queue", "status", cwd=project)
    # Lathe executes both.
    lathe("queue", "start", "-j", "2", cwd=project)
    assert "Queued" not in dvc("queue", "status", cwd=project)
    found = dict(line.split() for line in (["ours 0.5", "theirs 0.6"]))
    for name, lr in found.items():
        show = run("git", "show", f"{reference(project, name)}:params.yaml", cwd=project).stdout
        assert f"lr: {lr}" in show
        files = run("git", "ls-tree", "-r", "--name-only", reference(project, name), cwd=project).stdout
        assert "repro.dat" not in files
    assert sorted(dvc("exp", "list", "--name-only", cwd=project).split()) == ["ours", "theirs"]
    assert told("queue", "status", cwd=project) == []
    assert "away" in lathe("exp", "clean", cwd=project).stdout
    assert run("git", "for-each-ref", "refs/lathe", "refs/exps/celery", cwd=project).stdout == ""


def reference(project, name):
    head = run("git", "rev-parse", "HEAD", cwd=project).stdout.strip()
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def test_dvc_executes_what_lathe_queued(project):
    lathe("exp", "run", "--queue", "-n", "ours", "-S", "lr=0.5", cwd=project)
    dvc("queue", "start", cwd=project)
    deadline = time.monotonic() + 90
    while "Success" not in dvc("queue", "status", cwd=project):
        assert time.monotonic() < deadline, dvc("queue", "status", cwd=project)
        time.sleep(1)
    (one,) = told("queue", "status", cwd=project)
    assert (one["name"], one["state"], one["tool"]) == ("ours", "success", "dvc")
    assert "train.py" in lathe("queue", "logs", "ours", cwd=project).stdout
    assert "lr: 0.5" in run("git", "show", f"{reference(project, 'ours')}:params.yaml", cwd=project).stdout
    lathe("exp", "clean", cwd=project)
    lathe("queue", "remove", "--success", cwd=project)
    assert told("queue", "status", cwd=project) == []
    dvc("queue", "stop", cwd=project)


def test_a_queue_is_stopped_and_its_experiments_killed(project):
    (project / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    run("git", "commit", "-qam", "slow", cwd=project)
    assert "nothing is being executed" in lathe("queue", "stop", cwd=project).stdout
    lathe("exp", "run", "--queue", "-n", "slow", "-S", "lr=0.5,0.6", cwd=project)
    command = [conftest.LATHE, "queue", "start"]
    start = subprocess.Popen(command, cwd=project, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while "begun" not in subprocess.run(
        [conftest.LATHE, "queue", "logs", "slow-1"], cwd=project, capture_output=True, text=True
    ).stdout:
        assert time.monotonic() < deadline and start.poll() is None
        time.sleep(0.1)
    assert "slow-1" in lathe("queue", "stop", cwd=project).stdout
    lathe("queue", "kill", "slow-1", cwd=project)
    assert start.wait(timeout=30) == 1
    states = {one["name"]: one["state"] for one in told("queue", "status", cwd=project)}
    assert states == {"slow-1": "failed", "slow-2": "queued"}
    assert "is not being executed" in lathe("queue", "kill", "slow-2", cwd=project, code=1).stderr
    lathe("queue", "remove", "--all", cwd=project)


def test_hooks_of_git_leave_experiments_alone(project):
    lathe("install", cwd=project)
    lathe("exp", "run", "--temp", "-n", "apart", "-S", "lr=0.2", cwd=project)
    assert "apart" in lathe("exp", "list", cwd=project).stdout


def test_files_that_git_ignores_are_copied_to_where_an_experiment_runs(project):
    (project / ".gitignore").write_text("/secret\n")
    (project / "secret").write_text("42\n")
    (project / "train.py").write_text(TRAIN + "open('secret').read()\n")
    run("git", "add", "-A", cwd=project)
    run("git", "commit", "-qm", "secret", cwd=project)
    lathe("exp", "run", "--temp", "-n", "without", cwd=project, code=1)
    lathe("exp", "run", "--temp", "-n", "with", "-C", "secret", "-S", "lr=0.2", cwd=project)
    assert "does not exist" in lathe("exp", "run", "--temp", "-C", "nothing", cwd=project, code=1).stderr
    # What is outside would be removed before it is copied onto itself.
    precious = project.parent / "precious"
    precious.write_text("1\n")
    for path in (str(precious), "../precious", "."):
        assert "is not in the project" in lathe("exp", "run", "--temp", "-C", path, cwd=project, code=1).stderr
    assert precious.read_text() == "1\n"
    dvc("config", "hydra.enabled", "true", cwd=project)
    assert "--no-hydra" in lathe("exp", "run", "-S", "lr=0.3", cwd=project, code=1).stderr
