"""The command line: errors that name place and remedy, exit codes that mean something."""

import json
import re
import socket

import pytest
from conftest import git, lathe


@pytest.fixture
def project(tmp_path):
    git(tmp_path, "init", "--quiet")
    lathe("init", "--name", "demo", cwd=tmp_path)
    return tmp_path


def test_a_project_is_made_once(project):
    assert (project / "lathe.toml").exists() and (project / ".dvc/config").exists()
    done = lathe("init", cwd=project, code=1)
    assert "is a project already" in done.stderr


def test_an_unknown_key_is_named_with_a_suggestion(project):
    with open(project / "lathe.toml", "a") as file:
        file.write('\n[gate.m]\nrule.good = "true"\n')
    done = lathe("status", cwd=project, code=1)
    assert "lathe.toml" in done.stderr and "`rule`" in done.stderr and "`rules`" in done.stderr, done.stderr


def test_an_unreachable_server_is_named(project):
    done = lathe("gate", "m", "--server", "http://127.0.0.1:9", cwd=project, code=1)
    assert "http://127.0.0.1:9" in done.stderr and "hint:" in done.stderr


def test_a_taken_port_is_named(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = lathe("server", "--port", str(port), cwd=project, code=1)
    assert f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr


@pytest.mark.parametrize(
    "command", ["deploy", "frobnicate", "run --frobnicate", "server --port many", "deploy m --fault crash=1", "lineage"]
)
def test_a_wrong_usage_ends_with_2(project, command):
    done = lathe(*command.split(), cwd=project, code=2)
    assert "error:" in done.stderr and "--help" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "command, told",
    [
        ("run nosuch", "nosuch"),
        ("run -S novalue", "novalue"),
        ("status nosuch", "nosuch"),
        ("gate nosuch", "nosuch"),
        ("deploy nosuch", "nosuch"),
        ("rollback nosuch", "nosuch"),
        ("drift nosuch", "nosuch"),
        ("drift none.csv other.csv", "none.csv"),
        ("lineage 00000000000000000000000000000000", "0000"),
        ("lineage what?", "what?"),
        ("lineage models:/nosuch/1", "nosuch"),
        ("serve nosuch", "nosuch"),
        ("server --backend-store-uri mysql://db", "mysql"),
        ("--cd nosuch status", "nosuch"),
        ("--server nonsense gate m", "nonsense"),
    ],
)
def test_a_wrong_name_is_told_in_one_message(project, command, told):
    (project / "dvc.yaml").write_text("stages:\n  only:\n    cmd: 'true'\n")
    lathe("run", cwd=project)
    done = lathe(*command.split(), cwd=project, code=1)
    assert told in done.stderr and done.stderr.count("error:") == 1, done.stderr
    assert done.stdout == ""


MODEL = '[project]\nname = "x"\n[model.m]\npath = "m"\nmetrics = "m.json"\nreference = "m.csv"\n'


@pytest.mark.parametrize(
    "text, told",
    [
        ("[project\n", "lathe.toml"),
        ("[project]\nname = 5\n", "name"),
        ("[project]\n", "name"),
        (MODEL + '[gate.m]\nrules.good = "candidate.metrics.rmse <"\n', "[gate.m]"),
        (MODEL + '[monitor.m]\nwindow = "soon"\n', "soon"),
    ],
)
def test_a_broken_project_file_is_told_with_its_place(project, text, told):
    (project / "lathe.toml").write_text(text)
    done = lathe("status", cwd=project, code=1)
    assert "lathe.toml" in done.stderr and told in done.stderr, done.stderr


def test_what_a_command_prints_for_programs_is_json(project):
    (project / "dvc.yaml").write_text("stages:\n  only:\n    cmd: echo noise\n    deps:\n    - lathe.toml\n")
    assert json.loads(lathe("status", "--json", cwd=project).stdout)["up_to_date"] is False
    assert json.loads(lathe("run", "--dry", "--json", cwd=project).stdout)["executed"] == 0
    report = json.loads(lathe("run", "--json", cwd=project).stdout)
    assert report["executed"] == 1 and report["run_id"]
    graph = json.loads(lathe("lineage", report["run_id"], "--json", cwd=project).stdout)
    assert graph["nodes"][0]["kind"] == "run"


def test_asking_makes_no_records(project):
    done = lathe("gate", "m", cwd=project, code=1)
    assert "lathe run" in done.stderr and not (project / ".lathe").exists()


def test_outside_of_a_project_the_remedy_is_told(tmp_path):
    assert "lathe init" in lathe("run", cwd=tmp_path, code=1).stderr


def test_a_run_needs_a_pipeline(project):
    assert "dvc.yaml" in lathe("run", cwd=project, code=1).stderr


def commands(tmp_path, path=()):
    """Every command with its help, those inside of others too."""
    said = lathe(*path, "--help", cwd=tmp_path).stdout
    inner = said.split("\nCommands:\n")[1].split("\n\n")[0] if "\nCommands:\n" in said else ""
    names = [name for name in re.findall(r"^  ([a-z][a-z-]*)", inner, re.M) if name != "help"]
    return ([(path, said)] if path else []) + [one for name in names for one in commands(tmp_path, (*path, name))]


def test_every_command_has_help_with_examples(tmp_path):
    found = commands(tmp_path)
    assert len(found) > 90
    assert not [" ".join(path) for path, said in found if "Examples:" not in said]


def test_the_doctor_speaks_json(project):
    done = lathe("doctor", "--json", cwd=project)
    names = {check["name"] for check in json.loads(done.stdout)}
    assert {"clock", "disk"} <= names, names


def test_two_files_are_compared_without_a_server(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(str(i % 50) for i in range(500)))
    (tmp_path / "b.csv").write_text("x\n" + "\n".join(str(i % 50 + 30) for i in range(500)))
    lathe("drift", "a.csv", "a.csv", cwd=tmp_path)
    report = json.loads(lathe("drift", "a.csv", "b.csv", "--json", cwd=tmp_path, code=3).stdout)
    assert report["columns"][0]["outcome"] == "drift"
