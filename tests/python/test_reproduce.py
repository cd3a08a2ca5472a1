"""`lathe reproduce`: a run is built again in a clean folder and compared, output by output."""

import hashlib
import json
import textwrap

import pytest
from conftest import git, lathe

PIPELINE = """
stages:
  prepare:
    cmd: python3 prepare.py
    deps: [data.csv, prepare.py]
    outs: [clean.json]
  train:
    cmd: python3 train.py
    deps: [clean.json, train.py]
    params: [factor]
    outs: [model.bin]
    metrics:
    - metrics.json:
        cache: false
"""

PREPARE = """
import json
rows = [int(line) for line in open("data.csv")]
json.dump(rows, open("clean.json", "w"))
"""

TRAIN = """
import json
rows = json.load(open("clean.json"))
factor = int(open("params.yaml").read().split(":")[1])
open("model.bin", "wb").write(bytes(row * factor % 256 for row in rows))
json.dump({"rmse": sum(rows) / factor}, open("metrics.json", "w"))
"""


@pytest.fixture
def project(tmp_path):
    """A project in git whose data only DVC's cache holds."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    lathe("init", "--name", "p", cwd=folder)
    files = {"dvc.yaml": PIPELINE, "prepare.py": PREPARE, "train.py": TRAIN, "params.yaml": "factor: 3\n"}
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    (folder / "data.csv").write_text("1\n2\n3\n")
    commit(folder)
    return folder


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "state")


def run(folder):
    return json.loads(lathe("run", "--json", cwd=folder).stdout)["run_id"]


def reproduce(folder, *args, code=0):
    return json.loads(lathe("reproduce", *args, "--json", cwd=folder, code=code).stdout)


def likeness(report):
    return {out["path"]: out["likeness"] for stage in report["stages"] for out in stage["outs"]}


def test_a_run_is_rebuilt_bit_by_bit_and_the_report_is_kept_with_it(project):
    run_id = run(project)
    report = reproduce(project, run_id, "--output", "told")
    assert (report["verdict"], report["bit_equal"]) == ("verified", True)
    assert likeness(report) == dict.fromkeys(["clean.json", "model.bin", "metrics.json"], "identical")
    assert [path["path"] for path in report["inputs"]] == ["data.csv", "prepare.py", "train.py"]
    statement = json.loads((project / "told/statement.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["result"] == "PASSED" and len(statement["subject"]) == 3
    assert "verified: 3 outputs equal bit by bit" in (project / "told/report.md").read_text()
    kept = list((project / ".lathe/artifacts").rglob("lathe/reproduction/report.json"))
    assert len(kept) == 1 and run_id in str(kept[0])
    # Nothing is left behind, neither a folder nor a worktree.
    assert git(project, "worktree", "list").count("\n") == 1
    # The commit alone, by what its dvc.lock says.
    commit(project)
    git(project, "tag", "p@v1")
    assert reproduce(project, "p@v1")["verdict"] == "verified"


def test_changes_that_no_commit_holds_are_rebuilt_from_the_runs_patch(project):
    (project / "params.yaml").write_text("factor: 5\n")
    (project / "prepare.py").write_text(PREPARE + "import extra\n")
    (project / "extra.py").write_text("")
    run_id = run(project)
    git(project, "checkout", "--quiet", ".")
    (project / "extra.py").unlink()
    report = reproduce(project, run_id)
    assert (report["verdict"], report["patched"]) == ("verified", True)


def test_inputs_come_from_the_cache_by_hash_and_a_lost_one_is_named(project):
    (project / ".gitignore").write_text("/.lathe/\n/data.csv\n")
    git(project, "rm", "--quiet", "--cached", "data.csv")
    commit(project)
    run_id = run(project)
    told = lathe("reproduce", run_id, cwd=project, code=1).stderr
    assert "`data.csv` is not in the commit, and neither the cache nor a remote holds it" in told
    md5 = "c0710d6b4f15dfa88f600b0e6b624077"
    place = project / ".dvc/cache/files/md5" / md5[:2]
    place.mkdir(parents=True, exist_ok=True)
    (place / md5[2:]).write_text("1\n2\n3\n")
    (place / md5[2:]).chmod(0o444)
    assert reproduce(project, run_id)["verdict"] == "verified"


def test_a_fresh_clone_rebuilds_from_the_remote(project, tmp_path):
    git(project, "rm", "--quiet", "--cached", "data.csv")
    lathe("add", "data.csv", cwd=project)
    lathe("remote", "add", "first", str(tmp_path / "first"), cwd=project)
    lathe("remote", "add", "-d", "second", str(tmp_path / "second"), cwd=project)
    lathe("run", cwd=project)
    lathe("push", cwd=project)
    # The input lies on another remote than the outputs, which is not the default one.
    lathe("push", "-r", "first", "data.csv", cwd=project)
    commit(project)
    md5 = (project / "data.csv.dvc").read_text().split("md5: ")[1].split()[0]
    (tmp_path / "second/files/md5" / md5[:2] / md5[2:]).unlink()
    git(tmp_path, "clone", "--quiet", str(project), "clone")
    clone = tmp_path / "clone"
    report = reproduce(clone, "HEAD")
    assert (report["verdict"], report["bit_equal"]) == ("verified", True)
    # What was recorded is brought too, where it differs.
    (clone / "train.py").write_text((clone / "train.py").read_text().replace("row * factor", "row * factor + 1"))
    md5_of = lambda name: hashlib.md5((clone / name).read_bytes()).hexdigest()
    old = hashlib.md5((project / "train.py").read_bytes()).hexdigest()
    (clone / "dvc.lock").write_text((clone / "dvc.lock").read_text().replace(old, md5_of("train.py")))
    commit(clone)
    report = reproduce(clone, "HEAD", code=3)
    assert "model.bin" in json.dumps(report["first_difference"])
    assert "only hashes" not in json.dumps(report)
    # A remote that holds nothing is no help, and one that is away is passed over.
    lathe("remote", "modify", "second", "url", "http://127.0.0.1:9/x", cwd=clone)
    (tmp_path / "first/files/md5" / md5[:2] / md5[2:]).unlink()
    (clone / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    told = lathe("reproduce", "HEAD", cwd=clone, code=1).stderr
    assert "neither the cache nor a remote holds it" in told


def test_a_difference_is_named_by_stage_file_and_place_unless_it_is_within_its_tolerance(project):
    (project / "train.py").write_text(
        TRAIN + "import time\njson.dump({'rmse': 2 + (time.time_ns() % 1000) / 1e6}, open('metrics.json', 'w'))\n"
    )
    commit(project)
    run_id = run(project)
    report = reproduce(project, run_id, code=3)
    assert report["verdict"] == "differs"
    assert report["first_difference"].startswith("train: metrics.json: rmse: 2.")
    assert likeness(report)["model.bin"] == "identical"
    told = reproduce(project, run_id, "--tolerance", "rmse=1%")
    assert (told["verdict"], told["bit_equal"]) == ("verified", False)
    with open(project / "lathe.toml", "a") as file:
        file.write("\n[reproduce]\ntolerance.rmse = 0.01\n")
    assert reproduce(project, run_id)["verdict"] == "verified"
    assert "no tolerance" in lathe("reproduce", run_id, "--tolerance", "rmse=much", cwd=project, code=1).stderr


def test_building_several_times_finds_what_an_order_of_hashes_decides(project):
    (project / "train.py").write_text(TRAIN + "open('model.bin', 'w').write(','.join({'a', 'b', 'c', 'd', 'e'}))\n")
    commit(project)
    with open(project / "lathe.toml", "a") as file:
        file.write("\n[reproduce]\ndeterministic = true\n")
    run_id = run(project)
    # Settled settings hide it, a changed hash seed shows it.
    assert reproduce(project, run_id)["bit_equal"]
    report = reproduce(project, run_id, "--times", "3", code=3)
    assert {(found["file"]["path"], found["varied"]) for found in report["nondeterminism"]} == {
        ("model.bin", "the hash seed")
    }
    assert report["first_difference"].startswith("train: model.bin")


def test_an_undeclared_input_that_git_does_not_hold_fails_the_rebuild_and_says_so(project):
    (project / ".gitignore").write_text("/.lathe/\n/secret.txt\n")
    (project / "secret.txt").write_text("7")
    (project / "train.py").write_text(TRAIN + "open('secret.txt').read()\n")
    commit(project)
    run_id = run(project)
    done = lathe("reproduce", run_id, cwd=project, code=3)
    assert "secret.txt" in done.stdout and "neither in git nor among its deps" in done.stdout
    assert reproduce(project, run_id, code=3)["verdict"] == "failed"


def test_what_cannot_be_rebuilt_says_why(project):
    assert "neither a run, a model version nor a git revision" in lathe(
        "reproduce", "nothing", cwd=project, code=1
    ).stderr
    run(project)
    assert "not made by `lathe run`" in lathe("reproduce", "0" * 32, cwd=project, code=1).stderr
    assert lathe("reproduce", "models:/m/1", cwd=project, code=1).stderr.count("error") == 1


def test_the_examples_champion_is_rebuilt_bit_by_bit_and_a_gate_can_ask_for_it(bike):
    report = reproduce(bike, "models:/bike-demand@champion")
    assert report["bit_equal"], report["first_difference"]
    toml = bike / "lathe.toml"
    toml.write_text(
        toml.read_text().replace("[gate.bike-demand]", "[gate.bike-demand]\nrules.rebuilt = \"candidate.reproduction.verified\"")
    )
    verdict = json.loads(lathe("gate", "bike-demand", "--json", cwd=bike).stdout)
    rule = next(rule for rule in verdict["rules"] if rule["rule"] == "rebuilt")
    assert rule["outcome"] == "pass"


def test_outputs_of_a_frozen_stage_are_inputs_of_the_rebuild(project):
    run(project)
    lathe("freeze", "prepare", cwd=project)
    commit(project)
    (project / "params.yaml").write_text("factor: 4\n")
    commit(project)
    report = reproduce(project, run(project))
    assert (report["verdict"], report["frozen"]) == ("verified", ["prepare"])
    assert sorted(likeness(report)) == ["metrics.json", "model.bin"]
    assert "clean.json" in [path["path"] for path in report["inputs"]]
    commit(project)
    assert "prepare is frozen" in lathe("reproduce", "HEAD", cwd=project).stdout


def test_a_pipeline_that_the_target_does_not_need_is_not_rebuilt(project):
    (project / "other").mkdir()
    (project / "other/dvc.yaml").write_text("stages: {bad: {cmd: 'false', outs: [o]}}\n")
    commit(project)
    report = reproduce(project, run(project))
    assert report["verdict"] == "verified"
    assert [stage["stage"] for stage in report["stages"]] == ["prepare", "train"]
