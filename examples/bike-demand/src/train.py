"""Trains the ensemble. Parameters and the finished model's metrics are logged by autolog, the curve by hand."""

import shutil

import mlflow
import numpy as np
import pandas as pd
import yaml
from settle import settle
from sklearn.ensemble import GradientBoostingRegressor

with open("params.yaml") as file:
    params = yaml.safe_load(file)["train"]

train = pd.read_csv("data/train.csv")
test = pd.read_csv("data/test.csv")
features = [column for column in train.columns if column not in ("time", "cnt")]
x, y = train[features].astype(float), train["cnt"].to_numpy(dtype=float)
if params["shuffle_labels"]:
    y = np.random.default_rng(params["seed"]).permutation(y)

# The model itself is an output of this stage (`model/`), so autolog need not upload a second copy.
mlflow.sklearn.autolog(log_models=False, log_datasets=True)
with mlflow.start_run() as run:
    model = GradientBoostingRegressor(
        n_estimators=params["trees"],
        learning_rate=params["learning_rate"],
        max_depth=params["depth"],
        subsample=params["subsample"],
        random_state=params["seed"],
    )
    model.fit(x, y)
    x_test, y_test = test[features].astype(float), test["cnt"].to_numpy(dtype=float)
    for trees, predicted in enumerate(model.staged_predict(x_test), start=1):
        if trees % 10 == 0:
            rmse = float(np.sqrt(np.mean((predicted - y_test) ** 2)))
            mlflow.log_metric("test_rmse", rmse, step=trees)
    mlflow.set_tag("stage", "train")

# Autolog notes the run in the model, which would make every run's model another one.
vars(model).pop("_mlflow_run_id", None)
shutil.rmtree("model", ignore_errors=True)
mlflow.sklearn.save_model(
    model,
    "model",
    input_example=x.sample(200, random_state=0).reset_index(drop=True),
    signature=mlflow.models.infer_signature(x, model.predict(x.head())),
    pip_requirements="requirements.lock",
    serialization_format="skops",
    skops_trusted_types=[
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn.tree._tree.Tree",
    ],
)
settle("model")
print(f"{params['trees']} trees on {len(x)} rows")
