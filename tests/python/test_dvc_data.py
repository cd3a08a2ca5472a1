"""Data: `dvc` and `lathe` do the same on twin projects, and what they leave is compared byte for byte. DVC runs in this
process, so that its start is paid for once."""

import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import time

import pytest
from conftest import LATHE, git, lathe

from dvc.cli import main as dvc_main


@pytest.fixture(autouse=True)
def apart(tmp_path_factory, monkeypatch):
    """No settings and no state of the machine's user."""
    for name in ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"]:
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    # Otherwise printing JSON gives the process its first standard output back.
    monkeypatch.setenv("DVC_TEST", "1")


def dvc(folder, *args, code=0):
    """Runs `dvc ARGS` and returns what it printed on standard output."""
    out, before = io.StringIO(), os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out):
            ended = dvc_main(list(args))
    finally:
        os.chdir(before)
    assert ended == code, f"dvc {args}: {ended}\n{out.getvalue()}"
    return out.getvalue()


def both(twins, *args, code=0):
    """The same command in both projects."""
    dvc_code = code if code == 0 else (255 if code == 1 else code)
    ours, theirs = twins
    told = dvc(theirs, *args, code=dvc_code)
    return lathe(*args, cwd=ours, code=code).stdout, told


def state(folder):
    """Every file but git's and the tools' own temporary ones: content and mode."""
    found = {}
    for at, folders, files in os.walk(folder):
        at = pathlib.Path(at)
        inside = at.relative_to(folder)
        if inside.parts[:1] == (".git",) or inside.parts[:2] == (".dvc", "tmp"):
            folders.clear()
            continue
        for name in files:
            path = at / name
            mode = stat.S_IMODE(path.stat().st_mode)
            # DVC sets the mode of a single added file anew; here it stays the user's.
            is_object = "cache" in inside.parts
            found[str(inside / name)] = (path.read_bytes(), mode if is_object else mode & 0o100)
    return found


def same(twins):
    ours, theirs = map(state, twins)
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        assert ours[name] == theirs[name], name


@pytest.fixture
def twins(tmp_path):
    """Two projects that begin alike: ours, theirs."""
    for name in ["ours", "theirs"]:
        folder = tmp_path / name
        folder.mkdir()
        git(folder, "init", "--quiet")
        dvc(folder, "init")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", "start")
    return tmp_path / "ours", tmp_path / "theirs"


def write(twins, files):
    for folder in twins:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def commit(twins, message="next"):
    for folder in twins:
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", message)


def files_of(seed, count=12):
    """Names that trip tools up, in folders, with sizes from nothing on."""
    pick = random.Random(seed)
    names = ["a.bin", "ü n.txt", "[x]*.csv", "#c", "deep/er/b", "deep/é.json", "quo'te", 'dou"ble', "-dash", "tab\tname"]
    chosen = pick.sample(names, 6) + [f"many/{i:03}" for i in range(count)]
    return {f"data/{name}": pick.randbytes(pick.choice([0, 1, 100, 5000])) for name in chosen}


def test_what_is_added_is_the_same_to_the_byte(twins):
    write(twins, files_of(1) | {"one.bin": b"x" * 2_000_000, "run.sh": "#!/bin/sh\n", "[odd] *?#!.csv": "1\n", "empty/.keep": ""})
    write(twins, {"sub/here.txt": "here\n", "yes": "a name that YAML could take for something else\n"})
    for folder in twins:
        (folder / "run.sh").chmod(0o755)
        (folder / "hollow").mkdir()
    both(twins, "add", "data", "one.bin", "run.sh", "[odd] *?#!.csv", "sub/here.txt", "yes", "hollow", "empty")
    same(twins)
    commit(twins)
    # Again: nothing changes. Then a part of a folder, one that is new, one that is gone.
    both(twins, "add", "data")
    same(twins)
    write(twins, {"data/many/001": "changed", "data/new/file": "new", "data/new/other": "not added"})
    for folder in twins:
        (folder / "data/many/002").unlink()
    both(twins, "add", "data/many/001", "data/new/file")
    same(twins)
    both(twins, "add", "data/many/002")
    same(twins)
    assert (twins[0] / "data.dvc").read_text().count("size") == (twins[1] / "data.dvc").read_text().count("size")
    # Comments, order and keys of people stay.
    text = (twins[0] / "one.bin.dvc").read_text()
    text = "# ours\n" + text.replace("  path:", "  desc: 'kept'\n  # where\n  path:") + "meta:\n  owner: me  # who\n"
    write(twins, {"one.bin.dvc": text, "one.bin": "other"})
    both(twins, "add", "one.bin")
    ours, theirs = ((folder / "one.bin.dvc").read_text() for folder in twins)
    assert ours == theirs.replace("desc: kept", "desc: 'kept'"), (ours, theirs)
    both(twins, "add", "data")
    assert "up to date" in dvc(twins[0], "status")
    assert json.loads(lathe("status", "--json", cwd=twins[1]).stdout)["up_to_date"]


def test_what_must_not_be_added_is_refused_before_anything_changes(twins):
    write(twins, {"data/a": "a", "tracked": "t", "data2/.dvcignore": "x", "x.log": "", ".dvcignore": "*.log\n"})
    for folder in twins:
        git(folder, "add", "tracked", ".dvcignore")
        git(folder, "commit", "--quiet", "-m", "tracked")
        dvc(folder, "add", "data/a")
    before = state(twins[0])
    ours = twins[0]
    os.mkfifo(ours / "pipe")
    (ours / "withpipe").mkdir()
    os.mkfifo(ours / "withpipe/p")
    (ours / "dangling").mkdir()
    (ours / "dangling/link").symlink_to("nowhere")
    (ours / "bytes").mkdir()
    open(os.fsencode(ours) + b"/bytes/\xff\xfe", "w").close()
    (ours / "line\nbreak").write_text("")
    refused = {
        "data": "overlaps",
        "data/a.dvc": "tracks data",
        "tracked": "git tracks",
        "data2": ".dvcignore",
        "x.log": "leaves it out",
        "nothing": "does not exist",
        "pipe": "neither a file nor a folder",
        "withpipe": "neither a file nor a folder",
        "dangling": "link to nothing",
        "bytes": "not UTF-8",
        "line\nbreak": "line break",
        "..": "not inside",
        ".dvc/tmp": "DVC itself",
    }
    for target, told in refused.items():
        done = lathe("add", target, cwd=ours, code=1)
        assert told in done.stderr, (target, done.stderr)
    after = state_without(ours, ["pipe", "withpipe", "dangling", "bytes", "line"])
    assert after == before
    (ours / "data/a.dvc").write_text("<<<<<<< HEAD\nouts:\n=======\nouts:\n>>>>>>> x\n")
    assert "merge conflict" in lathe("status", cwd=ours, code=1).stderr


def state_without(folder, prefixes):
    for prefix in prefixes:
        for path in folder.glob(f"{prefix}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return state(folder)


def test_data_comes_back_and_goes_as_with_dvc(twins):
    write(twins, files_of(2) | {"model.bin": "one"})
    for folder in twins:
        (folder / "model.bin").chmod(0o755)
    both(twins, "add", "data", "model.bin")
    commit(twins, "one")
    write(twins, {"model.bin": "two", "data/many/000": "changed", "data/added": "added"})
    for folder in twins:
        (folder / "data/many/003").unlink()
    ours, theirs = both(twins, "status", "--json")
    assert json.loads(ours)["data"] == json.loads(theirs)
    assert lathe("status", "--quiet", cwd=twins[0], code=1).stdout == ""
    for args in [["--json"], ["--json", "--granular"], ["--json", "--granular", "--unchanged", "--untracked-files"]]:
        ours, theirs = both(twins, "data", "status", *args)
        assert ordered(ours) == ordered(theirs), args
    for args in [["--json"], ["--json", "--show-hash"], ["HEAD", "--json", "--hide-missing"]]:
        ours, theirs = both(twins, "diff", *args)
        assert ordered(ours) == ordered(theirs), args
    # What is in no cache is not lost: both refuse, and nothing is changed.
    before = state(twins[0])
    done = lathe("checkout", cwd=twins[0], code=1)
    assert "in no cache" in done.stderr and "--force" in done.stderr
    assert state(twins[0]) == before
    both(twins, "commit", "-f")
    same(twins)
    commit(twins, "two")
    ours, theirs = both(twins, "diff", "HEAD~1", "HEAD", "--json")
    assert ordered(ours) == ordered(theirs)
    for folder in twins:
        git(folder, "checkout", "--quiet", "HEAD~1")
    both(twins, "checkout")
    same(twins)
    for folder in twins:
        shutil.rmtree(folder / "data")
    both(twins, "checkout", "data/many/003")
    same(twins)
    both(twins, "checkout")
    same(twins)
    for folder in twins:
        git(folder, "checkout", "--quiet", "-")
    both(twins, "checkout", "--summary")
    same(twins)
    for folder in twins:
        (folder / "models").mkdir()
    both(twins, "move", "model.bin", "models/m.bin")
    both(twins, "move", "data", "models")
    # DVC copies what it moves and forgets that it may be executed; ours is the file that it was.
    assert os.access(twins[0] / "models/m.bin", os.X_OK)
    (twins[1] / "models/m.bin").chmod(0o755)
    same(twins)
    both(twins, "remove", "models/m.bin.dvc")
    assert not (twins[0] / "models/m.bin").is_symlink()
    both(twins, "remove", "--outs", "models/data.dvc")
    same(twins)
    assert "Data and pipelines" in dvc(twins[0], "status") or "no data" in dvc(twins[0], "status")


def ordered(text):
    """JSON whose lists have no meaning in their order."""

    def sort(value):
        if isinstance(value, dict):
            return {key: sort(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return sorted((sort(inner) for inner in value), key=json.dumps)
        return value

    return sort(json.loads(text))


def test_a_damaged_object_never_arrives_and_a_missing_one_is_named(twins):
    ours = twins[0]
    write(twins, files_of(3))
    lathe("add", "data", cwd=ours)
    shutil.rmtree(ours / "data")
    victim = next(path for path in (ours / ".dvc/cache/files/md5").rglob("*") if path.is_file() and path.stat().st_size == 5000)
    good = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(b"y" + good[1:])
    victim.chmod(0o444)
    done = lathe("checkout", cwd=ours, code=1)
    assert "damaged" in done.stderr and victim.name in done.stderr
    victim.unlink()
    done = lathe("checkout", cwd=ours, code=1)
    assert "cannot be restored: data" in done.stderr
    victim.write_bytes(good)
    lathe("checkout", cwd=ours)
    assert "up to date" in dvc(ours, "status")


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_links_are_of_the_kind_that_was_asked_for(twins, kind):
    both(twins, "config", "cache.type", kind)
    same(twins)
    write(twins, {"data/a": "a", "data/b/c": "bc", "one": "1"})
    both(twins, "add", "data", "one")
    ours = twins[0]

    def is_link(path):
        return path.is_symlink() if kind == "symlink" else 1 < path.stat().st_nlink

    for name in ["data/a", "data/b/c", "one"]:
        assert is_link(ours / name) == (kind != "copy") == is_link(twins[1] / name), name
    same(twins)
    both(twins, "unprotect", "data")
    assert not is_link(ours / "data/a")
    (ours / "data/a").write_text("edited")
    lathe("checkout", "--force", cwd=ours)
    lathe("checkout", "--relink", cwd=ours)
    assert is_link(ours / "data/a") == (kind != "copy")
    assert "up to date" in dvc(ours, "status")


def test_settings_are_read_and_written_as_dvc_does(twins):
    for args in [
        ["config", "core.autostage", "true"],
        ["config", "cache.type", "hardlink,symlink"],
        ["config", "cache.dir", "../shared cache"],
        ["config", "--local", "core.no_scm", "false"],
        ["config", "--unset", "core.autostage"],
    ]:
        both(twins, *args)
        same(twins)
    ours, theirs = both(twins, "config", "cache.type")
    assert ours == theirs
    assert "no setting `core.nonsense`" in lathe("config", "core.nonsense", "1", cwd=twins[0], code=1).stderr
    ours, theirs = both(twins, "config", "--list")
    assert sorted(line.replace(str(twins[0]), str(twins[1])) for line in ours.splitlines()) == sorted(theirs.splitlines())
    for args in [
        ["remote", "add", "-d", "Store", "../a store"],
        ["remote", "add", "web", "https://example.org/x"],
        ["remote", "modify", "store", "jobs", "3"],
        ["remote", "modify", "web", "password", "a#b, 'c'"],
        ["remote", "rename", "store", "main"],
        ["remote", "default", "web"],
        ["remote", "remove", "web"],
    ]:
        both(twins, *args)
        same(twins)
    assert "no remote `gone`" in lathe("remote", "modify", "gone", "jobs", "1", cwd=twins[0], code=1).stderr


def test_remotes_are_shared_with_dvc_in_both_directions(twins, tmp_path):
    ours, theirs = twins
    write(twins, files_of(5) | {"model.bin": b"m" * 3_000_000, "legacy.txt": "a\r\nb\n"})
    store = tmp_path / "store"
    for folder in twins:
        dvc(folder, "remote", "add", "-d", "store", str(store))
    both(twins, "add", "data", "model.bin")
    commit(twins, "one")
    said, told = both(twins, "status", "-c", "--json")
    assert json.loads(said) == json.loads(told) and json.loads(said)["model.bin"] == "new"
    pushed = lathe("push", cwd=ours).stdout
    assert pushed.split()[0] == str(len(json.loads(said))), pushed
    assert "up to date" in lathe("push", cwd=ours).stdout
    assert "up to date" in dvc(theirs, "push")
    first = state(store)
    assert {mode for _, mode in first.values()} == {0o100 & 0o444}
    shutil.rmtree(store)
    dvc(theirs, "push")
    assert state(store) == first
    # What one sent, the other brings: from nothing, and only a part.
    for folder in twins:
        shutil.rmtree(folder / ".dvc/cache")
        shutil.rmtree(folder / "data")
        (folder / "model.bin").unlink()
    part = "data/many/001"
    both(twins, "pull", part)
    assert [path.name for path in (ours / "data").rglob("*") if path.is_file()] == ["001"]
    both(twins, "pull")
    same(twins)
    # A branch that is not checked out.
    for folder in twins:
        git(folder, "checkout", "--quiet", "-b", "other")
    write(twins, {"model.bin": "another", "data/more": "more"})
    both(twins, "add", "data", "model.bin")
    commit(twins, "two")
    for folder in twins:
        git(folder, "checkout", "--quiet", "-")
        dvc(folder, "checkout")
    lathe("push", "--all-branches", cwd=ours)
    assert "up to date" in dvc(theirs, "push", "--all-branches")
    for folder in twins:
        shutil.rmtree(folder / ".dvc/cache")
    both(twins, "fetch", "--all-branches")
    same(twins)
    # Garbage: the other branch's, first as a rehearsal. Without a scope it is records that are meant.
    for args in [[], ["--cloud"], ["--workspace", "--older-than", "1d"], ["--date", "31.5.2026"], ["--rev", "nothing"]]:
        lathe("gc", *args, "--force" if args[:1] == ["--cloud"] else "--dry", cwd=ours, code=1)
    assert "--workspace" in lathe("gc", cwd=ours, code=1).stderr
    for args in [["--rev", "other"], ["--rev", "other", "--num", "0"], ["--date", "2000-01-01"], ["--all-commits"]]:
        kept = json.loads(lathe("gc", *args, "--dry", "--cloud", "--json", cwd=ours).stdout)
        assert (kept["cache"], kept["remote"]) == ([], 0), args
    rehearsed = json.loads(lathe("gc", "--workspace", "--dry", "--json", cwd=ours).stdout)
    before = state(ours)
    assert rehearsed["cache"] and state(ours) == before
    both(twins, "gc", "--workspace", "--force")
    same(twins)
    lathe("gc", "--all-branches", "--force", "--cloud", cwd=ours)
    assert len(list((store / "files").rglob("*.dir"))) == 2
    both(twins, "gc", "--workspace", "--force", "--cloud")
    assert len(list((store / "files").rglob("*.dir"))) == 1
    same(twins)
    # A remote that lost a file: everything else comes, and the missing one is named.
    lost = next(path for path in (store / "files").rglob("*") if path.is_file() and path.stat().st_size == 3_000_000)
    lost.unlink()
    shutil.rmtree(ours / ".dvc/cache")
    done = lathe("pull", cwd=ours, code=1)
    assert "`model.bin` is neither in the cache nor on the remote" in done.stderr
    # It is there in the workspace: taking it in again and sending it heals all.
    lathe("commit", "--force", cwd=ours)
    lathe("push", cwd=ours)
    shutil.rmtree(theirs / ".dvc/cache")
    dvc(theirs, "pull")
    same(twins)


def test_locks_keep_the_tools_apart(twins):
    import fcntl

    ours = twins[0]
    (ours / ".dvc/tmp").mkdir(exist_ok=True)
    write(twins, {"a": "a"})
    with open(ours / ".dvc/tmp/lock", "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = lathe("add", "a", cwd=ours, code=1)
        assert "another process holds" in done.stderr
    lathe("add", "a", cwd=ours)


def test_a_kill_at_any_moment_loses_nothing(twins, tmp_path):
    """Kills `add`, `checkout` and `push` at random moments. Whatever they left, the same command then completes it, and
    DVC finds every object whole."""
    ours = twins[0]
    pick = random.Random(7)
    store = tmp_path / "store"
    lathe("remote", "add", "-d", "store", str(store), cwd=ours)
    write(twins, {f"data/{i:04}": pick.randbytes(2000) for i in range(400)} | {"data/big": pick.randbytes(8_000_000)})
    want = {path.name: path.read_bytes() for path in (ours / "data").iterdir()}

    def broken_off(*args):
        process = subprocess.Popen([LATHE, *args], cwd=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pick.random() * 0.06)
        process.kill()
        process.wait()

    def whole(cache):
        import hashlib

        for path in (cache / "files/md5").rglob("*"):
            if path.is_file():
                name = (path.parent.name + path.name).removesuffix(".dir")
                assert hashlib.md5(path.read_bytes()).hexdigest() == name, path

    for turn in range(12):
        if turn % 4 == 0:
            shutil.rmtree(ours / ".dvc/cache", ignore_errors=True)
            (ours / "data.dvc").unlink(missing_ok=True)
        broken_off("add", "data")
        whole(ours / ".dvc/cache")
    lathe("add", "data", cwd=ours)
    for turn in range(12):
        if turn % 4 == 0:
            shutil.rmtree(store, ignore_errors=True)
        broken_off("push")
        whole(store)
        for listing in (store / "files/md5").rglob("*.dir"):
            for entry in json.loads(listing.read_bytes()):
                assert (store / "files/md5" / entry["md5"][:2] / entry["md5"][2:]).exists()
    lathe("push", cwd=ours)
    for turn in range(12):
        if turn % 4 == 0:
            shutil.rmtree(ours / "data")
        broken_off("checkout")
        for path in (ours / "data").rglob("*") if (ours / "data").exists() else []:
            assert path.read_bytes() == want[path.name], path
    lathe("checkout", cwd=ours)
    assert {path.name: path.read_bytes() for path in (ours / "data").iterdir()} == want
    assert "up to date" in dvc(ours, "status")
    assert not list(ours.rglob(".lathe-staging-*"))


def test_outputs_of_templated_folders_come_back_where_dvc_puts_them(twins):
    pipeline = """
vars: [{base: work}]
stages:
  one: {wdir: '${base}', cmd: echo 1 > a, outs: [a]}
  many:
    foreach: [p, q]
    do: {wdir: '${base}/${item}', cmd: 'echo ${item} > b', outs: [b]}
"""
    write(twins, {"dvc.yaml": pipeline, "work/p/here": "", "work/q/here": ""})
    ours, theirs = twins
    lathe("run", cwd=ours)
    dvc(theirs, "repro", "--quiet")
    commit(twins)
    made = ["work/a", "work/p/b", "work/q/b"]
    for folder in twins:
        for name in made:
            (folder / name).unlink()
    both(twins, "checkout")
    for folder in twins:
        assert [name for name in made if not (folder / name).exists()] == []
        assert not (folder / "a").exists() and not (folder / "b").exists()
    assert "work/a" not in lathe("data", "status", cwd=ours).stdout
    # Of another commit, by the values that it had.
    write(twins, {"dvc.yaml": pipeline.replace("base: work", "base: other")})
    assert "work/p/b" in lathe("diff", "HEAD", cwd=ours).stdout


def test_an_output_that_only_a_versioned_remote_keeps_is_refused_by_name(twins):
    ours, _ = twins
    entry = "- path: a\n  hash: md5\n"
    files = "  files:\n  - relpath: x\n    md5: d751713988987e9331980363e24189ce\n    size: 2\n"
    (ours / "a.dvc").write_text(f"outs:\n{entry}{files}")
    told = lathe("checkout", cwd=ours, code=1).stderr
    assert "version_aware" in told and "not supported: a" in told


def test_quiet_prints_errors_only(twins, tmp_path):
    ours, _ = twins
    write(twins, {"d/x": "1", "dvc.yaml": "stages: {s: {cmd: echo loud > o, outs: [o]}}\n"})
    (tmp_path / "store").mkdir()

    def silent(*args):
        ended = lathe(*args, "--quiet", cwd=ours)
        assert (ended.stdout, ended.stderr) == ("", ""), args

    silent("remote", "add", "-d", "store", str(tmp_path / "store"))
    silent("add", "d")
    silent("run")
    silent("run", "--force")
    silent("push")
    shutil.rmtree(ours / ".dvc/cache")
    shutil.rmtree(ours / "d")
    silent("fetch")
    silent("checkout")
    silent("pull")
    silent("gc", "--workspace", "--force")
    assert lathe("checkout", "nothing", "--quiet", cwd=ours, code=1).stderr.startswith("error:")
    assert json.loads(lathe("checkout", "--quiet", "--json", cwd=ours).stdout)["added"] == []


def test_settings_without_effect_are_warned_of_once(twins):
    ours, _ = twins
    write(twins, {"x": "1"})
    lathe("add", "x", cwd=ours)
    lathe("remote", "add", "-d", "web", "http://127.0.0.1:9/none", cwd=ours)
    lathe("remote", "modify", "web", "ssl_verify", "true", cwd=ours)
    assert "no effect" not in lathe("push", cwd=ours, code=1).stderr
    lathe("remote", "modify", "web", "ssl_verify", "false", cwd=ours)
    assert lathe("push", cwd=ours, code=1).stderr.count("`remote.web.ssl_verify` has no effect") == 1
