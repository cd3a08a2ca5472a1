"""Measures the model on the rows that it has not seen."""

import json

import mlflow
import numpy as np
import pandas as pd

test = pd.read_csv("data/test.csv")
model = mlflow.pyfunc.load_model("model")
predicted = model.predict(test[[column for column in test.columns if column not in ("time", "cnt")]].astype(float))
error = predicted - test["cnt"].to_numpy(dtype=float)
metrics = {
    "rmse": float(np.sqrt(np.mean(error**2))),
    "mae": float(np.mean(np.abs(error))),
    "bias": float(np.mean(error)),
}
with open("metrics.json", "w") as file:
    json.dump(metrics, file, indent=2)
with mlflow.start_run():
    mlflow.log_metrics(metrics)
print(", ".join(f"{name} {value:.1f}" for name, value in metrics.items()))
