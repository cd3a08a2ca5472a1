"""Tracking side by side with `mlflow server`, in one run on one machine; prints ratios.

    cargo build --release && target/py/bin/python bench/tracking/run.py [start] [log] [search] [history]

Both keep records in SQLite and acknowledge what is on disk: `mlflow server` by SQLAlchemy's commits with SQLite's
defaults (its rollback journal is synced), `lathe server` by its group commit. Each has its default number of workers.
`--postgres` measures Lathe on PostgreSQL as well, `--seconds` says how long each load lasts, `--runs` how many runs a
search has before it; a search that takes longer than `--patience` gives a lower bound. The load client (`load.rs`) is
compiled by rustc on the way.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def tree_kib(pid, field="VmRSS"):
    """The memory of a process and all that it started, in KiB."""
    total = 0
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(fields["Pid"]) == pid or int(fields["PPid"]) in (pid, *children.get(pid, [])):
            children.setdefault(pid, set()).add(int(fields["Pid"]))
            total += int(fields.get(field, "0 kB").split()[0])
    return total


children = {}


class Peer:
    """A server under measurement."""

    def __init__(self, name, folder, command):
        self.name, self.folder, self.command = name, folder, command
        folder.mkdir(exist_ok=True)

    def start(self):
        self.port = free_port()
        started = time.monotonic()
        self.process = subprocess.Popen(
            [part.replace("PORT", str(self.port)) for part in self.command],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "log", "a"),
            start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "RUST_LOG": "warn"},
        )
        self.url = f"http://127.0.0.1:{self.port}"
        while True:
            try:
                if urllib.request.urlopen(f"{self.url}/health", timeout=1).status == 200:
                    return (time.monotonic() - started) * 1000
            except OSError:
                if self.process.poll() is not None or time.monotonic() - started > 120:
                    raise RuntimeError(f"{self.name} does not start, see {self.folder / 'log'}") from None
                time.sleep(0.002)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
        try:
            # Its job consumers outlive it.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def call(self, path, body=None, timeout=300):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}", data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return json.load(reply)

    def runs(self, count):
        """Fresh runs to log to."""
        made = []
        for number in range(count):
            body = {"experiment_id": "0", "start_time": 1_700_000_000_000 + number}
            made.append(self.call("runs/create", body)["run"]["info"]["run_id"])
        return made


def table(title, columns, rows):
    print(f"\n{title}")
    widths = [max(len(str(cell)) for cell in column) for column in zip(columns, *rows)]
    for row in [columns, *rows]:
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, widths)), flush=True)


def start(peers, _):
    rows = []
    for peer in peers:
        # The first start makes the schema.
        first = peer.start()
        peer.stop()
        times = []
        for _ in range(3):
            times.append(peer.start())
            if len(times) < 3:
                peer.stop()
        time.sleep(3)
        rows.append([peer.name, f"{first:.0f}", f"{sorted(times)[1]:.0f}", f"{tree_kib(peer.process.pid) / 1024:.1f}"])
        peer.stop()
    table("start to healthy, idle memory", ["server", "first ms", "ms", "MiB"], rows)


def log(peers, options):
    load = options.folder / "load"
    subprocess.run(["rustc", "-O", "--edition", "2024", ROOT / "bench/tracking/load.rs", "-o", load], check=True)
    loads = [(kind, clients) for kind in ("log-metric", "log-batch") for clients in (1, 8, 64)]
    found = {}
    # One after the other: a peer that idles takes its share of the cores.
    for peer in peers:
        peer.start()
        for kind, clients in loads:
            runs = peer.runs(clients)
            command = [load, f"127.0.0.1:{peer.port}", kind, str(clients)]
            subprocess.run([*command, "0.3", *runs], check=True, capture_output=True)
            said = subprocess.run([*command, str(options.seconds), *runs], check=True, capture_output=True)
            found[kind, clients, peer.name] = json.loads(said.stdout)
        peer.stop()
    rows = []
    for kind, clients in loads:
        base = found[kind, clients, peers[0].name]["per_second"] or 0.1
        for peer in peers:
            one = found[kind, clients, peer.name]
            rows.append([kind, clients, peer.name, one["per_second"], f"{one['per_second'] / base:.1f}x",
                         one["p50_ms"], one["p99_ms"], one["failed"]])
    table("durable writes", ["what", "clients", "server", "requests/s", "ratio", "p50 ms", "p99 ms", "failed"], rows)


METRICS, PARAMS, TAGS = ["rmse", "mae", "r2", "loss", "val_loss"], 5, 3


def fill(peer, count):
    """The same runs for each server, put into its tables while it is down; none of it is what is measured."""
    database = sqlite3.connect(peer.folder / "records.db")
    ours = peer.name == "lathe"
    have = database.execute("SELECT COUNT(*) FROM runs WHERE name LIKE 'run %'").fetchone()[0]
    random.seed(f"from run {have} on")
    for number in range(have, count):
        run_id, at = uuid.UUID(int=random.getrandbits(128)).hex, 1_600_000_000_000 + number * 1000
        columns = "experiment_id, name, user_id, status, start_time, end_time, artifact_uri"
        values = (0, f"run {number}", "u", "FINISHED", at, at + 500, f"mlflow-artifacts:/0/{run_id}/artifacts")
        if ours:
            sql = f"INSERT INTO runs (run_id, lifecycle, {columns}) VALUES (?,'active',?,?,?,?,?,?,?)"
            key = database.execute(sql, (run_id, *values)).lastrowid
        else:
            sql = f"INSERT INTO runs (run_uuid, lifecycle_stage, source_type, {columns}) VALUES (?,'active','LOCAL',?,?,?,?,?,?,?)"
            database.execute(sql, (run_id, *values))
            key = run_id
        run, time_column = ("run_no", "at") if ours else ("run_uuid", "timestamp")
        database.executemany(
            f"INSERT INTO latest_metrics ({run}, key, value, is_nan, {time_column}, step) VALUES (?,?,?,0,?,1)",
            [(key, name, random.random(), at) for name in METRICS],
        )
        for kind, many in (("params", PARAMS), ("tags", TAGS)):
            database.executemany(
                f"INSERT INTO {kind} ({run}, key, value) VALUES (?,?,?)",
                [(key, f"{kind}{n}", str(random.randrange(100))) for n in range(many)],
            )
    database.commit()
    database.close()


SEARCHES = {
    "metric < 0.5, by it": ("metrics.rmse < 0.5", "metrics.rmse ASC"),
    "metric < 0.5, by another": ("metrics.rmse < 0.5", "metrics.mae DESC"),
    "metric < 0.01, newest": ("metrics.rmse < 0.01", "attributes.start_time DESC"),
}


def asked(peer, body, patience):
    """The middle time of some searches in ms and how many runs were found; none if one took longer than `patience`."""
    times = []
    for attempt in range(6):
        began = time.monotonic()
        try:
            runs = peer.call("runs/search", body, patience)["runs"]
        except TimeoutError:
            # What it still works on must not slow down what comes next.
            peer.stop()
            peer.start()
            return patience * 1000, None
        times.append((time.monotonic() - began) * 1000)
        # The first one warms up.
        if attempt and sum(times) > 12_000:
            break
    return sorted(times[1:])[len(times[1:]) // 2], len(runs)


def search(peers, options):
    peers = [peer for peer in peers if peer.name != "lathe on postgresql"]
    rows = []
    for count in options.runs:
        found = {}
        for peer in peers:
            # The schema is made by the first start.
            if not (peer.folder / "records.db").exists():
                peer.start()
                peer.stop()
            fill(peer, count)
            peer.start()
            for name, (filter_string, order) in SEARCHES.items():
                for page in (100, 1000):
                    body = {"experiment_ids": ["0"], "filter": filter_string, "order_by": [order], "max_results": page}
                    found[name, page, peer.name] = asked(peer, body, options.patience)
            peer.stop()
        for name in SEARCHES:
            for page in (100, 1000):
                base, answered = found[name, page, peers[0].name]
                for peer in peers:
                    middle, many = found[name, page, peer.name]
                    mark = "" if many is not None else ">"
                    ratio = f"{'' if answered is not None or peer is peers[0] else '>'}{base / middle:.1f}x"
                    rows.append([count, name, page, peer.name, f"{mark}{middle:.1f}", ratio, many if mark == "" else "-"])
    table("search", ["runs", "what", "page", "server", "ms", "ratio", "found"], rows)


def history(peers, options):
    """Lathe alone: a million points by `log-batch`, then all of them by pages."""
    peer = next(peer for peer in peers if peer.name == "lathe")
    peer.start()
    [run] = peer.runs(1)
    began = time.monotonic()
    for part in range(options.points // 1000):
        metrics = [{"key": "m", "value": n, "timestamp": 1, "step": n} for n in range(part * 1000, part * 1000 + 1000)]
        peer.call("runs/log-batch", {"run_id": run, "metrics": metrics})
    written, seen, token, memory = time.monotonic() - began, 0, "", []
    began = time.monotonic()
    while True:
        query = f"metrics/get-history?run_id={run}&metric_key=m&max_results=25000"
        reply = peer.call(query + (f"&page_token={token}" if token else ""))
        seen += len(reply["metrics"])
        memory.append(tree_kib(peer.process.pid) / 1024)
        token = reply.get("next_page_token")
        if not token:
            break
    peer.stop()
    table(
        "a long history",
        ["points", "written s", "read s", "MiB after page 2", "halfway", "at the end"],
        [[seen, f"{written:.1f}", f"{time.monotonic() - began:.1f}",
          *(f"{memory[place]:.1f}" for place in (1, len(memory) // 2, -1))]],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=[], choices=[[], "start", "log", "search", "history"])
    parser.add_argument("--lathe", default=ROOT / "target/release/lathe")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--runs", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--patience", type=float, default=60, help="seconds that a search may take")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--alone", action="store_true", help="without the peer")
    options = parser.parse_args()
    # Not in memory: an fsync there costs nothing.
    options.folder = pathlib.Path(tempfile.mkdtemp(prefix="lathe-bench-", dir=ROOT / "target"))
    lathe = [str(options.lathe), "server", "--port", "PORT", "--database"]
    mlflow = [str(ROOT / "target/py/bin/mlflow"), "server", "--port", "PORT", "--backend-store-uri"]
    peers = [] if options.alone else [Peer("mlflow", options.folder / "mlflow", [*mlflow, "sqlite:///records.db"])]
    peers.append(Peer("lathe", options.folder / "lathe", [*lathe, "sqlite:///records.db"]))
    cluster = None
    if options.postgres:
        from postgres import Cluster

        cluster = Cluster()
        peers.append(Peer("lathe on postgresql", options.folder / "postgres", [*lathe, cluster.url]))
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    try:
        for part in options.parts or ["start", "log", "search", "history"]:
            {"start": start, "log": log, "search": search, "history": history}[part](peers, options)
    finally:
        for peer in peers:
            if getattr(peer, "process", None) and peer.process.poll() is None:
                peer.stop()
        if cluster:
            cluster.remove()
        shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
