"""Every address that the client's own package knows is answered, but for what docs/mlflow.md says is missing."""

import re

import pytest
import requests

# What is missing: families of addresses, by what follows `/api/2.0/mlflow/` and the like.
MISSING = {
    "gateway/": "the AI gateway: its endpoints, secrets, budgets and guardrails",
    "gateway-proxy": "the AI gateway",
    "workspaces": "workspaces",
    "issues": "issues that a judge found in traces",
    "label-schemas/": "labelling",
    "review-queues/": "labelling",
    "prompt-optimization/": "jobs that optimise prompts",
    "jobs/": "jobs of MLflow's own page",
    "genai/evaluate/invoke": "jobs of MLflow's own page",
    "scorer/invoke": "jobs of MLflow's own page",
    "demo/": "MLflow's own page",
    "ui-telemetry": "MLflow's own page",
    "runs/create-promptlab-run": "MLflow's own page",
    "unified-traces": "Databricks",
    "get-online-trace-details": "Databricks",
}


@pytest.fixture(scope="module")
def addresses():
    from mlflow.server import app

    rules = {
        (method, re.sub("<[^>]*>", "x", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    # One of them is written without the `/` that belongs there, beside the right one.
    return sorted((method, path) for method, path in rules if "/2.0mlflow" not in path)


def test_what_is_missing_is_known(server, addresses):
    missing, unknown = set(), []
    for method, path in addresses:
        body = None if method == "GET" else {}
        answer = requests.request(method, server.url + path, json=body, timeout=30)
        json = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if json.get("error_code") == "ENDPOINT_NOT_FOUND" or answer.status_code == 405:
            tail = re.sub("^/(ajax-)?api/[0-9.]+/mlflow/", "", path)
            family = next((family for family in MISSING if tail.startswith(family)), None)
            missing.add(family)
            if family is None and (method, path) != ("GET", "/graphql"):
                unknown.append((method, path))
        # A store that cannot sign says so; anything else of this kind is a fault.
        assert answer.status_code < 500 or (answer.status_code, "/presigned/" in path) == (501, True), (method, path, answer.text)
    assert len(addresses) > 300
    assert not unknown
    assert missing - {None} == set(MISSING), "the list names what is there by now"
