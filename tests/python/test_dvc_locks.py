"""Commands at the same time, of one tool or both: each reads what it goes by after it took DVC's lock."""

import contextlib
import fcntl
import json
import pathlib
import subprocess
import time

import pytest
from conftest import LATHE, lathe
from test_dvc_data import apart, dvc, twins, write  # noqa: F401

#: After so long a command that waits has read whatever it reads before.
WAITING = 0.7


@pytest.fixture
def project(twins):  # noqa: F811
    (twins[0] / ".dvc/tmp").mkdir(exist_ok=True)
    return twins[0]


@contextlib.contextmanager
def locked(folder):
    """Somebody else holds the lock."""
    with open(folder / ".dvc/tmp/lock", "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def is_locked(folder):
    with open(folder / ".dvc/tmp/lock", "a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def begin(folder, *args):
    return subprocess.Popen(
        [LATHE, "--wait-for-lock", *args], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process, code=0):
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, f"{process.args}\n{out}\n{err}"
    return out + err


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def entry_of(file):
    return next(line for line in file.read_text().splitlines() if "md5: " in line).split("md5: ")[1]


def object_of(folder, md5):
    return folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_partial_adds_at_once_keep_each_other(project):
    write([project], {"d/a": "a"})
    lathe("add", "d", cwd=project)
    known = {"a"}
    for turn in range(8):
        names = [f"{turn}-{name}" for name in "bcd"]
        write([project], {f"d/{name}": name for name in names})
        if turn % 2 == 0:
            # All of them are at the door when it opens.
            with locked(project):
                adds = [begin(project, "add", f"d/{name}") for name in names]
                time.sleep(WAITING)
        else:
            adds = [begin(project, "add", f"d/{name}") for name in names]
        for add in adds:
            end(add)
        known |= set(names)
        listing = json.loads(object_of(project, entry_of(project / "d.dvc")).read_bytes())
        assert {file["relpath"] for file in listing} == known
    assert "up to date" in dvc(project, "status")


def test_gc_keeps_what_was_added_while_it_waited(project):
    write([project], {"x": "x", "garbage": "g"})
    lathe("add", "x", "garbage", cwd=project)
    used, unused = (object_of(project, entry_of(project / f"{name}.dvc")) for name in ["x", "garbage"])
    (project / "garbage.dvc").unlink()
    (project / "x.dvc").rename(project / "later")
    with locked(project):
        collecting = begin(project, "gc", "-w", "-f")
        time.sleep(WAITING)
        # As an `add` that held the lock ends.
        (project / "later").rename(project / "x.dvc")
    end(collecting)
    assert used.exists() and not unused.exists()

    for turn in range(8):
        write([project], {f"new-{turn}": f"new {turn}"})
        with locked(project):
            both = [begin(project, "gc", "-w", "-f"), begin(project, "add", f"new-{turn}")]
            time.sleep(WAITING)
        for one in both:
            end(one)
        assert object_of(project, entry_of(project / f"new-{turn}.dvc")).exists(), turn


def test_gc_locks_every_project_that_shares_the_cache(project, twins):  # noqa: F811
    other = twins[1]
    lathe("cache", "dir", str(project / ".dvc/cache"), cwd=other)
    write([other], {"y": "y"})
    lathe("add", "y", cwd=other)
    used = object_of(project, entry_of(other / "y.dvc"))
    (other / "y.dvc").rename(other / "later")
    with locked(other):
        collecting = begin(project, "gc", "-w", "-f", "-p", str(other), str(project))
        time.sleep(WAITING)
        (other / "later").rename(other / "y.dvc")
    end(collecting)
    assert used.exists()


@pytest.mark.parametrize("command", ["push", "checkout", "commit", "remove", "move", "freeze", "unprotect"])
def test_what_came_while_a_command_waited_counts(project, command, tmp_path):
    store = tmp_path / "store"
    lathe("remote", "add", "-d", "store", str(store), cwd=project)
    write([project], {"first": "1", "x": "x"})
    lathe("add", "first", "x", cwd=project)
    md5 = entry_of(project / "x.dvc")
    (project / "x.dvc").rename(project / "later")
    if command == "checkout":
        (project / "x").unlink()
    args = {
        "push": ["push"],
        "checkout": ["checkout"],
        "commit": ["commit", "-f", "x.dvc"],
        "remove": ["remove", "x.dvc"],
        "move": ["move", "x", "y"],
        "freeze": ["freeze", "x.dvc"],
        "unprotect": ["unprotect", "x"],
    }[command]
    with locked(project):
        waiting = begin(project, *args)
        time.sleep(WAITING)
        (project / "later").rename(project / "x.dvc")
    end(waiting)
    match command:
        case "push":
            assert (store / "files/md5" / md5[:2] / md5[2:]).exists()
        case "checkout":
            assert (project / "x").read_text() == "x"
        case "remove":
            assert not (project / "x.dvc").exists()
        case "move":
            assert (project / "y").exists() and (project / "y.dvc").exists()
        case "freeze":
            assert "frozen: true" in (project / "x.dvc").read_text()


def test_stages_are_kept_under_the_lock_and_executed_without_it(project):
    write(
        [project],
        {
            "in": "in",
            "data/0": "0",
            "wait.sh": "touch begun && until [ -e go ]; do sleep 0.05; done",
            "dvc.yaml": "stages:\n"
            f"  uses:\n    cmd: {LATHE} add in && cp in a\n    outs: [a]\n"
            "  waits:\n    cmd: sh wait.sh && cp a b\n    deps: [a]\n    outs: [b]\n",
        },
    )
    with locked(project):
        done = lathe("run", cwd=project, code=1)
        assert "another process holds" in done.stderr
    lathe("run", "--dry", cwd=project)

    running = begin(project, "run")
    until((project / "begun").exists)
    # Its own command has tracked something, the stage is written down, and the next lets go of the lock.
    assert (project / "in.dvc").exists()
    until(lambda: not is_locked(project))
    assert "uses:" in (project / "dvc.lock").read_text()
    lathe("gc", "-w", "-f", cwd=project)
    dvc(project, "add", "data")
    with locked(project):
        (project / "go").touch()
        time.sleep(4)
        assert running.poll() is None
        assert "waits:" not in (project / "dvc.lock").read_text()
        # Somebody else takes out what the run wrote down before.
        text = (project / "dvc.lock").read_text()
        (project / "dvc.lock").write_text(text.replace("  uses:", "  used:"))
    assert "waiting for it to end" in end(running)
    text = (project / "dvc.lock").read_text()
    assert "  waits:" in text and "  used:" in text and "  uses:" not in text
    (project / "dvc.lock").write_text(text.replace("  used:", "  uses:"))
    for name in "ab":
        assert (project / name).read_text() == "in"
    lathe("gc", "-w", "-f", cwd=project)
    for name in "ab":
        pathlib.Path(project / name).unlink()
    lathe("checkout", cwd=project)
    assert (project / "b").read_text() == "in"
    assert "up to date" in dvc(project, "status")


def test_an_interruption_ends_the_waiting_for_the_lock(project):
    write(
        [project],
        {
            "wait.sh": "touch begun && until [ -e go ]; do sleep 0.05; done && touch a",
            "dvc.yaml": "stages:\n  s:\n    cmd: sh wait.sh\n    outs: [a]\n",
        },
    )
    running = begin(project, "run")
    until((project / "begun").exists)
    with locked(project):
        (project / "go").touch()
        time.sleep(WAITING)
        running.terminate()
        running.communicate(timeout=20)
        assert running.returncode != 0
    assert not (project / "dvc.lock").exists()
    lathe("run", cwd=project)
    assert "s:" in (project / "dvc.lock").read_text()


def test_one_way_in_serves_stages_beside_one_another(project):
    """They hold the lock together, and their commands use the repository."""
    stages = "".join(
        f"  s{i}:\n    cmd: {LATHE} --wait-for-lock add in{i} && cp in{i} out{i}\n    outs: [out{i}]\n" for i in range(8)
    )
    write([project], {f"in{i}": f"{i}" * 1000 for i in range(8)} | {"dvc.yaml": f"stages:\n{stages}"})
    lathe("run", "--jobs", "4", cwd=project)
    assert "up to date" in dvc(project, "status")
    lathe("gc", "-w", "-f", cwd=project)
    assert "up to date" in dvc(project, "status")
