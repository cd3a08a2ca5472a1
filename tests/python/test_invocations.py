"""`/invocations` beside MLflow's own scoring server, request by request: the same answer, or the same status and code."""

import json
import time

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from conftest import serving
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.pyfunc import scoring_server
from sklearn.linear_model import LinearRegression

JSON, CSV = "application/json", "text/csv"
SPLIT = {"columns": ["a", "n", "c"], "data": [[0.5, 1, 2.5], [1.5, 2, -3.5]]}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("invocations")
    rows = pd.DataFrame({"a": [0.5, 1.5, 2.0, 4.0], "n": [1, 2, 3, 5], "c": [0.1, -1.0, 3.0, 2.0]})
    model = LinearRegression().fit(rows, rows["a"] * 2 - rows["n"] + 0.25 * rows["c"])
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(model, folder / "model", signature=signature, serialization_format="cloudpickle")
    with serving(folder, "model") as url:
        yield url, mlflow.pyfunc.load_model(str(folder / "model"))


def theirs(model, kind, body):
    try:
        answer = scoring_server.invocations(body, kind, model, model.metadata.get_input_schema())
        if answer.status != 200:
            return answer.status, None
        return 200, json.loads(answer.response)["predictions"]
    except MlflowException as error:
        return error.get_http_status_code(), error.error_code


def ours(url, kind, body):
    answer = requests.post(f"{url}/invocations", data=body, headers={"Content-Type": kind})
    if answer.status_code == 200:
        return 200, answer.json()["predictions"]
    return answer.status_code, None if answer.status_code == 415 else answer.json()["error_code"]


def json_of(**body):
    return JSON, json.dumps(body)


CASES = {
    "split": json_of(dataframe_split=SPLIT),
    "split, other order and more columns": json_of(
        dataframe_split={"index": [7], "columns": ["x", "c", "n", "a"], "data": [["?", 2.5, 1, 0.5]]}
    ),
    "records": json_of(dataframe_records=[dict(zip("anc", row)) for row in SPLIT["data"]]),
    "instances, objects": json_of(instances=[{"a": 0.5, "n": 1, "c": 2.5}]),
    "inputs, columns": json_of(inputs={"a": [0.5, 1.5], "n": [1, 2], "c": [2.5, 1.0]}),
    "inputs, one row by name": json_of(inputs={"a": 0.5, "n": 1, "c": 2.5}),
    "params nobody declared": json_of(dataframe_split=SPLIT, params={"x": 1}),
    "unknown keys": json_of(dataframe_split=SPLIT, other=1),
    "charset": ("application/json; charset=UTF-8", json.dumps({"dataframe_split": SPLIT})),
    "texts of numbers": json_of(dataframe_records=[{"a": "0.5", "n": 2, "c": "1e2"}]),
    "whole numbers for doubles": json_of(dataframe_records=[{"a": 1, "n": 2, "c": 3}]),
    "a fraction for a long": json_of(dataframe_records=[{"a": 1, "n": 2.5, "c": 3}]),
    "a flag for a double": json_of(dataframe_records=[{"a": True, "n": 2, "c": 3}]),
    "csv": (CSV, "a,n,c\n0.5,1,2.5\n1.5,2,-3.5\n"),
    "csv, other order, quoted": (CSV, 'c,"n",x,a\n2.5,"1",z,0.5\n'),
    "csv, blanks": (CSV, "a,n,c\n 0.5 ,1, 2.5\n"),
    "csv, a fraction for a long": (CSV, "a,n,c\n0.5,1.5,2.5\n"),
    "csv, a word for a double": (CSV, "a,n,c\nx,1,2.5\n"),
    "csv, nothing for a long": (CSV, "a,n,c\n0.5,,2.5\n"),
    "csv, too many fields later": (CSV, "a,n,c\n0.5,1,2.5\n0.5,1,2.5,4\n"),
    "csv, a missing column": (CSV, "a,n\n0.5,1\n"),
    "a missing column": json_of(dataframe_records=[{"a": 0.5, "n": 1}]),
    "a word for a double": json_of(dataframe_records=[{"a": "x", "n": 1, "c": 1}]),
    "null for a long": json_of(dataframe_records=[{"a": 1, "n": None, "c": 1}]),
    "a list for a double": json_of(dataframe_records=[{"a": [1, 2], "n": 1, "c": 1}]),
    "two forms": json_of(dataframe_split=SPLIT, instances=[[1, 2, 3]]),
    "no form": json_of(rows=[[1, 2, 3]]),
    "not an object": (JSON, "[1, 2]"),
    "not JSON": (JSON, "{"),
    "too few values": json_of(inputs=[[1.0, 2.0]]),
    "uneven columns": json_of(inputs={"a": [0.5, 1.5], "n": [1], "c": [2.5]}),
    "a split that is no split": json_of(dataframe_split=[1, 2]),
    "records that are none": json_of(dataframe_records={"a": 1}),
    "another type": ("application/xml", "<a/>"),
    "another charset": ("application/json; charset=latin-1", "{}"),
    "another parameter": ("application/json; version=2", "{}"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_answered_as_mlflow_answers_it(both, name):
    url, model = both
    kind, body = CASES[name]
    (status, answer), (expected_status, expected) = ours(url, kind, body), theirs(model, kind, body)
    assert status == expected_status, (answer, expected)
    if status == 200:
        np.testing.assert_allclose(answer, expected, rtol=1e-12)
    else:
        assert answer == expected


def test_metrics_have_the_names_of_tritons_dashboards(both):
    url, _ = both
    ask = lambda: requests.get(f"{url}/metrics").text  # noqa: E731
    count = lambda text, name: next(  # noqa: E731
        int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)
    )
    labels = '{model="model",version="1"'
    before = ask()
    requests.post(f"{url}/invocations", json={"dataframe_split": SPLIT})
    after = ask()
    for name, more in [("nv_inference_request_success", 1), ("nv_inference_count", 2), ("nv_inference_exec_count", 1)]:
        assert count(after, name + labels) - count(before, name + labels) == more, name
    for name in ["nv_inference_request_duration_us", "nv_inference_queue_duration_us", "nv_inference_request_failure",
                 "nv_inference_compute_infer_duration_us", "nv_inference_pending_request_count", "process_cpu_seconds_total"]:
        assert f"\n{name}" in after, name
    assert requests.get(f"{url}/nowhere").json()["error"]


@pytest.mark.parametrize("wait", [0.0, 0.002])
def test_a_request_to_end_is_heard_from_the_moment_it_is_ready(tmp_path, wait):
    import lightgbm

    rows = np.arange(60.0).reshape(30, 2)
    lightgbm.train({"verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(rows, rows[:, 0]), 2).save_model(tmp_path / "m.txt")
    for _ in range(5):
        # Its end is asked for, and must be good, when the block is left.
        with serving(tmp_path, "m.txt"):
            time.sleep(wait)
