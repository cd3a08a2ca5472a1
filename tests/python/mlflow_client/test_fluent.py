"""What users call most: `mlflow.log_…`, autologging, evaluation, registration."""

import json

import numpy as np
import pandas as pd
import pytest

from conftest import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    x = pd.DataFrame(random.normal(size=(80, 3)), columns=list("abc"))
    return x, (x["a"] + x["b"] > 0).astype(int)


def test_tables_images_and_figures_are_logged_and_read_again(mlflow):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    with mlflow.start_run() as run:
        mlflow.log_table({"in": ["a", "b"], "out": [1, 2]}, "t.json")
        mlflow.log_table(pd.DataFrame({"in": ["c"], "out": [3]}), "t.json")
        mlflow.log_image(np.full((4, 6, 3), 200, dtype=np.uint8), "image.png")
        mlflow.log_image(Image.new("RGB", (3, 3)), key="dogs", step=2)
        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        mlflow.log_figure(figure, "plots/figure.png")
        mlflow.log_dict({"a": [1]}, "d.yaml")
        mlflow.log_text("größe", "notes/t.txt")
    assert mlflow.load_table("t.json", run_ids=[run.info.run_id])["in"].tolist() == ["a", "b", "c"]
    image = mlflow.artifacts.load_image(f"{run.info.artifact_uri}/image.png")
    assert image.size == (6, 4) and image.getpixel((0, 0)) == (200, 200, 200)
    client = mlflow.MlflowClient()
    listed = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"t.json", "image.png", "images", "plots", "d.yaml", "notes"} <= listed
    assert any("dogs" in file.path for file in client.list_artifacts(run.info.run_id, "images"))
    tag = json.loads(mlflow.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert {"path": "t.json", "type": "table"} in tag
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/t.txt") == "größe"


def test_an_autologged_forest_is_registered_and_loaded_by_alias(mlflow, rows, monkeypatch):
    from sklearn.ensemble import RandomForestClassifier

    # What the client finds out about packages, it finds out without the server, and for long.
    monkeypatch.setenv("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")

    x, y = rows
    mlflow.sklearn.autolog(registered_model_name="forest")
    try:
        model = RandomForestClassifier(4, random_state=0).fit(x, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = mlflow.last_active_run()
    assert run.data.params["n_estimators"] == "4" and run.data.metrics["training_accuracy_score"] == model.score(x, y)
    assert [read.dataset.name for read in run.inputs.dataset_inputs] == ["dataset"]
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("forest", "champion", "1")
    loaded = mlflow.sklearn.load_model("models:/forest@champion")
    assert loaded.predict(x).tolist() == model.predict(x).tolist()
    assert mlflow.pyfunc.load_model("models:/forest/latest").predict(x).tolist() == model.predict(x).tolist()
    registered = mlflow.register_model(f"runs:/{run.info.run_id}/model", "again", tags={"a": "b"})
    assert (registered.version, registered.run_id, registered.tags) == ("1", run.info.run_id, {"a": "b"})
    assert mlflow.sklearn.load_model("models:/again/1").predict(x).tolist() == model.predict(x).tolist()
    assert mlflow.models.get_model_info("models:/again/1").signature is not None


def test_boosters_log_their_rounds(mlflow, rows):
    import lightgbm
    import xgboost

    x, y = rows
    for flavor, train, key in [
        (
            mlflow.xgboost,
            lambda: xgboost.train({"max_depth": 2, "eval_metric": "logloss"}, data := xgboost.DMatrix(x, y), 3, evals=[(data, "train")]),
            "train-logloss",
        ),
        (
            mlflow.lightgbm,
            lambda: lightgbm.train(
                {"verbose": -1, "metric": "l2", "num_leaves": 4}, data := lightgbm.Dataset(x, y), 3, valid_sets=[data]
            ),
            "training-l2",
        ),
    ]:
        flavor.autolog(log_models=False)
        try:
            with mlflow.start_run() as run:
                train()
        finally:
            flavor.autolog(disable=True)
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, key)
        assert [point.step for point in history] == [0, 1, 2], key
        files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
        assert "feature_importance_weight.json" in files or "feature_importance_split.json" in files


def test_what_an_evaluation_finds_is_in_its_run(mlflow, rows):
    x, y = rows
    data = x.assign(target=y, prediction=y)
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            data=data, targets="target", predictions="prediction", model_type="classifier", evaluators=["default"]
        )
    assert result.metrics["accuracy_score"] == 1.0
    found = mlflow.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == 1.0 and found.inputs.dataset_inputs
    assert mlflow.MlflowClient().list_artifacts(run.info.run_id)


def test_a_model_of_ones_own_is_logged_loaded_and_its_metrics_belong_to_it(mlflow, rows):
    class Adds(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["a"] + 1

    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="adds", python_model=Adds(), params={"k": "v"}, tags={"t": "u"}, pip_requirements=[]
        )
        mlflow.log_metric("score", 0.5, model_id=info.model_id)
    model = mlflow.get_logged_model(info.model_id)
    assert (model.params, model.tags["t"]) == ({"k": "v"}, "u")
    assert [(metric.key, metric.value) for metric in model.metrics] == [("score", 0.5)]
    assert mlflow.pyfunc.load_model(info.model_uri).predict(pd.DataFrame({"a": [1, 2]})).tolist() == [2, 3]
    found = mlflow.search_logged_models(filter_string="metrics.score > 0.4", output_format="list")
    assert [each.model_id for each in found] == [info.model_id]
    external = mlflow.create_external_model("outside")
    mlflow.finalize_logged_model(external.model_id, "READY")
    assert mlflow.get_logged_model(external.model_id).status == "READY"
