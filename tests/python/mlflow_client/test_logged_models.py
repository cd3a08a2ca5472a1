"""Logged models, through the client."""

import pytest
import requests
from mlflow.entities import LoggedModelInput, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases


def names(models):
    return " ".join(model.name for model in models)


def test_a_logged_model_is_pending_then_ready_then_gone(client, experiment):
    run = client.create_run(experiment).info.run_id
    params = {f"p{number}": "x" for number in range(250)}
    made = client.create_logged_model(experiment, "m", run, {"t": "1"}, params, "agent")
    assert (made.status, made.name, made.model_type, made.source_run_id) == (LoggedModelStatus.PENDING, "m", "agent", run)
    assert made.artifact_location == f"mlflow-artifacts:/{experiment}/models/{made.model_id}/artifacts"
    assert client.get_logged_model(made.model_id).params == params
    ready = client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    assert ready.status == LoggedModelStatus.READY
    client.set_logged_model_tags(made.model_id, {"a": "b", "c": "d"})
    client.delete_logged_model_tag(made.model_id, "t")
    assert client.get_logged_model(made.model_id).tags == {"a": "b", "c": "d"}
    with pytest.raises(MlflowException, match="No tag with name: t") as error:
        client.delete_logged_model_tag(made.model_id, "t")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    client.delete_logged_model(made.model_id)
    for gone in (made.model_id, "m-" + "0" * 32, "nobody"):
        with pytest.raises(MlflowException, match="not found") as error:
            client.get_logged_model(gone)
        assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert client.search_logged_models([experiment]) == []
    for name in ("a/b", "a:b", "a.b", "a%b", "a'b"):
        with pytest.raises(MlflowException):
            client.create_logged_model(experiment, name)


def test_runs_say_which_models_they_read_and_made(client, experiment):
    run = client.create_run(experiment).info.run_id
    read, made = (client.create_logged_model(experiment, name) for name in ("read", "made"))
    client.log_inputs(run, models=[LoggedModelInput(read.model_id)])
    client.log_outputs(run, [LoggedModelOutput(made.model_id, 3)])
    found = client.get_run(run)
    assert [model.model_id for model in found.inputs.model_inputs] == [read.model_id]
    assert [(model.model_id, model.step) for model in found.outputs.model_outputs] == [(made.model_id, 3)]
    (same,) = client.search_runs([experiment])
    assert [model.model_id for model in same.outputs.model_outputs] == [made.model_id]


def test_models_are_found_and_ordered_also_by_metrics_on_one_dataset(client, experiment):
    run = client.create_run(experiment).info.run_id
    ids = {}
    for name, params in [("m1", {"p": "1"}), ("m2", None), ("m3", {"p": "2"})]:
        ids[name] = client.create_logged_model(experiment, name, run if name == "m1" else None, {"t": name}, params).model_id
    for name, key, value, step, dataset in [
        ("m1", "acc", 0.9, 1, ("ds", "d1")),
        ("m1", "acc", 0.5, 2, ("ds2", "d2")),
        ("m2", "acc", 0.7, 1, ("ds", "d1")),
        ("m3", "acc", 0.2, 1, (None, None)),
        ("m1", "loss", float("nan"), 1, (None, None)),
        ("m2", "loss", 5.0, 1, (None, None)),
    ]:
        client.log_batch(run, metrics=[Metric(key, value, 5, step, ids[name], *dataset)])
    client.finalize_logged_model(ids["m1"], "READY")
    for condition, found in [
        ("name = 'm1'", "m1"),
        ("attributes.name LIKE 'm%' AND params.p = '2'", "m3"),
        ("params.p != '1'", "m3"),
        ("tags.t IN ('m1', 'm2')", "m2 m1"),
        ("status = 'READY'", "m1"),
        (f"source_run_id = '{run}'", "m1"),
        (f"model_id = '{ids['m2']}'", "m2"),
        ("creation_timestamp > 0 AND creation_time > 0 AND last_updated_timestamp > 0", "m3 m2 m1"),
        ("metrics.acc > 0.6", "m2 m1"),
        ("metrics.acc < 0.6 AND metrics.acc > 0.4", "m1"),
        ("metrics.loss > 1", "m2"),
    ]:
        assert names(client.search_logged_models([experiment], condition)) == found, condition
    on_ds, on_ds2 = {"dataset_name": "ds", "dataset_digest": "d1"}, {"dataset_name": "ds2"}
    assert names(client.search_logged_models([experiment], "metrics.acc > 0.6", datasets=[on_ds])) == "m2 m1"
    assert names(client.search_logged_models([experiment], "metrics.acc > 0.6", datasets=[on_ds2])) == ""
    assert names(client.search_logged_models([experiment], datasets=[on_ds])) == "m2 m1"
    assert names(client.search_logged_models([experiment], datasets=[on_ds2])) == "m1"
    for order, found in [
        ({"field_name": "name", "ascending": False}, "m3 m2 m1"),
        ({"field_name": "creation_timestamp"}, "m1 m2 m3"),
        ({"field_name": "metrics.acc"}, "m3 m1 m2"),
        ({"field_name": "metrics.acc", "ascending": False, **on_ds}, "m1 m2 m3"),
        ({"field_name": "metrics.acc", **on_ds2}, "m1 m3 m2"),
        ({"field_name": "metrics.loss", "ascending": False}, "m2 m1 m3"),
    ]:
        assert names(client.search_logged_models([experiment], order_by=[order])) == found, order
    page = client.search_logged_models([experiment], max_results=2)
    rest = client.search_logged_models([experiment], max_results=2, page_token=page.token)
    assert names(page) + " " + names(rest) == "m3 m2 m1" and not rest.token
    found = client.get_logged_model(ids["m1"])
    assert sorted((metric.key, metric.dataset_name) for metric in found.metrics) == [
        ("acc", "ds"), ("acc", "ds2"), ("loss", None)
    ]  # fmt: skip
    for condition in ("nope = 'x'", "name > 'a'", "metrics.acc > '1'", "name = 'a' OR name = 'b'"):
        with pytest.raises(MlflowException) as error:
            client.search_logged_models([experiment], condition)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_the_files_of_a_model_are_listed_and_read(mlflow, client, server, experiment, tmp_path):
    model = client.create_logged_model(experiment, "m")
    folder = tmp_path / "files" / "sub"
    folder.mkdir(parents=True)
    (folder / "weights.txt").write_text("hello")
    client.log_model_artifacts(model.model_id, str(tmp_path / "files"))
    assert [(file.path, file.is_dir) for file in client.list_logged_model_artifacts(model.model_id)] == [("sub", True)]
    (file,) = client.list_logged_model_artifacts(model.model_id, "sub")
    assert (file.path, file.file_size) == ("sub/weights.txt", 5)
    url = f"{server.url}/ajax-api/2.0/mlflow/logged-models/{model.model_id}/artifacts/files"
    answer = requests.get(url, params={"artifact_file_path": "sub/weights.txt"}, timeout=20)
    assert (answer.status_code, answer.text) == (200, "hello")
    for path, status in [("nothing", 404), ("../../x", 400), ("", 400)]:
        assert requests.get(url, params={"artifact_file_path": path}, timeout=20).status_code == status, path
