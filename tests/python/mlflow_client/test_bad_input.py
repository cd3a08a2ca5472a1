"""What no client sends: refused in MLflow's form, with nothing stored and nothing given away."""

import json

import pytest
import requests

from conftest import on_both_databases

pytestmark = on_both_databases

LEAKS = ("sqlite", "postgres", "select ", "insert ", "panicked", "serde", "/crates/", ".rs:")


@pytest.fixture
def run(client, experiment):
    return client.create_run(experiment).info.run_id


def refused(answer, status=400, code="INVALID_PARAMETER_VALUE"):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error_code"] == code and body["message"]
    assert not any(leak in answer.text.lower() for leak in LEAKS), answer.text
    return body["message"]


def test_badly_typed_values_are_named_and_nothing_is_stored(client, server, experiment, run):
    def post(path, body):
        return refused(requests.post(f"{server.url}/api/2.0/mlflow/{path}", json=body, timeout=20))

    metric = {"run_id": run, "key": "m", "value": 1, "timestamp": 1, "step": 1}
    for field, values in {
        "run_id": (31, [], {}),
        "key": (31, None, "", "../a", "/a", "a//b", "a\nb", "a;b", "...", "k" * 251),
        "value": (None, "abc", True, [], {}, "", "0x10", " 1", "infinity!"),
        "timestamp": (None, "foo", -1, 1.5, 1e20, True, []),
        "step": ("foo", 1.5, 2**63, True),
        "model_id": (5, "no id!"),
        "dataset_name": (5,),
    }.items():
        for value in values:
            post("runs/log-metric", {**metric, field: value})
    for field in ("run_id", "key", "value", "timestamp"):
        message = post("runs/log-metric", {key: value for key, value in metric.items() if key != field})
        assert f"Missing value for required parameter '{field}'" in message
    assert "Invalid value 31 for parameter 'run_id' supplied" in post("runs/log-metric", {**metric, "run_id": 31})
    assert "Invalid value \"foo\" for parameter 'step' supplied" in post("runs/log-metric", {**metric, "step": "foo"})

    good = {"key": "good", "value": 1, "timestamp": 1}
    for part, bad in [
        ("metrics", [good, {**good, "value": "abc"}, good]),
        ("metrics", [good, {"key": "mae", "value": 2.5}]),
        ("metrics", [good, {**good, "step": "x"}]),
        ("metrics", [good, ["a", 1, 2]]),
        ("metrics", [good, None]),
        ("metrics", "foo"),
        ("metrics", {"0": good}),
        ("params", [{"key": "good", "value": "1"}, {"key": "bad", "value": 1.5}]),
        ("params", [["good", "1"]]),
        ("params", [{"key": "good", "value": "1"}, {"key": "good", "value": "2"}]),
        ("tags", [{"key": "good", "value": "1"}, {"key": "bad", "value": None, "x": 1}, {"key": 5, "value": ""}]),
        ("params", [{"key": f"good{n}", "value": ""} for n in range(101)]),
        ("metrics", [{**good, "timestamp": n} for n in range(1001)]),
    ]:
        post("runs/log-batch", {"run_id": run, "metrics": [good], part: bad})
    message = post("runs/log-batch", {"run_id": run, "metrics": [good, {"value": 2.5, "key": "mae"}]})
    assert "Missing value for required parameter 'metrics[1].timestamp'" in message
    message = post("runs/log-batch", {"run_id": run, "metrics": [{"value": 2.5, "key": "mae"}, 5]})
    assert 'Invalid value [{"key":"mae","value":2.5},5] for parameter \'metrics\' supplied' in message
    large = [{**good, "key": "k" * 250, "timestamp": step, "dataset_name": "d" * 1000} for step in range(900)]
    assert "larger than" in post("runs/log-batch", {"run_id": run, "metrics": large})
    message = post("runs/log-batch", {"run_id": run, "tags": "foo"})
    assert "Invalid value \"foo\" for parameter 'tags' supplied" in message

    for path, body in [
        ("runs/update", {"run_id": run, "status": "NOPE"}),
        ("runs/update", {"run_id": run, "end_time": 1e20}),
        ("runs/log-parameter", {"run_id": run, "key": "p", "value": 1.5}),
        ("runs/set-tag", {"run_id": run, "key": "t", "value": 41}),
        ("runs/set-tag", {"run_id": run, "value": "x"}),
        ("runs/search", {"experiment_ids": "x"}),
        ("runs/search", {"experiment_ids": [experiment], "max_results": 1.5}),
        ("runs/search", {"experiment_ids": ["1 OR 1=1"]}),
        ("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": {"name": "d"}}]}),
        ("runs/outputs", {"run_id": run}),
        ("runs/outputs", {"run_id": run, "models": [{"model_id": "no id!"}]}),
        ("experiments/create", {"name": 123}),
        ("experiments/create", {}),
        ("experiments/create", {"name": "x" * 501}),
        ("experiments/create", {"name": "a\0b"}),
        ("experiments/create", {"name": "q", "artifact_location": 9.0}),
        ("experiments/create", {"name": "q", "artifact_location": "/srv/../etc"}),
        ("experiments/create", {"name": "q", "artifact_location": "s3://b/../c"}),
        ("experiments/create", {"name": "q", "artifact_location": "s3://b/x", "tags": "5"}),
        ("registered-models/create", {"name": "a/b"}),
        ("registered-models/create", {"name": "q", "tags": [{"key": "k", "value": 5}]}),
        ("registered-models/create", {"name": "q", "tags": [{"key": "k", "value": "v" * 100_001}]}),
        ("logged-models", {"experiment_id": experiment, "params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}),
    ]:
        post(path, body)
    found = client.get_run(run)
    assert (found.data.metrics, found.data.params, found.info.status) == ({}, {}, "RUNNING")
    assert set(found.data.tags) == {"mlflow.runName"} and not found.inputs.dataset_inputs
    assert {each.name for each in client.search_experiments()} == {"Default", "tests", "one"}
    assert client.search_registered_models() == [] and client.search_logged_models([experiment]) == []


def test_broken_bodies_are_refused_and_numbers_may_be_texts(client, server, run):
    url = f"{server.url}/api/2.0/mlflow/experiments/create"
    head = {"Content-Type": "application/json"}
    for body in (
        b'{"name":', b"[]", b"[1,2", b'"x"', b"5", b"null", b'{"name":"a"} x', b"\xff\xfe{}", b'{"name":"\xff"}',
        b'{"name":"a","name":"b"}', b'{"name":"a\\u0000"}', b'{"name":"\\ud800"}', b"[" * 100_000, b'{"a":' * 100_000,
        b'{"name":' + b"[" * 200 + b"]" * 200 + b"}", b'{"name":1' + b"0" * 1_000 + b"}", b'{"name":1e999999}',
    ):  # fmt: skip
        refused(requests.post(url, data=body, headers=head, timeout=20))
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}):
        assert "Content-Type" in refused(requests.post(url, data=b'{"name":"x"}', headers=headers, timeout=20))
    refused(requests.post(url, data=json.dumps(json.dumps({"name": "x"})), headers=head, timeout=20))
    more = {"name": "more", "unknown": {"a": [1]}, "tags": None}
    assert requests.post(url, json=more, timeout=20).status_code == 200
    log = f"{server.url}/api/2.0/mlflow/runs/log-metric"
    texts = {"run_uuid": run, "key": "m", "value": "1.5", "timestamp": "10", "step": "3"}
    assert requests.post(log, json=texts, timeout=20).status_code == 200
    (point,) = client.get_metric_history(run, "m")
    assert (point.value, point.timestamp, point.step) == (1.5, 10, 3)


def test_what_does_not_exist_is_told_as_the_client_expects(client, server, experiment):
    def ask(method, path, **how):
        return requests.request(method, f"{server.url}/api/2.0/mlflow/{path}", timeout=20, **how)

    for method, path, how in [
        ("GET", "runs/get", {"params": {"run_id": "0" * 32}}),
        ("GET", "experiments/get", {"params": {"experiment_id": "999"}}),
        ("GET", "experiments/get-by-name", {"params": {"experiment_name": "nobody"}}),
        ("POST", "runs/create", {"json": {"experiment_id": "999"}}),
        ("POST", "runs/log-metric", {"json": {"run_id": "nope", "key": "a", "value": 1, "timestamp": 1}}),
        ("POST", "runs/log-batch", {"json": {"run_id": "nope", "metrics": []}}),
        ("GET", "registered-models/get", {"params": {"name": "' OR 1=1 --"}}),
        ("DELETE", "registered-models/delete", {"json": {"name": "nobody"}}),
        ("GET", "model-versions/get", {"params": {"name": "m", "version": "1"}}),
        ("GET", "logged-models/m-" + "0" * 32, {}),
        ("GET", "webhooks/nope", {}),
    ]:
        refused(ask(method, path, **how), 404, "RESOURCE_DOES_NOT_EXIST")
    for path in ("nope", "runs/nope", "3.0/x"):
        refused(ask("POST", path, json={}), 404, "ENDPOINT_NOT_FOUND")
    assert ask("GET", "experiments/create").status_code == 405


def test_values_that_are_too_long_are_refused_where_they_shall_not_be_cut(server):
    import mlflow
    from mlflow.exceptions import MlflowException

    requests.get(f"{server.url}/health", timeout=20)
    server.stop()
    server.args += ("--truncate-long-values", "false")
    server.start()
    client = mlflow.MlflowClient(server.url)
    run = client.create_run("0").info.run_id
    for path, body in [
        ("log-parameter", {"key": "p", "value": "x" * 6001}),
        ("set-tag", {"key": "t", "value": "x" * 8001}),
        ("log-batch", {"params": [{"key": "a", "value": "b"}, {"key": "p", "value": "x" * 6001}]}),
        ("log-batch", {"tags": [{"key": "t", "value": "x" * 8001}]}),
    ]:
        url = f"{server.url}/api/2.0/mlflow/runs/{path}"
        assert "exceeds the maximum length" in refused(requests.post(url, json={"run_id": run, **body}, timeout=20))
    client.log_param(run, "p", "x" * 6000)
    with pytest.raises(MlflowException):
        client.set_tag(run, "t", "x" * 8001)
    assert client.get_run(run).data.params == {"p": "x" * 6000}


def test_a_path_that_cannot_be_read_is_told_as_every_error_is(server):
    for method, path in [
        ("GET", "api/v1/jobs/9223372036854775808"),
        ("GET", "api/v1/models/m/versions/4294967296/facts"),
        ("POST", "api/v1/alerts/one/acknowledge"),
        ("GET", "api/2.0/mlflow/logged-models/%ff"),
    ]:
        reply = requests.request(method, f"{server.url}/{path}", timeout=10)
        assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), path
