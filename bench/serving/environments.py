"""Environments of their own for the servers whose requirements do not go together, made once, under `target/bench-peers`.

Beside the server each has scikit-learn, numpy, LightGBM and onnxruntime in the versions of the Python that asks for it, so
that all compute with the same libraries and read the models that these made.
"""

import importlib.metadata
import pathlib
import platform
import shutil
import subprocess
import sys

ENVIRONMENTS = pathlib.Path(__file__).resolve().parents[2] / "target/bench-peers"
SERVERS = {
    # MLServer's worker processes ask for an event loop in a way that uvloop refuses from 0.22 on.
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "mlserver-lightgbm==1.7.1", "uvloop==0.21.0"],
    "bentoml": ["bentoml==1.4.40"],
    "kserve": ["kserve==0.21.0"],
}
LIBRARIES = ["scikit-learn", "numpy", "lightgbm", "onnxruntime", "cloudpickle"]


def environment(name):
    """The folder with the programs of `name`; a RuntimeError says why it cannot be installed here."""
    folder = ENVIRONMENTS / name
    requirements = SERVERS[name] + [f"{library}=={importlib.metadata.version(library)}" for library in LIBRARIES]
    wanted = "\n".join([f"# Python {platform.python_version()}", *requirements, ""])
    made = folder / "made-of.txt"
    if made.exists() and made.read_text() == wanted:
        return folder / "bin"
    uv = shutil.which("uv") or shutil.which("uv", path=pathlib.Path(sys.executable).parent)
    if uv is None:
        raise RuntimeError(f"uv makes its environment and is not here; {sys.executable} -m pip install uv")
    print(f"making {folder}: {' '.join(requirements)}", flush=True)
    for command in [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", folder / "bin/python", *requirements],
    ]:
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode != 0:
            raise RuntimeError(f"`{' '.join(map(str, command[:3]))}` failed: {told.stderr.strip()}")
    made.write_text(wanted)
    return folder / "bin"
