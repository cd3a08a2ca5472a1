"""Data from elsewhere: `dvc` and `lathe` write the same, and each finds the other's imports in order."""

import hashlib
import http.server
import io
import json
import os
import re
import shutil
import threading

import pytest
from conftest import git, lathe
from test_dvc_data import apart, both, dvc, same, twins, write  # noqa: F401  (fixtures too)


@pytest.fixture
def web(tmp_path):
    """A folder behind HTTP, with ETags."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Tagged(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def send_head(self):
            path = folder / self.path.strip("/")
            if not path.is_file():
                self.send_error(404)
                return None
            content = path.read_bytes()
            self.send_response(200)
            if not path.name.startswith("untagged"):
                self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()[:8]}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return io.BytesIO(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tagged)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def other(tmp_path):
    """Another repository: data, code, and a remote that has the data."""
    folder = tmp_path / "other"
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main")
    dvc(folder, "init")
    for name, content in {"data/a": "a\n", "data/sub/b": "b\n", "one.csv": "1\n", "code/x.py": "pass\n"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    dvc(folder, "add", "data", "one.csv")
    # Relative: another checkout of the repository lies elsewhere.
    dvc(folder, "remote", "add", "-d", "store", "../store")
    dvc(folder, "push")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_what_is_imported_from_a_url_is_the_same_and_is_updated(twins, web, tmp_path):
    folder, url = web
    (folder / "f.txt").write_text("hello\n")
    (folder / "untagged.txt").write_text("who knows\n")
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/x").write_text("x\n")
    (outside / "one").write_text("one\n")
    both(twins, "import-url", f"{url}/f.txt")
    both(twins, "import-url", "../outside/deep")
    both(twins, "import-url", "../outside/one", "first.txt")
    both(twins, "import-url", "--no-exec", f"{url}/f.txt", "later.txt")
    both(twins, "import-url", "--no-download", f"{url}/f.txt", "known.txt")
    same(twins)
    ours, theirs = twins
    assert "tells neither" in lathe("import-url", f"{url}/untagged.txt", cwd=ours, code=1).stderr
    assert "nothing at" in lathe("import-url", f"{url}/gone.txt", "g.txt", cwd=ours, code=1).stderr
    assert "exists already" in lathe("import-url", f"{url}/f.txt", cwd=ours, code=1).stderr
    assert "overlaps" in lathe("import-url", f"{url}/f.txt", "deep/f.txt", cwd=ours, code=1).stderr
    assert not list(ours.rglob("*.tmp")) and not list((ours / ".dvc/tmp").glob("lathe-import*"))
    assert "did not change" in lathe("update", "f.txt.dvc", "deep", "first.txt", cwd=ours).stdout
    (folder / "f.txt").write_text("hello again\n")
    (outside / "one").write_text("another one\n")
    for name in ["f.txt.dvc", "first.txt.dvc", "deep.dvc", "later.txt.dvc", "known.txt.dvc"]:
        both(twins, "update", name)
    same(twins)
    assert (ours / "first.txt").read_text() == "another one\n" and (ours / "later.txt").read_text() == "hello again\n"
    assert "up to date" in dvc(ours, "status")
    # A change that no cache holds is not lost.
    (folder / "f.txt").write_text("once more\n")
    (ours / "f.txt").write_text("mine\n")
    assert "no cache holds" in lathe("update", "f.txt.dvc", cwd=ours, code=1).stderr
    lathe("update", "--force", "f.txt.dvc", cwd=ours)
    assert (ours / "f.txt").read_text() == "once more\n"
    before = (ours / "f.txt.dvc").read_bytes()
    dvc(ours, "update", "f.txt.dvc")
    assert (ours / "f.txt.dvc").read_bytes() == before
    lathe("get-url", f"{url}/f.txt", "got.txt", cwd=tmp_path)
    lathe("get-url", str(outside / "deep"), "got", cwd=tmp_path)
    assert (tmp_path / "got.txt").read_text() == "once more\n" and (tmp_path / "got/x").read_text() == "x\n"
    assert "exists already" in lathe("get-url", f"{url}/f.txt", "got.txt", cwd=tmp_path, code=1).stderr


def test_what_is_imported_from_a_repository_is_the_same_and_is_updated(twins, other, tmp_path):
    ours, theirs = twins
    both(twins, "import", "../other", "data")
    both(twins, "import", "../other", "one.csv", "-o", "renamed.csv")
    both(twins, "import", "../other", "data/sub/b")
    both(twins, "import", "../other", "data/sub", "-o", "part")
    both(twins, "import", "../other", "code")
    both(twins, "import", "../other", "code/x.py", "--rev", "main")
    same(twins)
    assert "has no `nothing`" in lathe("import", "../other", "nothing", cwd=ours, code=1).stderr
    assert "no commit `v9`" in lathe("import", "../other", "code", "-o", "c", "--rev", "v9", cwd=ours, code=1).stderr
    assert "cannot be read" in lathe("import", "../nowhere", "x", cwd=ours, code=1).stderr
    assert "has no" in lathe("import", "../other", "../twin", "-o", "c", cwd=ours, code=1).stderr
    assert "did not change" in lathe("update", "data.dvc", cwd=ours).stdout
    (other / "data/c").write_text("c\n")
    (other / "code/x.py").write_text("pass  # more\n")
    dvc(other, "add", "data")
    dvc(other, "push")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "-m", "second")
    (ours / "data/a").write_text("changed here\n"), (twins[1] / "data/a").write_text("changed here\n")
    for args in ([], ["code.dvc"], ["--no-updates"]):
        said, told = both(twins, "status", "--json", *args)
        assert json.loads(said)["data"] == json.loads(told), args
    assert "update available:   code" in lathe("status", cwd=ours).stdout.replace("\t", "")
    for folder in twins:
        (folder / "data/a").write_text("a\n")
    for name in ["data.dvc", "renamed.csv.dvc", "part.dvc", "code.dvc", "x.py.dvc"]:
        both(twins, "update", name)
    said, told = both(twins, "status", "--json")
    assert json.loads(said)["data"] == json.loads(told) and list(json.loads(told)) == ["b.dvc"]
    same(twins)
    assert (ours / "data/c").read_text() == "c\n"
    # On a machine that has neither cache, the remote of the other repository has it.
    shutil.rmtree(other / ".dvc/cache")
    lathe("get", str(other), "data", "-o", "here", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "here").rglob("*")) == ["a", "b", "c", "sub"]
    lathe("get", str(other), "data/a", "--rev", "HEAD~1", cwd=tmp_path)
    assert (tmp_path / "a").read_text() == "a\n"
    assert not list(tmp_path.glob("lathe-*"))
    for args in (["-R"], [], ["-R", "--dvc-only"]):
        shown = lathe("list", str(other), *args, cwd=tmp_path).stdout.split()
        plain = re.sub(r"\x1b\[[0-9;]*m", "", dvc(tmp_path, "list", str(other), *args))
        assert shown == plain.split(), args
    assert lathe("list", str(other), "data", cwd=tmp_path).stdout.split() == ["a", "c", "sub"]
    for args in (
        ["--size", "--show-hash"],
        ["-R", "--size"],
        ["-R", "-L", "2", "--show-hash"],
        ["-R", "-L", "1"],
        ["-T"],
        ["-T", "-L", "1"],
        ["-T", "-L", "2", "--size"],
        ["-T", "--dvc-only", "--show-hash"],
        ["data", "-T"],
        ["data/a", "--size"],
        ["data", "-R", "--show-hash"],
    ):
        shown = lathe("list", str(other), *args, "--rev", "HEAD", cwd=tmp_path).stdout
        plain = re.sub(r"\x1b\[[0-9;]*m", "", dvc(tmp_path, "list", str(other), *args, "--rev", "HEAD"))
        # Git tells the size of the list of a folder's files, which nobody asked for.
        folders = r"(?m)^ *\d+(?=  (-  +)?([│├└─ ]*)(\.|code|sub)$)"
        plain = re.sub(folders, lambda found: " " * len(found.group()), plain)
        assert shown == plain, args
    listed = {one["path"]: one for one in json.loads(lathe("list", "--json", str(other), cwd=tmp_path).stdout)}
    assert listed["data"]["isout"] and listed["data"]["isdir"] and not listed["code"]["isout"]
    assert os.path.exists(other / ".dvc/config") and not (other / ".dvc/config.local").exists()


def test_data_goes_straight_to_the_remote(twins, web, tmp_path):
    folder, url = web
    (folder / "f.bin").write_bytes(bytes(range(256)) * 9_000)
    large = tmp_path / "large"
    (large / "deep").mkdir(parents=True)
    for name in ["a", "deep/b", "deep/c", "\u00fc \u00e9"]:
        (large / name).write_text(f"{name}\n" * 100)
    (large / "deep/c").chmod(0o755)
    program = tmp_path / "program.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    stores = [tmp_path / "store-ours", tmp_path / "store-theirs"]
    for twin, store in zip(twins, stores):
        dvc(twin, "remote", "add", "-d", "store", str(store))
        dvc(twin, "remote", "add", "second", str(store) + "-2")
        (twin / "sub").mkdir()
    both(twins, "add", "--to-remote", "../large")
    both(twins, "add", "--to-remote", "../program.sh")
    both(twins, "add", "--to-remote", f"{url}/f.bin", "-o", "sub/g.bin")
    both(twins, "add", "--to-remote", "../large/a", "-o", "one", "-r", "second")
    both(twins, "import-url", "--to-remote", f"{url}/f.bin")
    both(twins, "import-url", "--to-remote", "../large", "again")
    for twin in twins:
        (twin / ".dvc/config").write_text(
            (twin / ".dvc/config").read_text().replace(twin.name, "x")
        )
    same(twins)
    assert not (twins[0] / ".dvc/cache").exists() and not (twins[0] / "large").exists()
    assert not list((twins[0] / ".dvc/tmp").glob("lathe-sent*"))
    for end in ["", "-2"]:
        ours, theirs = [path.with_name(path.name + end) for path in stores]
        names = [sorted(str(at.relative_to(store)) for at in store.rglob("*") if at.is_file()) for store in (ours, theirs)]
        # DVC leaves what it staged.
        names[1] = [name for name in names[1] if not name.endswith(".tmp")]
        assert names[0] == names[1] and names[0]
        assert all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in names[0])
    # What was there before: the same place again, with other data.
    (large / "a").write_text("new\n")
    both(twins, "add", "--to-remote", "../large")
    same(twins)
    ours = twins[0]
    lathe("pull", "large", cwd=ours)
    assert (ours / "large/a").read_text() == "new\n"
    assert "one target" in lathe("add", "--to-remote", "a", "b", cwd=ours, code=1).stderr
    assert "--to-remote" in lathe("add", "-r", "store", "sub", cwd=ours, code=1).stderr
    assert "nothing at" in lathe("add", "--to-remote", "../nowhere", cwd=ours, code=1).stderr
    assert "overlaps" in lathe("add", "--to-remote", "../program.sh", "-o", "large/a", cwd=ours, code=1).stderr
    assert "is made by" not in lathe("add", "--to-remote", "large", cwd=ours).stderr


def test_whoever_clones_a_project_gets_what_it_imported(twins, other, web, tmp_path):
    folder, url = web
    (folder / "f.txt").write_text("f\n")
    third = tmp_path / "third"
    third.mkdir()
    git(third, "init", "--quiet", "-b", "main")
    dvc(third, "init")
    dvc(third, "import", "../other", "data", "-o", "again")
    git(third, "add", "--all")
    git(third, "commit", "--quiet", "-m", "first")
    names = ["data", "renamed.csv", "x.py", "chained", "f.txt", "later.txt"]
    for twin in twins:
        dvc(twin, "import", "../other", "data")
        dvc(twin, "import", "../other", "one.csv", "-o", "renamed.csv")
        dvc(twin, "import", "../other", "code/x.py")
        dvc(twin, "import", "../third", "again", "-o", "chained")
        # Nothing of it was ever downloaded.
        dvc(twin, "import-url", "--no-download", f"{url}/f.txt")
        dvc(twin, "import", "--no-download", "../other", "data/a", "-o", "later.txt")
        shutil.rmtree(twin / ".dvc/cache", ignore_errors=True)
        for name in names:
            shutil.rmtree(twin / name) if (twin / name).is_dir() else (twin / name).unlink(missing_ok=True)
    shutil.rmtree(third / ".dvc/cache")
    ours, theirs = twins
    # There is no remote, and none is needed.
    both(twins, "pull")
    assert (ours / "f.txt").read_text() == "f\n" and (ours / "chained/sub/b").read_text() == "b\n"
    for name in names:
        assert (ours / name).exists() and (theirs / name).exists(), name
        # What was never downloaded is written down now; DVC leaves that to `update`.
        same_file = (ours / f"{name}.dvc").read_text() == (theirs / f"{name}.dvc").read_text()
        assert same_file == (name not in ("f.txt", "later.txt")), name
    assert "up to date" in dvc(ours, "status")
    assert lathe("status", "--quiet", "--no-updates", cwd=ours).stdout == ""
    shutil.rmtree(ours / ".dvc/cache")
    shutil.rmtree(ours / "data")
    write([ours], {"dvc.yaml": "stages:\n  a:\n    cmd: cp data/a a\n    deps: [data/a]\n    outs: [a]\n"})
    lathe("fetch", "x.py.dvc", cwd=ours)
    dvc(ours, "remote", "add", "-d", "store", str(tmp_path / "empty-store"))
    lathe("run", "--pull", cwd=ours)
    assert (ours / "a").read_text() == "a\n"
    # What is not there any more is told, and nothing else takes its place.
    shutil.rmtree(ours / ".dvc/cache")
    (ours / "data/a").unlink()
    shutil.move(other, tmp_path / "moved")
    assert "`data` is imported" in lathe("pull", "data.dvc", cwd=ours, code=1).stderr
