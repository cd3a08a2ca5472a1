"""The grammar of searches for runs, through the client."""

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def runs(client, experiment):
    """Five runs: ra to re, each later than the one before, except that rd starts with rc."""
    made = {}
    for name, start, tags, metrics, params in [
        ("ra", 100, {"t": "x", "a b": "1"}, {"m": 1.0, "a b": 5.0}, {"p": "1", "lr rate": "0.1"}),
        ("rb", 200, {"t": "Y"}, {"m": 2.0}, {"p": "2"}),
        ("rc", 300, {}, {"m": float("nan")}, {"p": "abc"}),
        ("rd", 350, {}, {"m": float("inf")}, {}),
        ("re", 400, {}, {}, {"p": "ABC"}),
    ]:
        run = client.create_run(experiment, start_time=start, run_name=name, tags=tags).info.run_id
        logged = [Metric(key, value, 1, 0) for key, value in metrics.items()]
        client.log_batch(run, logged, [Param(key, value) for key, value in params.items()])
        made[name] = run
    client.set_terminated(made["ra"], "FINISHED", 1000)
    for name, digest, context in [("ra", "d1", "train"), ("rb", "d2", "eval")]:
        dataset = Dataset(f"ds-{name}", digest, "local", "s")
        client.log_inputs(made[name], [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])
    return made


CONDITIONS = [
    ("metrics.m > 1", "rd rb"),
    ("metric.m <= 2", "rb ra"),
    ("metrics.m != 1", "rd rc rb"),
    ("metrics.`a b` = 5", "ra"),
    ("metrics.\"a b\" > -1e3", "ra"),
    ("params.p = '1'", "ra"),
    ("parameter.p != '1'", "re rc rb"),
    ("params.p LIKE 'a%'", "rc"),
    ("params.p ILIKE 'a%'", "re rc"),
    ("params.`lr rate` = \"0.1\"", "ra"),
    ("params.p IS NULL", "rd"),
    ("params.p IS NOT NULL AND tags.t IS NULL", "re rc"),
    ("tags.t = 'x'", "ra"),
    ("tag.t != 'x'", "rb"),
    ("tags.`a b` = '1'", "ra"),
    ("tags.mlflow.runName LIKE 'r%' AND tags.t ILIKE 'y'", "rb"),
    ("attributes.status = 'FINISHED'", "ra"),
    ("status != 'FINISHED' AND run_name = 'rb'", "rb"),
    ("run_name ILIKE 'RA'", "ra"),
    ("attributes.`run name` = 'ra'", "ra"),
    ("start_time >= 200 AND start_time < 350", "rc rb"),
    ("attr.Created > 350", "re"),
    ("end_time = 1000", "ra"),
    ("artifact_uri LIKE 'mlflow-artifacts%' AND metrics.m = 2", "rb"),
    ("dataset.name = 'ds-ra'", "ra"),
    ("datasets.digest IN ('d1', 'd2')", "rb ra"),
    ("dataset.context = 'train'", "ra"),
    ("dataset.context NOT IN ('train')", "rb"),
    ("dataset.name LIKE 'ds-%' AND dataset.context = 'eval'", "rb"),
    ("params.p = 'a AND b'", ""),
    ("  metrics.m\n>\n1 ", "rd rb"),
]

ORDERS = [
    (["metrics.m"], "ra rb rd rc re"),
    (["metrics.m DESC"], "rd rb ra rc re"),
    (["params.p"], "ra rb re rc rd"),
    (["tags.t DESC"], "ra rb re rd rc"),
    (["start_time ASC"], "ra rb rc rd re"),
    (["attributes.end_time", "start_time"], "ra rb rc rd re"),
    (["status", "run_name DESC"], "ra re rd rc rb"),
    ([], "re rd rc rb ra"),
    (["metrics.never DESC"], "re rd rc rb ra"),
]

REFUSED = [
    "metrics.m",
    "metrics.m > '1'",
    "metrics.m LIKE '1'",
    "metrics.m > abc",
    "params.p = 1",
    "params.p > '1'",
    "params.p = '1",
    "params.p == '1'",
    "run_id IN ()",
    "status = 'a' OR status = 'b'",
    "NOT metrics.m > 0",
    "(metrics.m > 0)",
    "metrics.m > 0; DROP TABLE runs",
    "status = 'x' UNION SELECT 1",
    "metrics.m > 0 -- x",
    "1 = 1",
    "spans.x = '1'",
    "nothing = 'x'",
    "dataset.size = '1'",
    "metrics.m BETWEEN 1 AND 2",
    "params.p = 'x' " + "AND params.p = 'x' " * 200,
]


def test_every_condition_finds_what_it_says(client, experiment, runs):
    for condition, found in CONDITIONS:
        names = [run.info.run_name for run in client.search_runs([experiment], condition)]
        assert " ".join(names) == found, condition
    by_id = client.search_runs([experiment], f"attributes.run_id IN ('{runs['ra']}', '{runs['re']}')")
    assert [run.info.run_name for run in by_id] == ["re", "ra"]
    others = client.search_runs([experiment], f"run_id NOT IN ('{runs['ra']}')")
    assert len(others) == 4


def test_every_order_puts_nan_before_nothing_and_nothing_last(client, experiment, runs):
    for order, found in ORDERS:
        names = [run.info.run_name for run in client.search_runs([experiment], order_by=order)]
        assert " ".join(names) == found, order


def test_what_says_nothing_clear_is_refused(client, experiment, runs):
    for condition in REFUSED:
        with pytest.raises(MlflowException) as error:
            client.search_runs([experiment], condition)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE", condition
        for leak in ("sqlite", "postgres", "rusqlite", "serde"):
            assert leak not in error.value.message.replace(condition, ""), condition
    for order in ["nope", "metrics.m foo", "", "dataset.name", "metrics.m; DROP TABLE runs"]:
        with pytest.raises(MlflowException):
            client.search_runs([experiment], order_by=[order])
    with pytest.raises(MlflowException, match="duplicate"):
        client.search_runs([experiment], order_by=["metrics.m", "metrics.m DESC"])
    with pytest.raises(MlflowException, match="Invalid value 123456789 for parameter 'max_results' supplied"):
        client.search_runs([experiment], max_results=123456789)
    with pytest.raises(MlflowException, match="Invalid page token"):
        client.search_runs([experiment], page_token="x")


def test_pages_follow_each_other_in_the_order_of_ids_where_nothing_else_decides(client, experiment):
    made = sorted(client.create_run(experiment, start_time=1).info.run_id for _ in range(10))
    pages, token = [], None
    for _ in range(3):
        page = client.search_runs([experiment], max_results=4, page_token=token)
        pages.append([run.info.run_id for run in page])
        token = page.token
    assert pages == [made[:4], made[4:8], made[8:]] and token is None


def test_a_search_over_experiments_makes_a_frame(mlflow, runs):
    frame = mlflow.search_runs(experiment_names=["one", "tests"], order_by=["start_time ASC"])
    assert frame["tags.mlflow.runName"].tolist() == ["ra", "rb", "rc", "rd", "re"]
    assert frame["params.p"].fillna("").tolist() == ["1", "2", "abc", "", "ABC"]
    assert len(mlflow.search_runs(search_all_experiments=True)) == 5
