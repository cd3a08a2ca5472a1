"""`lathe import mlflow` from what real MLflow clients wrote, `lathe export` into a real MLflow server, `lathe gc`."""

import json
import math
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
import requests
from conftest import LATHE, lathe

FIXTURES = pathlib.Path(__file__).parent / "fixtures"

WRITE = """
import math, sys
import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput
uri, artifacts = sys.argv[1:]
mlflow.set_tracking_uri(uri)
c = mlflow.MlflowClient()
e = c.create_experiment("first", artifact_location=artifacts or None, tags={"team": "a"})
gone = c.create_experiment("gone")
run = c.create_run(e, run_name="one", start_time=1700000000000)
id = run.info.run_id
for step in range(5):
    c.log_metric(id, "loss/train", 1 / (step + 1), timestamp=1700000000000 + step, step=step)
c.log_metric(id, "nan", math.nan, timestamp=5, step=1)
c.log_metric(id, "inf", math.inf, timestamp=5, step=1)
c.log_param(id, "lr", "0.1")
c.log_param(id, "deep/er", "x: 'y'\\n# z")
c.set_tag(id, "note", 'über: "quoted"')
c.log_text(id, "hello", "sub/hello.txt")
dataset = Dataset(name="d", digest="abc", source_type="local", source="{}", schema="{}", profile=None)
c.log_inputs(id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
c.set_terminated(id, "FAILED", end_time=1700000009000)
c.delete_run(c.create_run(e, run_name="deleted").info.run_id)
c.create_run(gone)
c.delete_experiment(gone)
c.create_registered_model("m", tags={"k": "v"}, description="words")
c.create_model_version("m", f"{run.info.artifact_uri}/sub", id, tags={"a": "b"}, description="v1")
c.create_model_version("m", f"runs:/{id}/sub", id)
c.set_registered_model_alias("m", "best", 1)
c.transition_model_version_stage("m", 2, "Production")
model = c.create_logged_model(e, name="lm", source_run_id=id, params={"p": "1"}, tags={"t": "u"}, model_type="agent")
other = c.create_run(e, run_name="other").info.run_id
c.log_metric(other, "acc", 0.5, timestamp=7, model_id=model.model_id, dataset_name="d", dataset_digest="abc")
c.log_outputs(other, [LoggedModelOutput(model.model_id, 3)])
c.finalize_logged_model(model.model_id, "READY")
print(id, model.model_id)
"""


def write(uri, folder, artifacts=""):
    """What the installed client writes to a store of its own; ids of a run and a logged model."""
    env = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", WRITE, uri, artifacts], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-2:]


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A database and a file store, each with the ids of a run and a logged model."""
    database, files = tmp_path_factory.mktemp("database"), tmp_path_factory.mktemp("files")
    return {
        "database": (database / "mlflow.db", write("sqlite:///mlflow.db", database)),
        "files": (files / "mlruns", write("./mlruns", files)),
    }


def imported(source, folder, *args):
    said = lathe("import", "mlflow", str(source), "--json", *args, cwd=folder)
    return json.loads(said.stdout)


def client_on(server, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(server.url)
    return mlflow.MlflowClient(server.url)


def check_first(client, run_id):
    """Everything that `WRITE` logged before there were logged models."""
    first = client.get_experiment_by_name("first")
    assert first.tags["team"] == "a" and first.lifecycle_stage == "active"
    assert client.get_experiment_by_name("gone").lifecycle_stage == "deleted"
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status, run.info.lifecycle_stage) == ("one", "FAILED", "active")
    assert (run.info.start_time, run.info.end_time) == (1700000000000, 1700000009000)
    assert run.info.experiment_id == first.experiment_id
    assert run.data.params == {"lr": "0.1", "deep/er": "x: 'y'\n# z"}
    assert run.data.tags["note"] == 'über: "quoted"' and run.data.tags["mlflow.runName"] == "one"
    assert run.data.metrics["loss/train"] == 0.2 and math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["inf"] == sys.float_info.max
    history = client.get_metric_history(run_id, "loss/train")
    assert [(p.step, p.timestamp, p.value) for p in history] == [(n, 1700000000000 + n, 1 / (n + 1)) for n in range(5)]
    [dataset] = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest, dataset.tags[0].value) == ("d", "abc", "training")
    from mlflow.entities import ViewType

    deleted = client.search_runs([first.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [run.info.run_name for run in deleted] == ["deleted"]
    model = client.get_registered_model("m")
    assert (model.description, model.tags, model.aliases) == ("words", {"k": "v"}, {"best": "1"})
    one, two = client.get_model_version("m", "1"), client.get_model_version("m", "2")
    assert (one.description, one.tags, one.run_id) == ("v1", {"a": "b"}, run_id)
    assert two.current_stage == "Production" and one.source.endswith("/sub")
    return run, one


def check_models(client, run_id, model_id):
    model = client.get_logged_model(model_id)
    assert (model.name, model.params, model.tags["t"], model.model_type) == ("lm", {"p": "1"}, "u", "agent")
    assert (str(model.status), model.source_run_id) == ("READY", run_id)
    [metric] = model.metrics
    assert (metric.key, metric.value, metric.dataset_name) == ("acc", 0.5, "d")
    [other] = client.search_runs([model.experiment_id], "attributes.run_name = 'other'")
    assert [(output.model_id, output.step) for output in other.outputs.model_outputs] == [(model_id, 3)]


@pytest.mark.parametrize("kind", ["database", "files"])
def test_everything_comes_along_once(written, kind, serve, tmp_path, monkeypatch):
    source, (run_id, model_id) = written[kind]
    would = imported(source, tmp_path, "--dry")
    assert (would["experiments"], would["runs"], would["registered_models"]) == (3, 4, 1)
    assert not (tmp_path / ".lathe").exists(), "--dry makes nothing"
    report = imported(source, tmp_path)
    assert (report["runs"], report["points"], report["versions"], report["logged_models"]) == (4, 8, 2, 1)
    assert report["left_out"] == [], report
    again = imported(source, tmp_path)
    assert (again["runs"], again["runs_unchanged"], again["points"]) == (0, 4, 0)

    server = serve(tmp_path)
    client = client_on(server, monkeypatch)
    run, version = check_first(client, run_id)
    check_models(client, run_id, model_id)
    # Artifacts stayed: the client reaches them, and so does the server, but nothing beside them.
    assert run.info.artifact_uri.startswith("file:///")
    assert [file.path for file in client.list_artifacts(run_id)] == ["sub"]
    get = f"{server.url}/get-artifact"
    assert requests.get(get, params={"run_id": run_id, "path": "sub/hello.txt"}).content == b"hello"
    assert requests.get(get, params={"run_id": run_id, "path": "../../meta.yaml"}).status_code == 400
    of_version = {"name": "m", "version": version.version, "path": "hello.txt"}
    assert requests.get(f"{server.url}/model-versions/get-artifact", params=of_version).content == b"hello"
    # Life goes on, and a later import brings what is new and keeps the rest.
    client.log_metric(client.create_run(run.info.experiment_id).info.run_id, "x", 1)
    assert imported(source, tmp_path)["runs"] == 0


def test_artifacts_are_copied(written, serve, tmp_path, monkeypatch):
    source, (run_id, model_id) = written["database"]
    report = imported(source, tmp_path, "--copy")
    assert (report["artifacts_copied"], report["artifact_bytes"]) == (1, 5)
    client = client_on(serve(tmp_path), monkeypatch)
    run, version = check_first(client, run_id)
    assert run.info.artifact_uri == f"mlflow-artifacts:/{run.info.experiment_id}/{run_id}/artifacts"
    assert version.source == f"{run.info.artifact_uri}/sub"
    import mlflow

    assert mlflow.artifacts.load_text(f"runs:/{run_id}/sub/hello.txt") == "hello"
    assert mlflow.artifacts.load_text("models:/m/1/hello.txt") == "hello"


def test_a_database_of_mlflow_2_comes_along(serve, tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    source = tmp_path / "old/mlflow.db"
    database = sqlite3.connect(source)
    database.executescript((FIXTURES / "mlflow-2.22.sql").read_text())
    # Tables that Lathe keeps nothing of, and a proxied run.
    [run_id] = database.execute("SELECT run_uuid FROM runs WHERE name = 'one'").fetchone()
    database.execute(
        "UPDATE runs SET artifact_uri = 'mlflow-artifacts:/9/' || run_uuid || '/artifacts' WHERE name = 'one'"
    )
    database.execute("UPDATE model_versions SET source = 'mlflow-artifacts:/9/' || run_id || '/artifacts/sub' WHERE version = 1")
    database.execute(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('tr-1', 0, 1, 'OK')"
    )
    database.commit()
    database.close()
    kept = tmp_path / f"old/mlartifacts/9/{run_id}/artifacts/sub"
    kept.mkdir(parents=True)
    (kept / "hello.txt").write_text("hello")
    report = imported(source, tmp_path, "--copy")
    reasons = {left["what"]: left["reason"] for left in report["left_out"]}
    assert "--artifacts" in reasons["run"] and "trace_info" in reasons, report
    (tmp_path / "second").mkdir()
    report = imported(source, tmp_path / "second", "--artifacts", str(tmp_path / "old/mlartifacts"), "--copy")
    assert report["artifacts_copied"] == 1 and "run" not in {left["what"] for left in report["left_out"]}
    client = client_on(serve(tmp_path / "second"), monkeypatch)
    _, version = check_first(client, run_id)
    assert version.source.endswith(f"{run_id}/artifacts/sub")
    import mlflow

    assert mlflow.artifacts.load_text("models:/m/1/hello.txt") == "hello"


def many_points(source, runs, points):
    """A database with more than one transaction takes."""
    database = sqlite3.connect(source)
    database.executescript((FIXTURES / "mlflow-2.22.sql").read_text())
    for number in range(runs):
        id = f"{number:032x}"
        database.execute(
            "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, 'FINISHED', ?, 'active', ?, 0)",
            (id, f"r{number}", number, f"/nowhere/{id}"),
        )
        rows = ((f"m{n % 10}", n * 0.5, n, id, n, 0) for n in range(points))
        database.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
    database.commit()
    database.close()


def test_an_interrupted_import_goes_on(tmp_path):
    source = tmp_path / "big.db"
    many_points(source, runs=40, points=10_000)
    records = tmp_path / ".lathe/lathe.db"
    process = subprocess.Popen([LATHE, "import", "mlflow", source], cwd=tmp_path, stderr=subprocess.DEVNULL)

    def runs_there():
        try:
            with sqlite3.connect(f"file:{records}?mode=ro", uri=True) as database:
                return database.execute("SELECT COUNT(*) FROM imported_runs").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    deadline = time.monotonic() + 60
    while not runs_there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = runs_there()
    assert 0 < before, "the import was killed after its first batch"
    started = time.monotonic()
    report = imported(source, tmp_path)
    took = time.monotonic() - started
    assert report["runs_unchanged"] == before and report["runs"] + before == 40 + 3
    print(f"{report['points'] / took:.0f} points a second")
    with sqlite3.connect(records) as database:
        count = database.execute("SELECT SUM(point_count) FROM metric_blocks").fetchone()[0]
        assert count == 40 * 10_000 + 7, "every point, once"
        latest = database.execute(
            "SELECT COUNT(*), MIN(step), MAX(step) FROM latest_metrics WHERE key LIKE 'm_'"
        ).fetchone()
        assert latest == (400, 9_990, 9_999)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def mlflow_server(tmp_path):
    """The real `mlflow server`."""
    folder = tmp_path / "reference"
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/health", timeout=5).text == "OK":
                break
        except requests.exceptions.RequestException:
            time.sleep(0.3)
    else:
        pytest.fail((folder / "server.log").read_text())
    yield url
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_model_goes_back_to_any_mlflow_server(written, mlflow_server, tmp_path):
    import mlflow

    source, (run_id, _) = written["database"]
    imported(source, tmp_path, "--copy")
    for _again in range(2):
        said = lathe("export", "model", "m", "--to", mlflow_server, "--json", cwd=tmp_path)
        report = json.loads(said.stdout)
        assert report["versions"] == {"m/1": "m/1", "m/2": "m/2"} and report["left_out"] == []
    client = mlflow.MlflowClient(mlflow_server, mlflow_server)
    there = report["runs"].get(run_id) or client.get_model_version("m", "1").run_id
    run = client.get_run(there)
    assert (run.info.run_name, run.info.status, run.info.end_time) == ("one", "FAILED", 1700000009000)
    assert run.data.params["lr"] == "0.1" and run.data.tags["lathe.exported_from"] == run_id
    history = client.get_metric_history(there, "loss/train")
    assert [(p.step, p.timestamp, p.value) for p in history] == [(n, 1700000000000 + n, 1 / (n + 1)) for n in range(5)]
    assert client.get_registered_model("m").aliases == {"best": "1"}
    assert client.get_model_version("m", "2").current_stage == "Production"
    mlflow.set_tracking_uri(mlflow_server)
    assert mlflow.artifacts.load_text(f"runs:/{there}/sub/hello.txt") == "hello"
    refused = lathe("export", "run", run_id, "--to", "http://127.0.0.1:9", cwd=tmp_path, code=1)
    assert "127.0.0.1:9" in refused.stderr


def test_what_was_deleted_goes_for_good(serve, tmp_path, monkeypatch):
    import mlflow

    server = serve(tmp_path)
    client = client_on(server, monkeypatch)
    experiment = client.create_experiment("e")
    kept, gone, needed = (client.create_run(experiment, run_name=name).info.run_id for name in ["kept", "gone", "needed"])
    for run in [kept, gone, needed]:
        client.log_text(run, "x", "sub/x.txt")
        client.log_metric(run, "m", 1)
    client.create_registered_model("m")
    client.create_model_version("m", f"runs:/{needed}/sub", needed)
    doomed = client.create_experiment("doomed")
    within = client.create_run(doomed).info.run_id
    client.log_text(within, "x", "x.txt")
    for run in [gone, needed]:
        client.delete_run(run)
    client.delete_experiment(doomed)
    root = tmp_path / ".lathe/artifacts"

    def gc(*args, code=0):
        done = lathe("gc", "--json", *args, cwd=tmp_path, code=code)
        return json.loads(done.stdout) if code == 0 else done.stderr

    assert gc("--older-than", "1d")["removed"] == []
    assert "is not deleted" in gc("--run-ids", kept, code=1)
    assert gc("--run-ids", gone, "--dry")["removed"] == [f"run {gone}"]
    assert (root / experiment / gone).exists()
    report = gc("--run-ids", gone)
    assert report["removed"] == [f"run {gone}"] and not (root / experiment / gone / "artifacts").exists()
    report = gc()
    assert sorted(report["removed"]) == sorted([f"run {within}", f"experiment {doomed}"])
    assert len(report["kept"]) == 1 and "version 1 of `m`" in report["kept"][0]
    for run in [gone, within]:
        with pytest.raises(mlflow.exceptions.MlflowException):
            client.get_run(run)
    assert (root / experiment / needed / "artifacts/sub/x.txt").exists()
    assert client.get_run(kept).data.metrics == {"m": 1}
    # The name is free again.
    assert client.create_experiment("doomed")
    # What an interrupted one left: its rows are gone, its artifacts are not.
    stray = root / "9/stray/artifacts/x.txt"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    with sqlite3.connect(tmp_path / ".lathe/lathe.db") as database:
        database.execute("INSERT INTO artifact_tombstones VALUES ('mlflow-artifacts:/9/stray/artifacts')")
    gc()
    assert not stray.exists()
