"""The unmodified `mlflow` client against `lathe server`."""

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

TREE = ["sklearn.tree._tree.Tree"]


def test_a_run_is_found_with_all_that_was_logged(mlflow, tmp_path):
    with mlflow.start_run(run_name="first", tags={"team": "a"}) as run:
        mlflow.log_params({"depth": 3, "rate": 0.1})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"rmse": 2.5, "mae": float("nan")})
        mlflow.set_tag("note", "größe")
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    assert found.data.params == {"depth": "3", "rate": "0.1"}
    assert found.data.metrics["rmse"] == 2.5 and np.isnan(found.data.metrics["mae"])
    assert found.data.tags["note"] == "größe" and found.data.tags["team"] == "a"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(5)]


def test_runs_are_searched_filtered_and_ordered(mlflow):
    for depth in range(6):
        with mlflow.start_run(run_name=f"run {depth}"):
            mlflow.log_param("depth", depth)
            mlflow.log_metric("rmse", 10 - depth)
    found = mlflow.search_runs(
        filter_string="metrics.rmse < 8 and params.depth != '5'", order_by=["metrics.rmse DESC"]
    )
    assert found["params.depth"].tolist() == ["3", "4"]
    like = mlflow.search_runs(filter_string="attributes.run_name LIKE 'run %'", max_results=2)
    assert len(like) == 2
    with pytest.raises(MlflowException) as error:
        mlflow.search_runs(filter_string="metrics.rmse ~ 8")
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_artifacts_go_up_and_come_down(mlflow, tmp_path):
    (tmp_path / "many/sub").mkdir(parents=True)
    (tmp_path / "many/a.bin").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "many/sub/b c.txt").write_text("ü")
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "config.json")
        mlflow.log_artifacts(tmp_path / "many", "many")
    client = mlflow.MlflowClient()
    names = sorted(file.path for file in client.list_artifacts(run.info.run_id))
    assert names == ["config.json", "many", "notes"]
    assert [f.path for f in client.list_artifacts(run.info.run_id, "many")] == ["many/a.bin", "many/sub"]
    down = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="many", dst_path=str(tmp_path / "down"))
    assert (tmp_path / "down/many/a.bin").read_bytes() == (tmp_path / "many/a.bin").read_bytes()
    assert (tmp_path / "down/many/sub/b c.txt").read_text() == "ü"
    assert down
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/config.json") == {"a": [1, 2]}


def test_deleted_runs_come_back(mlflow):
    with mlflow.start_run() as run:
        pass
    client = mlflow.MlflowClient()
    client.delete_run(run.info.run_id)
    assert mlflow.search_runs().empty
    client.restore_run(run.info.run_id)
    assert mlflow.search_runs()["run_id"].tolist() == [run.info.run_id]


def test_nested_runs_and_datasets_are_linked(mlflow):
    rows = mlflow.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}), name="rows", targets="y")
    with mlflow.start_run() as parent:
        mlflow.log_input(rows, context="training")
        with mlflow.start_run(nested=True) as child:
            pass
    assert mlflow.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    inputs = mlflow.get_run(parent.info.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.tags[0].value) for i in inputs] == [("rows", "training")]


def test_autolog_registers_a_model_that_an_alias_loads(mlflow):
    from sklearn.ensemble import RandomForestRegressor

    x, y = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc")), np.arange(60.0)
    mlflow.sklearn.autolog(log_models=False)
    with mlflow.start_run() as run:
        model = RandomForestRegressor(5, max_depth=3, random_state=0).fit(x, y)
        mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=x.head(3),
            registered_model_name="forest",
            serialization_format="skops",
            skops_trusted_types=TREE,
            pip_requirements=[],
        )
    mlflow.sklearn.autolog(disable=True)
    assert mlflow.get_run(run.info.run_id).data.params["n_estimators"] == "5"
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("forest", "champion", 1)
    loaded = mlflow.pyfunc.load_model("models:/forest@champion")
    assert loaded.predict(x).tolist() == model.predict(x).tolist()
    assert client.get_registered_model("forest").aliases == {"champion": "1"}
    assert [v.version for v in client.search_model_versions("name = 'forest'")] == ["1"]


@pytest.mark.parametrize(
    "ask, code",
    [
        (lambda client: client.get_run("0" * 32), "RESOURCE_DOES_NOT_EXIST"),
        (lambda client: client.get_experiment("999999"), "RESOURCE_DOES_NOT_EXIST"),
        (lambda client: client.get_registered_model("nobody"), "RESOURCE_DOES_NOT_EXIST"),
        (lambda client: client.create_registered_model("a/b"), "INVALID_PARAMETER_VALUE"),
        (lambda client: client.create_experiment("Default"), "RESOURCE_ALREADY_EXISTS"),
    ],
)
def test_errors_have_the_codes_that_clients_look_for(mlflow, ask, code):
    with pytest.raises(MlflowException) as error:
        ask(mlflow.MlflowClient())
    assert error.value.error_code == code


def test_a_param_is_written_once(mlflow):
    with mlflow.start_run() as run:
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", 3)
        with pytest.raises(MlflowException):
            mlflow.MlflowClient().log_param(run.info.run_id, "depth", 4)
    assert mlflow.get_run(run.info.run_id).data.params == {"depth": "3"}
