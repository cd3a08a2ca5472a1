"""More models than the memory that is granted: they make room for each other, and nobody notices but by the time."""

import random
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import requests
from conftest import LATHE, Server, lathe
from test_following import Replica

COUNT = 6
# Each takes a bit more than 1 MiB.
LIMIT = "3MiB"
X = pd.DataFrame(np.random.default_rng(3).normal(size=(4000, 4)), columns=list("abcd"))
ROWS = X.head(3)
PROJECT = '[project]\nname = "p"\n' + "".join(f'\n[deployment.m{i}]\nmodel = "models:/m{i}@champion"\n' for i in range(COUNT))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A server with a limit, its deployments, and what each answers."""
    import mlflow

    folder = tmp_path_factory.mktemp("memory")
    (folder / "lathe.toml").write_text(PROJECT)
    server = Server(folder, "--models-memory", LIMIT)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("memory")
    expected = {}
    for i in range(COUNT):
        params = {"num_leaves": 63, "min_data_in_leaf": 5, "verbose": -1, "seed": i, "num_threads": 1}
        model = lgb.train(params, lgb.Dataset(X, X["a"] * (i + 1) + X["b"] ** 2), 400)
        with mlflow.start_run():
            mlflow.lightgbm.log_model(model, name="m", registered_model_name=f"m{i}", input_example=ROWS, pip_requirements=[])
        mlflow.MlflowClient().set_registered_model_alias(f"m{i}", "champion", 1)
        expected[f"m{i}"] = model.predict(ROWS).tolist()
    yield server, expected
    server.stop()


@pytest.fixture(params=["server", "replica"])
def served(records, request, tmp_path):
    """The server itself, and a process that follows it, with the same limit."""
    server, expected = records
    if request.param == "server":
        url, stop = server.url, lambda: None
    else:
        replica = Replica(tmp_path, "--server", server.url, "--models-memory", LIMIT)
        url, stop = replica.url, replica.stop
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if set(ready(url)) == set(expected):
            break
        time.sleep(0.2)
    assert set(ready(url)) == set(expected), requests.post(f"{url}/v2/repository/index", json={}).text
    yield url, expected
    stop()


def ready(url):
    index = requests.post(f"{url}/v2/repository/index", json={"ready": True}).json()
    return [entry["name"] for entry in index]


def metric(url, name):
    text = requests.get(f"{url}/metrics").text
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(\{{[^}}]*\}})? (\S+)$", text, re.M)}


def only(url, name):
    (value,) = metric(url, name).values()
    return value


def in_memory(url):
    sizes = metric(url, "lathe_model_memory_bytes")
    return {re.search('model="([^"]*)"', labels).group(1): size for labels, size in sizes.items()}


def ask(url, name, session=requests, **options):
    body = {"dataframe_split": {"columns": list("abcd"), "data": ROWS.values.tolist()}}
    return session.post(f"{url}/deployments/{name}/invocations", json=body, timeout=60, **options)


def test_models_make_room_for_each_other_without_a_failed_request(served):
    url, expected = served
    limit = only(url, "lathe_models_memory_limit_bytes")
    assert limit == 3 << 20
    stop, faults, answered = threading.Event(), [], [0] * 8

    def client(number):
        dice, session = random.Random(number), requests.Session()
        while not stop.is_set():
            # Some are asked more than others.
            name = f"m{min(dice.randrange(COUNT), dice.randrange(COUNT))}"
            told = ask(url, name, session)
            if told.status_code != 200 or told.json()["predictions"] != expected[name]:
                faults.append((name, told.status_code, told.text[:200]))
            answered[number] += 1

    before = only(url, "lathe_models_unloads_total")
    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    most = 0
    until = time.monotonic() + 6
    while time.monotonic() < until:
        most = max(most, sum(in_memory(url).values()))
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    assert 0 < most <= limit
    swaps = only(url, "lathe_models_unloads_total") - before
    print(f"{sum(answered)} answers, {swaps} models made room, {most / 2**20:.1f} MiB at most")
    assert 5 < swaps and 50 < sum(answered)
    assert all(value == 1 for value in metric(url, "lathe_model_ready").values())


def evicted(url, expected):
    """A model that is not in memory now."""
    for name in expected:
        if in_memory(url)[name] == 0:
            return name
    raise AssertionError(f"all are in memory: {in_memory(url)}")


def test_who_asks_for_a_model_that_is_away_waits_for_one_load_together(served):
    url, expected = served
    name = evicted(url, expected)
    loads = only(url, "lathe_models_loads_total")
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: ask(url, name), range(16)))
    assert [one.json()["predictions"] for one in told] == [expected[name]] * 16
    assert only(url, "lathe_models_loads_total") == loads + 1
    assert 0 < in_memory(url)[name]


def test_a_caller_waits_no_longer_than_it_says_and_what_it_asked_is_told_of_without_it(served):
    url, expected = served
    name = evicted(url, expected)
    metadata = requests.get(f"{url}/v2/models/{name}")
    assert [column["name"] for column in metadata.json()["inputs"]] == list("abcd")
    assert requests.get(f"{url}/v2/models/{name}/ready").status_code == 200
    assert in_memory(url)[name] == 0, "telling of a model does not load it"
    told = ask(url, name, headers={"timeout": "0.001"})
    assert told.status_code == 504, told.text
    assert ask(url, name).json()["predictions"] == expected[name]


def test_what_was_asked_least_recently_goes_first(served):
    url, expected = served
    ask(url, "m0")
    ask(url, "m1")
    ask(url, "m0")
    ask(url, "m2")
    kept = [name for name, size in in_memory(url).items() if 0 < size]
    assert "m0" in kept and "m2" in kept and "m1" not in kept, kept


def test_a_model_beyond_the_limit_is_refused_with_both_sizes(records, tmp_path):
    server, _ = records
    replica = Replica(tmp_path, "--server", server.url, "--models-memory", "100KiB")
    index = requests.post(f"{replica.url}/v2/repository/index", json={}).json()
    assert {entry["state"] for entry in index} == {"UNAVAILABLE"}
    assert "MiB of memory, more than `--models-memory`" in index[0]["reason"], index[0]
    replica.stop()


def test_the_limit_is_a_size_and_of_no_use_for_one_model_alone(tmp_path):
    done = subprocess.run([LATHE, "serve", "x", "--models-memory", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "say `500MiB` or `2GiB`" in done.stderr
    told = lathe("serve", "model.txt", "--models-memory", "2GiB", cwd=tmp_path, code=1).stderr
    assert "nobody to make room for" in told, told
