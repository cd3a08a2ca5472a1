"""Where artifacts lie if the server is started as `mlflow server` was: clients and page find them all the same."""

import pathlib

import pytest
import requests


def seen_by_the_server(server, run, path):
    listed = requests.get(f"{server.url}/api/2.0/mlflow/artifacts/list", params={"run_id": run}, timeout=20).json()
    file = requests.get(f"{server.url}/get-artifact", params={"run_id": run, "path": path}, timeout=20)
    assert file.status_code == 200, file.text
    return [one["path"] for one in listed["files"]], file.text


@pytest.mark.parametrize("root", ["uri", "path", "relative"])
def test_a_folder_as_default_root_is_shared_by_clients_page_and_models(serve, on, tmp_path, root):
    from sklearn.linear_model import LinearRegression

    folder = tmp_path / "shared"
    told = {"uri": folder.as_uri(), "path": str(folder), "relative": "./shared"}[root]
    server = serve(tmp_path, "--default-artifact-root", told)
    mlflow = on(server)
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "hello.txt")
        mlflow.sklearn.log_model(LinearRegression().fit([[0.0], [1.0]], [0, 2]), name="model", registered_model_name="line")
    where = run.info.artifact_uri
    assert where.startswith(folder.as_uri() if root == "uri" else f"{folder}/"), where
    assert (folder / run.info.experiment_id / run.info.run_id / "artifacts/hello.txt").read_text() == "hello"
    assert seen_by_the_server(server, run.info.run_id, "hello.txt") == (["hello.txt"], "hello")
    assert mlflow.pyfunc.load_model("models:/line/1").predict([[3.0]])[0] == pytest.approx(6)
    # The server loads it from there, too.
    version = requests.get(
        f"{server.url}/model-versions/get-artifact", params={"name": "line", "version": "1", "path": "MLmodel"}, timeout=20
    )
    assert version.status_code == 200 and "sklearn" in version.text
    # Beside that folder it reads nothing in a stranger's name.
    client = mlflow.MlflowClient()
    away = client.create_experiment("away", artifact_location=str(tmp_path))
    stray = client.create_run(away).info.run_id
    for address in ["get-artifact", "api/2.0/mlflow/artifacts/list"]:
        refused = requests.get(f"{server.url}/{address}", params={"run_id": stray, "path": "server.log"}, timeout=20)
        assert (refused.status_code, refused.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    (folder / "link").symlink_to(tmp_path)
    through = client.create_experiment("through", artifact_location=f"{folder}/link")
    stray = client.create_run(through).info.run_id
    refused = requests.get(f"{server.url}/get-artifact", params={"run_id": stray, "path": "server.log"}, timeout=20)
    assert refused.status_code in (400, 404, 501), refused.text


def test_the_servers_own_url_as_a_place_is_its_own_artifacts(serve, on, tmp_path):
    server = serve(tmp_path)
    root = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/0"
    mlflow = on(server)
    mlflow.set_experiment(experiment_id=mlflow.MlflowClient().create_experiment("by url", artifact_location=root))
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "a b.txt")
        mlflow.log_text("{}", "MLmodel")
    assert run.info.artifact_uri.startswith(f"{root}/")
    assert seen_by_the_server(server, run.info.run_id, "a b.txt") == (["MLmodel", "a b.txt"], "hello")
    named = {"a b.txt": "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt", "MLmodel": "attachment; filename=MLmodel"}
    for name, disposition in named.items():
        file = requests.get(f"{run.info.artifact_uri}/{name}", timeout=20)
        assert (file.headers["content-disposition"], file.headers["content-type"]) == (disposition, "text/plain")


def test_a_path_as_artifact_location_is_one_from_the_servers_folder(serve, on, tmp_path):
    server = serve(tmp_path)
    client = on(server).MlflowClient()
    places = {"mine": str(tmp_path / "mine"), "./a/b/": str(tmp_path / "a/b"), "/srv/x": "/srv/x"}
    for place, kept in places.items():
        made = client.create_experiment(place, artifact_location=place)
        assert client.get_experiment(made).artifact_location == kept
    for place in ["../x", "a/../../x", "a/%2e%2e/x", "a\0b", "c:d", "x?y"]:
        body = {"name": f"bad {place!r}", "artifact_location": place}
        refused = requests.post(f"{server.url}/api/2.0/mlflow/experiments/create", json=body, timeout=20)
        assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), place
    # A version's source is its run's folder, however it is written.
    client.create_registered_model("m")
    run = client.create_run(client.get_experiment_by_name("mine").experiment_id).info
    for source in [run.artifact_uri, f"{run.artifact_uri}/.", f"{run.artifact_uri}/model/..", pathlib.Path(run.artifact_uri).as_uri()]:
        assert client.create_model_version("m", source, run.run_id).source.endswith(f"{run.run_id}/artifacts")


def test_what_mlflows_page_sends_and_takes(serve, on, tmp_path):
    server = serve(tmp_path)
    mlflow = on(server)
    client = mlflow.MlflowClient()
    run = client.create_run("0").info.run_id
    api = f"{server.url}/ajax-api/2.0/mlflow/upload-artifact"

    def send(data, **params):
        return requests.post(api, params=params, data=data, timeout=20)

    assert send(b"hello", run_uuid=run, path="notes/a.txt").status_code == 200
    assert client.list_artifacts(run, "notes")[0].path == "notes/a.txt"
    assert mlflow.artifacts.load_text(f"runs:/{run}/notes/a.txt") == "hello"
    for data, params, message in [
        (b"x", {}, "Request must specify run_uuid."),
        (b"x", {"run_uuid": run}, "Request must specify path."),
        (b"x", {"run_uuid": run, "path": ""}, "Request must specify path."),
        (b"x", {"run_uuid": run, "path": "../test.txt"}, "Invalid path"),
        (b"", {"run_uuid": run, "path": "a"}, "Request must specify data."),
        (b"x" * (10 * 2**20 + 1), {"run_uuid": run, "path": "a"}, "Artifact size is too large. Max size is 10MB."),
    ]:
        refused = send(data, **params)
        assert (refused.status_code, refused.json()["message"]) == (400, message)
    assert send(b"x", run_uuid="0" * 32, path="a").status_code == 404

    span = mlflow.start_span_no_context("root", experiment_id="0")
    span.end()
    mlflow.flush_trace_async_logging()
    params = {"request_id": span.trace_id}
    spans = requests.get(f"{server.url}/ajax-api/2.0/mlflow/get-trace-artifact", params=params, timeout=20)
    assert spans.headers["content-disposition"] == "attachment; filename=traces.json"
    assert spans.json()["spans"][0]["name"] == "root"


def test_paths_and_runs_that_are_not_there_are_told_in_the_clients_words(serve, tmp_path):
    server = serve(tmp_path)
    run = requests.post(f"{server.url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=20).json()
    run = run["run"]["info"]["run_id"]
    asked = {"api/2.0/mlflow/artifacts/list": {"run_id": run}, "get-artifact": {"run_id": run}}
    asked["model-versions/get-artifact"] = {"name": "m", "version": 1}
    for address, params in asked.items():
        for path in ["../path", "/etc", "a/../../b", "%2e%2e/x", "a//b"]:
            refused = requests.get(f"{server.url}/{address}", params={**params, "path": path}, timeout=20)
            assert refused.status_code == 400
            assert refused.json() == {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"}
    for address in ["api/2.0/mlflow/artifacts/list", "get-artifact"]:
        refused = requests.get(f"{server.url}/{address}", params={"run_id": "nope", "path": "x"}, timeout=20)
        assert (refused.status_code, refused.json()["message"]) == (404, "Run with id=nope not found")
