"""The inference faces of `lathe serve` held against their own description in OpenAPI."""

import json

import jsonschema
import lightgbm
import numpy as np
import pandas as pd
import pytest
import requests
from conftest import serving

COLUMNS = ["a", "b"]
TENSOR = {"name": "rows", "shape": [2, 2], "datatype": "FP64", "data": [[0.5, 1.0], [None, -1.0]]}
WANTED_RAW = [{"name": "predictions", "parameters": {"binary_data": True}}]
RECORDS = [{"a": 0.5, "b": 1.0}, {"a": None, "b": -1.0}]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=COLUMNS)
    params = {"objective": "regression", "verbose": -1, "num_threads": 1}
    lightgbm.train(params, lightgbm.Dataset(rows, rows["a"]), 3).save_model(folder / "model.txt")
    with serving(folder, "model.txt", "--name", "m") as url:
        yield url


@pytest.fixture(scope="module")
def description(url):
    return requests.get(f"{url}/v2/openapi.json").json()


def whole(description, node):
    """A copy in which every reference is replaced by what it names."""
    if isinstance(node, list):
        return [whole(description, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: whole(description, value) for key, value in node.items()}
    found = description
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return whole(description, found)


def closed(schema):
    """A copy in which objects have no properties but those that are described."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def check(schema, value, what):
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    assert fault is None, f"{what}: {fault.json_path}: {fault.message}"


def test_every_schema_is_one(description):
    for schema in description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(whole(description, schema))


INFER, OF_VERSION = "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"
PREDICT, OF_VERSION_V1 = "/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict"
INVOKE = "/deployments/{name}/invocations"
ROWS = {"instances": [[0.5, 1.0]]}
OTHER, SEVEN = {"name": "other"}, {"version": "7"}
PARTS = ["", "/ready", "/config", "/stats"]
REPOSITORIES = ["/v2/repository", "/v2/repository/{repository}"]
# Paths without parameters are asked as they are.
PLAIN = [
    "/v2", "/v2/", "/v2/openapi.json", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/stats",
    "/v1/models", "/v1/models/{name}", "/ping", "/health", "/version", "/metrics",
]  # fmt: skip
ASKED = [
    *(("get", path, None, 200, {}) for path in PLAIN),
    *(("get", f"/v2/models/{{name}}{part}", None, 200, {}) for part in PARTS),
    *(("get", f"/v2/models/{{name}}{part}", None, 404, OTHER) for part in PARTS),
    *(("get", f"/v2/models/{{name}}/versions/{{version}}{part}", None, 200, {}) for part in PARTS),
    *(("get", f"/v2/models/{{name}}/versions/{{version}}{part}", None, 404, SEVEN) for part in PARTS),
    ("post", INFER, {"inputs": [TENSOR]}, 200, {}),
    ("post", INFER, {"id": "7", "inputs": [TENSOR], "parameters": {"timeout": 10_000_000}}, 200, {}),
    ("post", INFER, {"inputs": [TENSOR], "outputs": WANTED_RAW}, 200, {}),
    ("post", INFER, {"inputs": []}, 400, {}),
    ("post", INFER, {"inputs": [TENSOR]}, 404, OTHER),
    ("post", OF_VERSION, {"inputs": [TENSOR]}, 200, {}),
    ("post", OF_VERSION, {"inputs": [TENSOR]}, 404, SEVEN),
    ("get", "/v1/models/{name}", None, 404, OTHER),
    ("post", PREDICT, ROWS, 200, {}),
    ("post", PREDICT, {"inputs": {"a": [0.5], "b": [1.0]}}, 200, {}),
    ("post", PREDICT, {"instances": 1}, 400, {}),
    ("post", OF_VERSION_V1, ROWS, 200, {}),
    ("post", OF_VERSION_V1, ROWS, 404, SEVEN),
    ("post", "/invocations", {"dataframe_records": RECORDS}, 200, {}),
    ("post", "/invocations", {"dataframe_split": {"columns": COLUMNS, "data": [[0.5, 1.0]]}}, 200, {}),
    ("post", "/invocations", "a,b\n0.5,1.0\n", 200, {}),
    ("post", "/invocations", {"inputs": 1}, 400, {}),
    ("post", INVOKE, ROWS, 200, {}),
    ("post", INVOKE, ROWS, 404, OTHER),
    *(("post", f"{path}/index", {"ready": True}, 200, {}) for path in REPOSITORIES),
    *(("post", f"{path}/models/{{name}}/unload", {}, 200, {}) for path in REPOSITORIES),
    ("get", "/v2/models/{name}", None, 503, {}),
    ("get", "/v2/models/{name}/ready", None, 503, {}),
    ("post", INFER, {"inputs": [TENSOR]}, 503, {}),
    ("post", INVOKE, ROWS, 503, {}),
    ("post", "/v2/repository/index", {}, 200, {}),
    *(("post", f"{path}/models/{{name}}/load", {}, 200, {}) for path in REPOSITORIES),
    ("post", "/v2/repository/models/{name}/load", {"parameters": {"a": 1}}, 400, {}),
]


def test_answers_are_as_described(url, description):
    for method, template, body, status, others in ASKED:
        path = template.format(**{"name": "m", "version": "1", "repository": "any", **others})
        what = f"{method} {path} {body}"
        operation = whole(description, description["paths"][template][method])
        if isinstance(body, str):
            reply = requests.request(method, url + path, data=body, headers={"Content-Type": "text/csv"})
        else:
            reply = requests.request(method, url + path, json=body)
        assert reply.status_code == status, f"{what}: {reply.text}"
        if isinstance(body, dict) and status == 200:
            check(operation["requestBody"]["content"]["application/json"]["schema"], body, what)
        response = operation["responses"][str(status)]
        kind = reply.headers["Content-Type"].split(";")[0]
        assert kind in response["content"], f"{what}: {kind}"
        known = {name.lower() for name in response.get("headers", {})}
        told = {name.lower() for name in reply.headers}
        assert {name for name in told if name.startswith(("lathe-", "inference-"))} <= known, what
        assert ("lathe-prediction-id" in told) == ("lathe-prediction-id" in known), what
        if kind == "application/json":
            check(closed(response["content"][kind]["schema"]), reply.json(), what)
        elif kind == "application/octet-stream":
            length = int(reply.headers["Inference-Header-Content-Length"])
            schema = whole(description, description["components"]["schemas"]["InferResponse"])
            check(closed(schema), json.loads(reply.content[:length]), what)
    every = {(method, path) for path, operations in description["paths"].items() for method in operations}
    assert {(method, template) for method, template, *_ in ASKED} == every
