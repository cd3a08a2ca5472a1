"""Serving side by side, in one run on one machine; prints requests/s, latency, CPU per request and ratios.

    cargo build --release --bin lathe
    cargo build --release --example echo --example time_model
    target/py/bin/python bench/serving/run.py [load] [forest] [batch] [swap] [start]

`load` asks the same models for the same row by 1, 8 and 32 connections: `lathe serve`, `mlflow models serve` (its scoring
server as it is, one worker), FastAPI with the model's own library and with onnxruntime; and as a limit an axum server that
sends the body back. `--peers lathe,echo` and `--models rf100` pick some, `--seconds` says how long each load lasts,
`--folder` keeps the models for the next time. `forest` times single calls and calls of 64 rows in process, beside
onnxruntime. `batch` answers a million rows of a CSV file, beside a loop in Python. `swap` deploys one version after the other under full load
and looks for failed requests. `start` times start to ready and idle memory.

The load client is `bench/tracking/load.rs`, compiled by rustc on the way. CPU is what the kernel charged to the server.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEATURES = 30
FASTAPI = '''
import sys
import numpy as np
from fastapi import FastAPI, Request
kind, path = sys.argv[1], sys.argv[2]
if kind == "lightgbm":
    import lightgbm
    booster = lightgbm.Booster(model_file=path)
    booster.params["num_threads"] = 1
    predict = lambda rows: booster.predict(rows, num_threads=1)
elif kind == "onnx":
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    predict = lambda rows: session.run([session.get_outputs()[-1].name], {name: rows.astype(np.float32)})[0]
else:
    import pickle
    model = pickle.load(open(path, "rb"))
    predict = model.predict
app = FastAPI()

@app.post("/predict")
async def answer(request: Request):
    body = await request.json()
    return {"predictions": predict(np.array(body["instances"])).tolist()}

@app.get("/health")
async def health():
    return {}

import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
'''


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def build_models(folder):
    """The models of the comparison, as MLflow folders, as their libraries keep them, and as ONNX."""
    names = ["rf100", "mlp", "lgb100x31", "lgb500x63"]
    kinds = ["sklearn", "sklearn", "lightgbm", "lightgbm"]
    models = {
        name: {"name": name, "folder": folder / name, "kind": kind, "onnx": folder / f"{name}.onnx",
               "onnx_folder": folder / f"{name}-onnx",
               "file": folder / name / "model.pkl" if kind == "sklearn" else folder / f"{name}.txt"}
        for name, kind in zip(names, kinds, strict=True)
    }  # fmt: skip
    if (folder / "made").exists():
        return models
    import lightgbm
    import mlflow
    import numpy as np
    import onnx
    import onnxmltools
    import skl2onnx
    from mlflow.models import infer_signature
    from onnxmltools.convert.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    random = np.random.default_rng(0)
    rows = random.normal(size=(5_000, FEATURES))
    target = (rows[:, 0] * rows[:, 1] + rows[:, 2] + random.normal(size=5_000) > 0).astype(int)
    for name, model in [
        ("rf100", RandomForestClassifier(100, max_depth=8, random_state=0, n_jobs=1).fit(rows, target)),
        ("mlp", MLPClassifier((32,), max_iter=30, random_state=0).fit(rows, target)),
    ]:
        signature = infer_signature(rows[:2], model.predict(rows[:2]))
        mlflow.sklearn.save_model(
            model, models[name]["folder"], serialization_format="cloudpickle", signature=signature
        )
        single = np.asarray(rows[:1], dtype=np.float32)
        converted = skl2onnx.to_onnx(model, single, options={"zipmap": False}, target_opset=18)
        onnx.save(converted, models[name]["onnx"])
    for name, trees, leaves in [("lgb100x31", 100, 31), ("lgb500x63", 500, 63)]:
        params = {"objective": "binary", "num_leaves": leaves, "verbose": -1, "num_threads": 2, "min_data_in_leaf": 5}
        booster = lightgbm.train(params, lightgbm.Dataset(rows, target), trees)
        signature = infer_signature(rows[:2], booster.predict(rows[:2]))
        mlflow.lightgbm.save_model(booster, models[name]["folder"], signature=signature)
        booster.save_model(models[name]["file"])
        inputs = [("rows", FloatTensorType([None, FEATURES]))]
        converted = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=15)
        onnx.save(converted, models[name]["onnx"])
    for model in models.values():
        saved = onnx.load(model["onnx"])
        signature = infer_signature(rows[:2].astype(np.float32))
        mlflow.onnx.save_model(saved, model["onnx_folder"], signature=signature)
    row = rows[0].tolist()
    tensor = {"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": row}
    for name, body in [("oip.json", {"inputs": [tensor]}), ("instances.json", {"instances": [row]}),
                       ("inputs.json", {"inputs": [row]})]:  # fmt: skip
        (folder / name).write_text(json.dumps(body))
    (folder / "fastapi_server.py").write_text(FASTAPI)
    (folder / "made").touch()
    return models


def commands(folder, model, python):
    lathe = ROOT / "target/release/lathe"
    mlflow = pathlib.Path(python).parent / "mlflow"
    oip, scoring = ("/v2/models/m/infer", "oip.json"), ("/invocations", "inputs.json")

    def serve_mlflow(path):
        return [mlflow, "models", "serve", "-m", path, "-p", "PORT", "--env-manager", "local", "-w", "1"]

    def fastapi(kind, path):
        return [python, folder / "fastapi_server.py", kind, path, "PORT"]

    return {
        "echo": ([ROOT / "target/release/examples/echo", "PORT"], *oip),
        "lathe": ([lathe, "serve", model["folder"], "--name", "m", "-p", "PORT"], *oip),
        "lathe /invocations": ([lathe, "serve", model["folder"], "-p", "PORT"], *scoring),
        "lathe onnx": ([lathe, "serve", model["onnx"], "--name", "m", "-p", "PORT"], *oip),
        "fastapi": (fastapi(model["kind"], model["file"]), "/predict", "instances.json"),
        "fastapi onnxruntime": (fastapi("onnx", model["onnx"]), "/predict", "instances.json"),
        "mlflow": (serve_mlflow(model["folder"]), *scoring),
        "mlflow onnx": (serve_mlflow(model["onnx_folder"]), *scoring),
    }


def descendants(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += descendants(int(child))
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    """What the process and its children used so far."""
    ticks = 0
    for one in descendants(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(pid):
    total = 0
    for one in descendants(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


class Server:
    def __init__(self, command, folder, path, body):
        self.port = free_port()
        command = [str(part).replace("PORT", str(self.port)) for part in command]
        self.log = open(folder / "log", "w")
        started = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        self.address = f"127.0.0.1:{self.port}"
        request = urllib.request.Request(
            f"http://{self.address}{path}", data=body.read_bytes(), headers={"Content-Type": "application/json"}
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    self.first_ms = (time.monotonic() - started) * 1000
                    self.answer = reply.read()
                    return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() - started > 150 or hasattr(error, "code"):
                    self.stop()
                    raise RuntimeError(f"{command[:3]} does not answer: {error}, see {self.log.name}") from None
                time.sleep(0.002)

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            pass


def build_client(folder):
    client = folder / "client"
    subprocess.run(["rustc", "-O", "-o", client, ROOT / "bench/tracking/load.rs"], check=True)
    return client


def offer(client, server, connections, seconds, path, body):
    before = cpu_seconds(server.process.pid)
    command = [client, server.address, "post", str(connections), str(seconds), path, str(body)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    told["cpu_us"] = (cpu_seconds(server.process.pid) - before) * 1e6 / max(told["requests"], 1)
    return told


def load(args, folder):
    client, models = build_client(folder), build_models(folder)
    for name, model in models.items():
        if args.models and name not in args.models.split(","):
            continue
        print(f"\n{name}")
        print(f"{'':20}{'conns':>6}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>12}{'failed':>8}")
        at = {}
        for peer, (command, path, body) in commands(folder, model, sys.executable).items():
            if args.peers and peer not in args.peers.split(","):
                continue
            try:
                server = Server(command, folder, path, folder / body)
            except RuntimeError as error:
                print(f"{peer:20}left out: {error}")
                continue
            for connections in (1, 8, 32):
                told = offer(client, server, connections, args.seconds, path, folder / body)
                at[peer, connections] = told
                print(
                    f"{peer:20}{connections:>6}{told['per_second']:>10.0f}{told['p50_ms']:>9.2f}"
                    f"{told['p99_ms']:>9.2f}{told['cpu_us']:>12.1f}{told['failed']:>8}",
                    flush=True,
                )
            server.stop()
        for ours, peers in [("lathe", ["echo", "fastapi", "fastapi onnxruntime", "mlflow"]),
                            ("lathe onnx", ["fastapi onnxruntime", "mlflow onnx"]),
                            ("lathe /invocations", ["mlflow"])]:  # fmt: skip
            for peer in peers:
                us, they = at.get((ours, 32)), at.get((peer, 32))
                if us and they:
                    print(
                        f"  at 32 connections, {ours} : {peer} = {us['per_second'] / they['per_second']:.2f} x requests/s, "
                        f"1 : {they['cpu_us'] / us['cpu_us']:.2f} CPU, {us['p99_ms'] / they['p99_ms']:.2f} x p99"
                    )


def forest(args, folder):
    """Calls of one row and of 64 in process, one thread: the native engine and onnxruntime."""
    import numpy as np
    import onnxruntime

    models = build_models(folder)
    rows = np.random.default_rng(1).normal(size=(64, FEATURES)).astype(np.float32)
    print(f"\n{'us per call':20}{'rows':>6}{'native':>10}{'onnx here':>11}{'onnxruntime':>13}")
    for name, model in models.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model["onnx"], options, providers=["CPUExecutionProvider"])
        for count in (1, 64):
            times = []
            given = {session.get_inputs()[0].name: rows[:count]}
            wanted = [session.get_outputs()[-1].name]
            for _ in range(2_000 if count == 1 else 300):
                began = time.perf_counter()
                session.run(wanted, given)
                times.append(time.perf_counter() - began)
            theirs = min(times) * 1e6
            ours = []
            for path in (model["folder"], model["onnx"]):
                command = [ROOT / "target/release/examples/time_model", path, str(count)]
                ours.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(f"{name:20}{count:>6}{ours[0]:>10.1f}{ours[1]:>11.1f}{theirs:>13.1f}", flush=True)


PYTHON_LOOP = """
import sys
import numpy as np
import onnxruntime
import pandas as pd
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name, wanted = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
rows = pd.read_csv(sys.argv[2]).to_numpy(np.float32)
answers = [session.run(wanted, {name: rows[i : i + 1]})[0][0] for i in range(len(rows))]
pd.DataFrame(answers).to_csv(sys.argv[3], index=False)
"""
PYTHON_BATCHES = PYTHON_LOOP.replace(
    "[session.run(wanted, {name: rows[i : i + 1]})[0][0] for i in range(len(rows))]",
    "np.concatenate([session.run(wanted, {name: rows[i : i + 8192]})[0] for i in range(0, len(rows), 8192)])",
)


def batch(args, folder):
    """A million rows from a CSV file to a CSV file."""
    import numpy as np
    import pandas as pd

    models = build_models(folder)
    path = folder / "rows.csv"
    if not path.exists():
        rows = np.random.default_rng(2).normal(size=(args.rows, FEATURES)).round(5)
        pd.DataFrame(rows, columns=[f"X_{i}" for i in range(FEATURES)]).to_csv(path, index=False)
    model = models["rf100"]
    ways = {
        "lathe predict": [ROOT / "target/release/lathe", "predict", model["onnx"], path, "-o", folder / "ours.csv"],
        "python, row by row": [sys.executable, "-c", PYTHON_LOOP, model["onnx"], path, folder / "theirs.csv"],
        "python, 8192 rows": [sys.executable, "-c", PYTHON_BATCHES, model["onnx"], path, folder / "theirs.csv"],
    }
    for way, command in ways.items():
        began, before = time.monotonic(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{way:20}{time.monotonic() - began:>8.1f} s{cpu:>8.1f} s of CPU", flush=True)


def start(args, folder):
    import lightgbm
    import numpy as np

    rows = np.random.default_rng(0).normal(size=(20_000, FEATURES))
    params = {"objective": "regression", "num_leaves": 255, "verbose": -1, "min_data_in_leaf": 5}
    booster = lightgbm.train(params, lightgbm.Dataset(rows, rows[:, 0] * rows[:, 1]), 400)
    booster.save_model(folder / "large.txt")
    size = (folder / "large.txt").stat().st_size / 1e6
    (folder / "oip.json").write_text(json.dumps({"inputs": [
        {"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": rows[0].tolist()}]}))  # fmt: skip
    times = []
    for _ in range(5):
        command = [ROOT / "target/release/lathe", "serve", folder / "large.txt", "--name", "m", "-p", "PORT"]
        server = Server(command, folder, "/v2/models/m/infer", folder / "oip.json")
        times.append(server.first_ms)
        time.sleep(0.3)
        idle = pss_mib(server.process.pid)
        server.stop()
    print(f"\nstart to first answer with a model of {size:.1f} MB: {sorted(times)[2]:.0f} ms; idle {idle:.1f} MiB")


def swap(args, folder):
    """Two versions are deployed in turn while 32 connections ask."""
    import lightgbm
    import mlflow
    import numpy as np

    client = build_client(folder)
    random = np.random.default_rng(0)
    rows = random.normal(size=(3_000, FEATURES))
    port = free_port()
    lathe = ROOT / "target/release/lathe"
    project = folder / "project"
    project.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / "lathe.toml").write_text(
        '[project]\nname = "swap"\n[deployment.m]\nmodel = "models:/m@champion"\nrollout = []\n'
    )
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen([lathe, "server", "-p", str(port)], cwd=project, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                urllib.request.urlopen(f"{url}/health")
                break
            except OSError:
                time.sleep(0.05)
        mlflow.set_tracking_uri(url)
        for trees in (100, 101):
            params = {"objective": "binary", "num_leaves": 31, "verbose": -1}
            booster = lightgbm.train(params, lightgbm.Dataset(rows, rows[:, 0] > 0), trees)
            mlflow.lightgbm.log_model(booster, name="model", registered_model_name="m", input_example=rows[:2])

        def deploy(version):
            command = [lathe, "deploy", "m", "--version", str(version), "--ungated", "--wait", "--server", url]
            subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)

        deploy(1)
        body = folder / "oip.json"
        body.write_text(json.dumps({"inputs": [
            {"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": rows[0].tolist()}]}))  # fmt: skip
        ready = False
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"{url}/v2/models/m/ready") as reply:
                    ready = reply.status == 200
                    break
            except OSError:
                time.sleep(0.1)
        assert ready, "the deployment does not answer"
        command = [client, f"127.0.0.1:{port}", "post", "32", str(args.seconds * 2), "/v2/models/m/infer", str(body)]
        for moving in (False, True):
            load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            swaps, done = [0], threading.Event()

            def move():
                while not done.wait(0.7):
                    deploy(2 - swaps[0] % 2)
                    swaps[0] += 1

            mover = threading.Thread(target=move)
            if moving:
                mover.start()
            told = json.loads(load.communicate()[0])
            done.set()
            if moving:
                mover.join()
            print(f"{'while versions are swapped' if moving else 'as usual':28}{told} swaps: {swaps[0]}")
    finally:
        server.terminate()
        server.wait(timeout=20)


def main():
    parts = {"load": load, "forest": forest, "batch": batch, "swap": swap, "start": start}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers")
    parser.add_argument("--models")
    parser.add_argument("--folder", type=lambda path: pathlib.Path(path).resolve())
    args = parser.parse_args()
    for part in args.parts or parts:
        with tempfile.TemporaryDirectory() as own:
            folder = args.folder if args.folder and part in ("load", "forest", "batch") else pathlib.Path(own)
            folder.mkdir(exist_ok=True)
            parts[part](args, folder)


if __name__ == "__main__":
    main()
