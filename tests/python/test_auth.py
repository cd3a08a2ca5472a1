"""Users, roles, tokens and permissions with the real client, against the real binary."""

import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest
import requests
from conftest import LATHE, lathe

PASSWORD = "correct horse battery"
VARIABLES = ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "LATHE_TOKEN"]


@pytest.fixture
def guarded(serve, tmp_path, monkeypatch):
    """A server where people log in."""
    monkeypatch.setenv("LATHE_ADMIN_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return serve(tmp_path, "--app-name", "basic-auth", "--default-permission", "NO_PERMISSIONS")


@pytest.fixture
def be(guarded, monkeypatch):
    """Lets the client be somebody: by name and password, or by a token."""
    import mlflow

    mlflow.set_tracking_uri(guarded.url)

    def be(name=None, token=None):
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        if name:
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        if token:
            monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        return mlflow.MlflowClient(guarded.url)

    yield be
    while mlflow.active_run():
        mlflow.end_run()


def refused(call, *args, **kwargs):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as error:
        call(*args, **kwargs)
    return error.value.error_code


def test_auth_service_client_does_everything_it_offers(guarded, be):
    from mlflow.server import get_app_client

    auth = get_app_client("basic-auth", guarded.url)
    be()
    assert "UNAUTHENTICATED" in str(pytest.raises(Exception, auth.get_user, "admin").value)
    be("admin")
    ann = auth.create_user("ann", PASSWORD)
    assert (ann.username, ann.is_admin) == ("ann", False)
    assert auth.get_user("ann").id == ann.id
    assert refused(auth.create_user, "ann", PASSWORD) == "RESOURCE_ALREADY_EXISTS"
    assert refused(auth.create_user, "bob", "short") == "INVALID_PARAMETER_VALUE"
    assert refused(auth.get_user, "nobody") == "RESOURCE_DOES_NOT_EXIST"
    auth.create_user("bob", PASSWORD)
    auth.update_user_admin("ann", True)
    assert auth.get_user("ann").is_admin
    auth.update_user_admin("ann", False)
    auth.update_user_password("bob", "another good password")
    auth.update_user_password("bob", PASSWORD)

    role = auth.create_role("default", "readers", "they read")
    assert (role.name, role.workspace, role.description, role.permissions) == ("readers", "default", "they read", [])
    assert refused(auth.create_role, "default", "readers") == "RESOURCE_ALREADY_EXISTS"
    held = auth.add_role_permission(role.id, "experiment", "*", "READ")
    assert [(p.resource_type, p.permission) for p in auth.list_role_permissions(role.id)] == [("experiment", "READ")]
    assert auth.update_role_permission(held.id, "EDIT").permission == "EDIT"
    assert refused(auth.add_role_permission, role.id, "run", "abc", "READ") == "INVALID_PARAMETER_VALUE"
    assert auth.update_role(role.id, name="editors").name == "editors"
    assignment = auth.assign_role("bob", role.id)
    assert (assignment.user_id, assignment.role_id) == (auth.get_user("bob").id, role.id)
    assert [r.name for r in auth.list_user_roles("bob")] == ["editors"]
    assert [a.user_id for a in auth.list_role_users(role.id)] == [auth.get_user("bob").id]
    assert [r.name for r in auth.list_roles("default")] == [r.name for r in auth.list_all_roles()] == ["editors"]
    assert auth.get_user_permission("bob", "experiment", "0").permission == "EDIT"
    assert auth.get_user_permission("bob", "experiment", "0").allowed

    be("ann")
    assert refused(auth.create_user, "eve", PASSWORD) == "PERMISSION_DENIED"
    assert refused(auth.get_user, "bob") == "PERMISSION_DENIED"
    assert refused(auth.update_user_admin, "ann", True) == "PERMISSION_DENIED"
    assert refused(auth.delete_user, "bob") == "PERMISSION_DENIED"
    assert refused(auth.create_role, "default", "mine") == "PERMISSION_DENIED"
    assert refused(auth.assign_role, "ann", role.id) == "PERMISSION_DENIED"
    assert refused(auth.grant_user_permission, "ann", "experiment", "0", "MANAGE") == "PERMISSION_DENIED"
    assert refused(auth.update_user_password, "ann", "new good password") == "INVALID_PARAMETER_VALUE"
    auth.update_user_password("ann", "new good password", current_password=PASSWORD)
    with pytest.raises(Exception, match="UNAUTHENTICATED"):
        auth.get_user("ann")

    be("admin")
    auth.unassign_role("bob", role.id)
    assert not auth.get_user_permission("bob", "experiment", "0").allowed
    auth.remove_role_permission(held.id)
    auth.delete_role(role.id)
    assert refused(auth.get_role, role.id) == "RESOURCE_DOES_NOT_EXIST"
    auth.delete_user("bob")
    assert refused(auth.delete_user, "admin") == "INVALID_PARAMETER_VALUE"


def test_a_team_shares_what_its_members_allow_and_nothing_else(guarded, be, tmp_path):
    import mlflow
    from mlflow.server import get_app_client

    auth = get_app_client("basic-auth", guarded.url)
    be("admin")
    for name in ["ann", "bob"]:
        auth.create_user(name, PASSWORD)

    client = be("ann")
    mlflow.set_experiment("ann's")
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1})
        mlflow.log_metrics({"m": 1.0})
        mlflow.log_text("secret", "notes.txt")
    run_id, experiment = run.info.run_id, run.info.experiment_id
    client.create_registered_model("ann-model")
    client.create_model_version("ann-model", f"runs:/{run_id}/model", run_id)
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes.txt") == "secret"

    client = be("bob")
    assert refused(client.get_run, run_id) == "PERMISSION_DENIED"
    assert refused(client.log_metric, run_id, "m", 2.0) == "PERMISSION_DENIED"
    assert refused(client.get_metric_history, run_id, "m") == "PERMISSION_DENIED"
    assert refused(client.get_registered_model, "ann-model") == "PERMISSION_DENIED"
    assert refused(client.get_model_version_download_uri, "ann-model", "1") == "PERMISSION_DENIED"
    assert refused(client.create_run, experiment) == "PERMISSION_DENIED"
    assert [e.name for e in client.search_experiments()] == []
    assert list(client.search_runs([experiment])) == []
    assert list(client.search_registered_models()) == []
    assert list(client.search_model_versions()) == []
    for path in [f"{experiment}/{run_id}/artifacts/notes.txt", f"{experiment}/../{experiment}/{run_id}/artifacts/notes.txt"]:
        request = urllib.request.Request(f"{guarded.url}/api/2.0/mlflow-artifacts/artifacts/{path}")
        request.add_header("Authorization", "Basic Ym9iOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)
        assert error.value.code in (400, 403)

    be("ann")
    auth.grant_user_permission("bob", "experiment", experiment, "READ")
    auth.grant_user_permission("bob", "registered_model", "ann-model", "EDIT")
    client = be("bob")
    assert client.get_run(run_id).data.metrics == {"m": 1.0}
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes.txt") == "secret"
    assert refused(client.log_metric, run_id, "m", 2.0) == "PERMISSION_DENIED"
    client.set_registered_model_alias("ann-model", "best", "1")
    assert refused(client.delete_registered_model, "ann-model") == "PERMISSION_DENIED"
    assert [e.name for e in client.search_experiments()] == ["ann's"]
    be("ann")
    auth.revoke_user_permission("bob", "experiment", experiment)
    assert refused(be("bob").get_run, run_id) == "PERMISSION_DENIED"


def test_commands_make_users_and_tokens_and_tell_what_happened(guarded, be, tmp_path):
    def command(*args, stdin="", code=0, **env):
        call = [LATHE, *args, "--server", guarded.url]
        told = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        done = subprocess.run(call, cwd=tmp_path, env={**told, **env}, input=stdin, capture_output=True, text=True)
        assert done.returncode == code, f"{args}: {done.stdout}{done.stderr}"
        return done.stdout

    admin = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    command("user", "list", code=1)
    command("user", "create", "ann", "--role", "editor", stdin=PASSWORD + "\n", **admin)
    command("user", "create", "ci", "--no-password", **admin)
    assert [u["role"] for u in json.loads(command("user", "list", "--json", **admin))] == ["admin", "editor", "viewer"]
    token = command("token", "create", "bot", "--user", "ci", "--service", "--scope", "read", **admin).strip()
    assert token.startswith("lathe_")
    ann = command("token", "create", "laptop", MLFLOW_TRACKING_USERNAME="ann", MLFLOW_TRACKING_PASSWORD=PASSWORD).strip()

    client = be(token=ann)
    experiment = client.create_experiment("e")
    assert client.get_experiment(experiment).name == "e"
    command("permission", "grant", "ci", f"experiment/{experiment}", "EDIT", LATHE_TOKEN=ann, code=1)
    command("permission", "grant", "ci", f"experiment/{experiment}", "READ", **admin)
    command("permission", "grant", "ci", f"experiment/{experiment}", "EDIT", **admin)
    assert "EDIT" in command("permission", "list", "ci", **admin)
    client = be(token=token)
    assert [e.name for e in client.search_experiments()] == ["e"]
    assert refused(client.create_run, experiment) == "PERMISSION_DENIED"  # the token only reads
    listed = json.loads(command("token", "list", "--all", "--json", **admin))
    number = next(t["id"] for t in listed if t["name"] == "bot")
    command("token", "revoke", str(number), **admin)
    with pytest.raises(Exception, match="UNAUTHENTICATED"):
        client.search_experiments()

    log = json.loads(command("audit", "--json", **admin))
    told = [(entry["who"], entry["action"].rsplit("/", 1)[-1], entry["outcome"]) for entry in log]
    assert ("ann", "create", "done") in told and ("ci", "create", "denied") in told
    assert all(entry["source"] == "127.0.0.1" and entry["request_id"] for entry in log)
    assert PASSWORD not in json.dumps(log) and token not in json.dumps(log)
    assert PASSWORD not in (guarded.folder / "server.log").read_text()


def test_the_first_start_makes_an_administrator_once(serve, tmp_path, monkeypatch):
    for name in ["LATHE_ADMIN_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", *VARIABLES]:
        monkeypatch.delenv(name, raising=False)
    server = serve(tmp_path, "--auth")
    log = (tmp_path / "server.log").read_text()
    password = log.split("with the password ")[1].split()[0]
    mine = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password}
    lathe("user", "list", "--server", server.url, cwd=tmp_path, **mine)
    server.stop()
    server.start()
    lathe("user", "list", "--server", server.url, cwd=tmp_path, **mine)
    assert (tmp_path / "server.log").read_text().count("with the password") == 1
    done = subprocess.run(
        [LATHE, "server", "--auth", "--port", "0"],
        cwd=tmp_path / "..",
        env={**os.environ, "LATHE_ADMIN_PASSWORD": "short"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "12 characters" in done.stderr


def test_every_option_of_mlflow_server_is_taken(serve, tmp_path):
    folder = tmp_path / "artifacts"
    # fmt: off
    server = serve(
        tmp_path, "--registry-store-uri", "sqlite:///other.db", "--artifacts-destination", str(folder), "-h", "127.0.0.1",
        "--serve-artifacts", "-w", "4", "--gunicorn-opts", "--timeout 60", "--static-prefix", "/ml", "--dev",
        "--cors-allowed-origins", "https://app.example,https://*.lab.example", "--allowed-hosts", "ml.example,*.lab.example:*",
        "--x-frame-options", "deny", "--expose-prometheus", str(tmp_path / "prom"), "--secrets-cache-ttl", "60",
        "--secrets-cache-max-size", "10", "--enable-workspaces", "--workspace-store-uri", "x", "--trace-archival-config", "x",
        "--read-replica-backend-store-uri", "x", "--waitress-opts", "--x=1", "--uvicorn-opts", "--y 2",
    )
    # fmt: on
    log = (tmp_path / "server.log").read_text()
    for option in ["--registry-store-uri", "--workers", "--gunicorn-opts", "--enable-workspaces", "--expose-prometheus"]:
        assert f"notice: `{option}`" in log

    def ask(path, method="GET", body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(server.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    make = (b'{"name":"%d"}' % number for number in range(9))
    create = "/ml/api/2.0/mlflow/experiments/create"
    json_type = {"Content-Type": "application/json"}
    assert ask("/ml/health")[2] == ask("/health")[2] == "OK"
    assert ask(create, "POST", next(make), **json_type)[0] == 200
    assert ask("/ml/runs/1")[0] == 200 and ask("/ml/runs/1")[1]["X-Frame-Options"] == "DENY"
    assert ask("/version", Host="evil.example")[0] == 200
    status, _, told = ask("/ml/api/2.0/mlflow/experiments/search?max_results=1", Host="evil.example")
    assert status == 403 and "Invalid Host header" in told
    assert ask("/ml/api/v1/about", Host="x.lab.example:7000")[0] == 200
    assert ask(create, "POST", next(make), Origin="https://evil.example", **json_type)[0] == 403
    status, headers, _ = ask(create, "POST", next(make), Origin="https://app.example", **json_type)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://app.example")
    status, headers, _ = ask(
        create, "OPTIONS", Origin="https://x.lab.example", Access_Control_Request_Method="POST", Access_Control_Request_Headers="content-type"
    )
    assert (status, headers["Access-Control-Allow-Headers"]) == (204, "content-type")


def test_parts_of_a_server_run_alone_and_say_what_is_off(serve, tmp_path):
    def ask(server, path):
        try:
            return urllib.request.urlopen(server.url + path).status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    listing = "/api/2.0/mlflow-artifacts/artifacts"
    for name, options, answered, off in [
        ("a", ["--no-serve-artifacts"], [search, "/v2", "/"], [listing]),
        ("b", ["--artifacts-only"], [listing, "/health"], [search, "/v2", "/", "/api/v1/jobs"]),
        ("c", ["--only", "tracking,ui"], [search, listing, "/", "/api/v1/jobs"], ["/v2", "/api/2.0/mlflow/registered-models/search"]),
        ("d", ["--only", "inference"], ["/v2", "/health"], [search, listing, "/"]),
    ]:
        (tmp_path / name).mkdir()
        server = serve(tmp_path / name, *options)
        for path in answered:
            assert ask(server, path)[0] == 200, (options, path)
        for path in off:
            status, told = ask(server, path)
            assert status == 503 and options[0] in told, (options, path, told)


def test_a_pipeline_runs_against_a_server_where_people_log_in(guarded, be, tmp_path, monkeypatch):
    from mlflow.server import get_app_client

    be("admin")
    get_app_client("basic-auth", guarded.url)
    lathe("user", "create", "ci", "--no-password", "--role", "editor", "--server", guarded.url, cwd=tmp_path)
    made = lathe("token", "create", "t", "--user", "ci", "--service", "--server", guarded.url, cwd=tmp_path)
    be()
    project = tmp_path / "project"
    project.mkdir()
    (project / "lathe.toml").write_text(f'[project]\nname = "p"\nserver = "{guarded.url}"\n')
    python = os.sys.executable
    (project / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {python} train.py\n    deps: [train.py]\n    outs: [out.txt]\n")
    (project / "train.py").write_text('import mlflow\nmlflow.log_metric("m", 4)\nopen("out.txt", "w").write("x")\n')
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run([os.sys.executable, "-m", "dvc", "init", "--quiet"], cwd=project, check=True)
    lathe("run", cwd=project, code=1)
    done = lathe("run", "--json", cwd=project, LATHE_TOKEN=made.stdout.strip())
    run_id = json.loads(done.stdout)["run_id"]
    assert be("admin").get_run(run_id).data.metrics == {"m": 4.0}


def test_graphql_shows_nobody_what_the_rest_api_does_not(guarded, be):
    import requests
    from mlflow.server import get_app_client

    admin = be("admin")
    get_app_client("basic-auth", guarded.url).create_user("ann", PASSWORD)
    secret = admin.create_experiment("secret")
    run = admin.create_run(secret).info.run_id
    query = f"""{{
        one: mlflowGetRun(input: {{runId: "{run}"}}) {{ run {{ info {{ runId }} experiment {{ name }} }} }}
        all: mlflowSearchRuns(input: {{experimentIds: ["{secret}"]}}) {{ runs {{ info {{ runId }} }} }}
        files: mlflowListArtifacts(input: {{runId: "{run}"}}) {{ rootUri }}
    }}"""

    def ask(name, password=PASSWORD):
        auth = (name, password) if name else None
        return requests.post(f"{guarded.url}/graphql", json={"query": query}, auth=auth, timeout=20)

    seen = ask("admin").json()
    assert seen["errors"] is None and seen["data"]["one"]["run"]["experiment"]["name"] == "secret"
    assert [each["info"]["runId"] for each in seen["data"]["all"]["runs"]] == [run]
    hidden = ask("ann").json()
    assert (hidden["data"]["one"], hidden["data"]["files"]) == (None, None)
    assert not (hidden["data"]["all"] or {}).get("runs"), hidden
    assert hidden["errors"] and all("Permission denied" in each for each in hidden["errors"]), hidden
    for stranger in [ask(None), ask("ann", "wrong")]:
        assert (stranger.status_code, stranger.json()["error_code"]) == (401, "UNAUTHENTICATED")
        assert run not in stranger.text and "secret" not in stranger.text


def test_what_is_not_there_is_told_in_the_clients_words(guarded, be):
    import requests
    from mlflow.server import get_app_client

    be("admin")
    get_app_client("basic-auth", guarded.url).create_user("ann", PASSWORD)
    for path, params, message in [
        ("users/get", {"username": "nobody"}, "User with username=nobody not found"),
        (
            "registered-models/permissions/get",
            {"name": "m", "username": "ann"},
            "Registered model permission with name=m and username=ann not found",
        ),
        (
            "experiments/permissions/get",
            {"experiment_id": "0", "username": "ann"},
            "Experiment permission with experiment_id=0 and username=ann not found",
        ),
    ]:
        url = f"{guarded.url}/api/2.0/mlflow/{path}"
        missing = requests.get(url, params=params, auth=("admin", PASSWORD), timeout=20)
        assert (missing.status_code, missing.json()["message"]) == (404, message)
    stranger = requests.post(f"{guarded.url}/api/2.0/mlflow/experiments/search", json={"max_results": 1}, timeout=20)
    assert stranger.status_code == 401 and stranger.json()["message"].startswith("You are not authenticated.")


def test_the_whole_server_over_tls(serve, tmp_path, certificate, monkeypatch):
    import mlflow
    from mlflow.server.auth.client import AuthServiceClient

    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setenv("LATHE_ADMIN_PASSWORD", PASSWORD)
    pems = ["--tls-cert", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem")]
    server = serve(folder, "--auth", *pems)
    assert server.url.startswith("https://127.0.0.1:")
    trusted = str(certificate / "ca.pem")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/health")
    assert requests.get(f"{server.url}/health", verify=trusted).text == "OK"
    for name, value in [
        ("MLFLOW_TRACKING_USERNAME", "admin"),
        ("MLFLOW_TRACKING_PASSWORD", PASSWORD),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", trusted),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ]:
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("secret")
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 0.5)
        mlflow.log_text("hello", "note.txt")
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/note.txt") == "hello"
    assert AuthServiceClient(server.url).get_user("admin").is_admin
    # A page's session is never sent without TLS.
    logged_in = requests.post(
        f"{server.url}/api/v1/session", json={"username": "admin", "password": PASSWORD}, verify=trusted
    )
    assert logged_in.headers["set-cookie"].endswith("; Secure")
    # Lathe's own commands trust what the system, or `SSL_CERT_FILE`, does.
    project = tmp_path / "project"
    project.mkdir()
    trusting = {"SSL_CERT_FILE": trusted, "MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    made = lathe("token", "create", "laptop", "--server", server.url, cwd=project, **trusting)
    assert made.stdout.startswith("lathe_"), made.stdout
    told = lathe("lineage", run.info.run_id, "--server", server.url, cwd=project, **trusting)
    assert run.info.run_id in told.stdout
    refused = lathe("lineage", run.info.run_id, "--server", server.url, cwd=project, code=1, SSL_CERT_FILE="")
    assert "certificate" in refused.stderr, refused.stderr
