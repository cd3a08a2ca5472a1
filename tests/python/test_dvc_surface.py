"""The rest of DVC's surface: inputs that lie behind URLs, datasets, hooks of git, and flags that people use now and then.
Both tools do the same on the same projects, and each goes on where the other left off."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import LATHE, git, lathe
from test_dvc_data import apart, both, dvc, state, twins, write  # noqa: F401  (fixtures too)
from test_dvc_imports import other, web  # noqa: F401  (fixtures)


def in_both(twins, *args, code=0):
    """As `both`, with `lathe run` for `dvc repro`."""
    ours, theirs = twins
    dvc(theirs, *(["repro"] if args[0] == "run" else [args[0]]), *args[1:], code=255 if code else 0)
    return lathe(*args, cwd=ours, code=code)


def same(twins):
    ours, theirs = ({name: kept for name, kept in state(twin).items() if not name.startswith(".lathe/")} for twin in twins)
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        assert ours[name] == theirs[name], name


def ran(folder):
    return (folder / "ran.log").read_text().split() if (folder / "ran.log").exists() else []


def test_a_stage_reads_what_lies_behind_a_url(twins, web):
    folder, url = web
    ours, theirs = twins
    (folder / "in.txt").write_text("hello\n")
    (folder / "untagged.txt").write_text("who knows\n")
    write(
        twins,
        {
            "dvc.yaml": f"""stages:
  get:
    cmd: echo get >> ran.log && curl -s {url}/in.txt > got.txt
    deps: ['{url}/in.txt']
    outs: [got.txt]
  named:
    cmd: echo named >> ran.log && cp got.txt copy.txt
    deps: [got.txt, 'remote://there/in.txt']
    outs: [copy.txt]
""",
            ".gitignore": "ran.log\n/got.txt\n/copy.txt\n",
        },
    )
    both(twins, "remote", "add", "there", url)
    in_both(twins, "run")
    same(twins)
    assert "checksum: '\"" in (ours / "dvc.lock").read_text()
    # Neither has anything to do after the other.
    for folder_of in twins:
        assert "up to date" in dvc(folder_of, "status")
        assert lathe("status", "--quiet", "--no-updates", cwd=folder_of).stdout == ""
    in_both(twins, "run")
    assert ran(ours) == ran(theirs) == ["get", "named"]
    (folder / "in.txt").write_text("hello again\n")
    stages = json.loads(lathe("status", "--json", cwd=ours).stdout)["stages"]
    assert [stage["reason"] for stage in stages] == [f"`{url}/in.txt` changed", "after get"]
    assert "modified" in dvc(theirs, "status")
    in_both(twins, "run")
    same(twins)
    assert (ours / "copy.txt").read_text() == "hello again\n"
    # An earlier execution does not say what was behind the URL: it is never restored from the run cache.
    assert not (ours / ".dvc/cache/runs").exists() and not (theirs / ".dvc/cache/runs").exists()
    (folder / "in.txt").unlink()
    done = in_both(twins, "run", code=1)
    assert "in.txt" in done.stderr and "error:" in done.stderr
    write(twins, {"dvc.yaml": f"stages:\n  a:\n    cmd: 'true'\n    deps: ['{url}/untagged.txt']\n"})
    assert "ETag" in lathe("run", cwd=ours, code=1).stderr
    write(twins, {"dvc.yaml": "stages:\n  a:\n    cmd: 'true'\n    deps: ['http://127.0.0.1:9/x']\n"})
    assert "http://127.0.0.1:9" in lathe("run", cwd=ours, code=1).stderr


def test_an_output_behind_a_url_is_never_kept_in_the_cache(twins):
    ours, theirs = twins
    for path, key, told in [
        ("s3://bucket/x", "outs", "cache: false"),
        ("s3://bucket/x", "metrics", "not on this machine"),
        ("ds://x", "outs", "stages only read"),
    ]:
        write(twins, {"dvc.yaml": f"stages:\n  a:\n    cmd: 'true'\n    {key}: ['{path}']\n"})
        assert told in lathe("run", cwd=ours, code=1).stderr
        if key == "outs" and path.startswith("s3"):
            dvc(theirs, "repro", code=255)


def test_datasets_are_added_read_and_updated(twins, other):
    ours, theirs = twins
    write(
        twins,
        {
            "dvc.yaml": "# mine\nstages:\n  a:\n    cmd: echo a >> ran.log\n    deps:\n    - ds://images\n",
            ".gitignore": "ran.log\n",
        },
    )
    assert "there is no dataset `images`" in lathe("run", cwd=ours, code=1).stderr
    (first,) = [git(other, "rev-parse", "HEAD").strip()]
    both(twins, "ds", "add", "images", "--dvc", "../other", "--path", "data", "--rev", "main")
    same(twins)
    assert "already" in lathe("ds", "add", "images", "--dvc", "../other", cwd=ours, code=1).stderr
    assert "has no `nothing`" in lathe(
        "ds", "add", "x", "--dvc", "../other", "--path", "nothing", cwd=ours, code=1
    ).stderr
    assert "dvc ds add" in lathe("ds", "add", "x", "--dc", "name", cwd=ours, code=1).stderr
    in_both(twins, "run")
    same(twins)
    assert f"rev_lock: {first}" in (ours / "dvc.lock").read_text()
    for folder in twins:
        assert "up to date" in dvc(folder, "status")
        assert lathe("status", "--quiet", cwd=folder).stdout == ""
    # The other repository goes on: nobody notices until the dataset is updated.
    (other / "code/x.py").write_text("print()\n")
    git(other, "commit", "--quiet", "-am", "second")
    in_both(twins, "run")
    assert ran(ours) == ran(theirs) == ["a"]
    both(twins, "ds", "update", "images")
    same(twins)
    in_both(twins, "run")
    same(twins)
    assert ran(ours) == ran(theirs) == ["a", "a"]
    both(twins, "ds", "update", "images", "--rev", first)
    same(twins)
    assert "nothing to update" in lathe("ds", "update", "images", cwd=ours).stdout
    # A spec that was edited is not what the lock is about.
    for folder in twins:
        text = (folder / "dvc.yaml").read_text()
        (folder / "dvc.yaml").write_text(text.replace("path: data", "path: code"))
    done = in_both(twins, "run", code=1)
    assert "lathe dataset update images" in done.stderr


def with_lathe(tmp_path):
    """PATH with `lathe` in it, as hooks call it."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    if not (folder / "lathe").exists():
        os.symlink(LATHE, folder / "lathe")
    own = os.path.dirname(sys.executable)
    return {**os.environ, "PATH": os.pathsep.join([str(folder), own, os.environ["PATH"]])}


def test_git_calls_lathe_by_its_hooks(twins, tmp_path):
    ours, _ = twins
    env = with_lathe(tmp_path)

    def call(*args, code=0):
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = subprocess.run(["git", *identity, *args], cwd=ours, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    dvc(ours, "install")
    assert "--force" in lathe("install", cwd=ours, code=1).stderr
    lathe("install", "--force", cwd=ours)
    lathe("install", cwd=ours)
    hook = ours / ".git/hooks/pre-push"
    assert hook.read_text() == '#!/bin/sh\nexec lathe git-hook pre-push "$@"\n' and os.access(hook, os.X_OK)
    write([ours], {"d.txt": "one\n"})
    lathe("add", "d.txt", cwd=ours)
    call("add", "--all")
    call("commit", "-m", "one")
    call("branch", "old")
    write([ours], {"d.txt": "two\n"})
    assert "d.txt.dvc" in call("commit", "--allow-empty", "-m", "empty")
    lathe("add", "d.txt", cwd=ours)
    call("commit", "-am", "two")
    call("checkout", "old")
    assert (ours / "d.txt").read_text() == "one\n"
    call("checkout", "-")
    assert (ours / "d.txt").read_text() == "two\n"
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    call("remote", "add", "origin", str(tmp_path / "origin.git"))
    assert "remote" in call("push", "origin", "HEAD", code=1)
    lathe("remote", "add", "-d", "store", str(tmp_path / "store"), cwd=ours)
    call("push", "origin", "HEAD")
    assert len(list((tmp_path / "store").rglob("files/md5/*/*"))) == 1
    # What people wrote around it is theirs.
    for line in ('exec lathe git-hook pre-push "$@"', "lathe git-hook pre-push || true"):
        own = f"#!/bin/sh\ntrue\n{line}\n"
        hook.write_text(own)
        lathe("install", cwd=ours)
        lathe("install", "--force", cwd=ours)
        assert hook.read_text() == own
    hook.write_text("#!/bin/sh\ntrue\nexec dvc git-hook pre-push $@\n")
    lathe("install", "--force", cwd=ours)
    assert hook.read_text() == '#!/bin/sh\ntrue\nexec lathe git-hook pre-push "$@"\n'
    hook.write_text("#!/bin/sh\ntrue\n")
    assert "exec lathe" in lathe("install", cwd=ours, code=1).stderr
    lathe("install", "--use-pre-commit-tool", cwd=ours)
    lathe("install", "--use-pre-commit-tool", cwd=ours)
    assert (ours / ".pre-commit-config.yaml").read_text().count("lathe git-hook") == 3


def test_two_sides_changes_of_a_folder_are_merged_as_dvc_merges_them(twins, tmp_path, monkeypatch):
    ours, theirs = twins
    monkeypatch.setenv("PATH", with_lathe(tmp_path)["PATH"])
    write(twins, {"data/a": "a", "data/b": "b", "data/c": "c", ".gitattributes": "*.dvc merge=dvc\n"})
    both(twins, "install")
    for folder, tool in zip(twins, ("lathe", "dvc")):
        run = (lambda *args: lathe(*args, cwd=ours)) if tool == "lathe" else (lambda *args: dvc(theirs, *args))
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "core.hooksPath=/dev/null"]

        def call(*args, code=0):
            done = subprocess.run(["git", *identity, *args], cwd=folder, capture_output=True, text=True)
            assert done.returncode == code, done.stdout + done.stderr

        run("add", "data")
        call("add", "--all")
        call("commit", "-qm", "base")
        call("checkout", "-qb", "side")
        (folder / "data/new").write_text("new")
        (folder / "data/a").write_text("side")
        run("add", "data")
        call("commit", "-qam", "side")
        call("checkout", "-q", "-")
        run("checkout")
        (folder / "data/b").write_text("main")
        (folder / "data/c").unlink()
        run("add", "data")
        call("commit", "-qam", "main")
        call("merge", "-q", "--no-edit", "side")
        run("checkout")
        kept = {path.name: path.read_text() for path in (folder / "data").iterdir()}
        assert kept == {"a": "side", "b": "main", "new": "new"}
        if tool == "dvc":  # its driver ends in a way that git takes for its own failure
            continue
        call("checkout", "-qb", "conflict", "side")
        run("checkout")
        (folder / "data/b").write_text("another")
        run("add", "data")
        call("commit", "-qam", "conflict")
        call("checkout", "-q", "-")
        call("merge", "-q", "--no-edit", "conflict", code=1)
        call("merge", "--abort")
    assert (ours / "data.dvc").read_text() == (theirs / "data.dvc").read_text()


def test_git_calls_lathe_in_a_project_below_the_top(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", with_lathe(tmp_path)["PATH"])
    top = tmp_path / "top"
    project = top / "a b"
    project.mkdir(parents=True)
    git(top, "init", "--quiet", "-b", "main")
    write([top], {".gitattributes": "*.dvc merge=dvc\n"})
    lathe("init", "--name", "p", cwd=project)
    lathe("install", cwd=project)
    lathe("install", cwd=project)
    write([project], {"data/a": "a", "data/b": "b"})
    lathe("add", "data", cwd=project)
    git(top, "add", "--all")
    git(top, "commit", "-qm", "base")
    git(top, "checkout", "-qb", "side")
    write([project], {"data/a": "side", "data/new": "new"})
    lathe("add", "data", cwd=project)
    git(top, "commit", "-qam", "side")
    git(top, "checkout", "-q", "main")
    assert (project / "data/a").read_text() == "a" and not (project / "data/new").exists()
    write([project], {"data/b": "main"})
    lathe("add", "data", cwd=project)
    git(top, "commit", "-qam", "main")
    git(top, "merge", "-q", "--no-edit", "side")
    lathe("checkout", cwd=project)
    kept = {path.name: path.read_text() for path in (project / "data").iterdir()}
    assert kept == {"a": "side", "b": "main", "new": "new"}
    # Where there is no project git is told so, and not that our side is the result.
    write([tmp_path], {"our": "outs: []\n", "their": "outs: []\n", "old": ""})
    driver = ["merge-driver", "--ancestor", "old", "--our", "our", "--their", "their", "--path=x.dvc"]
    lathe("git-hook", *driver, cwd=tmp_path, code=1)


PIPELINE = {
    "dvc.yaml": """# first
stages:
  one:   # makes a
    cmd: cp src a && echo '{"x":1}' > m.json && printf 'x,y\\n1,2\\n' > p.csv
    deps: [src]
    outs: [a]
    metrics: [m.json]
    plots: [p.csv]
  two:
    cmd: cp a b
    deps: [a]
    outs: [b]
params:
- params.yaml
""",
    "src": "1\n",
    "params.yaml": "k: 1\n",
}


def test_stages_are_committed_and_removed(twins):
    ours, theirs = twins
    write(twins, {**PIPELINE, "a": "a\n", "m.json": "{}", "p.csv": "x\n"})
    # Of a stage that never was executed too.
    both(twins, "commit", "-f", "one")
    assert (ours / "dvc.lock").read_text() == (theirs / "dvc.lock").read_text()
    in_both(twins, "run")
    # What people did by hand counts as what the stages made.
    write(twins, {"src": "2\n", "a": "by hand\n", "b": "by hand\n"})
    assert "a (modified)" in lathe("commit", "one", cwd=ours, code=1).stderr
    assert "nothing" in lathe("commit", "nothing", cwd=ours, code=1).stderr
    both(twins, "commit", "-f", "one", "two")
    same(twins)
    for folder in twins:
        assert "up to date" in dvc(folder, "status")
        assert lathe("status", "--quiet", cwd=folder).stdout == ""
    both(twins, "remove", "two")
    assert (ours / "dvc.lock").read_text() == (theirs / "dvc.lock").read_text()
    assert (ours / "dvc.yaml").read_text() == PIPELINE["dvc.yaml"].replace(
        "  two:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n", ""
    )
    assert (ours / ".gitignore").read_text() == (theirs / ".gitignore").read_text()
    assert (ours / "b").read_text() == "by hand\n"
    both(twins, "remove", "--outs", "one")
    assert not (ours / "a").exists() and not (ours / "dvc.lock").exists() and not (theirs / "dvc.lock").exists()
    # Whatever else the file says stays; DVC loses it.
    assert (ours / "dvc.yaml").read_text() == "# first\nparams:\n- params.yaml\n"
    done = lathe("remove", "nothing", cwd=ours, code=1)
    assert "nothing" in done.stderr and done.stderr.count("error:") == 1
    both(twins, "stage", "add", "--run", "-n", "now", "-d", "src", "-o", "c", "cp src c")
    assert (ours / "c").read_text() == (theirs / "c").read_text() == "2\n"
    assert (ours / "dvc.lock").read_text() == (theirs / "dvc.lock").read_text()


def test_a_dvc_file_is_frozen_and_thawed(twins, web):
    folder, url = web
    (folder / "f.txt").write_text("f\n")
    both(twins, "import-url", f"{url}/f.txt")
    for command in ["unfreeze", "freeze"]:
        both(twins, command, "f.txt.dvc")
        ours, theirs = ((twin / "f.txt.dvc").read_text() for twin in twins)
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
        assert ("frozen: true" in ours) == (command == "freeze")


def test_what_travels_is_chosen_by_pattern_size_and_kind(twins, tmp_path):
    ours, theirs = twins
    write(twins, {**PIPELINE, "x.csv": "x" * 10, "y.csv": "y" * 1000, "z.bin": "z"})
    in_both(twins, "run")
    for folder in twins:
        dvc(folder, "remote", "add", "-d", "store", str(tmp_path / f"store-{folder.name}"))
    both(twins, "add", "x.csv", "y.csv", "z.bin")

    def stored():
        listed = [sorted(path.name for path in (tmp_path / f"store-{twin.name}").rglob("*") if path.is_file()) for twin in twins]
        assert listed[0] == listed[1]
        return len(listed[0])

    status = [json.loads(told) for told in both(twins, "data", "status", "--json", "--not-in-remote")]
    assert sorted(status[0]["not_in_remote"]) == sorted(status[1]["not_in_remote"]) and len(status[0]["not_in_remote"]) == 7
    both(twins, "push", "--glob", "*.csv.dvc")
    assert stored() == 2
    assert "matches `*.nothing`" in lathe("push", "--glob", "*.nothing", cwd=ours, code=1).stderr
    both(twins, "push", "--no-run-cache")
    assert stored() == 7 - 1  # `a` and `b` are the same bytes
    assert "not_in_remote" not in json.loads(lathe("data", "status", "--json", "--not-in-remote", cwd=ours).stdout)

    def fetched(*args):
        for folder in twins:
            shutil.rmtree(folder / ".dvc/cache/files")
        both(twins, "fetch", *args)
        return len(list((ours / ".dvc/cache/files").rglob("*/*/*"))), len(list((theirs / ".dvc/cache/files").rglob("*/*/*")))

    assert fetched("--type", "metrics") == (1, 1)
    assert fetched("--type", "metrics", "--type", "plots") == (2, 2)
    ours_count, theirs_count = fetched("--max-size", "100")
    assert ours_count == theirs_count == 5
    for folder in twins:
        (folder / "x.csv").unlink()
    both(twins, "pull", "--glob", "x*.dvc")
    assert (ours / "x.csv").read_text() == "x" * 10


def test_other_repositories_and_urls_are_asked_in_more_ways(twins, other, web, tmp_path):
    ours, theirs = twins
    folder, url = web
    shown = both(twins, "get", "../other", "data/sub/b", "--show-url")
    assert shown[0].strip() == shown[1].strip()
    assert lathe("get", "../other", "one.csv", "--show-url", cwd=ours).stdout.strip().endswith(
        "store/files/md5/b0/26324c6904b2a9cb4b88d6d61c81d1"
    )
    assert "has no" in lathe("get", "../other", "code/x.py", "--show-url", cwd=ours, code=1).stderr
    both(twins, "import", "../other", "data", "-j", "2")
    same(twins)
    write(twins, {"imports/.keep": ""})
    (folder / "f.txt").write_text("f\n")
    both(twins, "import-url", "-j", "2", f"{url}/f.txt", "imports/f.txt")
    same(twins)
    (folder / "f.txt").write_text("g\n")
    both(twins, "update", "-R", "imports")
    same(twins)
    assert "nothing is imported" in lathe("update", "-R", ".dvc", cwd=ours, code=1).stderr
    for twin in twins:
        dvc(twin, "remote", "add", "-d", "store", str(tmp_path / f"store-{twin.name}"))
    (folder / "f.txt").write_text("h\n")
    both(twins, "update", "--to-remote", "imports/f.txt.dvc")
    # DVC leaves the md5 of the definition as it was, and finds a "changed checksum" itself.
    ours_now, theirs_now = ((twin / "imports/f.txt.dvc").read_text().split("\n", 1)[1] for twin in twins)
    assert ours_now == theirs_now and "checksum" not in dvc(ours, "status", "imports/f.txt.dvc")
    for args, expected in [(["list-url"], ["a", "sub"]), (["ls-url", "-R"], ["a", "sub/b"])]:
        listed = [re.sub(r"\x1b\[[0-9;]*m", "", told) for told in both(twins, *args, "../other/data")]
        assert sorted(listed[0].split()) == sorted(listed[1].split()) == expected
    assert "nothing at" in lathe("list-url", "../nowhere", cwd=ours, code=1).stderr
    # The last line is the sum, which DVC gives no name.
    sizes = [sorted(tuple(line.split()) for line in told.splitlines()[:-1] if line.split()) for told in both(twins, "du", "../other")]
    assert sizes[0] == sizes[1] and ("4", "data") in sizes[0]


def test_small_commands_answer_as_dvcs_do(twins, tmp_path):
    ours, theirs = twins
    write(twins, {"sub/deep/x": "", ".dvcignore": "*.tmp\nx*\n!x.tmp\n"})
    for folder in ["", "sub/deep"]:
        assert lathe("root", cwd=ours / folder).stdout == dvc(theirs / folder, "root")
    for args in (["-d", "x.tmp"], ["-d", "sub/a.tmp"], ["sub/a.tmp"]):
        told = both(twins, "check-ignore", *args)
        assert told[0].split() == told[1].split(), args
    for shell in ["bash", "zsh", "fish"]:
        assert "lathe" in lathe("completion", "-s", shell, cwd=tmp_path).stdout
    write(twins, {"dvc.yaml": "metrics: [m/a.json, n/b.json]\n", "m/a.json": '{"a": 1}', "n/b.json": '{"b": 2}'})
    ours_told, theirs_told = both(twins, "metrics", "show", "-R", "m")
    assert "m/a.json" in ours_told and "n/b.json" not in ours_told
    assert lathe("plots", "templates", cwd=ours).stdout.split() == sorted(set(dvc(theirs, "plots", "templates").split()))


def test_a_project_can_do_without_git(tmp_path):
    assert "git init" in lathe("init", "bare", cwd=tmp_path, code=1).stderr
    lathe("init", "--no-scm", "bare", cwd=tmp_path)
    folder = tmp_path / "bare"
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    dvc(theirs, "init", "--no-scm")
    assert (folder / ".dvc/config").read_text() == (theirs / ".dvc/config").read_text()
    write([folder], {"d": "d\n", "dvc.yaml": "stages:\n  a:\n    cmd: cp d e\n    deps: [d]\n    outs: [e]\n"})
    lathe("add", "d", cwd=folder)
    lathe("run", cwd=folder)
    assert "up to date" in dvc(folder, "status") and not (folder / ".gitignore").exists()
    assert "already" in lathe("init", cwd=folder, code=1).stderr
    before = (folder / "lathe.toml").read_text()
    lathe("init", "--force", "--no-scm", cwd=folder)
    assert (folder / "lathe.toml").read_text() == before and (folder / ".dvc/cache").exists()


def test_whoever_waits_for_a_lock_gets_it(twins):
    import fcntl

    ours, _ = twins
    write([ours], {"d": "d\n"})
    with open(ours / ".dvc/tmp/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen([LATHE, "--wait-for-lock", "add", "d"], cwd=ours, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=4)
    assert waiting.wait(timeout=10) == 0 and (ours / "d.dvc").exists()


def test_git_is_told_of_what_is_written_if_the_project_wants_that(twins, other):
    ours, theirs = twins
    both(twins, "config", "core.autostage", "true")
    write(twins, {"src": "1\n", "sub/.keep": ""})

    def staged():
        told = [sorted(git(folder, "diff", "--cached", "--name-only").split()) for folder in twins]
        assert told[0] == told[1]
        return told[0]

    for args, known in [
        (["stage", "add", "-n", "one", "-d", "src", "-o", "sub/a", "cp src sub/a"], "dvc.yaml"),
        (["run"], "dvc.lock"),
        (["freeze", "one"], "dvc.yaml"),
        (["unfreeze", "one"], "dvc.yaml"),
        (["ds", "add", "d", "--dvc", "../other", "--path", "data"], "dvc.lock"),
    ]:
        in_both(twins, *args)
        assert known in staged(), args
    write(twins, {"src": "2\n"})
    both(twins, "commit", "-f", "one")
    assert "sub/.gitignore" in staged()


# What docs/dvc.md says is missing.
MISSING_COMMANDS = {"artifacts", "destroy", "import-db", "plots modify", "studio", "test-db"}
MISSING_OPTIONS = {
    "check-ignore": {"--all"},
    "du": {"--config", "--remote-config"},
    "experiments run": {"--interactive"},
    "experiments save": {"--recursive"},
    "gc": {"--skip-failed"},
    "get": {"--config", "--remote-config"},
    "get-url": {"--fs-config"},
    "import": {"--config", "--remote-config"},
    "import-url": {"--version-aware", "--fs-config"},
    "list": {"--config", "--remote-config"},
    "list-url": {"--tree", "--fs-config"},
    "plots diff": {"--split", "--html-template"},
    "plots show": {"--split", "--html-template"},
    "repro": {"--interactive"},
}


def test_every_command_and_option_of_dvc_is_known_or_listed_as_missing(tmp_path):
    import argparse

    from dvc.cli.parser import get_main_parser, get_parent_parser

    shared = {option for action in get_parent_parser()._actions for option in action.option_strings}
    # DVC calls these itself.
    internal = {"daemon", "git-hook", "experiments exec-run", "experiments queue-worker"}
    missing_commands, missing_options = set(), {}

    def asked(*args):
        return subprocess.run([LATHE, *args], cwd=tmp_path, capture_output=True, text=True)

    def walk(parser, path):
        shown = asked(*path, "--help")
        if shown.returncode != 0:
            assert "unrecognized subcommand" in shown.stderr, shown.stderr
            missing_commands.add(" ".join(path))
            return
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in {id(one): one for one in action.choices.values()}.values():
                    name = next(name for name, one in action.choices.items() if one is parser)
                    if " ".join([*path, name]) not in internal:
                        walk(parser, [*path, name])
                continue
            for option in action.option_strings:
                if option in shared or f" {option}," in shown.stdout or f" {option} " in shown.stdout or f" {option}\n" in shown.stdout:
                    continue
                value = [] if action.nargs == 0 else ["1"]
                refused = asked(*path, option, *value, "--help").stderr
                if "unexpected argument" in refused:
                    assert "tip:" in refused or "--help" in refused
                    missing_options.setdefault(" ".join(path), set()).update(
                        one for one in action.option_strings if one.startswith("--")
                    )

    walk(get_main_parser(), [])
    assert missing_commands == MISSING_COMMANDS
    assert missing_options == MISSING_OPTIONS
