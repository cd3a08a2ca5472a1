"""Stages executed by workers that share nothing with `lathe run` but a remote and the server."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from conftest import LATHE, git, lathe

on_either_database = pytest.mark.parametrize("workers", ["sqlite", "postgresql"], indirect=True)

PIPELINE = """\
stages:
  prepare:
    cmd: python3 code/prepare.py
    deps: [code, raw]
    params: [rows]
    outs: [clean]
  left:
    cmd: python3 slow.py left
    deps: [slow.py, clean]
    outs: [left.txt]
  right:
    cmd: python3 slow.py right
    deps: [slow.py, clean]
    outs: [right.txt]
  report:
    wdir: sub
    cmd:
    - echo summing up
    - cat ../left.txt ../right.txt > sum.txt && ./count.sh sum.txt > ../metrics.json
    deps: [../left.txt, ../right.txt, count.sh]
    outs: [sum.txt]
    metrics: [{../metrics.json: {cache: false}}]
"""
PREPARE = """\
import helper, pathlib
rows = int(pathlib.Path("params.yaml").read_text().split()[1])
pathlib.Path("clean").mkdir()
for path in pathlib.Path("raw").iterdir():
    (pathlib.Path("clean") / path.name).write_text(helper.upper(path.read_text()) * rows)
"""
# Tells where it is executed, and takes its time until a file says that it may end.
SLOW = """\
import os, pathlib, sys, time
name, folder = sys.argv[1], pathlib.Path(os.environ["MARKS"])
mark = folder / f"{name}-{os.getpid()}"
mark.write_text(os.getcwd())
print(name, "has begun", flush=True)
while not (folder / "go").exists():
    time.sleep(0.02)
text = "".join(sorted(path.read_text() for path in pathlib.Path("clean").iterdir()))
pathlib.Path(f"{name}.txt").write_text(f"{name}\\n{text}")
"""


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def project(folder, remote):
    for at in ["code", "raw", "sub"]:
        (folder / at).mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    lathe("init", cwd=folder)
    lathe("remote", "add", "-d", "storage", str(remote), cwd=folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("rows: 2\n")
    (folder / "code/prepare.py").write_text(PREPARE)
    (folder / "code/helper.py").write_text("def upper(text):\n    return text.upper()\n")
    (folder / "slow.py").write_text(SLOW)
    (folder / "sub/count.sh").write_text("#!/bin/sh\necho \"{\\\"lines\\\": $(wc -l < $1)}\"\n")
    (folder / "sub/count.sh").chmod(0o755)
    for name in ["a", "b"]:
        (folder / f"raw/{name}.txt").write_text(f"{name}\n")
    lathe("add", "raw", cwd=folder)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    return folder


class Workers:
    def __init__(self, tmp_path, url, remote):
        self.folder, self.url, self.remote, self.all = tmp_path, url, remote, {}

    def start(self, name, *args, **env):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        self.all[name] = subprocess.Popen(
            [LATHE, "worker", "--server", self.url, "--remote", str(self.remote), *(args or ("--lease", "2s"))],
            cwd=folder,
            env={**os.environ, **env},
            stdout=open(folder / "out", "a"),
            stderr=subprocess.STDOUT,
        )
        return self.all[name]

    def stop(self):
        for name, process in self.all.items():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                assert process.wait(timeout=20) == 0, name
            assert "panicked" not in (self.folder / name / "out").read_text()


@pytest.fixture
def workers(tmp_path, serve, request):
    (tmp_path / "server").mkdir()
    database = getattr(request, "param", "sqlite")
    of = ["--database", request.getfixturevalue("postgres")()] if database == "postgresql" else []
    server = serve(tmp_path / "server", *of)
    workers = Workers(tmp_path, server.url, tmp_path / "remote")
    yield workers
    workers.stop()


def start_run(folder, url, *args):
    return subprocess.Popen(
        [LATHE, "run", "--engine", "worker", "--server", url, *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(process, code=0, seconds=60):
    out, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, out
    assert "panicked" not in out
    return out


def files(folder):
    names = ["dvc.lock", "metrics.json", "left.txt", "right.txt", "sub/sum.txt", "clean/a.txt", "clean/b.txt"]
    return {name: (folder / name).read_bytes() for name in names}


def begun(marks, name):
    """Process and folder of what has begun under this name."""
    found = [(int(mark.name.split("-")[1]), mark.read_text()) for mark in marks.glob(f"{name}-*")]
    return [(pid, at) for pid, at in found if at]


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@on_either_database
def test_a_killed_workers_step_is_done_by_another_and_all_ends_as_at_home(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    at_home = project(tmp_path / "home", tmp_path / "other")
    away = project(tmp_path / "away", tmp_path / "remote")
    workers.start("one"), workers.start("two")
    run = start_run(away, workers.url, "-j", "2", "--env", f"MARKS={marks}")
    # Each worker has one of the two, in a folder below its own.
    until(lambda: begun(marks, "left") and begun(marks, "right"))
    [(pid, at)] = begun(marks, "left")
    name = pathlib.Path(at).relative_to(tmp_path).parts[0]
    workers.all[name].kill()
    workers.all.pop(name).wait()
    # What it executed ends with it.
    until(lambda: not is_alive(pid), 5)
    (marks / "go").touch()
    out = ends(run)
    assert "attempt 2" in out and "left has begun" in out and "summing up" in out, out
    assert len(begun(marks, "left")) == 2 and len(begun(marks, "right")) == 1

    lathe("run", "--env", f"MARKS={marks}", cwd=at_home)
    assert files(away) == files(at_home)
    # Nothing is left to be done, here or for DVC.
    assert "everything is up to date" in lathe("run", cwd=away).stdout
    dvc = pathlib.Path(os.sys.executable).with_name("dvc")
    assert "up to date" in subprocess.run([dvc, "status"], cwd=away, capture_output=True, text=True).stdout
    # The log came home with the step, and the record tells what was used.
    [log] = away.glob(".lathe/logs/*/right.log")
    assert "> python3 slow.py right\nright has begun\n" in log.read_text()


@on_either_database
def test_a_worker_that_slept_through_its_lease_changes_nothing_any_more(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    away = project(tmp_path / "away", tmp_path / "remote")
    first = workers.start("one")
    run = start_run(away, workers.url, "--env", f"MARKS={marks}", "left")
    until(lambda: begun(marks, "left"))
    first.send_signal(signal.SIGSTOP)
    workers.start("two")
    until(lambda: len(begun(marks, "left")) == 2)
    first.send_signal(signal.SIGCONT)
    # It hears that the step is not its own, and ends its commands.
    pids = {pathlib.Path(at).relative_to(tmp_path).parts[0]: pid for pid, at in begun(marks, "left")}
    until(lambda: not is_alive(pids["one"]))
    assert is_alive(pids["two"])
    (marks / "go").touch()
    ends(run)
    until(lambda: "lost" in (tmp_path / "one/out").read_text())
    assert (away / "left.txt").read_text() == "left\nA\nA\nB\nB\n"


def test_a_command_that_fails_is_told_as_at_home_and_tried_again_as_declared(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "go").touch()
    away = project(tmp_path / "away", tmp_path / "remote")
    with (away / "lathe.toml").open("a") as toml:
        toml.write("\n[stage.left]\nretries = 1\n")
    # `clean` is no dep of it now, so a worker does not have it.
    (away / "dvc.yaml").write_text(PIPELINE.replace("[slow.py, clean]\n    outs: [left.txt]", "[slow.py]\n    outs: [left.txt]"))
    workers.start("one")
    out = ends(start_run(away, workers.url, "--env", f"MARKS={marks}", "left"), code=1)
    assert "FileNotFoundError" in out and "attempt 2 of `left`" in out, out
    assert "`python3 slow.py left` exited with code 1" in out, out
    assert len(begun(marks, "left")) == 2


def test_ctrl_c_takes_the_step_back(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    away = project(tmp_path / "away", tmp_path / "remote")
    workers.start("one")
    run = start_run(away, workers.url, "--env", f"MARKS={marks}", "left")
    [(pid, _)] = until(lambda: begun(marks, "left"))
    run.send_signal(signal.SIGINT)
    ends(run, code=130)
    until(lambda: not is_alive(pid))
    assert not (away / "left.txt").exists()
    # The worker goes on with what comes next.
    (marks / "go").touch()
    ends(start_run(away, workers.url, "--env", f"MARKS={marks}", "left"))


def test_a_worker_that_is_asked_to_end_gives_its_step_back(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    away = project(tmp_path / "away", tmp_path / "remote")
    first = workers.start("one", "--lease", "1h")
    run = start_run(away, workers.url, "--env", f"MARKS={marks}", "left")
    [(pid, _)] = until(lambda: begun(marks, "left"))
    first.terminate()
    assert first.wait(timeout=20) == 0
    assert not is_alive(pid) and not list((tmp_path / "one/.lathe/steps").glob("*-*"))
    workers.start("two")
    (marks / "go").touch()
    ends(run)


def test_a_worker_with_another_remote_says_so_and_another_one_does_it(tmp_path, workers):
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "go").touch()
    away = project(tmp_path / "away", tmp_path / "remote")
    lost = Workers(tmp_path, workers.url, tmp_path / "elsewhere")
    lost.start("lost")
    run = start_run(away, workers.url, "--env", f"MARKS={marks}", "prepare")
    until(lambda: "not done" in (tmp_path / "lost/out").read_text())
    lost.stop()
    workers.start("one")
    out = ends(run)
    assert "does not hold" in out, out


def test_workers_meet_in_a_bucket(tmp_path, serve, s3_endpoint):
    url, env = s3_endpoint
    (tmp_path / "server").mkdir()
    server = serve(tmp_path / "server")
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "go").touch()
    os.environ.update(env)
    try:
        workers = Workers(tmp_path, server.url, f"{url}/steps")
        away = project(tmp_path / "away", f"{url}/steps")
        workers.start("one", "--jobs", "2")
        ends(start_run(away, server.url, "-j", "2", "--env", f"MARKS={marks}"))
        workers.stop()
    finally:
        for name in env:
            del os.environ[name]
    assert json.loads((away / "metrics.json").read_text()) == {"lines": 10}


def test_only_those_who_may_write_are_given_steps(tmp_path, serve):
    (tmp_path / "server").mkdir()
    password = {"LATHE_ADMIN_PASSWORD": "a long password of the admin"}
    os.environ.update(password)
    try:
        server = serve(tmp_path / "server", "--auth")
    finally:
        del os.environ["LATHE_ADMIN_PASSWORD"]
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "go").touch()
    away = project(tmp_path / "away", tmp_path / "remote")
    workers = Workers(tmp_path, server.url, tmp_path / "remote")
    stranger = workers.start("stranger")
    assert stranger.wait(timeout=20) == 1
    assert "LATHE_TOKEN" in (tmp_path / "stranger/out").read_text()
    workers.all.clear()

    admin = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password["LATHE_ADMIN_PASSWORD"]}
    made = lathe("token", "create", "worker", "--scope", "write", "--server", server.url, cwd=away, **admin)
    token = made.stdout.strip()
    workers.start("one", LATHE_TOKEN=token)
    lathe("run", "--engine", "worker", "--server", server.url, "--env", f"MARKS={marks}", cwd=away, LATHE_TOKEN=token)
    workers.stop()
    # The token is in no record of the server.
    jobs = lathe_get(server.url, "/api/v1/jobs", token)
    assert token not in jobs and '"kind":"step"' in jobs.replace(" ", "")


def lathe_get(url, path, token):
    import urllib.request

    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
    return urllib.request.urlopen(request, timeout=10).read().decode()


def test_what_cannot_be_executed_elsewhere_is_refused_before_anything_is_done(tmp_path, workers):
    away = project(tmp_path / "away", tmp_path / "remote")
    failed = lathe("run", "--engine", "worker", cwd=away, code=1)
    assert "workers take stages from a server" in failed.stderr
    failed = lathe("run", "--engine", "worker", "--trace", "--server", workers.url, cwd=away, code=1)
    assert "--engine local" in failed.stderr
    failed = lathe("worker", cwd=away, code=1)
    assert "--server" in failed.stderr
    (tmp_path / "nowhere").mkdir()
    failed = lathe("worker", "--server", workers.url, cwd=tmp_path / "nowhere", code=1)
    assert "--remote" in failed.stderr
    lathe("remote", "remove", "storage", cwd=away)
    failed = lathe("run", "--engine", "worker", "--server", workers.url, cwd=away, code=1)
    assert "remote" in failed.stderr


@pytest.mark.parametrize("strange", [{"wdir": "../../../elsewhere"}, {"wdir": "/elsewhere"}, {"outs": ["a/../../x"]}])
def test_a_worker_leaves_its_folder_for_no_step(tmp_path, workers, strange):
    import requests

    worker = workers.start("careful")
    step = {"project": "p", "run_id": "r", "stage": "s", "wdir": "", "commands": ["touch here"], "inputs": [], "outs": []}
    asked = {"key": "k", "run_id": "r", "step": {**step, **strange}}
    queued = requests.post(f"{workers.url}/api/v1/steps", json=asked)
    assert queued.status_code == 200, queued.text
    follow = f"{workers.url}/api/v1/steps/{queued.json()['id']}/follow"

    def error():
        return requests.post(follow, json={"since": {"attempt": 0, "at": 0}}).json()["error"]

    assert "outside of its folder" in until(error)
    assert worker.poll() is None
    assert not list(tmp_path.rglob("elsewhere")) and not list(tmp_path.rglob("here"))


def test_a_workers_cache_stays_within_its_limit(tmp_path, workers):
    folder = tmp_path / "away"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    lathe("init", cwd=folder)
    lathe("remote", "add", "-d", "storage", str(tmp_path / "remote"), cwd=folder)
    (folder / "make.py").write_text(
        "import os, random, sys\n"
        "before = [open(path, 'rb').read() for path in sys.argv[2:]]\n"
        "open(sys.argv[1], 'wb').write(random.Random(sys.argv[1]).randbytes(300_000 - 1) + bytes([len(before)]))\n"
    )

    def stage(name, *deps):
        listed = "".join(f", {dep}" for dep in deps)
        return f"  {name}:\n    cmd: python3 make.py {' '.join([name + '.bin', *deps])}\n    deps: [make.py{listed}]\n    outs: [{name}.bin]\n"

    chain = [stage(f"s{at}", *([f"s{at - 1}.bin"] if at else [])) for at in range(6)]
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(chain))
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    workers.start("one", "--cache-limit", "1MB", "--jobs", "2", "--lease", "2s")
    cache = tmp_path / "one/.dvc/cache/files/md5"
    other = cache / "00" / ("1" * 30)
    ends(start_run(folder, workers.url))
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"0" * 2_000_000)

    def held():
        return {path.parent.name + path.name: path.stat().st_size for path in cache.rglob("*") if path.is_file() and path != other}

    until(lambda: sum(held().values()) <= 1_000_000)
    # The newest are kept, and what no step used is not touched.
    lock = (folder / "dvc.lock").read_text()
    md5s = [lock.split(f"s{at}.bin\n      hash: md5\n      md5: ")[-1].split()[0] for at in range(6)]
    assert [md5 in held() for md5 in md5s] == [False, False, False, True, True, True]
    assert other.stat().st_size == 2_000_000
    # An input that was removed comes again.
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(chain) + stage("again", "s0.bin", "s5.bin"))
    ends(start_run(folder, workers.url))
    assert (folder / "again.bin").read_bytes()[-1] == 2
    assert md5s[0] in held()
