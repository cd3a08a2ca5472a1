"""The unmodified `mlflow` client against `lathe server`."""

import numpy as np
import pandas as pd
import pytest
from conftest import on_both_databases
from mlflow.exceptions import MlflowException

pytestmark = on_both_databases
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


def test_a_search_pages_through_every_run_once(mlflow):
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tests").experiment_id
    made = {client.create_run(experiment, run_name=f"{number}").info.run_id for number in range(23)}
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=5, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
    assert len(found) == 23 and set(found) == made


def test_a_long_history_comes_back_whole_and_in_order(mlflow):
    from mlflow.entities import Metric

    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for start in range(0, 3000, 1000):
            points = [Metric("loss", (step * 7919) % 3000 / 7, step, step) for step in range(start, start + 1000)]
            client.log_batch(run.info.run_id, metrics=points)
        with pytest.raises(MlflowException, match="1000") as error:
            client._tracking_client.store.log_batch(
                run.info.run_id, [Metric("loss", 0.0, 0, step) for step in range(1001)], [], []
            )
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.value for point in history] == [(step * 7919) % 3000 / 7 for step in range(3000)]
    assert mlflow.get_run(run.info.run_id).data.metrics["loss"] == (2999 * 7919) % 3000 / 7


def test_metrics_logged_in_the_background_all_arrive(mlflow):
    with mlflow.start_run() as run:
        for step in range(200):
            mlflow.log_metric("m", step, step=step, synchronous=False)
        mlflow.flush_async_logging()
    steps = [point.step for point in mlflow.MlflowClient().get_metric_history(run.info.run_id, "m")]
    assert sorted(steps) == list(range(200))


def test_experiments_are_renamed_tagged_deleted_and_restored(mlflow):
    client = mlflow.MlflowClient()
    made = client.create_experiment("one", tags={"team": "a"})
    client.rename_experiment(made, "two")
    client.set_experiment_tag(made, "stage", "draft")
    found = client.get_experiment_by_name("two")
    assert (found.experiment_id, found.tags) == (made, {"team": "a", "stage": "draft"})
    assert [e.name for e in client.search_experiments(filter_string="name LIKE 'tw%'")] == ["two"]
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    with pytest.raises(MlflowException):
        client.create_run(made)
    client.restore_experiment(made)
    assert client.create_run(made).info.experiment_id == made


def test_tags_go_and_runs_are_renamed(mlflow):
    client = mlflow.MlflowClient()
    with mlflow.start_run(tags={"keep": "1", "drop": "2"}) as run:
        pass
    client.delete_tag(run.info.run_id, "drop")
    client.update_run(run.info.run_id, name="renamed")
    found = client.get_run(run.info.run_id)
    assert "drop" not in found.data.tags and found.data.tags["keep"] == "1"
    assert found.info.run_name == "renamed"
    with pytest.raises(MlflowException) as error:
        client.delete_tag(run.info.run_id, "drop")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_registry_is_kept_from_the_first_version_to_the_last(mlflow):
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "m/model.txt")
    client.create_registered_model("m", tags={"team": "a"}, description="first")
    for _ in range(3):
        client.create_model_version("m", f"runs:/{run.info.run_id}/m", run_id=run.info.run_id)
    client.set_model_version_tag("m", "2", "checked", "yes")
    client.update_model_version("m", "2", description="the good one")
    client.set_registered_model_alias("m", "champion", "2")
    version = client.get_model_version_by_alias("m", "champion")
    assert (version.version, version.description, version.tags) == ("2", "the good one", {"checked": "yes"})
    assert version.run_id == run.info.run_id
    client.set_registered_model_alias("m", "champion", "3")
    assert client.get_model_version("m", "2").aliases == []
    client.delete_model_version("m", "3")
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias("m", "champion")
    assert sorted(v.version for v in client.search_model_versions("name = 'm'")) == ["1", "2"]
    after = client.create_model_version("m", f"runs:/{run.info.run_id}/m", run_id=run.info.run_id)
    assert after.version == "4", "the number of a deleted version is not given again"
    client.rename_registered_model("m", "n")
    assert [model.name for model in client.search_registered_models()] == ["n"]
    client.delete_registered_model("n")
    assert client.search_registered_models() == [] and client.search_model_versions("name = 'n'") == []


def test_autolog_alone_logs_a_model_that_loads_again(mlflow):
    from sklearn.ensemble import RandomForestClassifier

    x, y = pd.DataFrame(np.random.default_rng(2).normal(size=(80, 2)), columns=["a", "b"]), np.arange(80) % 2
    mlflow.sklearn.autolog()
    try:
        model = RandomForestClassifier(4, random_state=0).fit(x, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = mlflow.search_runs(output_format="list")[0]
    assert run.data.metrics["training_accuracy_score"] == pytest.approx(model.score(x, y))
    assert run.info.status == "FINISHED" and run.outputs.model_outputs
    logged = mlflow.search_logged_models(output_format="list")
    assert [found.source_run_id for found in logged] == [run.info.run_id]
    assert mlflow.sklearn.load_model(logged[0].model_uri).predict(x).tolist() == model.predict(x).tolist()
