"""Who is compared: how each server is started with a model, where it is asked, and what it is to answer."""

import dataclasses
import pathlib

SERVERS = pathlib.Path(__file__).resolve().parent / "servers"
OIP = ("/v2/models/m/infer", "oip.json")
SCORING = ("/invocations", "inputs.json")
# By which requests/s, CPU and p99 are told as ratios.
RATIOS = {
    "lathe": ["echo", "fastapi", "fastapi onnxruntime", "mlflow", "mlserver", "mlserver 1 process", "bentoml", "kserve"],
    "lathe onnx": ["fastapi onnxruntime", "mlflow onnx", "mlserver onnxruntime", "bentoml onnxruntime", "kserve onnxruntime"],
    "lathe /invocations": ["mlflow"],
}  # fmt: skip


@dataclasses.dataclass
class Peer:
    """`{port}` in the command and the variables stands for a free port."""

    command: list
    path: str
    body: str
    # Which of the library's answers the first one must hold; none for the one that knows no model.
    output: str | None = None
    # The environment of its own that it needs, if any.
    environment: str | None = None
    variables: dict = dataclasses.field(default_factory=dict)


def peers(target, folder, model):
    lathe = [target / "lathe", "serve"]
    onnx = {**model, "kind": "onnx", "file": model["onnx"], "folder": model["onnx_folder"]}
    return {
        "echo": Peer([target / "examples/echo", "{port}"], *OIP),
        "lathe": Peer([*lathe, model["folder"], "--name", "m", "-p", "{port}"], *OIP, "prediction"),
        "lathe /invocations": Peer([*lathe, model["folder"], "-p", "{port}"], *SCORING, "prediction"),
        "lathe onnx": Peer([*lathe, model["onnx"], "--name", "m", "-p", "{port}"], *OIP, "probability"),
        "fastapi": fastapi(model, "prediction"),
        "fastapi onnxruntime": fastapi(onnx, "probability"),
        "mlflow": mlflow(model, "prediction"),
        "mlflow onnx": mlflow(onnx, "probability"),
        "mlserver": mlserver(model, "prediction", processes=0),
        "mlserver 1 process": mlserver(model, "prediction", processes=1),
        "mlserver onnxruntime": mlserver(onnx, "probability", processes=0),
        "bentoml": bentoml(model, "prediction", folder),
        "bentoml onnxruntime": bentoml(onnx, "probability", folder),
        "kserve": kserve(model, "prediction"),
        "kserve onnxruntime": kserve(onnx, "probability"),
    }


def fastapi(model, output):
    command = ["python", SERVERS / "fastapi_server.py", model["kind"], model["file"], "{port}"]
    return Peer(command, "/predict", "instances.json", output)


def mlflow(model, output):
    command = ["mlflow", "models", "serve", "-m", model["folder"], "-p", "{port}", "--env-manager", "local", "-w", "1"]
    return Peer(command, *SCORING, output)


def mlserver(model, output, processes):
    """Its own runtimes. With no process beside it, it answers itself; with one, which is its default, that one does."""
    runtimes = {
        "sklearn": "mlserver_sklearn.SKLearnModel",
        "lightgbm": "mlserver_lightgbm.LightGBMModel",
        "onnx": "mlserver_onnx.OnnxModel",
    }
    variables = {
        # Without it every request is logged.
        "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": processes,
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": 0,
        "MLSERVER_METRICS_PORT": 0,
        "MLSERVER_MODEL_NAME": "m",
        "MLSERVER_MODEL_IMPLEMENTATION": runtimes[model["kind"]],
        "MLSERVER_MODEL_URI": model["file"],
    }
    return Peer(["mlserver", "start", SERVERS], *OIP, output, "mlserver", variables)


def bentoml(model, output, folder):
    command = ["bentoml", "serve", "bentoml_service:Rows", "--working-dir", SERVERS, "--host", "127.0.0.1", "-p", "{port}"]  # fmt: skip
    variables = {
        "MODEL_KIND": model["kind"],
        "MODEL_PATH": model["file"],
        "BENTOML_HOME": folder / "bentoml",
        "BENTOML_DO_NOT_TRACK": "True",
    }
    return Peer(command, "/predict", "instances.json", output, "bentoml", variables)


def kserve(model, output):
    """Without the lines that it would log for each request."""
    command = ["python", SERVERS / "kserve_server.py", model["kind"], model["file"], "--http_port", "{port}"]
    command += ["--enable_grpc", "false", "--enable_latency_logging", "false", "--configure_logging", "false"]
    return Peer(command, *OIP, output, "kserve")
