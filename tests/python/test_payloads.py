"""Requests and answers that a deployment keeps as Parquet files, read back with pyarrow."""

import datetime
import io
import os
import subprocess
import time

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import requests
from conftest import LATHE, told_url
from test_following import Replica, ask, register, until

PROJECT = """
[project]
name = "p"

[deployment.m]
model = "models:/m@champion"

[deployment.m.payloads]
"""


class Server:
    """`lathe server` in a project that keeps payloads as `lines` say."""

    def __init__(self, folder, lines, *args, **environment):
        (folder / "lathe.toml").write_text(PROJECT + lines)
        self.folder = folder
        self.process = subprocess.Popen(
            [LATHE, "server", "--port", "0", "--json", *args],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=open(folder / "server.log", "a"),
            text=True,
        )
        self.url = told_url(self.process)

    def metric(self, name):
        lines = requests.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        [value] = [line.split()[-1] for line in lines if line.startswith(f'{name}{{model="m"}}')] or ["0"]
        return int(value)

    def until(self, rows):
        deadline = time.time() + 20
        while self.metric("lathe_payload_rows_total") < rows:
            assert time.time() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.05)

    def end(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*args, **environment):
        started.append(Server(tmp_path, *args, **environment))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def deploy(url):
    client = register(url, [7])
    client.set_registered_model_alias("m", "champion", 1)
    until(url, "1")


def infer(url, rows, at=None, ids=None):
    tensor = {"name": "rows", "shape": [len(rows), 2], "datatype": "FP64", "data": rows}
    reply = requests.post(
        f"{url}/v2/models/m/infer", json={"inputs": [tensor]}, headers={"lathe-event-time": at} if at else {}, timeout=10
    )
    assert reply.status_code == 200, reply.text
    return reply.headers["lathe-prediction-id"]


def read(folder):
    return ds.dataset(folder, format="parquet", partitioning="hive").to_table().to_pylist()


def test_rows_are_kept_by_day_whole_and_to_the_last_when_the_server_ends(start, tmp_path):
    server = start('file_rows = 4\nfile_age = "1h"\n')
    deploy(server.url)
    one = infer(server.url, [[1.0, 2.0]], "2024-02-29T23:59:59Z")
    many = infer(server.url, [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], "2024-03-01T00:00:00Z")
    server.until(4)
    last = infer(server.url, [[9.0, 0.5]])
    assert len(list((tmp_path / ".lathe/artifacts/payloads/m").rglob("*.parquet"))) == 2
    server.end()
    rows = {row["prediction_id"]: row for row in read(tmp_path / ".lathe/artifacts/payloads/m")}
    assert set(rows) == {one, last, *(f"{many}-{index}" for index in range(3))}
    row = rows[one]
    assert row["at"] == datetime.datetime(2024, 2, 29, 23, 59, 59, tzinfo=datetime.timezone.utc)
    assert (row["input.a"], row["input.b"], row["prediction"]) == (1.0, 2.0, pytest.approx(7.0))
    assert (row["deployment"], row["model"], row["version"], row["role"]) == ("m", "m", 1, "stable")
    assert 0 < row["latency_us"] < 10_000_000 and str(row["date"]) == "2024-02-29"
    assert str(rows[f"{many}-2"]["date"]) == "2024-03-01" and rows[f"{many}-2"]["input.b"] == 8.0
    assert str(rows[last]["date"]) == datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def test_a_share_is_kept_old_files_are_written_and_columns_are_left_out(start, tmp_path):
    server = start('sample = 0.5\nwithout = ["b"]\nfile_age = "200ms"\n')
    deploy(server.url)
    for _ in range(200):
        infer(server.url, [[1.0, 2.0]])
    deadline = time.time() + 10
    while server.metric("lathe_payload_rows_total") < 60:
        assert time.time() < deadline
        time.sleep(0.1)
    # What a replica answers is reported, and kept here.
    replica = Replica(tmp_path, "--server", server.url)
    before = server.metric("lathe_payload_rows_total")
    for _ in range(100):
        ask(replica.url)
    server.until(before + 25)
    replica.stop()
    server.end()
    rows = read(tmp_path / ".lathe/artifacts/payloads/m")
    assert 100 < len(rows) < 200 and all("input.b" not in row and row["input.a"] == 1.0 for row in rows)
    assert len({row["prediction_id"] for row in rows}) == len(rows)


def test_a_store_that_is_away_costs_no_answer_and_gets_the_files_later(start, tmp_path):
    server = start('file_age = "100ms"\n')
    deploy(server.url)
    payloads = tmp_path / ".lathe/artifacts/payloads"
    payloads.write_text("in the way")
    for _ in range(50):
        infer(server.url, [[1.0, 2.0]])
    time.sleep(0.5)
    assert server.metric("lathe_payload_rows_total") == 0
    payloads.unlink()
    server.until(50)
    assert server.metric("lathe_payload_rows_dropped_total") == 0
    server.end()
    assert len(read(payloads / "m")) == 50


def test_payloads_lie_in_an_object_store_too(start, s3):
    server = start('file_rows = 3\n', "--artifacts-destination", s3.url, **s3.environment)
    deploy(server.url)
    ids = [infer(server.url, [[1.0, 2.0]]) for _ in range(5)]
    server.until(3)
    server.end()
    files = s3.objects("payloads/m/date=")
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    assert len(files) == 2 and all(name.startswith(f"payloads/m/date={day}/v1-") for name in files), list(files)
    rows = [row for read in files.values() for row in pq.read_table(io.BytesIO(read())).to_pylist()]
    assert sorted(row["prediction_id"] for row in rows) == sorted(ids)


def test_settings_that_cannot_be_are_refused(tmp_path):
    for line, told in [("sample = 1.5", "is a share from 0 to 1"), ("file_rows = 0", "is a number from 1"), ("shere = 1", "shere")]:
        (tmp_path / "lathe.toml").write_text(PROJECT + line + "\n")
        done = subprocess.run([LATHE, "server", "--port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and told in done.stderr, done.stderr
