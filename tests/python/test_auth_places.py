"""Places of artifacts that people name in requests: nobody reads, plants or deletes by way of them what is not theirs."""

import mlflow
import pytest
import requests
from test_auth import PASSWORD, VARIABLES, be, guarded, refused  # noqa: F401  (fixtures too)


@pytest.fixture
def users(guarded, be):  # noqa: F811
    """ann has an experiment with a secret, a model of it, and a place of her own; bob has nothing."""
    from mlflow.server import get_app_client

    be("admin")
    auth = get_app_client("basic-auth", guarded.url)
    for name in ["ann", "bob"]:
        auth.create_user(name, PASSWORD)
    client = be("ann")
    run = client.create_run(client.create_experiment("hers"))
    client.log_text(run.info.run_id, "TOPSECRET", "secret.txt")
    client.create_registered_model("secretmodel")
    client.create_model_version("secretmodel", run.info.artifact_uri, run.info.run_id)
    client.set_registered_model_alias("secretmodel", "x", "1")
    model = client.create_logged_model(run.info.experiment_id, name="m")
    return client, run.info, model.model_id


def deny(client, call, *args):
    code = refused(getattr(client, call), *args)
    assert code == "PERMISSION_DENIED", (args, code)


def test_no_version_is_made_of_what_its_maker_may_not_read(users, be):  # noqa: F811
    _, run, model = users
    bob = be("bob")
    bob.create_registered_model("mine")
    path = run.artifact_uri.removeprefix("mlflow-artifacts:/")
    for source in [
        run.artifact_uri,
        f"mlflow-artifacts://host/{path}",
        f"http://anyhost/api/2.0/mlflow-artifacts/artifacts/{path}",
        f"https://anyhost:1/prefix/api/2.0/mlflow-artifacts/artifacts/{path}/secret.txt",
        "models:/secretmodel/1",
        "models:/secretmodel@x",
        "MODELS:/secretmodel/1",
        f"models:/{model}",
        f"runs:/{run.run_id}/secret.txt",
        "http://anyhost/api/2.0/mlflow-artifacts/artifacts/",
        "http://anyhost/api/2.0/mlflow-artifacts/artifacts/nobodys/x",
    ]:
        deny(bob, "create_model_version", "mine", source)
    # Of what is one's own, and of storage that is not the server's, they are.
    own = bob.create_run(bob.create_experiment("his"))
    bob.log_text(own.info.run_id, "mine", "a.txt")
    for source, given in [(own.info.artifact_uri, own.info.run_id), (f"runs:/{own.info.run_id}/a.txt", own.info.run_id), ("s3://elsewhere/m", None)]:
        bob.create_model_version("mine", source, given)
    bob.create_model_version("mine", "models:/mine/1")


def test_no_experiment_is_laid_over_those_of_others(users, be, guarded):  # noqa: F811
    ann, run, _ = users
    at = ann.create_run(ann.create_experiment("a", artifact_location="mlflow-artifacts:/team/a"))
    ann.log_text(at.info.run_id, "hers", "a.txt")
    ann.create_experiment("b", artifact_location="mlflow-artifacts://host/league/b")
    path = run.artifact_uri.removeprefix("mlflow-artifacts:/")
    bob = be("bob")
    for n, place in enumerate([
        "mlflow-artifacts:/league", "mlflow-artifacts:/league/b/c", "mlflow-artifacts://other/league/b",
        "mlflow-artifacts:/", "mlflow-artifacts:/500", "mlflow-artifacts:/500/x", "mlflow-artifacts:/team", "mlflow-artifacts:/team/a",
        "mlflow-artifacts:/team/a/b", "mlflow-artifacts://host/team", run.artifact_uri,
        f"http://x/api/2.0/mlflow-artifacts/artifacts/{path}", "http://x/api/2.0/mlflow-artifacts/artifacts/team",
    ]):  # fmt: skip
        deny(bob, "create_experiment", f"no {n}", place)
    for n, place in enumerate(["mlflow-artifacts:/bobs", "mlflow-artifacts:/team2", "s3://elsewhere/x", "/elsewhere/x"]):
        bob.create_experiment(f"yes {n}", place)


def test_a_folder_around_the_places_of_several_is_nobodys(users, be, guarded):  # noqa: F811
    from mlflow.server import get_app_client

    ann = users[0]
    admin = be("admin")
    around = admin.create_experiment("around", artifact_location="mlflow-artifacts:/team")
    get_app_client("basic-auth", guarded.url).grant_user_permission("bob", "experiment", around, "MANAGE")
    get_app_client("basic-auth", guarded.url).grant_user_permission("ann", "experiment", around, "EDIT")
    ann = be("ann")
    at = ann.create_run(ann.create_experiment("a", artifact_location="mlflow-artifacts:/team/a"))
    ann.log_text(at.info.run_id, "hers", "a.txt")
    for method in ["delete", "get"]:
        reply = requests.request(method, f"{guarded.url}/api/2.0/mlflow-artifacts/artifacts/team", auth=("bob", PASSWORD), timeout=10)
        assert reply.status_code == 403, reply.text
    assert [file.path for file in ann.list_artifacts(at.info.run_id)] == ["a.txt"]


def test_the_root_where_clients_keep_artifacts_is_not_for_everyone_to_name(serve, tmp_path, monkeypatch):
    from mlflow.server import get_app_client

    monkeypatch.setenv("LATHE_ADMIN_PASSWORD", PASSWORD)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "shared"
    server = serve(tmp_path, "--app-name", "basic-auth", "--default-permission", "NO_PERMISSIONS", "--default-artifact-root", str(root))

    def client(name):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        mlflow.set_tracking_uri(server.url)
        return mlflow.MlflowClient(server.url)

    client("admin")
    for name in ["ann", "bob"]:
        get_app_client("basic-auth", server.url).create_user(name, PASSWORD)
    ann = client("ann")
    run = ann.create_run(ann.create_experiment("hers"))
    bob = client("bob")
    bob.create_registered_model("mine")
    deny(bob, "create_model_version", "mine", run.info.artifact_uri)
    for n, place in enumerate([str(root), f"{root}/500", f"{root}/./{run.info.experiment_id}", run.info.artifact_uri]):
        deny(bob, "create_experiment", f"no {n}", place)


def test_jobs_are_asked_of_models_that_may_be_read_and_show_no_secrets(users, be, guarded, tmp_path):  # noqa: F811
    _, run, _ = users
    step = {
        "project": "p", "run_id": run.run_id, "stage": "s", "wdir": "", "commands": ["true"],
        "env": [["TOKEN", "s3cr3t"]], "inputs": [], "outs": [],
    }  # fmt: skip

    def ask(who, method, path, **body):
        return requests.request(method, f"{guarded.url}/api/v1{path}", json=body or None, auth=(who, PASSWORD), timeout=10)

    queued = ask("admin", "post", "/steps", key="p/s", run_id=run.run_id, step=step)
    assert queued.status_code == 200, queued.text
    for path in ["/jobs", "/jobs/1"]:
        seen = ask("bob", "get", path)
        assert seen.status_code == 200 and '"TOKEN"' in seen.text and "s3cr3t" not in seen.text, seen.text
    assert ask("admin", "patch", "/users/bob", role="editor").status_code == 200
    job = {"kind": "gate", "key": "gate/secretmodel", "payload": {"model": "secretmodel", "version": 1}}
    assert ask("bob", "post", "/jobs", **job).status_code == 403
    assert ask("admin", "post", "/jobs", **job).status_code == 200
