"""Runs and what is logged to them, through the client."""

import json
import math

import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases


def test_a_run_says_who_started_it_when_and_with_which_tags(client, experiment):
    tags = {"mlflow.user": "somebody", "mlflow.source.name": "train.py", "mlflow.parentRunId": "7", "my": "tag"}
    made = client.create_run(experiment, start_time=456, run_name="my name", tags=tags)
    found = client.get_run(made.info.run_id)
    for run in (made, found):
        assert (run.info.start_time, run.info.run_name, run.info.status) == (456, "my name", "RUNNING")
        assert run.info.end_time is None and run.info.user_id == "somebody"
        assert tags.items() <= run.data.tags.items() and run.data.tags["mlflow.runName"] == "my name"
    assert client.search_runs([experiment])[0].info == found.info
    unnamed = client.create_run(experiment)
    assert unnamed.info.run_name == unnamed.data.tags["mlflow.runName"] != ""
    assert unnamed.info.artifact_uri == f"mlflow-artifacts:/{experiment}/{unnamed.info.run_id}/artifacts"


def test_a_run_ends_and_is_renamed_in_both_places(client, experiment):
    run = client.create_run(experiment).info.run_id
    client.set_terminated(run, "FAILED", end_time=9)
    assert (client.get_run(run).info.status, client.get_run(run).info.end_time) == ("FAILED", 9)
    client.update_run(run, name="other")
    found = client.get_run(run)
    assert (found.info.run_name, found.data.tags["mlflow.runName"], found.info.status) == ("other", "other", "FAILED")
    client.set_tag(run, "mlflow.runName", "third")
    assert client.get_run(run).info.run_name == "third"
    client.update_run(run, status="RUNNING")
    assert client.get_run(run).info.status == "RUNNING"


def test_values_of_every_kind_come_back_as_they_were_logged(client, experiment):
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "metric", 123.456, timestamp=789, step=2)
    client.log_metric(run, "nan", float("nan"))
    client.log_metric(run, "inf", float("inf"))
    client.log_metric(run, "-inf", -float("inf"))
    client.log_metric(run, "a/b c.d:e-f", 2)
    client.log_param(run, "empty", "")
    client.log_param(run, "long", "x" * 6001)
    client.set_tag(run, "long", "ä" * 8001)
    client.log_batch(run, [Metric("m", 1.0, 5, 3)], [Param("p", "v")], [RunTag("t", "")])
    data = client.get_run(run).data
    assert (data.metrics["metric"], data.metrics["a/b c.d:e-f"], data.metrics["m"]) == (123.456, 2, 1.0)
    assert math.isnan(data.metrics["nan"]) and data.metrics["inf"] == -data.metrics["-inf"] >= 1.797e308
    assert data.params == {"empty": "", "long": "x" * 6000, "p": "v"}
    assert data.tags["long"] == "ä" * 8000 and data.tags["t"] == ""
    (point,) = client.get_metric_history(run, "metric")
    assert (point.value, point.timestamp, point.step) == (123.456, 789, 2)
    assert client.get_metric_history(run, "never") == []


def test_a_param_is_written_once_and_a_batch_whole_or_not_at_all(client, experiment):
    run = client.create_run(experiment).info.run_id
    client.log_param(run, "a", "1")
    client.log_param(run, "a", "1")
    for change in (
        lambda: client.log_param(run, "a", "2"),
        lambda: client.log_batch(run, [Metric("m", 1.0, 1, 1)], [Param("a", "2")], [RunTag("t", "v")]),
        lambda: client.log_batch(run, params=[Param("b", "1"), Param("b", "2")]),
        lambda: client.log_batch(run, params=[Param("/x", "1")]),
    ):
        with pytest.raises(MlflowException) as error:
            change()
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    found = client.get_run(run).data
    assert (found.params, found.metrics) == ({"a": "1"}, {}) and "t" not in found.tags


def test_tags_go_and_deletion_is_taken_back(client, experiment):
    run = client.create_run(experiment, tags={"taggity": "do"}).info.run_id
    client.delete_tag(run, "taggity")
    with pytest.raises(MlflowException, match=r"Run .+ not found"):
        client.delete_tag("fake_run_id", "taggity")
    with pytest.raises(MlflowException, match="No tag with name: fakeTag"):
        client.delete_tag(run, "fakeTag")
    client.delete_run(run)
    client.delete_run(run)
    with pytest.raises(MlflowException, match=f"The run {run} must be in"):
        client.delete_tag(run, "taggity")
    assert client.search_runs([experiment]) == []
    assert len(client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)) == 1
    client.restore_run(run)
    client.restore_run(run)
    assert client.get_run(run).info.lifecycle_stage == "active"


def test_nested_runs_know_their_parents(mlflow, client):
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            with mlflow.start_run(nested=True) as grandchild:
                mlflow.log_metric("m", 1)
    assert client.get_parent_run(grandchild.info.run_id).info.run_id == child.info.run_id
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert client.get_parent_run(parent.info.run_id) is None
    of_parent = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert of_parent["run_id"].tolist() == [child.info.run_id]


def test_a_run_is_resumed_by_its_id_and_broken_off_by_an_exception(mlflow):
    with mlflow.start_run(run_name="r", description="why") as run:
        mlflow.log_metric("m", 1, step=0)
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metrics({"m": 2, "n": 3}, step=1)
        mlflow.set_tags({"a": 1, "b": "x"})
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as broken:
            1 / 0
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"m": 2.0, "n": 3.0})
    assert found.data.tags["mlflow.note.content"] == "why" and found.data.tags["a"] == "1"
    assert mlflow.get_run(broken.info.run_id).info.status == "FAILED"
    assert mlflow.last_active_run().info.run_id == broken.info.run_id


def test_metrics_of_the_machine_are_logged(mlflow):
    import time

    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    try:
        with mlflow.start_run(log_system_metrics=True) as run:
            time.sleep(1)
    finally:
        mlflow.set_system_metrics_sampling_interval(None)
        mlflow.set_system_metrics_samples_before_logging(None)
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in found and "system/system_memory_usage_megabytes" in found


def test_the_history_of_models_that_older_clients_write_is_a_tag(client, experiment, call):
    run = client.create_run(experiment).info.run_id
    model = {"artifact_path": "m", "flavors": {"f": {}}, "utc_time_created": "now", "run_id": run}
    for _ in range(2):
        assert call("POST", "runs/log-model", json={"run_id": run, "model_json": json.dumps(model)})[0] == 200
    history = json.loads(client.get_run(run).data.tags["mlflow.log-model.history"])
    assert [entry["artifact_path"] for entry in history] == ["m", "m"]
