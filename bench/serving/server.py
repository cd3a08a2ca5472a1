"""A server of the comparison: started, asked until it answers, and what it uses."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from environments import environment

# One thread a request, since LightGBM and scikit-learn with a thread for each core take far longer over one row.
ALL_ALIKE = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
# What servers say that listen before their model is there; MLServer says 400.
NOT_YET = (400, 404, 503)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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
    """A peer that answers. Its programs are looked for in its own environment, or else in that of this Python."""

    def __init__(self, peer, folder):
        programs = environment(peer.environment) if peer.environment else pathlib.Path(sys.executable).parent
        self.peer, self.body = peer, folder / peer.body
        self.port = free_port()
        command = [str(part).replace("{port}", str(self.port)) for part in peer.command]
        variables = {name: str(value).replace("{port}", str(self.port)) for name, value in peer.variables.items()}
        self.log = open(folder / "log", "w")
        started = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, **ALL_ALIKE, "PATH": f"{programs}:{os.environ['PATH']}", **variables},
        )  # fmt: skip
        self.address = f"127.0.0.1:{self.port}"
        request = urllib.request.Request(
            f"http://{self.address}{peer.path}",
            data=self.body.read_bytes(),
            headers={"Content-Type": "application/json"},
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    self.first_ms = (time.monotonic() - started) * 1000
                    self.answer = reply.read()
                    return
            except OSError as error:
                refused = getattr(error, "code", 503) not in NOT_YET
                if self.process.poll() is not None or time.monotonic() - started > 150 or refused:
                    self.stop()
                    last = pathlib.Path(self.log.name).read_text().strip().rsplit("\n", 1)[-1]
                    raise RuntimeError(f"{command[:3]} does not answer: {error}; its log ends with: {last}") from None
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
