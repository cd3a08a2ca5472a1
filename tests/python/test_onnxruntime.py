"""ONNX models that the native engine does not know, or is slower at: answered by ONNX Runtime as Python's onnxruntime does."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from conftest import LATHE, assert_confined, lathe
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

RNG = np.random.default_rng(5)
F, I64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def graph(nodes, inputs, outputs, constants, version=17):
    """A model of nodes `(operator, inputs, outputs, attributes)`."""
    made = [helper.make_node(kind, ins.split(), outs.split(), **rest) for kind, ins, outs, rest in nodes]
    value = lambda slot: helper.make_tensor_value_info(*slot)
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    body = helper.make_graph(made, "g", [value(one) for one in inputs], [value(one) for one in outputs], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", version)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def network():
    """Convolution, pooling, a dense layer."""
    nodes = [
        ("Conv", "X w b", "c", dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])), ("Relu", "c", "r", {}),
        ("MaxPool", "r", "p", dict(kernel_shape=[2, 2], strides=[2, 2])), ("Flatten", "p", "f", {}),
        ("Gemm", "f g h", "s", {}), ("Softmax", "s", "Y", {}),
    ]  # fmt: skip
    constants = {"w": normal(4, 1, 3, 3), "b": normal(4), "g": normal(64, 3), "h": normal(3)}
    return graph(nodes, [("X", F, ["n", 1, 8, 8])], [("Y", F, ["n", 3])], constants)


def attention():
    """A block of a transformer: attention over six places, in Einstein's notation, and a normalisation."""
    nodes = [
        ("MatMul", "X q", "Q", {}), ("MatMul", "X k", "K", {}), ("MatMul", "X v", "V", {}),
        ("Einsum", "Q K", "s", dict(equation="bid,bjd->bij")), ("Mul", "s half", "t", {}), ("Softmax", "t", "a", {}),
        ("Einsum", "a V", "o", dict(equation="bij,bjd->bid")), ("Add", "X o", "z", {}),
        ("LayerNormalization", "z one", "Y", {}),
    ]  # fmt: skip
    constants = {"q": normal(8, 8), "k": normal(8, 8), "v": normal(8, 8), "half": np.float32(0.35), "one": np.ones(8, np.float32)}
    return graph(nodes, [("X", F, ["n", 6, 8])], [("Y", F, ["n", 6, 8])], constants)


def recurrent():
    nodes = [("Transpose", "X", "t", dict(perm=[1, 0, 2])), ("LSTM", "t w r", "_ h", dict(hidden_size=3)), ("Squeeze", "h axis", "Y", {})]
    constants = {"w": normal(1, 12, 2), "r": normal(1, 12, 3), "axis": np.array([0])}
    return graph(nodes, [("X", F, ["n", 5, 2])], [("Y", F, ["n", 3])], constants)


def half():
    nodes = [("MatMul", "X w", "m", {}), ("Tanh", "m", "Y", {})]
    slots = [("X", TensorProto.FLOAT16, ["n", 4])], [("Y", TensorProto.FLOAT16, ["n", 2])]
    return graph(nodes, *slots, {"w": normal(4, 2).astype(np.float16)})


def picture():
    """Bytes in, a mean of them and the greatest of them out."""
    nodes = [("Cast", "X", "f", dict(to=F)), ("ReduceMean", "f", "mean", dict(axes=[1, 2], keepdims=0)),
             ("Cast", "X", "i", dict(to=TensorProto.INT32)), ("ReduceMax", "i", "m", dict(axes=[1, 2], keepdims=0)),
             ("Cast", "m", "most", dict(to=TensorProto.UINT8))]  # fmt: skip
    return graph(nodes, [("X", TensorProto.UINT8, ["n", 2, 3])], [("mean", F, ["n"]), ("most", TensorProto.UINT8, ["n"])], {})


def branch():
    """A graph within a graph."""
    side = lambda name, kind: helper.make_graph(
        [helper.make_node(kind, ["X"], [name])], name, [], [helper.make_tensor_value_info(name, F, ["n", 3])]
    )
    nodes = [("ReduceSum", "X", "s", dict(keepdims=0)), ("Greater", "s zero", "c", {}),
             ("If", "c", "Y", dict(then_branch=side("a", "Exp"), else_branch=side("b", "Neg")))]  # fmt: skip
    return graph(nodes, [("X", F, ["n", 3])], [("Y", F, ["n", 3])], {"zero": np.float32(0)})


def words():
    return graph([("StringConcat", "a b", "Y", {})], [("a", STRING, ["n"]), ("b", STRING, ["n"])], [("Y", STRING, ["n"])], {}, version=20)


def texts():
    """What skl2onnx makes of a vectoriser of texts, with classes by their names."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    lines = ["good film", "bad film", "good play", "so so", "bad bad play", "good good", "so it was"]
    vectoriser = TfidfVectorizer(token_pattern="[a-z]+")
    model = make_pipeline(vectoriser, LogisticRegression())
    model.fit(lines, ["yes", "no", "yes", "so", "no", "yes", "so"])
    slots, opset = [("text", StringTensorType([None, 1]))], {"": 18, "ai.onnx.ml": 3}
    # Not every machine has the locale that is asked for otherwise.
    return to_onnx(model, initial_types=slots, target_opset=opset, options={id(vectoriser): {"locale": "C"}})


def series():
    """Rows of any length."""
    nodes = [("Unsqueeze", "X axis", "u", {}), ("Conv", "u w", "c", dict(kernel_shape=[3], pads=[1, 1])), ("GlobalMaxPool", "c", "p", {}), ("Flatten", "p", "Y", {})]
    return graph(nodes, [("X", F, ["n", "m"])], [("Y", F, ["n", 2])], {"axis": np.array([1]), "w": normal(2, 1, 3)})


def tokens():
    """Two inputs, both of any length, the one places in a table."""
    nodes = [("Gather", "table ids", "e", {}), ("Einsum", "e mask", "Y", dict(equation="bmd,bm->bd"))]
    return graph(nodes, [("ids", I64, ["n", "m"]), ("mask", F, ["n", "m"])], [("Y", F, ["n", 4])], {"table": normal(10, 4)})


def loop():
    """Multiplies as often as the first value says: a model that may take its time."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["a", "w"], ["m"]), helper.make_node("Tanh", ["m"], ["o"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [helper.make_tensor_value_info("i", I64, []), helper.make_tensor_value_info("go", BOOL, []), helper.make_tensor_value_info("a", F, [128, 128])],
        [helper.make_tensor_value_info("on", BOOL, []), helper.make_tensor_value_info("o", F, [128, 128])],
    )  # fmt: skip
    nodes = [("Reshape", "X scalar", "count", {}), ("Loop", "count yes w", "e", dict(body=body)), ("ReduceMean", "e", "m", dict(keepdims=0)), ("Reshape", "m one", "Y", {})]
    constants = {"scalar": np.array([], np.int64), "yes": np.array(True), "w": normal(128, 128), "one": np.array([1])}
    return graph(nodes, [("X", I64, [1])], [("Y", F, [1])], constants)


def session(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def served(folder, model, *options, **env):
    """`lathe serve` on a model that is written into the folder; what it says when it is ready, and a client."""
    if not isinstance(model, (str, pathlib.Path)):
        path = folder / "model.onnx"
        onnx.save(model, path)
        model = path
    process = subprocess.Popen(
        [LATHE, "serve", str(model), "--name", "m", "--port", "0", "--json", *options],
        cwd=folder, stdout=subprocess.PIPE, stderr=open(folder / "log", "a"), text=True,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix, **env},
    )  # fmt: skip
    told = ""
    for line in process.stdout:
        told += line
        if line == "}\n":
            break
    assert told, (folder / "log").read_text()
    one = Served(process, json.loads(told))
    try:
        yield one
    finally:
        workers = one.workers()
        process.terminate()
        assert process.wait(timeout=10) == 0
    left = lambda: [worker for worker in workers if os.path.exists(f"/proc/{worker}")]
    until = time.monotonic() + 5
    while left() and time.monotonic() < until:
        time.sleep(0.02)
    assert not left()


class Served:
    def __init__(self, process, told):
        self.process, self.told, self.url = process, told, told["url"]
        self.client = triton.InferenceServerClient(self.url.removeprefix("http://"))

    def infer(self, feeds):
        tensors = []
        for name, array in feeds.items():
            array = np.array([[w.encode() for w in row] if isinstance(row, np.ndarray) else row.encode() for row in array], dtype=object) if array.dtype == object else array
            tensor = triton.InferInput(name, array.shape, "BYTES" if array.dtype == object else np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        return self.client.infer("m", tensors)

    def workers(self):
        """The ids of its processes."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    found.append(int(entry.name))
        return found


def same(answer, theirs, name):
    ours = answer.as_numpy(name)
    if isinstance(theirs, list):
        theirs = np.array([list(row.values()) for row in theirs], dtype=np.float32)
    if ours.dtype == object:
        ours = np.array([word.decode() for word in ours.ravel()], dtype=object)
    np.testing.assert_array_equal(ours.reshape(np.shape(theirs)), theirs)


MODELS = {
    "network": (network, lambda: {"X": normal(3, 1, 8, 8)}),
    "attention": (attention, lambda: {"X": normal(2, 6, 8)}),
    "recurrent": (recurrent, lambda: {"X": normal(4, 5, 2)}),
    "half": (half, lambda: {"X": normal(3, 4).astype(np.float16)}),
    "picture": (picture, lambda: {"X": RNG.integers(0, 256, (3, 2, 3)).astype(np.uint8)}),
    "branch": (branch, lambda: {"X": -np.abs(normal(2, 3))}),
    "words": (words, lambda: {"a": np.array(["x", "ä", ""], dtype=object), "b": np.array(["1", "", "\n"], dtype=object)}),
    "texts": (texts, lambda: {"text": np.array([["good film"], ["so so play"], ["unknown"]], dtype=object)}),
    "series": (series, lambda: {"X": normal(3, 11)}),
    "tokens": (tokens, lambda: {"ids": RNG.integers(0, 10, (2, 5)), "mask": normal(2, 5)}),
}


@pytest.mark.parametrize("way", ["process", "in-process"])
@pytest.mark.parametrize("name", MODELS)
def test_models_that_the_native_engine_refuses_are_answered_as_python_answers(tmp_path, name, way):
    make, feeds = MODELS[name]
    model = make()
    options = ["--onnxruntime-in-process"] if way == "in-process" else []
    with served(tmp_path, model, *options) as lathe_serve:
        assert lathe_serve.told["runtime"] == "onnxruntime"
        assert "the native engine does not answer for it" in lathe_serve.told["runtime_reason"]
        assert len(lathe_serve.workers()) == (1 if way == "process" else 0)
        theirs = session(model)
        for _ in range(2):
            given = feeds()
            answer = lathe_serve.infer(given)
            for output, values in zip(theirs.get_outputs(), theirs.run(None, given)):
                same(answer, values, output.name)
        metadata = requests.get(f"{lathe_serve.url}/v2/models/m").json()
        assert metadata["platform"] == "lathe_onnxruntime"
        assert metadata["parameters"]["runtime_reason"] == lathe_serve.told["runtime_reason"]
        types = {np.dtype(np.float16): "FP16", np.dtype(np.float32): "FP32", np.dtype(np.uint8): "UINT8", np.dtype(np.int64): "INT64", np.dtype(object): "BYTES"}
        seen = {one["name"]: (one["datatype"], one["shape"]) for one in metadata["inputs"]}
        rest = lambda sizes: [] if sizes == (1,) else [-1] if name in ("series", "tokens") else list(sizes)
        assert seen == {one: (types[array.dtype], [-1, *rest(array.shape[1:])]) for one, array in feeds().items()}
        config = lathe_serve.client.get_model_config("m")
        assert config["parameters"]["runtime"]["string_value"] == "onnxruntime"
    if way == "process":
        done = lathe("serve", "model.onnx", "--port", "0", "--runtime", "native", cwd=tmp_path, code=1)
        assert "native engine" in done.stderr


def test_rows_of_any_length_need_no_columns(tmp_path):
    model = series()
    with served(tmp_path, model) as lathe_serve:
        for width in [3, 40]:
            rows = normal(2, width)
            answer = requests.post(f"{lathe_serve.url}/invocations", json={"instances": rows.tolist()}).json()
            np.testing.assert_allclose(answer["predictions"], session(model).run(None, {"X": rows})[0], rtol=1e-6)


def test_files_of_rows_are_answered_and_models_of_mlflow(tmp_path):
    model, rows = network(), normal(40, 1, 8, 8)
    theirs = session(model).run(None, {"X": rows})[0]
    mlflow.onnx.save_model(model, tmp_path / "saved", signature=infer_signature(rows, theirs), input_example=rows[:2])
    frame = pd.DataFrame(rows.reshape(40, -1), columns=[f"X_{at}" for at in range(64)])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    onnx.save(model, tmp_path / "model.onnx")
    lathe("predict", "model.onnx", "rows.csv", "-o", "answers.jsonl", cwd=tmp_path, VIRTUAL_ENV=sys.prefix)
    ours = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    with served(tmp_path, tmp_path / "saved") as lathe_serve:
        body = {"instances": rows[:3].tolist()}
        answer = requests.post(f"{lathe_serve.url}/invocations", json=body).json()
        np.testing.assert_allclose(answer["predictions"], theirs[:3], rtol=1e-6)


def forest(folder, trees, rows=64):
    """A model that both engines know, with its input example."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestRegressor

    x = normal(400, 6)
    model = to_onnx(RandomForestRegressor(trees, random_state=0).fit(x, x[:, 0] * x[:, 1]), x[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    mlflow.onnx.save_model(model, folder / "forest", signature=infer_signature(x, np.zeros((1, 1), np.float32)), input_example=x[:rows])
    return model, x


def test_of_two_engines_that_know_a_model_the_sooner_one_answers(tmp_path):
    model, x = forest(tmp_path, 60)
    expected = session(model).run(None, {"X": x[:5]})[0]
    seen = set()
    for options in [[], ["--runtime", "native"], ["--runtime", "onnxruntime"], ["--onnxruntime-in-process"]]:
        with served(tmp_path, tmp_path / "forest", *options) as lathe_serve:
            told = lathe_serve.told
            if "--runtime" in options:
                assert told["runtime"] == options[1] and told.get("runtime_measured") is None
            else:
                measured = told["runtime_measured"]
                sooner = measured["onnxruntime_us"] < 0.9 * measured["native_us"]
                assert told["runtime"] == ("onnxruntime" if sooner else "native"), told
                assert measured["rows"] == 64 and measured["max_abs_diff"] < 1e-5
                assert f"{measured['native_us']:.1f} µs" in told["runtime_reason"]
                print(told["runtime_reason"])
            assert len(lathe_serve.workers()) == (told["runtime"] == "onnxruntime" and "--onnxruntime-in-process" not in options)
            answer = requests.post(f"{lathe_serve.url}/invocations", json={"inputs": x[:5].tolist()}).json()
            np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-5)
            seen.add(told["runtime"])
    assert seen == {"native", "onnxruntime"}


def test_a_model_that_answers_sooner_than_another_process_can_be_asked_is_not_measured(tmp_path):
    forest(tmp_path, 2, rows=1)
    with served(tmp_path, tmp_path / "forest") as lathe_serve:
        assert lathe_serve.told["runtime"] == "native"
        assert "sooner than ONNX Runtime can be asked" in lathe_serve.told["runtime_reason"]


def test_what_does_not_fit_is_refused_and_everything_goes_on(tmp_path):
    model = tokens()
    good = {"ids": np.array([[1, 2]]), "mask": np.ones((1, 2), np.float32)}
    with served(tmp_path, model) as lathe_serve:
        for wrong, status, what in [
            ({"ids": np.array([[1, 99]]), "mask": good["mask"]}, "500", "indices"),
            ({"ids": np.array([[1, 2, 3]]), "mask": good["mask"]}, "500", "Einsum"),
            ({"ids": np.array([[1.5, 2]]), "mask": good["mask"]}, "400", "ids_0"),
            ({"ids": good["ids"], "mask": np.array([["x", "y"]], dtype=object)}, "400", "word"),
            ({"ids": good["ids"]}, "400", "`ids`, `mask`"),
        ]:
            with pytest.raises(InferenceServerException) as refused:
                lathe_serve.infer(wrong)
            assert what in refused.value.message(), refused.value
            assert refused.value.status() in (status, "400"), refused.value
            same(lathe_serve.infer(good), session(model).run(None, good)[0], "Y")
    with served(tmp_path, network()) as lathe_serve:
        for wrong in [normal(2, 1, 8, 7), normal(2, 8, 8, 1), normal(2, 8, 8), normal(2, 65)]:
            with pytest.raises(InferenceServerException, match=r"the model takes \[-1, 1, 8, 8\]"):
                lathe_serve.infer({"X": wrong})
    with served(tmp_path, picture()) as lathe_serve:
        with pytest.raises(InferenceServerException, match="300"):
            lathe_serve.infer({"X": np.full((1, 2, 3), 300, np.int32)})


def test_a_process_that_ends_or_hangs_costs_its_request_alone(tmp_path):
    model = loop()
    with served(tmp_path, model, "--onnxruntime-timeout", "1s") as lathe_serve:
        expected = session(model).run(None, {"X": np.array([2])})[0]
        same(lathe_serve.infer({"X": np.array([2])}), expected, "Y")
        started = time.monotonic()
        with pytest.raises(InferenceServerException):
            lathe_serve.infer({"X": np.array([10**9])})
        assert time.monotonic() - started < 5
        same(lathe_serve.infer({"X": np.array([2])}), expected, "Y")
        for worker in lathe_serve.workers():
            os.kill(worker, signal.SIGKILL)
        # What is asked before its end is seen fails with it.
        with contextlib.suppress(InferenceServerException):
            lathe_serve.infer({"X": np.array([2])})
        same(lathe_serve.infer({"X": np.array([2])}), expected, "Y")
        assert requests.get(f"{lathe_serve.url}/v2/health/ready").status_code == 200


def test_a_process_has_no_network_and_nothing_of_the_server(tmp_path):
    model = network()
    with served(tmp_path, model, "--onnxruntime-memory", "8000", A_SECRET="seen") as lathe_serve:
        [worker] = lathe_serve.workers()
        assert_confined(worker, lathe_serve.process.pid)
        limits = pathlib.Path(f"/proc/{worker}/limits").read_text()
        assert f"Max address space         {8000 << 20} " in limits, limits
        # It answers all the same, by the socket that it was given.
        given = {"X": normal(2, 1, 8, 8)}
        same(lathe_serve.infer(given), session(model).run(None, given)[0], "Y")


def library():
    import onnxruntime

    [found] = (pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return found


def compiled(folder, name, body):
    """A shared library that only looks like ONNX Runtime."""
    (folder / f"{name}.c").write_text(body)
    path = folder / f"lib{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, folder / f"{name}.c"], check=True)
    return path


def test_a_library_that_is_missing_old_broken_or_harmful_is_told(tmp_path):
    onnx.save(network(), tmp_path / "model.onnx")
    nowhere = {"VIRTUAL_ENV": str(tmp_path), "LATHE_DATA_DIR": str(tmp_path / "data"), "ORT_DYLIB_PATH": ""}
    run = lambda *options, **env: lathe("predict", "model.onnx", "rows.csv", "-o", "a.csv", *options, cwd=tmp_path, code=1, **{**nowhere, **env}).stderr
    missing = run()
    assert "Conv" in missing and "`lathe runtime install`" in missing
    assert "there is no ONNX Runtime at `/nowhere/libonnxruntime.so`" in run("--onnxruntime", "/nowhere/libonnxruntime.so")
    (tmp_path / "broken.so").write_bytes(b"\x7fELF broken")
    assert "broken.so` is no ONNX Runtime that fits" in run("--onnxruntime", str(tmp_path / "broken.so"))
    base = "struct { const void* (*api)(unsigned); const char* (*version)(void); }"
    old = compiled(tmp_path, "old", f'static const void* api(unsigned v) {{ return 0; }}\nstatic const char* version(void) {{ return "1.10.0"; }}\n'
                   f"static {base} base = {{ api, version }};\nvoid* OrtGetApiBase(void) {{ return &base; }}\n")  # fmt: skip
    assert "1.10.0" in run(ORT_DYLIB_PATH=str(old))
    harmful = compiled(tmp_path, "harmful", "void* OrtGetApiBase(void) { return *(void**)1; }\n")
    told = run("--onnxruntime", str(harmful))
    assert "was ended by signal 11" in told, told
    listed = json.loads(lathe("runtime", "list", "--json", "--onnxruntime", str(harmful), cwd=tmp_path, **nowhere).stdout)
    assert "signal: 11" in listed["libraries"][0]["error"]


def test_a_damaged_model_is_told_by_both_engines(tmp_path):
    whole = network().SerializeToString()
    for name, content in [("short", whole[: len(whole) // 2]), ("noise", whole[:40] + bytes(RNG.integers(0, 256, 400, dtype=np.uint8)))]:
        (tmp_path / f"{name}.onnx").write_bytes(content)
        done = lathe("serve", f"{name}.onnx", "--port", "0", cwd=tmp_path, code=1, VIRTUAL_ENV=sys.prefix)
        assert "is damaged" in done.stderr and "; and " in done.stderr, done.stderr


class Index:
    """A package index on this machine, with one package."""

    def __init__(self, folder, user=None):
        self.asked = asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("authorization")))
                super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.url = f"http://me:secret@127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    wanted = ["onnxruntime==1.32.0", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *wanted], check=True)
    [found] = folder.glob("*.whl")
    return found


def test_a_library_is_installed_from_an_index_and_used(tmp_path, wheel):
    data = {"LATHE_DATA_DIR": str(tmp_path / "data"), "VIRTUAL_ENV": str(tmp_path), "ORT_DYLIB_PATH": ""}
    files = tmp_path / "index"
    (files / "files").mkdir(parents=True)
    (files / "files" / wheel.name).symlink_to(wheel)
    (files / "simple/onnxruntime").mkdir(parents=True)
    page = files / "simple/onnxruntime/index.html"
    page.write_text(f'<a href="other-1.whl">other</a> <a href="../../files/{wheel.name}#sha256=0">{wheel.name}</a>')
    index = Index(files)

    nothing = json.loads(lathe("runtime", "list", "--json", cwd=tmp_path, **data).stdout)
    assert nothing == {"libraries": []}
    told = json.loads(lathe("runtime", "install", "--json", cwd=tmp_path, **data, PIP_INDEX_URL=index.url).stdout)
    assert told["installed"] and told["path"].startswith(str(tmp_path / "data"))
    assert pathlib.Path(told["path"]).read_bytes() == library().read_bytes()
    assert index.asked[0][1].startswith("Basic ")
    again = json.loads(lathe("runtime", "install", "--json", cwd=tmp_path, **data, PIP_INDEX_URL="http://127.0.0.1:9/x").stdout)
    assert again == {**told, "installed": False}
    [listed] = json.loads(lathe("runtime", "status", "--json", cwd=tmp_path, **data).stdout)["libraries"]
    assert listed["used"] and listed["version"] == "1.32.0" and "Lathe's data folder" in listed["why"] and listed["error"] is None
    with served(tmp_path, network(), **data) as lathe_serve:
        assert lathe_serve.told["runtime"] == "onnxruntime"


def test_a_wheel_that_is_another_than_it_should_be_is_not_used(tmp_path, wheel):
    data = {"LATHE_DATA_DIR": str(tmp_path / "data")}
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / wheel.name).write_bytes(content)
    done = lathe("runtime", "install", "--from", wheel.name, cwd=tmp_path, code=1, **data)
    assert "has the SHA-256" in done.stderr and not list(tmp_path.glob("data/**/lib*"))
    (tmp_path / wheel.name).unlink()
    (tmp_path / "simple/onnxruntime").mkdir(parents=True)
    (tmp_path / "simple/onnxruntime/index.html").write_text('<a href="other-1.whl">other</a>')
    done = lathe("runtime", "install", "--index", Index(tmp_path).url, cwd=tmp_path, code=1, **data)
    assert f"has no file `{wheel.name}`" in done.stderr and "secret" not in done.stderr
    done = lathe("runtime", "install", "--index", "http://127.0.0.1:9/simple", cwd=tmp_path, code=1, **data)
    assert "cannot be reached" in done.stderr and "`--from`" in done.stderr
    done = lathe("runtime", "install", "--index", "ftp://me:secret@127.0.0.1:9/simple", cwd=tmp_path, code=1, **data)
    assert "is no URL of `http` or `https`" in done.stderr and "secret" not in done.stderr
    lathe("runtime", "install", "--from", str(wheel), "--quiet", cwd=tmp_path, **data)
    assert list(tmp_path.glob("data/onnxruntime/1.32.0/libonnxruntime.so.1.32.0"))
