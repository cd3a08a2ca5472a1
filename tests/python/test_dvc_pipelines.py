"""Pipelines as `dvc` executes them: both tools on the same projects, compared byte for byte.

`dvc` runs in this process, which spares its start of about a second for each of the many calls.
"""

import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import LATHE, git, lathe


def dvc(folder, *args, code=0):
    """Runs `dvc ARGS` and returns what it printed."""
    from dvc.cli import main

    told = io.StringIO()
    before = pathlib.Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            ended = main(list(args))
    finally:
        os.chdir(before)
    assert ended == code, f"dvc {args}: {ended}\n{told.getvalue()}"
    return told.getvalue()


def dvc_json(folder, *args):
    """What `dvc ARGS --json` says; it writes that past what this process could catch."""
    command = [sys.executable, "-m", "dvc", *args, "--json"]
    return json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    dvc(folder, "init", "--quiet")
    return folder


@pytest.fixture
def pair(empty, tmp_path):
    """Makes the same project twice: for `dvc` and for `lathe`."""

    def make(files, commit=False):
        folders = tmp_path / "dvc" / "p", tmp_path / "lathe" / "p"
        for folder in folders:
            shutil.copytree(empty, folder)
            write(folder, files)
            if commit:
                git(folder, "add", "--all")
                git(folder, "commit", "--quiet", "-m", "start")
        return folders

    return make


def tree(folder, but=(".git", ".lathe", "tmp")):
    """Every file with its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not set(inside.parts) & set(but):
            found[str(inside)] = path.read_bytes()
    return found


def same(one, other):
    one, other = tree(one), tree(other)
    assert sorted(one) == sorted(other)
    for name, content in one.items():
        assert content == other[name], f"{name}:\n{content.decode()}\n---\n{other[name].decode()}"


EVERYTHING = {
    "dvc.yaml": r"""vars:
- extra.json
- conf/more.toml:train,other
- settings.py
- inline: {deep: {list: [1, {k: v}]}, flag: true, none: null, num: 1.0e-05}
- models: {three: {opts: {x: [a b, 1.50]}}}
stages:
  prep:
    cmd: |
      echo "${inline.deep.list[1].k} ${inline.flag} ${inline.none} ${inline.num} \${HOME:+x}" > prep.txt
      cat raw.txt >> prep.txt
    deps: [raw.txt]
    outs: [prep.txt]
    desc: two lines
    meta: {a: 1}
  train:
    foreach: ${models}
    do:
      vars: [{lr: "0.1"}]
      wdir: work
      cmd: mkdir -p m && echo train ${item.opts} ${lr} ${key} > m/${key} && cat ../prep.txt >> m/${key}
      deps: [../prep.txt]
      params:
      - ../params.yaml: [seed, nested.a]
      - ../settings.py: [Train.epochs, NAME]
      - ../conf/more.toml:
      outs:
      - m/${key}
  list:
    foreach: [a, true, 1.5, 3]
    do:
      cmd: echo ${item} > list-${item}.txt
      deps: [raw.txt]
      outs: ["list-${item}.txt"]
  grid:
    matrix:
      x: ${xs}
      y: [{n: 1}, {n: 2}]
    cmd:
    - echo ${item.x} ${item.y.n} ${key} > grid-${key}.json
    - |
      x=1
      echo $x
    params: [seed]
    metrics:
    - grid-${key}.json: {cache: false}
  plotit:
    cmd: printf 'x,y\n1,2\n' > p.csv && echo '{"a":{"b":1}}' > met.json && mkdir -p outdir/sub && echo 1 > outdir/sub/f && touch outdir/e && cp list-a.txt keep && touch run.sh && chmod +x run.sh
    deps: [work/m, grid-1-y0.json, list-true.txt, run.in]
    params: [seed, nested, other.yaml: ]
    outs:
    - outdir
    - run.sh
    - keep: {persist: true, push: false, desc: kept}
    metrics: [met.json]
    plots:
    - p.csv: {x: x, y: y, cache: false, title: T}
  always:
    cmd: echo $DVC_STAGE > always.txt
    always_changed: true
    outs: [always.txt]
  long:
    cmd: echo 'this is a very long command line with many many words so that the dumper has to wrap it somewhere around eighty columns' "and 'quotes'" > long.txt
    deps: [raw.txt]
    outs: [long.txt]
  s.x: {cmd: echo 1 > sx, outs: [sx]}
  ice:
    frozen: true
    cmd: exit 1
    deps: [raw.txt]
    outs: [ancient]
metrics: [met.json]
params: [conf/more.toml]
plots:
- p.csv: {x: x, y: y}
- outdir
artifacts:
  art: {path: long.txt, type: model, labels: [a]}
""",
    "sub/dvc.yaml": "stages:\n  s:\n    cmd: cat ../long.txt > s.txt; echo $DVC_STAGE >> s.txt\n    deps: [../long.txt]\n    outs: [s.txt]\n",
    "sub/deep/dvc.yaml": "stages:\n  t:\n    cmd: cp ../s.txt t.txt\n    deps: [../s.txt]\n    outs: [t.txt]\n",
    "extra.json": json.dumps(
        {
            "models": {
                "one": {"opts": {"lr": 0.1, "v": True, "no": False, "l": [1, "x y"]}},
                "two": {"opts": {"k": "it's"}},
            },
            "xs": [1, 2],
        }
    ),
    "conf/more.toml": "other = 2\n[train]\nb = 1\na = [1.5, 2]\n",
    "settings.py": "A = 1\nNAME: str = 'n'\nclass Train:\n    epochs = 5\n    def __init__(self):\n        self.x = [1, 2]\n",
    "params.yaml": 'seed: 1_000\nnested: {b: 0x1F, a: [yes, 1e5, ~, "x: y", 12:30:45, 0o17]}\n',
    "other.yaml": "z: 1\na: {c: [1.0, .inf], b: 'it''s'}\n'weird key': \"tab\\t\"\n",
    "raw.txt": "raw\n",
    "run.in": "",
    "ancient": "by hand\n",
    "work/.keep": "",
}


def test_every_construct_leaves_the_same_locks_caches_and_files(pair):
    theirs, ours = pair(EVERYTHING)
    (theirs / "run.in").chmod(0o755), (ours / "run.in").chmod(0o755)
    parallel = ours.parent.parent / "parallel" / "p"
    shutil.copytree(ours, parallel)
    dvc(theirs, "repro", "-P")
    lathe("run", "-P", cwd=ours)
    same(theirs, ours)
    assert dvc(ours, "status", "-q", code=1) == "", "only the stage that is always executed"
    lathe("repro", "-P", "-j", "4", cwd=parallel)
    for name in ("dvc.lock", "sub/dvc.lock", "sub/deep/dvc.lock", ".gitignore"):
        assert (parallel / name).read_bytes() == (theirs / name).read_bytes(), name
    plan = json.loads(lathe("status", "-P", "--json", cwd=theirs).stdout)
    assert [stage["stage"] for stage in plan["stages"] if stage["executes"]] == ["always"]
    # What is restored from the run cache is the same again.
    for folder in (theirs, ours):
        for name in ("dvc.lock", "sub/dvc.lock", "long.txt", "met.json", "p.csv"):
            (folder / name).unlink()
        shutil.rmtree(folder / "outdir")
    dvc(theirs, "repro", "-P")
    lathe("run", "-P", cwd=ours)
    same(theirs, ours)


BROKEN = {
    "a cycle": "stages:\n  a: {cmd: x, deps: [y], outs: [z]}\n  b: {cmd: x, deps: [z], outs: [y]}\n",
    "its own output": "stages:\n  a: {cmd: x, deps: [y], outs: [y]}\n",
    "one output twice": "stages:\n  a: {cmd: x, outs: [y]}\n  b: {cmd: x, outs: [y]}\n",
    "output in output": "stages:\n  a: {cmd: x, outs: [y]}\n  b: {cmd: x, outs: [y/z]}\n",
    "no command": "stages:\n  a: {deps: [raw]}\n",
    "unknown key": "stages:\n  a: {cmd: x, dpes: [raw]}\n",
    "unknown top key": "stage:\n  a: {cmd: x}\n",
    "unknown flag": "stages:\n  a: {cmd: x, outs: [{o: {cahce: false}}]}\n",
    "not a list": "stages:\n  a: {cmd: x, deps: raw}\n",
    "conflict": "<<<<<<< HEAD\nstages:\n=======\n>>>>>>> b\n",
    "duplicate": "stages:\n  a: {cmd: x}\n  a: {cmd: y}\n",
    "missing dep": "stages:\n  a: {cmd: x, deps: [nothing]}\n",
    "missing out": "stages:\n  a: {cmd: 'true', outs: [nothing]}\n",
    "missing param": "stages:\n  a: {cmd: 'true', params: [nothing]}\n",
    "failing": "stages:\n  a: {cmd: exit 3}\n",
    "unknown variable": "stages:\n  a: {cmd: 'echo ${nothing}'}\n",
    "variable of the shell": "stages:\n  a: {cmd: 'echo ${HOME:-x}'}\n",
    "bad path": "stages:\n  a: {cmd: 'echo ${v..a}'}\n",
    "list in text": "vars: [{l: [1]}]\nstages:\n  a: {cmd: 'echo ${l}'}\n",
    "map in deps": "vars: [{m: {a: 1}}]\nstages:\n  a: {cmd: x, deps: ['${m}']}\n",
    "redefined": "vars: [{v: 2}]\nstages:\n  a: {cmd: x}\n",
    "vars interpolate": "vars: [{w: '${v}'}]\nstages:\n  a: {cmd: x}\n",
    "vars twice": "vars: ['p.yaml:x', 'p.yaml']\nstages:\n  a: {cmd: x}\n",
    "vars missing": "vars: [nothing.yaml]\nstages:\n  a: {cmd: x}\n",
    "vars missing key": "vars: ['p.yaml:nothing']\nstages:\n  a: {cmd: x}\n",
    "reserved": "stages:\n  a:\n    foreach: [1]\n    do: {cmd: x, vars: [{item: 2}]}\n",
    "foreach of text": "stages:\n  a:\n    foreach: ${v}\n    do: {cmd: x}\n",
    "foreach without do": "stages:\n  a: {foreach: [1], cmd: x}\n",
    "pipeline in output": "stages:\n  a: {cmd: x, outs: [in]}\n",
}


def test_what_one_refuses_the_other_refuses_and_nothing_is_changed(pair):
    theirs, ours = pair({"raw": "1\n", "params.yaml": "v: 1\n", "p.yaml": "x: 1\ny: 2\n", "in/dvc.yaml": "stages: {}\n"})
    for name, text in BROKEN.items():
        for folder in (theirs, ours):
            (folder / "dvc.yaml").write_text(text)
            (folder / "in/dvc.yaml").unlink(missing_ok=True)
            if name == "pipeline in output":
                write(folder, {"in/dvc.yaml": "stages: {}\n"})
        before = tree(ours)
        if name != "pipeline in output":  # DVC removes the file if it defines no stage
            dvc(theirs, "repro", code=255)
        done = lathe("run", cwd=ours, code=1)
        assert done.stderr.startswith("error: "), name
        assert tree(ours) == before, name
    locks = {
        "schema: '3.0'\nstages:\n": "schema",
        "a:\n  cmd: x\n": "schema",
        "schema: '2.0'\nstages:\n  a:\n    cmd: [\n": "dvc.lock",
        "schema: '2.0'\nstages:\n<<<<<<< HEAD\n  a:\n    cmd: x\n=======\n>>>>>>> b\n": "merge",
    }
    for folder in (theirs, ours):
        (folder / "dvc.yaml").write_text("stages:\n  a: {cmd: 'true', deps: [raw]}\n")
    for text, told in locks.items():
        for folder in (theirs, ours):
            (folder / "dvc.lock").write_text(text)
        dvc(theirs, "repro", code=255)
        assert told in lathe("run", cwd=ours, code=1).stderr
        assert (ours / "dvc.lock").read_text() == text


STEP = "echo {0} >> ran.log && cat {1} > {0}.out"
DIAMOND = {
    "dvc.yaml": "stages:\n"
    + "".join(
        f"  {name}:\n    cmd: {STEP.format(name, ' '.join(deps))}\n    deps: [{', '.join(deps)}]\n    outs: [{name}.out]\n"
        for name, deps in {
            "d": ["b.out", "c.out"],
            "b": ["a.out"],
            "c": ["a.out", "c.in"],
            "a": ["a.in"],
            "lone": ["lone.in"],
        }.items()
    ),
    "other/dvc.yaml": "stages:\n  e: {cmd: 'echo e >> ../ran.log; cp ../d.out e.out', deps: [../d.out], outs: [e.out]}\n",
    "a.in": "1\n",
    "c.in": "2\n",
    "lone.in": "3\n",
    ".gitignore": "ran.log\n",
}

# Each step: what is changed first, what both are called with, and whether that fails.
STEPS = [
    ("", ["b"]),
    ("", ["-s", "d"], "fails"),
    ("", []),
    ("echo 9 > c.in", ["-s", "c"]),
    ("", ["--downstream", "c"]),
    ("echo 8 > c.in", ["other/dvc.yaml:e"]),
    ("", ["-f", "-s", "d"]),
    ("rm ran.log", ["-f", "b"]),
    ("echo 1 > a.in; echo 7 > c.in", ["-p", "b"]),
    ("", ["--force-downstream", "-f", "a"]),
    ("echo 6 > a.in", ["--force-downstream", "other/dvc.yaml"]),
    ("echo 5 > lone.in; echo 1 > a.in", ["--glob", "l*"]),
    ("", ["-R", "other"]),
    ("rm b.out", ["--no-run-cache"]),
    ("echo 4 > lone.in", ["--no-commit", "lone"]),
    ("", ["lone"]),
    ("rm a.out c.out", ["--allow-missing"]),
    ("rm a.in; rm b.out", ["--allow-missing", "d"]),
    ("echo 1 > a.in; rm c.in", ["-k"], "fails"),
    ("echo 3 > a.in", ["-k"], "fails"),
    ("echo 11 > lone.in", ["--ignore-errors"], "may fail"),
    ("echo 2 > c.in", ["-P"]),
]


def test_each_flag_executes_the_same_stages(pair):
    theirs, ours = pair(DIAMOND)
    for step, args, *fails in STEPS:
        for folder in (theirs, ours):
            subprocess.run(step or "true", shell=True, cwd=folder, check=True)
        refuses = fails == ["fails"]
        dvc(theirs, "repro", *args, code=255 if refuses else 0)
        lathe("run", *args, cwd=ours, code=1 if refuses else 0)
        logs = [(folder / "ran.log").read_text().split() if (folder / "ran.log").exists() else [] for folder in (theirs, ours)]
        assert sorted(logs[0]) == sorted(logs[1]), (step, args)
        for name in ("dvc.lock", "other/dvc.lock"):
            locks = [(folder / name).read_text() if (folder / name).exists() else "" for folder in (theirs, ours)]
            assert sorted(locks[0].splitlines()) == sorted(locks[1].splitlines()), (step, args, name)
    assert dvc(ours, "status", "-q") == ""


def test_values_graphs_and_edits_read_the_same(pair):
    files = {
        "dvc.yaml": """# mine
vars: [v.yaml]
stages:
  one:  # first
    cmd: echo ${lr}
    params: [lr, net.size, other.json: [deep]]
    metrics:
    - m.json: {cache: false}
  many:
    foreach: [a, b]
    do: {cmd: 'cp m.json ${item}.out', deps: [m.json], outs: ['${item}.out']}
params: [top.toml]
metrics: [sub/n.yaml]
""",
        "v.yaml": "unused: 1\n",
        "params.yaml": "lr: 0.1\nnet: {size: [1, 'x'], name: n}\n",
        "other.json": '{"deep": {"x": 1, "y": null}, "no": 2}',
        "top.toml": "a = 1\n",
        "m.json": '{"acc": 0.123456789, "loss": {"train": 1, "test": 2.5}, "text": "t", "list": [1]}',
        "sub/n.yaml": "n: 3\n",
    }
    theirs, ours = pair(files, commit=True)
    changed = {
        "params.yaml": "lr: 0.2\nnet: {size: [1, 'y'], extra: true}\n",
        "other.json": '{"deep": {"x": 2.5}}',
        "m.json": '{"acc": 0.2, "loss": {"train": 4, "test": 2.5}, "new": 1e-7}',
        "sub/n.yaml": "n: 4\n",
    }
    for folder in (theirs, ours):
        write(folder, changed)
    for args in (
        ["metrics", "diff", "--all"],
        ["metrics", "show"],
        ["params", "diff"],
        ["params", "diff", "--deps"],
    ):
        assert json.loads(lathe(*args, "--json", cwd=ours).stdout) == dvc_json(theirs, *args), args
    table = lathe("metrics", "diff", "--md", cwd=ours).stdout
    assert "| m.json     | loss.train | 1       | 4         | 3       |" in table, table
    every = json.loads(lathe("metrics", "show", "--json", "--all-commits", cwd=ours).stdout)
    assert len(every) == 2 and every["workspace"]["data"]["sub/n.yaml"] == {"data": {"n": 4}}
    for args in (["dag", "--mermaid"], ["dag", "--md", "one"], ["dag", "--mermaid", "--outs"]):
        assert lathe(*args, cwd=ours).stdout.strip() == dvc(theirs, *args).strip(), args
    assert "many@a" in lathe("dag", cwd=ours).stdout
    assert '"one" -> "many@b";' in lathe("dag", "--dot", cwd=ours).stdout
    edits = [
        ["stage", "add", "-n", "new", "-d", "z", "-d", "m.json", "-p", "net.name,lr", "-p", "other.json:deep", "-p", "top.toml:"]
        + ["-o", "o2", "-O", "o1", "--outs-persist", "o3", "-M", "mm.json", "--plots-no-cache", "p.csv", "--desc", "why"]
        + ["python", "x.py", "two words"],
        ["stage", "add", "-n", "plain", "-w", "sub", "-m", "k.json", "echo 1 > k.json"],
        ["freeze", "plain"],
        ["unfreeze", "plain"],
        ["freeze", "new"],
    ]
    for args in edits:
        dvc(theirs, *args)
        lathe(*args, cwd=ours)
        assert (ours / "dvc.yaml").read_text() == (theirs / "dvc.yaml").read_text(), args
    before = (ours / "dvc.yaml").read_text()
    for args in (["-n", "new", "x"], ["-n", "a.b", "x"], ["-n", "twice", "-o", "o2", "x"], ["-n", "loop", "-d", "q", "-o", "q", "x"]):
        dvc(theirs, "stage", "add", *args, code=255)
        lathe("stage", "add", *args, cwd=ours, code=1)
        assert (ours / "dvc.yaml").read_text() == before, args
    listed = lathe("stage", "list", cwd=ours).stdout
    assert [line.split() for line in listed.splitlines()] == [line.split() for line in dvc(theirs, "stage", "list").splitlines()]


def test_plots_are_drawn_of_files_and_commits(pair):
    _, ours = pair(
        {
            "dvc.yaml": """stages:
  p:
    cmd: 'true'
    plots:
    - loss.csv: {cache: false, x: epoch, y: loss, template: linear}
    - c.json: {cache: false, x: actual, y: predicted, template: confusion}
    - pics: {cache: false}
plots:
- both: {x: epoch, y: {loss.csv: [loss, val], more.tsv: loss}}
""",
            "loss.csv": "epoch,loss,val\n0,2.5,3\n1,1.5,2\n",
            "more.tsv": "epoch\tloss\n0\t9\n",
            "c.json": '{"rows": [{"actual": "a", "predicted": "b"}]}',
            "pics/x.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        },
        commit=True,
    )
    write(ours, {"loss.csv": "epoch,loss,val\n0,2,3\n"})
    data = json.loads(lathe("plots", "diff", "--json", cwd=ours).stdout)["data"]
    assert set(data) == {"loss.csv", "c.json", "pics/x.svg", "both"}
    chart = data["loss.csv"][0]
    assert chart["type"] == "vega" and chart["revisions"] == ["workspace", "HEAD"]
    values = chart["content"]["data"]["values"]
    assert {"epoch": 0, "loss": 2.5, "val": 3, "rev": "HEAD"} in values and len(values) == 3
    assert {row["field"] for row in data["both"][0]["content"]["data"]["values"]} == {"loss", "val"}
    lathe("plots", "show", "loss.csv", "-y", "val", "--template", "smooth", cwd=ours)
    page = (ours / "dvc_plots/index.html").read_text()
    assert "<polyline" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "nothing" in lathe("plots", "show", "--template", "nothing", cwd=ours, code=1).stderr


def alive(marker):
    """Whether a process with this text in its command line lives."""
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in entry.read_bytes():
                return True
    return False


def test_killed_at_any_moment_the_next_run_goes_on_and_ends_the_same(pair):
    wide = "stages:\n" + "".join(
        f"  s{n}:\n    cmd: sleep 0.0{n % 3} && mkdir d{n} && cat {'raw' if n < 4 else f'd{n - 4}/f'} > d{n}/f && echo {n} >> d{n}/f\n"
        f"    deps: [{'raw' if n < 4 else f'd{n - 4}'}]\n    outs: [d{n}]\n"
        for n in range(16)
    )
    theirs, ours = pair({"dvc.yaml": wide, "raw": "1\n"})
    lathe("run", cwd=theirs)
    dice = random.Random(7)
    for _ in range(12):
        process = subprocess.Popen(
            [LATHE, "run", "-j", "3"], cwd=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(dice.uniform(0.01, 0.25))
        process.send_signal(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
        assert process.wait(timeout=30) in (-signal.SIGKILL, -signal.SIGINT, 0, 130), "SIGINT may come before anybody listens"
        for md5 in (ours / ".dvc/cache/files/md5").glob("??/*"):
            # What was being written when the kill came has no object's name yet.
            is_object = not md5.name.startswith(".lathe-")
            if is_object and md5.stat().st_mode & 0o777 == 0o444 and md5.suffix != ".dir":
                import hashlib

                assert hashlib.md5(md5.read_bytes()).hexdigest() == md5.parent.name + md5.name
    report = json.loads(lathe("run", "-j", "3", "--json", cwd=ours).stdout)
    assert not report.get("failed")
    want, got = (theirs / "dvc.lock").read_text(), (ours / "dvc.lock").read_text()
    assert sorted(want.splitlines()) == sorted(got.splitlines())
    assert dvc(ours, "status", "-q") == ""


def test_nothing_of_a_killed_run_goes_on(pair):
    _, ours = pair({"dvc.yaml": "stages:\n  s: {cmd: '(sleep 61.7; touch late) & sleep 61.7 && true'}\n"})
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([LATHE, "run"], cwd=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not alive("sleep\x0061.7") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
        process.send_signal(how)
        process.wait(timeout=20)
        deadline = time.monotonic() + 5
        while alive("sleep\x0061.7") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive("sleep\x0061.7"), how


def test_stages_are_retried_limited_measured_and_logged(pair):
    _, ours = pair(
        {
            "lathe.toml": """[project]
name = "limits"
jobs = 4
[resources]
gpu = 1
[stage.flaky]
retries = 2
[stage.slow]
timeout = "300ms"
[stage.train]
resources = { gpu = 1 }
""",
            "dvc.yaml": """stages:
  flaky: {cmd: 'echo try >> tries; test $(wc -l < tries) = 3', deps: [raw], outs: [tries: {persist: true}]}
  train:
    foreach: [1, 2, 3]
    do: {cmd: 'mkdir one-at-a-time && sleep 0.2 && rmdir one-at-a-time && echo ${item} > t${item}', outs: ['t${item}']}
  eats: {cmd: "head -c 80000000 /dev/zero | tail -c 80000000 > /dev/null", always_changed: true}
""",
            "raw": "1\n",
        }
    )
    report = json.loads(lathe("run", "--json", cwd=ours, code=1).stdout or "{}")
    assert report == {}, "limits of a stage that is none"
    text = (ours / "lathe.toml").read_text()
    (ours / "lathe.toml").write_text(text.replace("[stage.slow]", "[stage.eats]").replace('"300ms"', '"20s"'))
    report = json.loads(lathe("run", "--json", cwd=ours).stdout)
    stages = {stage["stage"]: stage for stage in report["stages"]}
    assert stages["flaky"]["attempts"] == 3 and stages["flaky"]["outcome"] == "executed"
    usage = stages["eats"]["usage"]
    assert 70_000_000 < usage["memory_bytes_max"] < 400_000_000, usage
    assert 80_000_000 <= usage["written_bytes"] and 0 < usage["wall_ms"], usage
    log = (ours / stages["flaky"]["log"]).read_text()
    assert log.count("> echo try") == 3
    (ours / "dvc.yaml").write_text("stages:\n  eats: {cmd: sleep 20}\n")
    (ours / "lathe.toml").write_text('[project]\nname = "limits"\n[stage.eats]\ntimeout = "200ms"\n')
    started = time.monotonic()
    done = lathe("run", cwd=ours, code=1)
    assert "timeout" in done.stderr and time.monotonic() - started < 15
    (ours / "lathe.toml").write_text('[project]\nname = "limits"\n[stage.eats]\nresources = { gpu = 2 }\n')
    assert "gpu" in lathe("run", cwd=ours, code=1).stderr


def test_names_that_are_too_long_for_a_line_are_written_as_dvc_writes_them(pair):
    stage, key, words = "s" * 130, "k" * 126, ("w" * 20 + " ") * 7 + "end"
    folder = "d" * 100
    pipeline = f"""
stages:
  first:
    cmd: mkdir -p {folder} && echo 1 > {folder}/{"o" * 60}
    outs:
    - {folder}/{"o" * 60}
  ? {stage}
  : cmd: cat {folder}/{"o" * 60} > out
    deps:
    - {folder}/{"o" * 60}
    params:
    - {key}
    - x.{words}
    outs:
    - out
"""
    values = json.dumps({key: {"a" * 128: 1, "b": [{"c" * 140: None}]}, "x": {words: 2}})
    ours, theirs = None, None
    one, other = pair({"dvc.yaml": pipeline, "params.yaml": values}, commit=True)
    for change in [values, values.replace("2}", "3}")]:
        for project in (one, other):
            (project / "params.yaml").write_text(change)
        dvc(one, "repro", "--quiet")
        lathe("run", "--quiet", cwd=other)
        theirs, ours = (one / "dvc.lock").read_text(), (other / "dvc.lock").read_text()
        assert ours == theirs and f"  ? {stage}\n  : cmd: " in ours
    # Each reads what the other wrote.
    (one / "dvc.lock").write_text(ours)
    assert "up to date" in dvc(one, "status")
    (other / "dvc.lock").write_text(theirs)
    assert json.loads(lathe("run", "--json", cwd=other).stdout)["executed"] == 0
    for name in ["n" * 125, "m" * 20]:
        dvc(one, "stage", "add", "--quiet", "-n", name, "-d", "params.yaml", "true")
        lathe("stage", "add", "-n", name, "-d", "params.yaml", "true", cwd=other)
        # `dvc` lays out the whole file anew; the new stage stands at its end.
        theirs, ours = [(project / "dvc.yaml").read_text().partition(name) for project in (one, other)]
        assert ours[2] == theirs[2] and ours[0].endswith("\n  ? " if len(name) == 125 else "\n  ")
        for project, text in [(one, ours), (other, theirs)]:
            (project / "dvc.yaml").write_text("".join(text))
        dvc(one, "status"), lathe("status", cwd=other)
