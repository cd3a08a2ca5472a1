"""`kill -9` at any moment, a database that restarts, a disk that is full: what was acknowledged is there afterwards,
whole, and nothing is there in part."""

import subprocess
import threading
import time

import pytest
import requests
from conftest import on_both_databases


class Writers:
    """Clients that log batches, and remember which ones the server acknowledged."""

    def __init__(self, server, count):
        self.server, self.statuses, self.stopped = server, set(), False
        self.runs = {self.create_run(): ([], []) for _ in range(count)}
        self.threads = []

    def create_run(self):
        reply = requests.post(f"{self.api}/runs/create", json={"experiment_id": "0"})
        return reply.json()["run"]["info"]["run_id"]

    @property
    def api(self):
        return f"{self.server.url}/api/2.0/mlflow"

    def start(self):
        self.threads = [threading.Thread(target=self.work, args=[run]) for run in self.runs]
        for thread in self.threads:
            thread.start()

    def work(self, run):
        """Until the server is gone; what it refuses is not tried again."""
        session = requests.Session()
        sent, acknowledged = self.runs[run]
        while not self.stopped:
            number = len(sent)
            sent.append(number)
            point = {"value": number, "timestamp": 1, "step": number}
            body = {
                "run_id": run,
                "metrics": [{"key": "a", **point}, {"key": "b", **point}],
                "params": [{"key": f"p{number}", "value": str(number)}],
                "tags": [{"key": "last", "value": str(number)}],
            }
            try:
                status = session.post(f"{self.api}/runs/log-batch", json=body, timeout=30).status_code
            except requests.RequestException:
                return
            self.statuses.add(status)
            if status == 200:
                acknowledged.append(number)

    def acknowledged(self):
        return min(len(acknowledged) for _, acknowledged in self.runs.values())

    def wait_for(self, more):
        """Until each writer had so many more batches acknowledged."""
        wanted, give_up = self.acknowledged() + more, time.monotonic() + 60
        while self.acknowledged() < wanted:
            assert time.monotonic() < give_up, f"only {self.acknowledged()} of {wanted}: {self.statuses}"
            time.sleep(0.01)

    def stop(self):
        self.stopped = True
        self.join()
        self.stopped = False

    def join(self):
        for thread in self.threads:
            thread.join()

    def check(self):
        """Asks the server for everything."""
        for run, (sent, acknowledged) in self.runs.items():
            data = requests.get(f"{self.api}/runs/get", params={"run_id": run}).json()["run"]["data"]
            params = {int(param["value"]) for param in data["params"]}
            assert {param["key"] for param in data["params"]} == {f"p{number}" for number in params}
            for key in "ab":
                query = {"run_id": run, "metric_key": key}
                found = requests.get(f"{self.api}/metrics/get-history", params=query).json()["metrics"]
                assert {point["step"] for point in found} == params, "a batch is there in part"
                assert len(found) == len(params)
            lost = set(acknowledged) - params
            assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged batches are gone"
            assert params <= set(sent)
            tags = {tag["key"]: tag["value"] for tag in data["tags"]}
            assert tags["last"] == str(max(params))
            assert {metric["value"] for metric in data["metrics"]} == {max(params)}


@on_both_databases
def test_no_acknowledged_write_is_lost_and_none_is_torn(server, request):
    writers = Writers(server, 4)
    ready = []
    for _ in range(request.config.getoption("--crash-rounds")):
        writers.start()
        writers.wait_for(40)
        server.kill()
        writers.join()
        began = time.monotonic()
        server.start()
        ready.append(time.monotonic() - began)
        writers.check()
    assert writers.statuses == {200}
    assert min(ready) < 1, ready


def test_artifacts_are_whole_or_not_there(serve, tmp_path):
    server = serve(tmp_path)
    run = requests.post(f"{server.url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:")
    kept = []

    def put_files():
        for number in range(100_000):
            url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts{root}/{number}.bin"
            try:
                if requests.put(url, data=bytes([number % 256]) * 50_000, timeout=5).status_code == 200:
                    kept.append(number)
            except requests.RequestException:
                return

    thread = threading.Thread(target=put_files)
    thread.start()
    while len(kept) < 20:
        time.sleep(0.01)
    server.kill()
    thread.join()
    server.start()
    query = {"run_id": run["run_id"]}
    listed = requests.get(f"{server.url}/api/2.0/mlflow/artifacts/list", params=query).json()["files"]
    sizes = {file["path"]: file["file_size"] for file in listed}
    assert {f"{number}.bin" for number in kept} <= sizes.keys()
    assert set(sizes.values()) == {50_000}, "half a file is visible"


def test_postgresql_may_restart_or_crash_under_load(serve, tmp_path):
    from postgres import Cluster

    cluster = Cluster()
    try:
        server = serve(tmp_path, "--database", cluster.url)
        writers = Writers(server, 4)
        writers.start()
        for mode in ("fast", "immediate"):
            writers.wait_for(20)
            cluster.stop(mode)
            time.sleep(0.3)
            cluster.start()
        writers.wait_for(20)
        # Away for longer than anybody waits: an answer all the same.
        cluster.stop("fast")
        reply = requests.get(f"{writers.api}/runs/get", params={"run_id": next(iter(writers.runs))}, timeout=30)
        assert reply.status_code == 503 and reply.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert "lathe" not in reply.json()["message"] and "127.0.0.1" not in reply.json()["message"]
        while 503 not in writers.statuses:
            time.sleep(0.05)
        cluster.start()
        writers.wait_for(20)
        writers.stop()
        assert writers.statuses == {200, 503}
        writers.check()
        server.stop()
    finally:
        cluster.remove()


def test_two_servers_share_one_postgresql(serve, tmp_path, postgres):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    place = postgres()
    servers = [serve(tmp_path / name, "--database", place) for name in "ab"]
    bases = [f"{server.url}/api/2.0/mlflow" for server in servers]
    assert requests.post(f"{bases[0]}/registered-models/create", json={"name": "m"}).status_code == 200
    run = requests.post(f"{bases[1]}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    numbers, failures = [], []

    def work(base, client):
        session = requests.Session()
        for part in range(15):
            version = {"name": "m", "source": "s3://elsewhere/m"}
            made = session.post(f"{base}/model-versions/create", json=version)
            # The same keys in any order, from both sides at once.
            metrics = [{"key": f"k{(part * client + n) % 7}", "value": n, "timestamp": part, "step": client} for n in range(7)]
            logged = session.post(f"{base}/runs/log-batch", json={"run_id": run, "metrics": metrics})
            named = session.post(f"{base}/experiments/create", json={"name": f"e{part}"})
            if (made.status_code, logged.status_code) != (200, 200) or named.status_code not in (200, 400):
                failures.append((made.text, logged.text, named.text))
            else:
                numbers.append(int(made.json()["model_version"]["version"]))
                named.status_code == 200 and numbers.append(f"e{part}")

    threads = [threading.Thread(target=work, args=[bases[client % 2], client]) for client in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(n for n in numbers if isinstance(n, int)) == list(range(1, 91)), "a version number twice, or none"
    assert sorted(n for n in numbers if isinstance(n, str)) == sorted(f"e{part}" for part in range(15))
    for base in bases:
        data = requests.get(f"{base}/runs/get", params={"run_id": run}).json()["run"]["data"]
        assert {metric["step"] for metric in data["metrics"]} == {5}


def test_a_full_disk_is_told_and_the_server_goes_on_when_there_is_room(serve, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk)]
    if subprocess.run(small, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3_000_000))
        server = serve(tmp_path, "--database", f"sqlite:///{disk}/lathe.db")
        writers = Writers(server, 3)
        writers.start()
        give_up = time.monotonic() + 60
        blob = {"key": "big", "value": "x" * 5_000}
        while 507 not in writers.statuses:
            assert time.monotonic() < give_up, writers.statuses
            big = requests.post(f"{writers.api}/runs/set-tag", json={"run_id": next(iter(writers.runs)), **blob})
            blob = {"key": f"big{time.monotonic_ns()}", "value": "x" * 5_000}
        writers.stop()
        assert writers.statuses == {200, 507}
        if big.status_code == 507:
            assert big.json()["error_code"] == "RESOURCE_EXHAUSTED" and "disk is full" in big.json()["message"]
        assert requests.get(f"{server.url}/health").status_code == 200
        writers.check()
        ballast.unlink()
        writers.start()
        writers.wait_for(10)
        writers.stop()
        assert writers.statuses == {200, 507}
        writers.check()
        server.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_server_killed_under_traffic_keeps_its_answers_and_labels(serve, bike):
    """Samples and labels of predictions, in the middle of the replay."""
    server = serve(bike)
    body = {"dataframe_records": bike_rows(3)}
    answered = []
    for _ in range(40):
        reply = requests.post(f"{server.url}/invocations", json=body)
        assert reply.status_code == 200, reply.text
        answered.append(reply.json()["prediction_ids"])
    # Answers do not wait for the records of them, labels do: these are written when the server says so.
    time.sleep(1)
    labels = [{"prediction_id": ids[0], "value": 7.0} for ids in answered]
    assert requests.post(f"{server.url}/api/v1/labels", json={"labels": labels}).status_code == 200
    server.kill()
    server.start()
    for ids in answered:
        graph = requests.get(f"{server.url}/api/v1/lineage", params={"of": ids[0]}).json()
        assert graph["nodes"][0]["kind"] == "prediction" and graph["nodes"][0]["details"]["label"] == 7.0


def bike_rows(count):
    row = dict(
        season=1, mnth=1, hr=8, holiday=0, weekday=1, workingday=1, weathersit=1,
        temp=0.3, atemp=0.3, hum=0.5, windspeed=0.1,
    )
    return [{**row, "hr": 6 + hour} for hour in range(count)]


def test_a_server_killed_again_and_again_starts_again_with_all_its_runs(serve, tmp_path):
    server = serve(tmp_path)
    names = []
    for number in range(5):
        base = f"{server.url}/api/2.0/mlflow"
        for part in range(3):
            body = {"experiment_id": "0", "run_name": f"{number}.{part}", "tags": [{"key": "n", "value": str(number)}]}
            assert requests.post(f"{base}/runs/create", json=body).status_code == 200
            names.append(body["run_name"])
        server.kill()
        server.start()
    found = requests.post(f"{server.url}/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]}).json()["runs"]
    assert sorted(run["info"]["run_name"] for run in found) == sorted(names)
