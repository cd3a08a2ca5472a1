"""Histories of metrics: whole, in pages, of several runs, thinned out."""

import math

import pytest
import requests
from mlflow.entities import Metric

from conftest import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def ask(server):
    def get(path, **params):
        answer = requests.get(f"{server.url}/ajax-api/2.0/mlflow/metrics/{path}", params=params, timeout=20)
        return answer.status_code, answer.json()

    return get


def log(client, run, key, points):
    client.log_batch(run, metrics=[Metric(key, value, at, step) for at, step, value in points])


def test_the_latest_value_has_the_highest_step_then_time_then_value(client, experiment):
    run = client.create_run(experiment).info.run_id
    for value, at, step in [(1, 10, 0), (2, 5, 1), (3, 20, 0), (4, 5, 1), (0.5, 5, 1), (4, 5, 1)]:
        client.log_metric(run, "m", value, at, step)
    assert client.get_run(run).data.metrics["m"] == 4
    history = [(point.timestamp, point.step, point.value) for point in client.get_metric_history(run, "m")]
    assert history == [(5, 1, 0.5), (5, 1, 2.0), (5, 1, 4.0), (10, 0, 1.0), (20, 0, 3.0)]


def test_a_history_comes_in_pages_to_its_end(client, experiment, ask):
    run = client.create_run(experiment).info.run_id
    log(client, run, "m", [(step, step, float(step)) for step in range(25)])
    found, token = [], None
    while True:
        more = {"page_token": token} if token else {}
        status, page = ask("get-history", run_id=run, metric_key="m", max_results=10, **more)
        assert status == 200
        found += [point["step"] for point in page["metrics"]]
        token = page.get("next_page_token")
        if not token:
            break
    assert found == list(range(25))
    assert ask("get-history", run_id=run, metric_key="m", max_results=0)[0] == 400
    assert ask("get-history", run_id=run)[1]["message"].startswith("Missing value for required parameter 'metric_key'")


def test_histories_of_several_runs_come_run_by_run(client, experiment, ask):
    runs = [client.create_run(experiment).info.run_id for _ in range(3)]
    points = [(1, 2, 10.0), (1, 3, 11.0), (1, 3, 12.0), (2, 3, 12.0)]
    for run in runs[:2]:
        log(client, run, "m", points)
    wanted = [
        {"key": "m", "value": value, "timestamp": at, "step": step, "run_id": run}
        for run in sorted(runs[:2])
        for at, step, value in points
    ]
    assert ask("get-history-bulk", run_id=runs + ["0" * 32, "x"], metric_key="m") == (200, {"metrics": wanted})
    assert ask("get-history-bulk", run_id=runs[0], metric_key="m", max_results=2)[1]["metrics"] == [
        point for point in wanted if point["run_id"] == runs[0]
    ][:2]
    assert ask("get-history-bulk", run_id=runs[2], metric_key="m") == (200, {"metrics": []})
    for params, reason in [
        ({"metric_key": "k"}, "GetMetricHistoryBulk request must specify at least one run_id"),
        ({"run_id": ["a"] * 101, "metric_key": "k"}, "GetMetricHistoryBulk request cannot specify more than"),
        ({"run_id": ["a"]}, "GetMetricHistoryBulk request must specify a metric_key"),
    ]:
        status, body = ask("get-history-bulk", **params)
        assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE") and reason in body["message"]


def test_a_thinned_history_has_at_most_so_many_points_and_always_the_last(client, experiment, ask):
    run, longer = (client.create_run(experiment).info.run_id for _ in range(2))
    log(client, run, "m", [(1, step, float(step)) for step in range(10)])
    log(client, longer, "m", [(1, step, float(step)) for step in range(20)])
    log(client, run, "same step", [(at, 0, float(at)) for at in range(100)])

    def steps(of, **params):
        status, body = ask("get-history-bulk-interval", run_ids=of, metric_key="m", **params)
        assert status == 200
        return [(point["run_id"], point["step"]) for point in body["metrics"]]

    assert [step for _, step in steps([run], max_results=5)] == [0, 2, 4, 6, 9]
    assert [step for _, step in steps([run], max_results=1)] == [9]
    assert [step for _, step in steps([run], max_results=10)] == list(range(10))
    assert [step for _, step in steps([run], max_results=5, start_step=0, end_step=4)] == [0, 1, 2, 3, 4]
    both = steps([run, longer], max_results=5)
    assert [step for of, step in both if of == longer] == [0, 4, 8, 12, 19] and len(both) == 10
    bunched = ask("get-history-bulk-interval", run_ids=run, metric_key="same step", max_results=10)[1]["metrics"]
    assert len(bunched) == 10 and bunched[-1]["timestamp"] == 99
    for params, reason in [
        ({"metric_key": "k"}, "Missing value for required parameter 'run_ids'."),
        ({"run_ids": ["a"] * 101, "metric_key": "k"}, "request must specify at most 100 run_ids."),
        ({"run_ids": "a", "metric_key": "k", "max_results": 0}, "max_results must be between 1 and 2500"),
        ({"run_ids": "a", "metric_key": "k", "max_results": 2501}, "max_results must be between 1 and 2500"),
        ({"run_ids": "a", "max_results": 5}, "Missing value for required parameter 'metric_key'"),
        ({"run_ids": "a", "metric_key": "k", "start_step": 1, "end_step": 0}, "end_step must be greater than start_step. "),
        ({"run_ids": "a", "metric_key": "k", "start_step": 1}, "If either start step or end step are specified"),
    ]:
        status, body = ask("get-history-bulk-interval", **params)
        assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE") and reason in body["message"], body


def test_nan_is_a_value_among_others(client, experiment):
    run = client.create_run(experiment).info.run_id
    for step, value in enumerate([1.0, float("nan"), 3.0]):
        client.log_metric(run, "m", value, 1, step)
    values = [point.value for point in client.get_metric_history(run, "m")]
    assert values[0] == 1.0 and math.isnan(values[1]) and values[2] == 3.0
