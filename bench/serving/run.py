"""Serving side by side, in one run on one machine; prints requests/s, latency, CPU per request and ratios.

    cargo build --release --bin lathe
    cargo build --release --example echo --example time_model
    target/py/bin/python bench/serving/run.py [load] [forest] [batch] [swap] [start]

`load` asks the same models for the same row by 1, 8 and 32 connections, one server after the other (`peers.py`, `servers/`):

- `lathe serve`, by the Open Inference Protocol, by MLflow's, and with the model as ONNX;
- `mlflow models serve`, its scoring server as it is, one worker;
- FastAPI with the model's own library, and with onnxruntime;
- MLServer with its runtimes of scikit-learn and LightGBM, answering itself (faster for small models) and by one process beside
  it (its default), and with a custom runtime of onnxruntime;
- BentoML, one worker, a service with one API of arrays, with the model's own library and with onnxruntime;
- KServe's Python server by the Open Inference Protocol, doing what its own servers of scikit-learn and LightGBM do (which
  are not on PyPI), and with onnxruntime; it listens on every address, and cannot be told otherwise;
- as a limit an axum server that sends the body back.

Each has one thread a request and logs no requests where it can be told so. The first answer of each must hold what the
model's own library says of the row, within 1e-6. MLServer, BentoML and KServe have environments of their own under
`target/bench-peers` (`environments.py`), made by uv when they are first asked for; their scikit-learn, numpy, LightGBM and
onnxruntime are of the same versions as here. What cannot be installed or started is left out and says why.

Who can is also asked `--rate` times a second (10,000), by 32 connections: servers of different speed then do the same work,
and are woken as often, which on a machine that they share with the client is half of what a small answer costs.

`--peers lathe,echo` and `--models rf100` pick some, `--seconds` says how long each load lasts, `--folder` keeps the models
for the next time, `--target` names another folder than `target/release`. `forest` times single calls and calls of 64 rows in
process, beside onnxruntime. `batch` answers a million rows of a CSV file, beside a loop in Python. `swap` deploys one version
after the other under full load and looks for failed requests. `start` times start to ready and idle memory.

The load client is `bench/tracking/load.rs`, compiled by rustc on the way. CPU is what the kernel charged to the server.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import models
from models import FEATURES
from peers import OIP, RATIOS, Peer, peers
from server import Server, cpu_seconds, free_port, pss_mib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_client(folder):
    client = folder / "client"
    subprocess.run(["rustc", "-O", "-o", client, ROOT / "bench/tracking/load.rs"], check=True)
    return client


def offer(client, server, connections, seconds, *rate):
    before = cpu_seconds(server.process.pid)
    command = [client, server.address, "post", str(connections), str(seconds), server.peer.path, str(server.body)]
    command += [str(one) for one in rate]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    told["cpu_us"] = (cpu_seconds(server.process.pid) - before) * 1e6 / max(told["requests"], 1)
    return told


def numbers(value):
    """All that a prediction is made of, whether by rows, by outputs or by names."""
    if isinstance(value, dict):
        value = list(value.values())
    return [number for one in value for number in numbers(one)] if isinstance(value, list) else [value]


def check(server, name, library):
    """A server that answers something else is not compared with."""
    if server.peer.output is None:
        return
    wanted, answer = library[server.peer.output], json.loads(server.answer)
    if isinstance(answer, dict):
        answer = [output["data"] for output in answer["outputs"]] if "outputs" in answer else answer["predictions"]
    assert any(abs(number - wanted) <= 1e-6 for number in numbers(answer)), (
        f"{name} answers {server.answer.decode()} where the library says {wanted}"
    )


def load(args, folder):
    client, made = build_client(folder), models.build(folder)
    for name, model in made.items():
        if args.models and name not in args.models.split(","):
            continue
        compared, library, at = peers(args.target, folder, model), models.answers(folder, model), {}
        chosen = args.peers.split(",") if args.peers else list(compared)
        if unknown := set(chosen) - set(compared):
            sys.exit(f"no peers: {', '.join(sorted(unknown))}; there are {', '.join(compared)}")
        print(f"\n{name}")
        print(f"{'':22}{'conns':>6}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>12}{'failed':>8}")
        for peer in chosen:
            try:
                server = Server(compared[peer], folder)
            except RuntimeError as error:
                print(f"{peer:22}left out: {error}")
                continue
            try:
                check(server, peer, library)
                for connections, *rate in [(1,), (8,), (32,), (32, args.rate)]:
                    if rate and at[peer, 32]["per_second"] < 1.5 * args.rate:
                        continue
                    told = at[peer, connections, *rate] = offer(client, server, connections, args.seconds, *rate)
                    shown = f"{peer}, paced" if rate else peer
                    print(
                        f"{shown:22}{connections:>6}{told['per_second']:>10.0f}{told['p50_ms']:>9.2f}"
                        f"{told['p99_ms']:>9.2f}{told['cpu_us']:>12.1f}{told['failed']:>8}",
                        flush=True,
                    )
            finally:
                server.stop()
        for ours, theirs in RATIOS.items():
            for peer in theirs:
                us, they = at.get((ours, 32)), at.get((peer, 32))
                if us and they:
                    print(
                        f"  at 32 connections, {ours} : {peer} = {us['per_second'] / they['per_second']:.2f} x requests/s, "
                        f"1 : {they['cpu_us'] / us['cpu_us']:.2f} CPU, {us['p99_ms'] / they['p99_ms']:.2f} x p99"
                    )
                us, they = at.get((ours, 32, args.rate)), at.get((peer, 32, args.rate))
                if us and they:
                    print(f"  at {args.rate} requests/s, {ours} : {peer} = 1 : {they['cpu_us'] / us['cpu_us']:.2f} CPU")


def forest(args, folder):
    """Calls of one row and of 64 in process, one thread: the native engine and onnxruntime."""
    import numpy as np
    import onnxruntime

    made = models.build(folder)
    rows = np.random.default_rng(1).normal(size=(64, FEATURES)).astype(np.float32)
    print(f"\n{'us per call':20}{'rows':>6}{'native':>10}{'onnx here':>11}{'onnxruntime':>13}")
    for name, model in made.items():
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
                command = [args.target / "examples/time_model", path, str(count)]
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

    made = models.build(folder)
    path = folder / "rows.csv"
    if not path.exists():
        rows = np.random.default_rng(2).normal(size=(args.rows, FEATURES)).round(5)
        pd.DataFrame(rows, columns=[f"X_{i}" for i in range(FEATURES)]).to_csv(path, index=False)
    model = made["rf100"]
    ways = {
        "lathe predict": [args.target / "lathe", "predict", model["onnx"], path, "-o", folder / "ours.csv"],
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
        command = [args.target / "lathe", "serve", folder / "large.txt", "--name", "m", "-p", "{port}"]
        server = Server(Peer(command, *OIP), folder)
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
    lathe = args.target / "lathe"
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


def resolved(path):
    return pathlib.Path(path).resolve()


def main():
    parts = {"load": load, "forest": forest, "batch": batch, "swap": swap, "start": start}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers")
    parser.add_argument("--models")
    parser.add_argument("--target", type=resolved, default=ROOT / "target/release", help="where cargo put the binaries")
    parser.add_argument("--folder", type=resolved)
    args = parser.parse_args()
    for part in args.parts or parts:
        with tempfile.TemporaryDirectory() as own:
            folder = args.folder if args.folder and part in ("load", "forest", "batch") else pathlib.Path(own)
            folder.mkdir(exist_ok=True)
            parts[part](args, folder)


if __name__ == "__main__":
    main()
