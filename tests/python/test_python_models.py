"""Models that only Python can answer: behind `lathe serve --allow-python`, with the library that saved them."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from conftest import LATHE, assert_confined, lathe, told_url
from mlflow.models import infer_signature
from tritonclient.utils import InferenceServerException

ROWS = pd.DataFrame({"a": [1.5, 2.0], "b": [3, 4], "word": ["x", "y"]})


class Custom(mlflow.pyfunc.PythonModel):
    """Answers, and does itself harm where a row asks for it."""

    def predict(self, context, model_input, params=None):
        word = str(model_input["word"].iloc[0])
        if word == "raise":
            raise ValueError("it does not like this")
        if word == "hang":
            time.sleep(600)
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "eat":
            return np.ones(40_000_000_000)
        if word == "call out":
            import urllib.request

            urllib.request.urlopen("http://127.0.0.1:9", timeout=5)
        if word == "frame":
            return model_input.assign(word=model_input["word"] + "!")
        if word == "whole":
            return {"rows": len(model_input), "types": [str(kind) for kind in model_input.dtypes]}
        if word == "secret":
            return [os.environ.get("A_SECRET", "none")]
        return model_input["a"].to_numpy() * 10 + model_input["b"].to_numpy()


class Any(mlflow.pyfunc.PythonModel):
    """Says nothing of what it takes."""

    def predict(self, context, model_input, params=None):
        return [f"{type(model_input).__name__} {np.asarray(model_input).tolist()}"] * len(model_input)


class Image(mlflow.pyfunc.PythonModel):
    """Takes a tensor."""

    def predict(self, context, model_input, params=None):
        assert model_input.dtype == np.float32 and model_input.shape[1:] == (2, 3)
        return model_input.sum(axis=(1, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    # The classes travel with the models: processes cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    signature = infer_signature(ROWS, np.array([1.0]))
    mlflow.pyfunc.save_model(folder / "custom", python_model=Custom(), signature=signature, pip_requirements=[])
    mlflow.pyfunc.save_model(folder / "any", python_model=Any(), pip_requirements=[])
    tensor = np.zeros((1, 2, 3), dtype=np.float32)
    image = infer_signature(tensor, np.array([1.0], dtype=np.float32))
    mlflow.pyfunc.save_model(folder / "image", python_model=Image(), signature=image, pip_requirements=[])
    return folder


class Served:
    def __init__(self, folder, model, *options):
        self.process = subprocess.Popen(
            [LATHE, "serve", model, "--name", "m", "--port", "0", "--json", "--allow-python",
             "--python-env", sys.executable, *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=open(folder / "log", "a"), text=True,
            env={**os.environ, "A_SECRET": "seen"},
        )  # fmt: skip
        self.url = told_url(self.process)

    def ask(self, data, **options):
        body = {"dataframe_split": {"columns": ["a", "b", "word"], "data": data}}
        return requests.post(f"{self.url}/invocations", json=body, timeout=60, **options)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def served(folder):
    one = Served(folder, "custom", "--python-timeout", "2s", "--python-memory", "8000", "--python-workers", "2")
    yield one
    one.stop()


def test_without_permission_it_is_refused_with_what_to_do(folder):
    done = lathe("serve", "custom", "--port", "0", cwd=folder, code=1)
    assert "`--allow-python`" in done.stderr and "executes what the model holds" in done.stderr


def test_a_custom_model_answers_as_mlflow_does(served, folder):
    expected = mlflow.pyfunc.load_model(folder / "custom").predict(ROWS)
    assert served.ask(ROWS.values.tolist()).json()["predictions"] == expected.tolist()
    assert requests.get(f"{served.url}/v2/models/m").json()["platform"] == "lathe_python"
    client = triton.InferenceServerClient(served.url.removeprefix("http://"))
    tensors = []
    for name, values, kind in [("a", np.array([1.5, 2.0]), "FP64"), ("b", np.array([3, 4]), "INT64"),
                               ("word", np.array([b"x", b"y"], dtype=object), "BYTES")]:  # fmt: skip
        tensor = triton.InferInput(name, [2], kind)
        tensor.set_data_from_numpy(values)
        tensors.append(tensor)
    assert client.infer("m", tensors).as_numpy("predictions").tolist() == expected.tolist()
    told = served.ask([[1.5, 3, "frame"]]).json()["predictions"]
    assert told == [{"a": 1.5, "b": 3, "word": "frame!"}]
    whole = served.ask([[1.5, 3, "whole"]]).json()["predictions"]
    assert whole["rows"] == 1 and whole["types"][:2] == ["float64", "int64"]
    assert served.ask([[1.5, 3, "secret"]]).json()["predictions"] == ["none"]


def test_what_does_not_fit_the_signature_never_reaches_it(served):
    answer = served.ask([["much", 3, "die"]])
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_each_harm_gets_an_error_and_the_others_go_on(served):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        raised = served.ask([[1, 2, "raise"]])
        assert (raised.status_code, raised.json()["error_code"]) == (400, "BAD_REQUEST")
        assert "ValueError: it does not like this" in raised.json()["message"]
        assert "raised" in served.ask([[1, 2, "call out"]]).json()["message"]
        # While one process hangs, the other answers.
        hanging = pool.submit(served.ask, [[1, 2, "hang"]])
        time.sleep(0.3)
        assert served.ask([[1, 2, "x"]]).json()["predictions"] == [12]
        assert hanging.result().status_code == 504
        died = pool.submit(served.ask, [[1, 2, "die"]]).result()
        assert died.status_code == 500 and "ended by signal 9" in died.json()["message"]
        assert served.ask([[1, 2, "x"]]).json()["predictions"] == [12]
        eaten = served.ask([[1, 2, "eat"]])
        assert eaten.status_code == 500 and "memory" in eaten.json()["message"], eaten.text
        assert served.ask([[1, 2, "x"]]).json()["predictions"] == [12]
        client = triton.InferenceServerClient(served.url.removeprefix("http://"))
        with pytest.raises(InferenceServerException, match="ended by signal 9"):
            tensors = [triton.InferInput(name, [1], kind) for name, kind in
                       [("a", "FP64"), ("b", "INT64"), ("word", "BYTES")]]  # fmt: skip
            for tensor, value in zip(tensors, [np.ones(1), np.ones(1, dtype=np.int64), np.array([b"die"], dtype=object)],
                                     strict=True):  # fmt: skip
                tensor.set_data_from_numpy(value)
            client.infer("m", tensors)
    assert requests.get(f"{served.url}/v2/health/ready").status_code == 200


def test_processes_end_with_the_server_and_come_back_when_killed(folder):
    one = Served(folder, "any")
    children = pathlib.Path(f"/proc/{one.process.pid}/task")

    def workers():
        found = [child for task in children.glob("*/children") for child in task.read_text().split()]
        return [int(child) for child in found]

    (first,) = workers()
    assert_confined(first, one.process.pid)
    body = {"inputs": [[1, 2], [3, 4]]}
    told = requests.post(f"{one.url}/invocations", json=body, timeout=60).json()
    assert told["predictions"] == ["ndarray [[1, 2], [3, 4]]"] * 2
    named = {"dataframe_records": [{"x": 1, "y": "a"}]}
    told = requests.post(f"{one.url}/invocations", json=named, timeout=60).json()
    assert told["predictions"] == ["DataFrame [[1, 'a']]"]
    os.kill(first, signal.SIGKILL)
    told = requests.post(f"{one.url}/invocations", json=body, timeout=60)
    # It was asked before it was seen to be gone, or after.
    assert told.status_code in (200, 500)
    assert requests.post(f"{one.url}/invocations", json=body, timeout=60).status_code == 200
    (second,) = workers()
    assert second != first
    one.process.kill()
    one.process.wait()
    for _ in range(100):
        if not pathlib.Path(f"/proc/{second}").exists() or "\nState:\tZ" in pathlib.Path(f"/proc/{second}/status").read_text():
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the process outlives its server")


def test_tensors_and_files_are_answered_too(folder):
    one = Served(folder, "image")
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    told = requests.post(f"{one.url}/invocations", json={"inputs": image.tolist()}, timeout=60).json()
    one.stop()
    assert told["predictions"] == image.sum(axis=(1, 2)).tolist()
    ROWS.to_csv(folder / "rows.csv", index=False)
    allowed = ["--allow-python", "--python-env", sys.executable]
    lathe("predict", "custom", "rows.csv", "-o", "answers.jsonl", *allowed, cwd=folder)
    assert [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()] == [18.0, 24.0]
