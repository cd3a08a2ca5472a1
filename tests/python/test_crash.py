"""`kill -9` at any moment: what was acknowledged is there after a restart."""

import threading
import time

import requests


def test_no_acknowledged_write_is_lost(serve, tmp_path):
    server = serve(tmp_path)
    base = f"{server.url}/api/2.0/mlflow"
    run = requests.post(f"{base}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    acknowledged = {"metrics": [], "files": []}

    def log_metrics():
        for step in range(100_000):
            body = {"run_id": run["run_id"], "key": "m", "value": step, "timestamp": 1, "step": step}
            try:
                if requests.post(f"{base}/runs/log-metric", json=body, timeout=5).status_code == 200:
                    acknowledged["metrics"].append(step)
            except requests.RequestException:
                return

    def put_files():
        root = run["artifact_uri"].removeprefix("mlflow-artifacts:")
        for number in range(100_000):
            url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts{root}/{number}.bin"
            try:
                if requests.put(url, data=bytes([number % 256]) * 50_000, timeout=5).status_code == 200:
                    acknowledged["files"].append(number)
            except requests.RequestException:
                return

    threads = [threading.Thread(target=work) for work in (log_metrics, log_metrics, put_files)]
    for thread in threads:
        thread.start()
    while len(acknowledged["metrics"]) < 200 or len(acknowledged["files"]) < 20:
        time.sleep(0.01)
    server.kill()
    for thread in threads:
        thread.join()

    server.start()
    base = f"{server.url}/api/2.0/mlflow"
    history = requests.get(f"{base}/metrics/get-history", params={"run_id": run["run_id"], "metric_key": "m"}).json()
    steps = [point["step"] for point in history["metrics"]]
    for step in acknowledged["metrics"]:
        assert step in steps, f"the acknowledged step {step} of {len(acknowledged['metrics'])} is gone"
    listed = requests.get(f"{base}/artifacts/list", params={"run_id": run["run_id"]}).json()["files"]
    sizes = {file["path"]: file["file_size"] for file in listed}
    for number in acknowledged["files"]:
        assert sizes.get(f"{number}.bin") == 50_000
    assert all(size == 50_000 for size in sizes.values()), "half a file is visible"


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
