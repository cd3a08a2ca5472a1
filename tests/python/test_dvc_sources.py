"""Data of `.dvc` files at the beginning of pipelines, as `dvc repro` takes it, and pipelines in several folders."""

import json
import re
import shutil

from conftest import lathe
from test_dvc_pipelines import dvc, dvc_json, empty, pair, same, write  # noqa: F401  (fixtures too)

SOURCES = {
    "dvc.yaml": """stages:
  join:
    cmd: cat raw/* > all.txt && cat one.csv >> all.txt
    deps: [raw, one.csv]
    outs: [all.txt]
  count:
    cmd: wc -l < all.txt > n.txt
    deps: [all.txt]
    outs: [n.txt]
""",
    "raw/a": "a\n",
    "raw/b": "b\n",
    "one.csv": "1\n",
    "sub/aside.bin": "not needed\n",
}


def drawn(mermaid):
    """The names of a flowchart's nodes, and of those that its edges connect."""
    nodes = dict(re.findall(r'(node\d+)\["(.*?)"\]', mermaid))
    return sorted(nodes.values()), sorted((nodes[a], nodes[b]) for a, b in re.findall(r"(node\d+)-->(node\d+)", mermaid))


def test_data_stands_at_the_beginning_of_pipelines(pair, tmp_path):
    theirs, ours = folders = pair(SOURCES)
    both = lambda *args: (dvc(theirs, *args), lathe(*args, cwd=ours))  # noqa: E731
    both("add", "raw", "one.csv", "sub/aside.bin")
    both("repro")
    same(*folders)
    for args in (["dag", "--mermaid"], ["dag", "--mermaid", "count"], ["dag", "--mermaid", "--outs"]):
        assert drawn(lathe(*args, cwd=ours).stdout) == drawn(dvc(theirs, *args)), args
    assert '"raw.dvc" -> "join";' in lathe("dag", "--dot", cwd=ours).stdout
    # Changed data is taken as it is, before the stages; what no stage needs is left alone.
    for folder in folders:
        write(folder, {"raw/c": "c\n", "sub/aside.bin": "changed\n"})
    told = lathe("run", "--dry", cwd=ours).stdout
    assert "raw.dvc: `raw` is modified, taken as it is now" in told and "aside" not in told
    assert (ours / "raw.dvc").read_bytes() == (theirs / "raw.dvc").read_bytes()
    both("repro")
    same(*folders)
    assert "aside.bin.dvc" in lathe("status", cwd=ours).stdout
    both("repro", "sub/aside.bin.dvc")
    same(*folders)
    assert "up to date" in dvc(ours, "status")
    # An output inside of data is refused before anything is executed.
    for folder in folders:
        write(folder, {"dvc.yaml": SOURCES["dvc.yaml"].replace("outs: [n.txt]", "outs: [raw/n.txt]")})
    dvc(theirs, "repro", code=255)
    assert "raw.dvc" in lathe("repro", cwd=ours, code=1).stderr
    for folder in folders:
        write(folder, {"dvc.yaml": SOURCES["dvc.yaml"]})
    # Data that is gone is restored; DVC asks for it.
    shutil.rmtree(ours / "raw")
    assert "restored from the cache" in lathe("run", cwd=ours).stdout
    assert (ours / "raw/c").read_text() == "c\n"
    assert "up to date" in dvc(ours, "status")

    # On a machine that has nothing, `--pull` brings what is missing, what earlier executions made included.
    store = tmp_path / "store"
    lathe("remote", "add", "-d", "store", str(store), cwd=ours)
    lathe("push", "--run-cache", cwd=ours)
    for name in [".dvc/cache", "raw"]:
        shutil.rmtree(ours / name)
    for name in ["one.csv", "all.txt", "n.txt"]:
        (ours / name).unlink()
    assert json.loads(lathe("run", "--pull", "--json", cwd=ours).stdout)["executed"] == 0
    assert (ours / "n.txt").read_text().strip() == "4"
    (ours / "dvc.lock").unlink()
    shutil.rmtree(ours / ".dvc/cache/files")
    shutil.rmtree(ours / ".dvc/cache/runs")
    done = json.loads(lathe("run", "--pull", "--json", cwd=ours).stdout)
    assert (done["executed"], [stage["outcome"] for stage in done["stages"]]) == (0, ["restored", "restored"])
    lathe("pull", cwd=ours)
    assert "up to date" in dvc(ours, "status")


def test_status_is_about_every_pipeline_of_the_repository(pair):
    files = {"sub/dvc.yaml": "stages: {s: {cmd: echo 1 > o, outs: [o]}}\n", "other/here": ""}
    theirs, ours = pair(files)
    for folder in [".", "other", "sub"]:
        told = dvc_json(theirs / folder, "status")
        assert [name.rsplit("dvc.yaml:")[-1] for name in told] == ["s"]
        stages = json.loads(lathe("status", "--json", cwd=ours / folder).stdout)["stages"]
        assert [stage["stage"] for stage in stages] == ["sub/dvc.yaml:s"]
