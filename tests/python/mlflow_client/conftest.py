"""What the tests of this folder share: the unmodified client, and its plain HTTP beside it."""

import pytest
import requests


@pytest.fixture
def client(mlflow):
    return mlflow.MlflowClient()


@pytest.fixture
def experiment(client):
    return client.create_experiment("one")


@pytest.fixture
def call(server):
    """One request as no client would send it: status, error code and message, or the answer."""

    def send(method, path, **how):
        prefix = "" if path.startswith("/") else "/api/2.0/mlflow/"
        answer = requests.request(method, f"{server.url}{prefix}{path}", timeout=20, **how)
        try:
            body = answer.json()
        except ValueError:
            body = {}
        return answer.status_code, body.get("error_code"), body.get("message", body)

    return send
