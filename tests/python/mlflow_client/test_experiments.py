"""Experiments, through the client."""

import mlflow.data
import pandas as pd
import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, ViewType
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases


def names(experiments):
    return [experiment.name for experiment in experiments]


def test_an_experiment_lives_is_renamed_deleted_and_restored_with_its_runs(client):
    made = client.create_experiment("first", tags={"a": "1", "b": ""})
    found = client.get_experiment(made)
    assert (found.name, found.tags, found.lifecycle_stage) == ("first", {"a": "1", "b": ""}, "active")
    assert found.artifact_location == f"mlflow-artifacts:/{made}" and found.creation_time == found.last_update_time
    client.rename_experiment(made, "second")
    assert client.get_experiment_by_name("second").experiment_id == made
    assert client.get_experiment_by_name("first") is None
    kept, gone = client.create_run(made).info.run_id, client.create_run(made).info.run_id
    client.delete_run(gone)
    client.delete_experiment(made)
    assert client.get_experiment_by_name("second").lifecycle_stage == "deleted"
    assert client.get_run(kept).info.lifecycle_stage == "deleted"
    for change in (
        lambda: client.create_run(made),
        lambda: client.set_experiment_tag(made, "k", "v"),
        lambda: client.rename_experiment(made, "third"),
        lambda: client.create_logged_model(made, name="m"),
    ):
        with pytest.raises(MlflowException) as error:
            change()
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="already exists"):
        client.create_experiment("second")
    client.restore_experiment(made)
    assert {run.info.run_id for run in client.search_runs([made])} == {kept, gone}


def test_tags_of_an_experiment_are_set_replaced_and_deleted(client, experiment):
    client.set_experiment_tag(experiment, "dataset", "x")
    client.set_experiment_tag(experiment, "dataset", "a\nb")
    assert client.get_experiment(experiment).tags == {"dataset": "a\nb"}
    client.delete_experiment_tag(experiment, "dataset")
    with pytest.raises(MlflowException, match="No tag with name: dataset") as error:
        client.delete_experiment_tag(experiment, "dataset")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_experiments_are_found_by_every_kind_of_condition(client):
    for name, tags in [("a", {"key": "value"}), ("ab", {"key": "vaLue"}), ("Abc", None)]:
        client.create_experiment(name, tags=tags)
    for condition, found in [
        ("attribute.name = 'a'", ["a"]),
        ("name != 'a' AND name != 'tests'", ["Abc", "ab", "Default"]),
        ("name LIKE 'a%'", ["ab", "a"]),
        ("name ILIKE 'A%'", ["Abc", "ab", "a"]),
        ("tags.key = 'value'", ["a"]),
        ("tag.`key` != 'value'", ["ab"]),
        ("tags.\"key\" ILIKE '%alu%'", ["ab", "a"]),
        ("tags.key IS NULL AND name LIKE 'A%'", ["Abc"]),
        ("tags.key IS NOT NULL", ["ab", "a"]),
        ("creation_time > 0 AND name = 'ab'", ["ab"]),
        ("experiment_id IN ('0')", ["Default"]),
    ]:
        assert names(client.search_experiments(filter_string=condition)) == found, condition
    ours = "name != 'tests'"
    assert names(client.search_experiments(filter_string=ours, order_by=["name DESC"])) == ["ab", "a", "Default", "Abc"]
    page = client.search_experiments(filter_string=ours, max_results=3)
    rest = client.search_experiments(filter_string=ours, page_token=page.token)
    assert names(page) + names(rest) == ["Abc", "ab", "a", "Default"] and rest.token is None
    client.delete_experiment(client.get_experiment_by_name("ab").experiment_id)
    for view, found in [
        (ViewType.ACTIVE_ONLY, ["Abc", "a", "Default"]),
        (ViewType.DELETED_ONLY, ["ab"]),
        (ViewType.ALL, ["Abc", "ab", "a", "Default"]),
    ]:
        assert names(client.search_experiments(view, filter_string=ours)) == found


def test_a_dataset_is_logged_once_and_listed_with_what_it_was_read_for(client, experiment, call):
    run = client.create_run(experiment).info.run_id
    dataset = Dataset("rows", "d1", "local", "s", schema="{}", profile="{}")
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training"), InputTag("a", "b")])])
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "other")])])
    inputs = client.get_run(run).inputs.dataset_inputs
    assert [(i.dataset.name, {tag.key: tag.value for tag in i.tags}) for i in inputs] == [
        ("rows", {"mlflow.data.context": "training", "a": "b"})
    ]
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    _, _, listed = call("POST", path, json={"experiment_ids": [experiment]})
    wanted = {"experiment_id": experiment, "name": "rows", "digest": "d1", "context": "training"}
    assert listed == {"dataset_summaries": [wanted]}
    assert "at least one experiment_id" in call("POST", path, json={})[2]
    assert "cannot specify more than 20" in call("POST", path, json={"experiment_ids": ["1"] * 21})[2]


def test_a_frame_that_a_run_reads_is_described(mlflow, tmp_path):
    frame = pd.DataFrame([[1, 2, 3], [1, 2, 3]], columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "rows.csv")
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, source=str(tmp_path / "rows.csv")), "train", {"foo": "baz"})
    (read,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.source_type) == ("dataset", "local")
    assert [(tag.key, tag.value) for tag in read.tags] == [("foo", "baz"), ("mlflow.data.context", "train")]
