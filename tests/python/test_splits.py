"""Versions of one deployment that take different columns, entities that stay on their side, and queues that are full."""

import json
import resource
import socket
import sys
import time

import numpy as np
import pandas as pd
import pytest
import requests
from conftest import Server, lathe, serving

PROJECT = """[project]
name = "p"

[deployment.m]
model = "models:/m@champion"
rollout = [STEP, { canary = 100 }]
min_requests = 1000000
"""
A, B, C = 3.0, 1.0, 2.0
STABLE, CANARY = A + 10 * B, A + 10 * B + 100 * C


@pytest.fixture(params=['{ canary = 50, for = "1h" }', '{ shadow = "1h" }'], ids=["canary", "shadow"])
def split(request, tmp_path):
    """Version 1 takes `a` and `b`; version 2, which is under way, `c`, `b` and `a`."""
    import mlflow
    from sklearn.linear_model import LinearRegression

    (tmp_path / "lathe.toml").write_text(PROJECT.replace("STEP", request.param))
    server = Server(tmp_path)
    try:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_experiment("splits")
        rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["c", "b", "a"])
        for columns in (["a", "b"], ["c", "b", "a"]):
            truth = rows[columns] @ [{"a": 1, "b": 10, "c": 100}[name] for name in columns]
            with mlflow.start_run():
                model = LinearRegression().fit(rows[columns], truth)
                mlflow.sklearn.log_model(
                    model, name="line", registered_model_name="m", input_example=rows[columns].head(2), pip_requirements=[]
                )
        mlflow.MlflowClient().set_registered_model_alias("m", "champion", 1)
        until(lambda: requests.get(f"{server.url}/v2/models/m/ready", timeout=10).status_code == 200)
        lathe("deploy", "m", "--version", "2", "--ungated", "--server", server.url, cwd=tmp_path)
        until(lambda: requests.get(f"{server.url}/v2/models/m/versions/2/ready", timeout=10).status_code == 200)
        yield server.url, request.node.callspec.id
    finally:
        server.stop()


def until(done, seconds=30):
    deadline = time.time() + seconds
    while not done():
        assert time.time() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ask(url, path="", headers=None, **columns):
    inputs = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in columns.items()]
    reply = requests.post(f"{url}/v2/models/m{path}/infer", json={"inputs": inputs}, headers=headers, timeout=10)
    assert reply.status_code == 200, reply.text
    return reply.json()["model_version"], reply.json()["outputs"][0]["data"][0]


def errors_of(url):
    """Of version 2, which no caller is told of."""
    stats = requests.get(f"{url}/v2/models/m/versions/2/stats", timeout=10).json()["model_stats"][0]["inference_stats"]
    return stats["success"]["count"], stats["fail"]["count"]


def test_each_version_is_asked_the_columns_that_it_takes(split):
    url, kind = split
    answers = {}
    for _ in range(40):
        version, answer = ask(url, a=A, b=B, c=C)
        answers.setdefault(version, set()).add(round(answer, 6))
    assert answers == ({"1": {STABLE}, "2": {CANARY}} if kind == "canary" else {"1": {STABLE}})
    assert ask(url, "/versions/2", b=B, c=C, a=A) == ("2", pytest.approx(CANARY))
    body = {"dataframe_split": {"columns": ["b", "a", "c"], "data": [[B, A, C]]}}
    for call in ["/invocations", "/v1/models/m:predict"]:
        sent = body if call == "/invocations" else {"instances": [{"a": A, "b": B, "c": C}]}
        for _ in range(10):
            reply = requests.post(f"{url}{call}", json=sent, timeout=10)
            assert reply.status_code == 200, reply.text
            assert round(reply.json()["predictions"][0], 6) == (CANARY if reply.headers["lathe-model-version"] == "2" else STABLE)
    for version, names in [("1", ["a", "b"]), ("2", ["c", "b", "a"])]:
        told = requests.get(f"{url}/v2/models/m/versions/{version}", timeout=10).json()
        assert [column["name"] for column in told["inputs"]] == names
        told = requests.get(f"{url}/v2/models/m/versions/{version}/config", timeout=10).json()
        assert [column["name"] for column in told["input"]] == names
    until(lambda: 0 < errors_of(url)[0])
    assert errors_of(url)[1] == 0


def test_a_version_that_requests_do_not_suit_fails_and_no_caller_notices(split):
    url, _ = split
    for _ in range(40):
        assert ask(url, a=A, b=B) == ("1", pytest.approx(STABLE))
    until(lambda: errors_of(url)[1] > 5)
    assert errors_of(url)[0] == 0
    # What fits nobody is the caller's mistake, and not the new version's.
    failed = errors_of(url)[1]
    for _ in range(20):
        reply = requests.post(f"{url}/v2/models/m/infer", json={"inputs": []}, timeout=10)
        assert reply.status_code == 400, reply.text
    assert errors_of(url)[1] == failed


def test_an_entity_stays_on_its_side(split):
    url, kind = split
    sides = [{ask(url, headers={"lathe-entity": f"user-{n}"}, a=A, b=B, c=C)[0] for _ in range(4)} for n in range(30)]
    assert all(len(side) == 1 for side in sides)
    assert set.union(*sides) == ({"1", "2"} if kind == "canary" else {"1"})


def test_a_single_tensor_is_cast_as_other_forms_are(tmp_path):
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"f": [0.0, 1.0, 2.0], "n": [1, 2, 4]})
    model = LinearRegression().fit(rows, [0.0, 1.0, 2.0])
    schema = ModelSignature(inputs=Schema([ColSpec("float", "f"), ColSpec("long", "n")]))
    mlflow.sklearn.save_model(model, tmp_path / "model", signature=schema, pip_requirements=[])

    def answer(inputs):
        reply = requests.post(f"{url}/v2/models/model/infer", json={"inputs": inputs}, timeout=10)
        return reply.status_code, reply.json().get("outputs", [{}])[0].get("data"), reply.json().get("error")

    with serving(tmp_path, "model", "--name", "model") as url:
        for f, n in [(0.1, 3.7), (1e-9, -2.0)]:
            named = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in [("f", f), ("n", n)]]
            single = [{"name": "rows", "shape": [1, 2], "datatype": "FP64", "data": [f, n]}]
            assert answer(single) == answer(named) and answer(single)[0] == 200
        status, _, told = answer([{"name": "rows", "shape": [2, 2], "datatype": "FP64", "data": [0, 1, 0, None]}])
        assert status == 400 and "column `n`, row 1" in told, told


SLOW = """
import time
import mlflow

class Slow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(1)
        return [0.0] * len(model_input)

mlflow.models.set_model(Slow())
"""


def test_who_finds_no_place_is_told_and_who_leaves_is_forgotten(tmp_path):
    import mlflow

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    (tmp_path / "slow.py").write_text(SLOW)
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=str(tmp_path / "slow.py"), input_example=pd.DataFrame({"a": [1.0]}), pip_requirements=[]
    )
    body = json.dumps({"instances": [[1.0]]}).encode()
    with serving(tmp_path, "model", "--allow-python", "--python-env", sys.executable, "--python-workers", "1") as url:
        host, port = url.removeprefix("http://").split(":")
        head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        # One is answered, 1,024 wait.
        crowd = []
        for _ in range(1_060):
            crowd.append(socket.create_connection((host, int(port))))
            crowd[-1].sendall(head.encode() + body)
        refused = requests.post(f"{url}/invocations", data=body, headers={"content-type": "application/json"}, timeout=10)
        assert refused.status_code == 429 and refused.headers["retry-after"] == "1", refused.text
        for caller in crowd:
            caller.close()
        # Whoever left is not asked for: their thousand seconds are not waited for.
        deadline = time.time() + 30
        while True:
            reply = requests.post(f"{url}/invocations", data=body, headers={"content-type": "application/json"}, timeout=20)
            if reply.status_code == 200 or deadline < time.time():
                break
        assert reply.status_code == 200, reply.text
