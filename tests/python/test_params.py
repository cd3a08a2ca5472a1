"""What `/invocations` takes beside rows of numbers and words: `params`, tensors, cells that hold lists and objects. Each
request is also asked of MLflow's own scoring server: the same answer, or the same status and error code."""

import concurrent.futures
import contextlib
import json
import sys

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.grpc
from conftest import lathe, serving
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import scoring_server
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property
from onnx import TensorProto, helper
from sklearn.linear_model import LinearRegression
from tritonclient.utils import InferenceServerException

PARAMS = ParamSchema([
    ParamSpec("flag", "boolean", True),
    ParamSpec("small", "integer", 1),
    ParamSpec("long", "long", 2),
    ParamSpec("float", "float", 0.5),
    ParamSpec("double", "double", 0.25),
    ParamSpec("word", "string", "w"),
    ParamSpec("nothing", "string", None),
    ParamSpec("when", "datetime", np.datetime64("2026-01-02T03:04:05")),
    ParamSpec("longs", "long", [1, 2], shape=(-1,)),
    ParamSpec("words", "string", [], shape=(-1,)),
    ParamSpec("object", Object([Property("a", "long"), Property("b", "string", required=False)]), {"a": 1}),
])  # fmt: skip


def told(value):
    """What a value is and holds."""
    if isinstance(value, pd.DataFrame):
        return {"frame": {str(name): [str(value[name].dtype), told(value[name].tolist())] for name in value.columns}}
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": list(value.shape), "values": told(value.tolist())}
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [told(inner) for inner in value]
    if isinstance(value, float) and np.isnan(value):
        return "nan"
    return f"{type(value).__name__} {value}"


class Echo(mlflow.pyfunc.PythonModel):
    """Tells what it is asked."""

    def predict(self, context, model_input, params=None):
        if params and params.get("word") == "refuse":
            raise MlflowException.invalid_parameter_value("not this word")
        rows = next(iter(model_input.values())) if isinstance(model_input, dict) else model_input
        return [{"input": told(model_input), "params": told(params)}] * len(rows)


class Hinted(mlflow.pyfunc.PythonModel):
    """Says by its type hints what it takes."""

    def predict(self, model_input: list[dict[str, int]]) -> list[str]:
        return [f"{type(model_input).__name__} {one}" for one in model_input]


class Silent(mlflow.pyfunc.PythonModel):
    """Takes no params."""

    def predict(self, context, model_input):
        return [told(model_input)] * len(model_input)


OUT = Schema([ColSpec("double")])
COLUMNS = Schema([ColSpec("double", "a"), ColSpec("long", "b")])
NESTED = Schema([
    ColSpec(Array("string"), "tags"),
    ColSpec(Object([Property("n", "long"), Property("s", Array("double"), required=False)]), "info"),
    ColSpec(Map("double"), "scores", required=False),
    ColSpec(AnyType(), "any", required=False),
    ColSpec("long", "id"),
])  # fmt: skip
SIGNATURES = {
    "params": ModelSignature(COLUMNS, OUT, PARAMS),
    "image": ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2, 3))]), OUT),
    "pair": ModelSignature(
        Schema([TensorSpec(np.dtype("int64"), (-1, 2), "x"), TensorSpec(np.dtype("float64"), (-1,), "y")]), OUT, PARAMS
    ),
    "bytes": ModelSignature(Schema([TensorSpec(np.dtype("uint8"), (-1, 2), "x")]), OUT),
    "words": ModelSignature(Schema([TensorSpec(np.dtype("str"), (-1, 2))]), OUT),
    "open": ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, -1, 2))]), OUT),
    "nested": ModelSignature(NESTED, OUT),
    "list": ModelSignature(Schema([ColSpec(Array("long"))]), OUT),
    "bare": None,
}


def save(folder):
    # The classes travel with the models: processes cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, signature in SIGNATURES.items():
        mlflow.pyfunc.save_model(folder / name, python_model=Echo(), signature=signature, pip_requirements=[])
    mlflow.pyfunc.save_model(folder / "hinted", python_model=Hinted(), pip_requirements=[], input_example=[{"a": 1}])
    mlflow.pyfunc.save_model(
        folder / "silent", python_model=Silent(), signature=ModelSignature(COLUMNS, OUT, PARAMS), pip_requirements=[]
    )
    rows = np.arange(12.0).reshape(4, 3)
    line = LinearRegression().fit(rows, rows @ [1.0, 2.0, 3.0])
    options = {"serialization_format": "cloudpickle", "pip_requirements": []}
    mlflow.sklearn.save_model(line, folder / "matrix", signature=infer_signature(rows, np.ones(4)), **options)
    frame = pd.DataFrame(rows[:, :2], columns=["a", "b"]).astype({"b": "int64"})
    named = LinearRegression().fit(frame, frame["a"] * 2 + frame["b"])
    mlflow.sklearn.save_model(
        named, folder / "line", signature=ModelSignature(COLUMNS, OUT, PARAMS),
        input_example=(frame, {"small": 3}), **options,
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 1], [1.0, 10.0, 100.0, 1000.0])],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    tensor = Schema([TensorSpec(np.dtype("float32"), (-1, 1, 2, 2), "x")])
    mlflow.onnx.save_model(network, folder / "onnx", signature=ModelSignature(tensor), pip_requirements=[])


NATIVE = ["matrix", "line", "onnx"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Each model as MLflow loads it, and its address where Lathe serves it."""
    folder = tmp_path_factory.mktemp("params")
    save(folder)
    allowed = ["--allow-python", "--python-env", sys.executable]
    names = [*SIGNATURES, "hinted", "silent", *NATIVE]
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(4) as pool:
        start = lambda name: stack.enter_context(  # noqa: E731
            serving(folder, name, "--name", name, *(["--runtime", "native"] if name in NATIVE else allowed))
        )
        urls = dict(zip(names, pool.map(start, names), strict=True))
        models = {name: mlflow.pyfunc.load_model(str(folder / name)) for name in names}
        yield folder, urls, models


def theirs(model, body):
    try:
        answer = scoring_server.invocations(json.dumps(body), "application/json", model, model.metadata.get_input_schema())
        return answer.status, json.loads(answer.response)["predictions"]
    except MlflowException as error:
        return error.get_http_status_code(), error.error_code


def ours(url, body):
    answer = requests.post(f"{url}/invocations", json=body, timeout=60)
    told = answer.json()
    return answer.status_code, told["predictions"] if answer.status_code == 200 else told["error_code"]


ROW = {"a": 0.5, "b": 1}
TWO = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9.5], [0, 0, 0]]]
CELLS = {"tags": ["x", "y"], "info": {"n": 1, "s": [1.5]}, "scores": {"k": 0.5}, "any": [1, {"z": None}], "id": 7}
PLAIN = {"tags": [], "info": {"n": 2}, "id": 8}


def of_params(**params):
    return {"dataframe_records": [ROW, ROW], "params": params}


CASES = {
    "params": {
        "none": {"dataframe_records": [ROW]},
        "null": {"dataframe_records": [ROW], "params": None},
        "empty": of_params(),
        "split": {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 0.5]]}, "params": {"small": 5}},
        "inputs": {"inputs": {"a": [0.5], "b": [1]}, "params": {"small": 5}},
        "instances": {"instances": [ROW], "params": {"small": 5}},
        "all": of_params(flag=False, small=7, long=8, float=1.5, double=2.5, word="x", nothing="n",
                         when="2020-02-03", longs=[3], words=["a", "b"], object={"a": 3, "b": "c"}),
        "conversions": of_params(float=1, double=2),
        "null for each": of_params(flag=None, small=None, double=None, word=None, when=None),
        "unknown": of_params(other=1, small=4),
        "a flag for a number": of_params(small=True),
        "a number for a flag": of_params(flag=1),
        "a fraction for a long": of_params(long=1.0),
        "a word for a double": of_params(double="1.5"),
        "a number for a word": of_params(word=1),
        "a list for a scalar": of_params(small=[1]),
        "an object for a scalar": of_params(word={}),
        "a scalar for a list": of_params(longs=1),
        "a null for a list": of_params(longs=None),
        "an empty list": of_params(longs=[]),
        "a matrix for a list": of_params(longs=[[1], [2]]),
        "nulls in a list": of_params(longs=[1, None]),
        "a word in a list": of_params(longs=[1, "a"]),
        "no date": of_params(when="soon"),
        "a number for a date": of_params(when=5),
        "a list for an object": of_params(object=[1]),
        "an object without a property": of_params(object={"b": "c"}),
        "an object with another property": of_params(object={"a": 1, "x": 1}),
        "no object": {"dataframe_records": [ROW], "params": [1]},
        "wrong rows first": {"dataframe_records": [{"a": "x", "b": 1}], "params": {"small": "x"}},
        "what the model itself refuses": of_params(word="refuse"),
    },
    "silent": {"none": {"dataframe_records": [ROW]}, "some": of_params(small=3), "wrong": of_params(small="x")},
    "line": {
        "none": {"dataframe_records": [ROW]},
        "some": of_params(small=3, other=2),
        "wrong": of_params(small="x"),
        "no object": {"dataframe_records": [ROW], "params": "x"},
    },
    "image": {
        "nested": {"inputs": TWO},
        "instances": {"instances": TWO},
        "flat": {"inputs": [[1, 2, 3, 4, 5, 6]]},
        "another shape": {"inputs": [[[1, 2], [3, 4], [5, 6]]]},
        "one row without its axis": {"inputs": TWO[0]},
        "ragged": {"inputs": [[[1, 2, 3], [4, 5]]]},
        "no rows": {"inputs": []},
        "a number": {"inputs": 1},
        "words of numbers": {"inputs": [[["1", "2", "3"], ["4", "5", "6.5"]]]},
        "a word": {"inputs": [[["a", 2, 3], [4, 5, 6]]]},
        "null": {"inputs": [[[None, 2, 3], [4, 5, 6]]]},
        "flags": {"inputs": [[[True, 2, 3], [4, 5, 6]]]},
        "an object": {"inputs": {"x": TWO}},
        "params": {"inputs": TWO, "params": {"x": 1}},
        "params that are no object": {"inputs": TWO, "params": [1]},
        "a column of lists": {"dataframe_split": {"columns": ["x"], "data": [[[1, 2, 3, 4, 5, 6]]]}},
        "a column of short lists": {"dataframe_split": {"columns": ["x"], "data": [[[1, 2, 3]]]}},
        "a column of numbers": {"dataframe_split": {"columns": ["x"], "data": [[1]]}},
        "columns": {"dataframe_split": {"columns": [*"abcdef"], "data": [[1, 2, 3, 4, 5, 6]]}},
        "objects": {"instances": [{"x": TWO[0]}]},
    },
    "pair": {
        "inputs": {"inputs": {"x": [[1, 2], [3, 4]], "y": [0.5, 1.5]}},
        "other order and more": {"inputs": {"z": 1, "y": [0.5], "x": [[1, 2]]}},
        "instances": {"instances": [{"x": [1, 2], "y": 0.5}, {"y": 1.5, "x": [3, 4]}]},
        "params": {"inputs": {"x": [[1, 2]], "y": [0.5]}, "params": {"small": 2}},
        "wrong params": {"inputs": {"x": [[1, 2]], "y": [0.5]}, "params": {"small": "x"}},
        "missing": {"inputs": {"x": [[1, 2]]}},
        "another shape": {"inputs": {"x": [[1, 2, 3]], "y": [0.5]}},
        "another rank": {"inputs": {"x": [[1, 2]], "y": [[0.5]]}},
        "scalars": {"inputs": {"x": 1, "y": 0.5}},
        "a list": {"inputs": [[1, 2]]},
        "fractions for whole numbers": {"inputs": {"x": [[1.5, 2.5]], "y": [0.5]}},
        "records": {"dataframe_records": [{"x": [1, 2], "y": 0.5}, {"x": [3, 4], "y": 1.5}]},
        "records without one": {"dataframe_records": [{"x": [1, 2]}]},
        "instances of other lengths": {"instances": [{"x": [1, 2], "y": 0.5}, {"x": [3, 4]}]},
    },
    "bytes": {
        "a list": {"inputs": [[1, 255]]},
        "by name": {"inputs": {"x": [[1, 2]]}},
        "too large": {"inputs": {"x": [[1, 256]]}},
        "negative": {"inputs": {"x": [[1, -1]]}},
        "null": {"inputs": {"x": [[1, None]]}},
    },
    "words": {"words": {"inputs": [["a", "b"], ["", "d"]]}, "a row": {"inputs": ["a", "b"]}},
    "open": {
        "nested": {"inputs": [[[1, 2], [3, 4], [5, 6]]]},
        "instances": {"instances": [[[1, 2]], [[3, 4]]]},
        "another shape": {"inputs": [[[1, 2, 3]]]},
        "ragged": {"inputs": [[[1, 2]], [[3, 4], [5, 6]]]},
        "an object": {"inputs": {"x": [[[1, 2]]]}},
    },
    "nested": {
        "records": {"dataframe_records": [CELLS, PLAIN]},
        "split": {"dataframe_split": {"columns": [*CELLS], "data": [[*CELLS.values()]]}},
        "inputs": {"inputs": CELLS},
        "inputs, rows": {"inputs": [CELLS, PLAIN]},
        "instances": {"instances": [CELLS]},
        "a word for a list": {"dataframe_records": [CELLS | {"tags": "x"}]},
        "a number in a list of words": {"dataframe_records": [CELLS | {"tags": ["x", 1]}]},
        "a list for an object": {"dataframe_records": [CELLS | {"info": [1]}]},
        "a property too many": {"dataframe_records": [CELLS | {"info": {"n": 1, "x": 2}}]},
        "a property too few": {"dataframe_records": [CELLS | {"info": {}}]},
        "a word in a map of numbers": {"dataframe_records": [CELLS | {"scores": {"k": "x"}}]},
        "a missing column": {"dataframe_records": [{"tags": [], "id": 1}]},
        "inputs, wrong": {"inputs": CELLS | {"tags": 1}},
        "rows of other lengths": {"dataframe_split": {"columns": ["tags", "id"], "data": [[[]]]}},
        "no split": {"dataframe_split": {"columns": ["tags"]}},
        "params": {"dataframe_records": [PLAIN], "params": {"x": 1}},
    },
    "list": {
        "records": {"dataframe_split": {"data": [[[1, 2]], [[3]]]}},
        "inputs": {"inputs": [[1, 2], [3, 4]]},
        "wrong": {"dataframe_split": {"data": [[["a"]]]}},
    },
    "hinted": {
        "inputs": {"inputs": [{"a": 1}, {"b": 2}]},
        "not of the hinted type": {"inputs": [{"a": "x"}]},
        "instances": {"instances": [{"a": 1}]},
        "records": {"dataframe_records": [{"a": 1}]},
    },
    "bare": {
        "inputs": {"inputs": [[1, 2], [3, 4]]},
        "nested": {"inputs": TWO},
        "by name": {"inputs": {"x": [1, 2], "y": [3, 4]}},
        "instances": {"instances": [{"x": 1, "y": "a"}]},
        "records": {"dataframe_records": [{"y": 1.5, "x": [1]}, {"y": 2, "x": {"a": 1}}]},
        "split": {"dataframe_split": {"columns": ["b", "a"], "data": [[1, "x"]]}},
        "params": {"inputs": [[1]], "params": {"x": 1}},
    },
    "matrix": {
        "inputs": {"inputs": [[1.5, 2, 3], [4, 5, 6]]},
        "columns of any names": {"dataframe_split": {"columns": ["c", "a", "b"], "data": [[1.0, 2.0, 3.0]]}},
        "too few": {"inputs": [[1.5, 2]]},
        "too many columns": {"dataframe_split": {"columns": [*"abcd"], "data": [[1.0, 2.0, 3.0, 4.0]]}},
        "deeper": {"inputs": [[[1.5, 2, 3]]]},
        "params": {"inputs": [[1.5, 2, 3]], "params": {"x": 1}},
    },
    "onnx": {
        "by name": {"inputs": {"x": [[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]]}},
        "a list": {"inputs": [[[[1, 2], [3, 4]]]]},
        "instances": {"instances": [{"x": [[[1, 2], [3, 4]]]}]},
        "records": {"dataframe_records": [{"x": [1, 2, 3, 4]}]},
        "another shape": {"inputs": {"x": [[[1, 2], [3, 4]]]}},
        "another size": {"inputs": {"x": [[[[1, 2, 3, 4]]]]}},
        "another name": {"inputs": {"z": [[[[1, 2], [3, 4]]]]}},
    },
}  # fmt: skip


@pytest.mark.parametrize(("model", "name"), [(model, name) for model in CASES for name in CASES[model]])
def test_a_request_is_answered_as_mlflow_answers_it(both, model, name):
    _, urls, models = both
    body = CASES[model][name]
    expected = theirs(models[model], body)
    if model == "onnx" and expected[0] == 200:
        # A native answer goes by no name.
        expected = 200, expected[1]["y"]
    status, answer = ours(urls[model], body)
    if model in NATIVE and status == 200:
        # Sums of a library's own order end on another last bit.
        assert status == expected[0]
        return np.testing.assert_allclose(answer, expected[1], rtol=1e-12)
    assert (status, answer) == expected


def said(url, **params):
    """What a model of columns says it was told of params."""
    answer = requests.post(f"{url}/invocations", json=of_params(**params), timeout=60).json()
    return answer["predictions"][0]["params"]


def test_each_request_has_its_own_params(both):
    _, urls, _ = both
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        told_back = list(pool.map(lambda number: said(urls["params"], small=number)["small"], range(40)))
    assert told_back == [f"int {number}" for number in range(40)]


def test_parameters_of_the_open_inference_protocol_are_params(both):
    _, urls, _ = both
    inputs = [
        {"name": "a", "shape": [1], "datatype": "FP64", "data": [0.5]},
        {"name": "b", "shape": [1], "datatype": "INT64", "data": [1]},
    ]

    def ask(**parameters):
        url = f"{urls['params']}/v2/models/params/infer"
        return requests.post(url, json={"inputs": inputs, "parameters": parameters}, timeout=60)

    def params_of(answer):
        [one] = answer.json()["outputs"][0]["data"]
        return (json.loads(one) if isinstance(one, str) else one)["params"]

    told_back = params_of(ask(small=7, longs=[3], binary_data_output=False, other="x"))
    assert told_back == said(urls["params"], small=7, longs=[3])
    assert params_of(ask(timeout=60_000_000)) == said(urls["params"])
    refused = ask(small="x")
    assert refused.status_code == 400 and "param `small`" in refused.json()["error"]
    client = tritonclient.grpc.InferenceServerClient(urls["params"].removeprefix("http://"))
    tensors = [tritonclient.grpc.InferInput("a", [1], "FP64"), tritonclient.grpc.InferInput("b", [1], "INT64")]
    tensors[0].set_data_from_numpy(np.array([0.5]))
    tensors[1].set_data_from_numpy(np.array([1]))
    answer = client.infer("params", tensors, parameters={"small": 7, "double": 1.5, "word": "x", "flag": False})
    [one] = answer.as_numpy("predictions")
    assert json.loads(one)["params"] == said(urls["params"], small=7, double=1.5, word="x", flag=False)
    with pytest.raises(InferenceServerException, match="param `small`"):
        client.infer("params", tensors, parameters={"small": "x"})


def test_rows_of_files_are_answered_with_params(both):
    folder, _, _ = both
    allowed = ["--allow-python", "--python-env", sys.executable]
    (folder / "rows.csv").write_text("a,b\n0.5,1\n")
    params = ["--param", "small=3", "--param", "word=x=y", "--param", "longs=[7]", "--param", "float=1"]
    lathe("predict", "params", "rows.csv", "-o", "answers.jsonl", *params, *allowed, cwd=folder)
    [answer] = (folder / "answers.jsonl").read_text().splitlines()
    told_back = json.loads(answer)["params"]
    assert [told_back[name] for name in ("small", "word", "longs", "float", "double")] == [
        "int 3", "str x=y", ["int 7"], "float 1.0", "float 0.25",
    ]  # fmt: skip
    for wrong, why in [("small=x", "param `small`"), ("tall=1", "it has flag, small"), ("small", "`NAME=VALUE`")]:
        told_why = lathe("predict", "line", "rows.csv", "-o", "answers.csv", "--param", wrong, cwd=folder,
                         code=2 if wrong == "small" else 1).stderr  # fmt: skip
        assert why in told_why, told_why
    none = lathe("predict", "matrix", "rows.csv", "-o", "answers.csv", "--param", "x=1", cwd=folder, code=1)
    assert "has no params" in none.stderr


def test_cells_of_files_hold_lists_and_objects(both):
    folder, _, models = both
    allowed = ["--allow-python", "--python-env", sys.executable]
    full = PLAIN | {"scores": {"k": 1}}
    (folder / "cells.jsonl").write_text(f"{json.dumps(CELLS)}\n{json.dumps(full)}\n")
    lathe("predict", "nested", "cells.jsonl", "-o", "cells-answers.jsonl", *allowed, cwd=folder)
    answers = [json.loads(line) for line in (folder / "cells-answers.jsonl").read_text().splitlines()]
    assert (200, answers) == theirs(models["nested"], {"dataframe_records": [CELLS, full]})


def test_params_that_change_what_a_native_engine_would_answer_are_left_to_python(tmp_path):
    import xgboost

    rows = np.arange(20.0).reshape(10, 2)
    model = xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, rows[:, 0]), 2)
    params = ParamSchema([ParamSpec("output_margin", "boolean", False)])
    signature = ModelSignature(Schema([ColSpec("double", "a"), ColSpec("double", "b")]), OUT, params)
    mlflow.xgboost.save_model(model, tmp_path / "boosted", signature=signature, pip_requirements=[])
    refused = lathe("serve", "boosted", "--port", "0", cwd=tmp_path, code=1).stderr
    assert "params" in refused and "--allow-python" in refused
