"""Makes the seeds of the readers of models and tensors, small ones of each kind. Run with the tests' Python."""

import io
import json
import pathlib
import pickle
import struct
import zipfile

import catboost as cb
import joblib
import lightgbm as lgb
import numpy as np
import onnx
import pandas as pd
import skops.io
import xgboost as xgb
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

to = pathlib.Path(__file__).parent
rng = np.random.default_rng(0)
X = pd.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40), "k": rng.integers(0, 4, 40)})
y = X["a"] + X["k"] % 3
words = pd.DataFrame({"a": X["a"], "w": np.where(X["k"] > 1, "x", "y")})
label = np.where(y > 1, "yes", "no")
plain = X.to_numpy(np.float32)


def put(folder, name, content):
    (to / folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


small = {"verbose": -1, "num_leaves": 3, "min_data_in_leaf": 3, "min_data_per_group": 2, "num_threads": 1}
for name, more in {
    "categories": {}, "classes": {"objective": "multiclass", "num_class": 3}, "linear": {"linear_tree": True},
    "zero": {"zero_as_missing": True}, "forest": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
}.items():
    categorical = ["k"] if name == "categories" else []
    data = lgb.Dataset(X, X["k"] % 3 if name == "classes" else y, categorical_feature=categorical, params=small)
    put("models", f"lightgbm-{name}", lgb.train(small | more, data, 2).model_to_string().split("\nparameters:")[0] + "\n")

kinds = dict(feature_types=["q", "q", "c"], enable_categorical=True)
for name, more, labels in [
    ("plain", {}, y), ("dart", {"booster": "dart", "rate_drop": 0.5}, y), ("linear", {"booster": "gblinear"}, y),
    ("classes", {"objective": "multi:softprob", "num_class": 3}, X["k"] % 3),
]:
    matrix = xgb.DMatrix(X, labels) if name == "linear" else xgb.DMatrix(X, labels, **kinds)
    booster = xgb.train({"max_depth": 2} | more, matrix, 2)
    put("models", f"xgboost-{name}.json", bytes(booster.save_raw("json")))
    put("models", f"xgboost-{name}.ubj", bytes(booster.save_raw("ubj")))

quiet = {"iterations": 2, "depth": 2, "verbose": False, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}
mixed = words.assign(k=X["k"])
for name, more, rows, labels in [
    ("plain", {}, X, y), ("classes", {"loss_function": "MultiClass"}, X, X["k"] % 3), ("branching", {"grow_policy": "Lossguide"}, X, y),
    ("onehot", {"cat_features": ["w", "k"], "one_hot_max_size": 9}, mixed, y),
    ("ctr", {"cat_features": ["w", "k"], "one_hot_max_size": 1, "simple_ctr": ["Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"], "iterations": 6}, mixed, y),
]:
    booster = (cb.CatBoostClassifier if name == "classes" else cb.CatBoostRegressor)(**quiet | more).fit(rows, labels)
    for note in ["params", "output_options", "training", "catboost_version_info"]:
        if note != "params" or name not in ("classes",):
            booster.get_metadata()[note] = "{}"
    booster.save_model(to / "models" / f"catboost-{name}.cbm")
    booster.save_model(to / "models" / f"catboost-{name}.json", format="json")

estimators = {
    "tree": DecisionTreeClassifier(max_depth=2).fit(X, label),
    "forest": RandomForestClassifier(2, max_depth=2).fit(X, label),
    "histogram": HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=3, categorical_features=[2]).fit(X, label),
    "boosting": GradientBoostingRegressor(n_estimators=2, max_depth=2).fit(X, y),
    "isolation": IsolationForest(n_estimators=2, max_samples=4).fit(X),
    "ridge": make_pipeline(StandardScaler(), Ridge()).fit(X, y),
    "logistic": make_pipeline(SimpleImputer(), MinMaxScaler(), LogisticRegression()).fit(X, label),
    "columns": make_pipeline(
        make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["w"])), LogisticRegression()
    ).fit(words, label),
    "bayes": GaussianNB().fit(X, label),
    "means": KMeans(2, n_init=1).fit(X),
    "neighbors": KNeighborsClassifier(2).fit(X.head(8), label[:8]),
    "vectors": SVC().fit(X.head(12), label[:12]),
    "network": MLPClassifier((3,), max_iter=5).fit(X, label),
}
for name, estimator in estimators.items():
    put("models", f"{name}.pkl", pickle.dumps(estimator))
    archive = zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator)))
    content = json.dumps(json.loads(archive.read("schema.json")), separators=(",", ":")).encode()
    for part in archive.namelist():
        if part != "schema.json":
            content += f"\n====={part}\n".encode() + archive.read(part)
    put("skops", name, content)
buffer = io.BytesIO()
joblib.dump(estimators["tree"], buffer, compress=("zlib", 9))
put("models", "tree.joblib", buffer.getvalue())
put("models", "ridge.skops", skops.io.dumps(Ridge().fit(X, y)))
for name in ["forest", "boosting", "logistic", "bayes", "means", "vectors", "network"]:
    fitted = estimators[name]
    fitted = type(fitted)(**fitted.get_params()).fit(plain[:12], label[:12] if hasattr(fitted, "classes_") else y[:12]) if name not in ("logistic",) else make_pipeline(StandardScaler(), LogisticRegression()).fit(plain, label)
    put("models", f"{name}.onnx", to_onnx(fitted, plain[:1]).SerializeToString())
nodes = [
    helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
    helper.make_node("Reshape", ["r", "s"], ["t"]), helper.make_node("Concat", ["t", "x"], ["c"], axis=1),
    helper.make_node("ReduceSum", ["c"], ["d"], keepdims=1), helper.make_node("Slice", ["c", "z", "o"], ["e"]),
    helper.make_node("Softmax", ["c"], ["y"], axis=-1),
]
constants = [
    helper.make_tensor("w", TensorProto.FLOAT, [3, 2], np.arange(6.0)), helper.make_tensor("s", TensorProto.INT64, [2], [-1, 2]),
    helper.make_tensor("z", TensorProto.INT64, [1], [0]), helper.make_tensor("o", TensorProto.INT64, [1], [1]),
]
info = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])
graph = helper.make_graph(nodes, "g", [info("x", 3)], [info("y", 5)], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
onnx.checker.check_model(model)
put("models", "operators.onnx", model.SerializeToString())

mlmodel = """flavors:
  python_function:
    loader_module: mlflow.{flavor}
    predict_fn: predict
  {flavor}:
    {key}: {file}
{more}
saved_input_example_info:
  artifact_path: input_example.json
  {example}
signature:
  inputs: '{inputs}'
"""
columns = json.dumps([{"type": "double", "name": n, "required": True} for n in "ab"] + [{"type": "long", "name": "k"}])
tensor = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}])
split = json.dumps({"columns": ["a", "b", "k"], "data": [[1.5, None, 2], [0, 1, 1]]})
for name, values in {
    "1": dict(flavor="lightgbm", key="data", file="model.lgb", inputs=columns, example="pandas_orient: split", more="    model_class: lightgbm.basic.Booster"),
    "2": dict(flavor="sklearn", key="pickled_model", file="model.pkl", inputs=columns, example="pandas_orient: split", more="    serialization_format: pickle"),
    "3": dict(flavor="lightgbm", key="data", file="model.lgb", inputs=tensor, example="type: ndarray", more=""),
}.items():
    body = '{"inputs": [[1, 2.5, 0]]}' if values["inputs"] == tensor else split
    put("mlmodel", name, mlmodel.format(**values) + "\n=====input_example.json\n" + body)


def request(header, raw=b""):
    text = json.dumps(header).encode()
    return struct.pack("<H", len(text)) + text + raw


def column(name, datatype, data, **more):
    return {"name": name, "shape": [2], "datatype": datatype, "data": data} | more


put("tensors", "1", request({"id": "1", "inputs": [column("a", "FP64", [1.5, None]), column("b", "INT64", [[1], [2]]), column("c", "BYTES", ["x", None])]}))
raw = [{"name": n, "shape": [2], "datatype": t, "parameters": {"binary_data_size": s}} for n, t, s in [("a", "FP16", 4), ("b", "INT32", 8), ("c", "BYTES", 11)]]
put("tensors", "2", request(
    {"inputs": raw, "parameters": {"binary_data_output": True, "timeout": 100}, "outputs": [{"name": "predictions", "parameters": {"binary_data": False}}]},
    np.array([1, 2], "<f2").tobytes() + np.array([1, 2], "<i4").tobytes() + b"\1\0\0\0x\2\0\0\0yz",
))
put("tensors", "3", b"\0\0" + np.arange(6, dtype="<f4").tobytes())
put("tensors", "4", request({"inputs": [{"name": "rows", "shape": [2, 3], "datatype": "BYTES", "data": [["1", "2", "x"], ["3", "4", "y"]]}]}))
