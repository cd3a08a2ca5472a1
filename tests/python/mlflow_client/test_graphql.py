"""MLflow's page asks by GraphQL: whatever its schema has is answered, by the same rules as the REST API."""

import pytest
import requests
from conftest import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def ask(server):
    def ask(query, **more):
        answer = requests.post(f"{server.url}/graphql", json={"query": query, **more}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def run(client, experiment, tmp_path):
    """A run with something of everything."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    run = client.create_run(experiment).info.run_id
    for step in range(10):
        client.log_metric(run, "loss", step / 4, timestamp=1_000 + step, step=step)
    client.log_metric(run, "broken", float("nan"), timestamp=7)
    client.log_param(run, "depth", 3)
    data = Dataset(name="rows", digest="d1", source_type="script", source="s")
    client.log_inputs(run, [DatasetInput(dataset=data, tags=[InputTag("mlflow.data.context", "training")])])
    file = tmp_path / "test.txt"
    file.write_text("hello world")
    client.log_artifact(run, str(file))
    client.log_artifact(run, str(file), "folder")
    client.create_registered_model("m")
    client.create_model_version("m", f"runs:/{run}/model", run)
    return run


def test_every_field_of_the_schema_is_answered(ask, experiment, run):
    from graphql import get_named_type, is_leaf_type
    from mlflow.server.graphql.graphql_schema_extensions import schema

    def everything(of):
        def one(name, field):
            named = get_named_type(field.type)
            return name if is_leaf_type(named) else f"{name} {everything(named)}"

        return "{ __typename " + " ".join(one(name, field) for name, field in of.fields.items()) + " }"

    inputs = {
        "mlflowGetExperiment": f'experimentId: "{experiment}"',
        "mlflowGetRun": f'runId: "{run}"',
        "mlflowSearchRuns": f'experimentIds: ["{experiment}"], runViewType: ALL, maxResults: 5, orderBy: ["start_time"]',
        "mlflowListArtifacts": f'runId: "{run}"',
        "mlflowSearchModelVersions": "filter: \"name = 'm'\", maxResults: 5",
        "mlflowGetMetricHistoryBulkInterval": f'runIds: ["{run}"], metricKey: "loss", maxResults: 5',
        "mlflowSearchDatasets": f'experimentIds: ["{experiment}"]',
    }
    told = {}
    for kind, of in [("query", schema.graphql_schema.query_type), ("mutation", schema.graphql_schema.mutation_type)]:
        for name, field in of.fields.items():
            given = f"(input: {{{inputs[name]}}})" if name in inputs else '(inputString: "abc")'
            answer = ask(f"{kind} {{ {name}{given} {everything(get_named_type(field.type)).replace('__typename', '', 1)} }}")
            assert answer["errors"] is None, (name, answer["errors"])
            told[name] = answer["data"][name]
    assert told["test"] == {"output": "abc"} == told["testMutation"]
    assert set(told) == set(inputs) | {"test", "testMutation"}
    found = told["mlflowGetRun"]["run"]
    assert found["info"]["runId"] == run and found["info"]["status"] == "RUNNING" and found["info"]["endTime"] == "0"
    assert found["experiment"]["name"] == "one" and [one["name"] for one in found["modelVersions"]] == ["m"]
    metrics = {one["key"]: one for one in found["data"]["metrics"]}
    assert (metrics["loss"]["value"], metrics["loss"]["step"], metrics["loss"]["timestamp"]) == (2.25, "9", "1009")
    assert metrics["broken"]["value"] is None
    assert found["inputs"]["datasetInputs"][0]["dataset"]["digest"] == "d1" and found["outputs"]["modelOutputs"] == []
    assert told["mlflowSearchRuns"]["runs"] == [found]
    assert [one["step"] for one in told["mlflowGetMetricHistoryBulkInterval"]["metrics"]] == ["0", "2", "4", "6", "9"]
    summary = {"experimentId": experiment, "name": "rows", "digest": "d1", "context": "training"}
    (dataset,) = told["mlflowSearchDatasets"]["datasetSummaries"]
    assert summary.items() <= dataset.items()


def test_aliases_fragments_variables_and_directives(ask, run):
    answer = ask(
        """
        fragment Files on MlflowListArtifactsResponse { files { path isDir ...Size } }
        fragment Size on MlflowFileInfo { fileSize }
        query other { test(inputString: "no") { output } }
        query wanted($run: String, $folder: String = "folder", $deep: Boolean!) @component(name: "Test") {
            top: mlflowListArtifacts(input: {runId: $run}) { ...Files rootUri @skip(if: true) }
            below: mlflowListArtifacts(input: {runId: $run, path: $folder}) @include(if: $deep) { ... { files { path } } }
            kind: __typename
        }
        """,
        operationName="wanted",
        variables={"run": run, "deep": True},
    )
    assert answer == {
        "data": {
            "top": {
                "files": [
                    {"path": "folder", "isDir": True, "fileSize": "0"},
                    {"path": "test.txt", "isDir": False, "fileSize": "11"},
                ]
            },
            "below": {"files": [{"path": "folder/test.txt"}]},
            "kind": "Query",
        },
        "errors": None,
    }


def test_what_cannot_be_answered_is_said(ask, server, run):
    def refused(query, **more):
        answer = ask(query, **more)
        assert answer["data"] is None or set(answer["data"].values()) == {None}
        (message,) = answer["errors"]
        return message

    get = "mlflowGetRun(input: {runId: \"%s\"}) { run { info { %s } } }"
    assert refused("{ " + get % ("0" * 32, "runId") + " }") == f"Run with id={'0' * 32} not found"
    assert refused("{ " + get % (run, "nope") + " }") == "Cannot query field 'nope' on type 'MlflowRunInfo'."
    assert refused("{ nope }") == "Cannot query field 'nope' on type 'Query'."
    assert "selection of subfields" in refused("{ mlflowGetRun(input: {runId: \"%s\"}) }" % run)
    assert "no subfields" in refused("{ " + get % (run, "runId { x }") + " }")
    assert "Syntax Error" in refused("{ nope(")
    assert "subscription" in refused("subscription { x }")
    assert "operation name" in refused("query a { test { output } } query b { test { output } }")
    assert refused("query a { test { output } }", operationName="c") == "Unknown operation named 'c'."
    assert refused("{ ...a }") == "Unknown fragment 'a'."
    # What would cost more than it is worth.
    assert "maximum depth" in refused("{ ...a } fragment a on Query { ...a }")
    assert "maximum depth" in refused("{a" * 20_000 + "}" * 20_000)
    assert "maximum depth" in refused("{ test(inputString: " + "[" * 20_000 + ") { output } }")
    bomb = "{ ...a0 }" + "".join(f"fragment a{n} on Query {{ ...a{n + 1} ...a{n + 1} }}" for n in range(25)) + "fragment a25 on Query { x }"
    assert "selections" in refused(bomb)
    assert "root fields" in refused("{" + " ".join(f"a{n}: test {{ output }}" for n in range(11)) + "}")
    for body in (b"", b"null", b"[]", b"{}", b'{"query": 5}', b'{"query": null}'):
        answer = requests.post(f"{server.url}/graphql", data=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), body
    large = requests.post(f"{server.url}/graphql", json={"query": "{ test { output } } #" + " " * 100_000}, timeout=30)
    assert large.status_code == 413
