"""Deployments and aliases that move, followed under load by the server and by `lathe serve`, with the server and without."""

import os
import socket
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import requests
from conftest import LATHE, Load, Server, told_url

X = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
PROJECT = '[project]\nname = "p"\n\n[deployment.m]\nmodel = "models:/m@champion"\n'


def register(url, answers):
    """Versions of the model `m`, each with its own answer to everything."""
    import mlflow
    from sklearn.linear_model import LinearRegression

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("following")
    for answer in answers:
        with mlflow.start_run():
            model = LinearRegression().fit(X, np.full(3, float(answer)))
            mlflow.sklearn.log_model(
                model, name="line", registered_model_name="m", input_example=X.head(2), pip_requirements=[]
            )
    return mlflow.MlflowClient(url)


class AtPort(Server):
    """A server that comes back has its old address."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        super().__init__(folder)

    def start(self):
        command = [LATHE, "server", "--port", self.port, "--json"]
        log = open(self.folder / "server.log", "a")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        self.url = told_url(self.process)


class Replica:
    """`lathe serve ARGS` with a cache of its own."""

    def __init__(self, folder, *args):
        self.process = subprocess.Popen(
            [LATHE, "serve", *args, "--port", "0", "--json"],
            cwd=folder,
            env={**os.environ, "LATHE_CACHE_DIR": str(folder / "cache")},
            stdout=subprocess.PIPE,
            stderr=open(folder / "serve.log", "a"),
            text=True,
        )
        self.url = told_url(self.process)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=10) == 0


def ask(url, session=requests):
    tensor = {"name": "rows", "shape": [1, 2], "datatype": "FP64", "data": [[1.0, 2.0]]}
    reply = session.post(f"{url}/v2/models/m/infer", json={"inputs": [tensor]}, timeout=10)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    return told["model_version"], told["outputs"][0]["data"][0], reply.headers["lathe-prediction-id"]


def until(url, version, seconds=20):
    deadline = time.time() + seconds
    while True:
        reply = requests.get(f"{url}/v2/models/m", timeout=10)
        if reply.status_code == 200 and reply.json()["versions"] == [version]:
            return
        assert time.time() < deadline, f"version {version} does not answer: {reply.text}"
        time.sleep(0.05)


@pytest.mark.parametrize("who", ["server", "alias", "deployments"])
def test_an_alias_that_the_client_moves_is_followed_under_load(tmp_path, serve, who):
    (tmp_path / "lathe.toml").write_text(PROJECT)
    server = serve(tmp_path)
    client = register(server.url, [1, 2, 3])
    client.set_registered_model_alias("m", "champion", "1")
    replica, url = None, server.url
    if who != "server":
        (tmp_path / "replica").mkdir()
        named = ["models:/m@champion", "--name", "m"] if who == "alias" else []
        replica = Replica(tmp_path / "replica", *named, "--server", server.url)
        url = replica.url
    until(url, "1")
    load = Load(lambda session: ask(url, session)[:2], callers=4)
    for version in ["2", "3", "1", "3"]:
        time.sleep(0.3)
        client.set_registered_model_alias("m", "champion", version)
        until(url, version)
    answers, faults = load.end()
    assert not faults, faults[:5]
    assert 100 < len(answers)
    assert {version for version, _ in answers} == {"1", "2", "3"}
    assert all(float(version) == pytest.approx(answer) for version, answer in answers)
    if replica:
        replica.stop()


def test_a_replica_goes_on_without_the_server_and_tells_it_later(tmp_path):
    (tmp_path / "lathe.toml").write_text(PROJECT)
    (tmp_path / "replica").mkdir()
    server = AtPort(tmp_path)
    try:
        client = register(server.url, [1, 2])
        client.set_registered_model_alias("m", "champion", "1")
        replica = Replica(tmp_path / "replica", "--server", server.url)
        until(replica.url, "1")
        load = Load(lambda session: ask(replica.url, session)[:2], callers=1)
        server.kill()
        time.sleep(2.5)
        assert load.end()[1] == []
        # Its own end and start do not need the server either.
        replica.process.kill()
        replica.process.wait()
        replica = Replica(tmp_path / "replica", "--server", server.url)
        version, _, asked_without = ask(replica.url)
        assert version == "1"
        assert requests.get(f"{replica.url}/v2/health/ready").status_code == 200
        server.start()
        client.set_registered_model_alias("m", "champion", "2")
        until(replica.url, "2")
        # What was answered meanwhile is known by now: a label finds it.
        label = {"labels": [{"prediction_id": asked_without, "value": 1.0}]}
        for _ in range(50):
            told = requests.post(f"{server.url}/api/v1/labels", json=label).json()
            if told["unknown"] == 0:
                break
            time.sleep(0.1)
        assert told["unknown"] == 0, told
        replica.stop()
        log = (tmp_path / "replica/serve.log").read_text()
        assert "what is loaded goes on" in log and "is back" in log, log
    finally:
        server.stop()


def test_a_replica_of_nobody_says_so(tmp_path):
    from conftest import lathe

    refused = lathe("serve", "--server", "http://127.0.0.1:9", "--port", "0", cwd=tmp_path, code=1, LATHE_CACHE_DIR=str(tmp_path))
    assert "nothing of it was served here before" in refused.stderr and "http://127.0.0.1:9" in refused.stderr, refused.stderr
    refused = lathe("serve", "--port", "0", cwd=tmp_path, code=1)
    assert "neither a model nor a server" in refused.stderr, refused.stderr
