"""Graphs of models that the real client registered, asked by the clients that teams use, against the same in Python."""

import json
import os
import subprocess
import sys
import time

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from conftest import LATHE, Load, Server, lathe
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from test_following import Replica
from tritonclient.utils import InferenceServerException

COLUMNS = list("abcd")
RANDOM = np.random.default_rng(7)
X = pd.DataFrame(RANDOM.normal(size=(300, 4)), columns=COLUMNS)
Y = X["a"] * 3 + np.sin(X["b"]) - X["c"]
LABELS = np.select([Y < -1, Y < 1], ["low", "mid"], "high")
ROWS = pd.DataFrame(RANDOM.normal(size=(24, 4)), columns=COLUMNS)


def frame(values, names):
    return pd.DataFrame(np.asarray(values).reshape(len(values), -1), columns=names)


SCALE, OTHER_SCALE = StandardScaler().fit(X), MinMaxScaler().fit(X)
LINE = LinearRegression().fit(frame(SCALE.transform(X), COLUMNS), Y)
RESCALE = MinMaxScaler().fit(frame(Y, ["demand"]))
FOREST = RandomForestRegressor(10, random_state=0).fit(X, Y)
SMALL = LinearRegression().fit(X[["b", "a"]], Y)
LOGISTIC = LogisticRegression().fit(X, LABELS)
TREE = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, LABELS)
BAYES = GaussianNB().fit(X, LABELS)

EXAMPLES = X.head(3).assign(demand=Y)

# Name, versions, and what is asked of each.
MODELS = {
    "scale": ([SCALE, OTHER_SCALE], "transform"),
    "line": ([LINE], "predict"),
    "rescale": ([RESCALE], "transform"),
    "forest": ([FOREST], "predict"),
    "small": ([SMALL], "predict"),
    "logistic": ([LOGISTIC], "predict"),
    "tree": ([TREE], "predict"),
    "bayes": ([BAYES], "predict"),
    "logistic-proba": ([LOGISTIC], "predict_proba"),
    "bayes-proba": ([BAYES], "predict_proba"),
}

PROJECT = """
[project]
name = "p"

[graph.score]
sequence = ["models:/scale@champion", "models:/line@champion", "models:/rescale@champion"]

[graph.mean]
ensemble = ["models:/forest@champion", "models:/small@champion"]
combine = "mean"
weights = [3, 1]

[graph.vote]
ensemble = ["models:/logistic@champion", "models:/tree@champion", "models:/bayes@champion"]
combine = "vote"

[graph.soft]
ensemble = ["models:/logistic-proba@champion", "models:/bayes-proba@champion"]
combine = "mean"

[graph.route]
switch = "input.region == 'north' && input.a > 0.0 ? 'far' : 'near'"
columns = { region = "string" }
cases = { near = "models:/forest@champion", far = "graph:/score" }

[graph.route.payloads]
file_age = "100ms"
"""


def scored(rows, scale=SCALE):
    return RESCALE.transform(frame(LINE.predict(frame(scale.transform(rows), COLUMNS)), ["demand"])).ravel()


def registered(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("graphs")
    client = mlflow.MlflowClient(server.url)
    with mlflow.start_run():
        for name, (models, method) in MODELS.items():
            for model in models:
                mlflow.sklearn.log_model(
                    model,
                    name=name,
                    registered_model_name=name,
                    pyfunc_predict_fn=method,
                    skops_trusted_types=["sklearn.tree._tree.Tree"],
                    input_example=EXAMPLES[list(model.feature_names_in_)],
                    pip_requirements=[],
                )
            client.set_registered_model_alias(name, "champion", "1")
    return client


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the models, started again with the graphs: what it announces answers already."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    folder = tmp_path_factory.mktemp("graphs")
    server = Server(folder)
    registered(server)
    server.stop()
    (folder / "lathe.toml").write_text(PROJECT)
    server.start()
    yield server
    server.stop()


def host(server):
    return server.url.removeprefix("http://")


def infer(url, name, rows=ROWS, **columns):
    """By Triton's HTTP client: the first output, and what is told beside it."""
    client = triton_http.InferenceServerClient(url.removeprefix("http://"))
    tensors = []
    for column in rows:
        tensors.append(triton_http.InferInput(column, [len(rows), 1], "FP64"))
        tensors[-1].set_data_from_numpy(rows[[column]].to_numpy())
    for column, words in columns.items():
        tensors.append(triton_http.InferInput(column, [len(rows), 1], "BYTES"))
        tensors[-1].set_data_from_numpy(np.array(words, dtype=object).reshape(-1, 1))
    answer = client.infer(name, tensors)
    told = answer.get_response()
    return answer.as_numpy(told["outputs"][0]["name"]), told


def test_a_sequence_answers_through_every_protocol_as_the_steps_do_in_python(server):
    expected = scored(ROWS)
    members = "scale/1, line/1, rescale/1"
    values, told = infer(server.url, "score")
    assert values.shape == (24, 1) and np.allclose(values.ravel(), expected, rtol=0, atol=1e-12)
    assert told["parameters"]["members"] == members

    client = triton_grpc.InferenceServerClient(host(server))
    assert client.is_model_ready("score")
    metadata = client.get_model_metadata("score")
    assert [tensor.name for tensor in metadata.inputs] == COLUMNS
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.outputs] == [("predictions", "FP64", [-1, 1])]
    tensor = triton_grpc.InferInput("rows", [24, 4], "FP64")
    tensor.set_data_from_numpy(ROWS.to_numpy())
    answer = client.infer("score", [tensor])
    assert np.array_equal(answer.as_numpy("predictions"), values)
    assert answer.get_response().parameters["members"].string_param == members

    split = {"columns": COLUMNS, "data": ROWS.to_numpy().tolist()}
    reply = requests.post(f"{server.url}/deployments/score/invocations", json={"dataframe_split": split}, timeout=10)
    assert reply.json()["predictions"] == values.tolist() and reply.headers["lathe-members"] == members
    reply = requests.post(f"{server.url}/v1/models/score:predict", json={"instances": split["data"]}, timeout=10)
    assert reply.json()["predictions"] == values.tolist() and reply.headers["lathe-members"] == members

    metadata = requests.get(f"{server.url}/v2/models/score", timeout=10).json()
    assert metadata["platform"] == "lathe_graph" and metadata["properties"] == {"members": members}
    assert requests.get(f"{server.url}/v2/health/ready", timeout=10).status_code == 200
    # The answer leads back to each of the versions.
    prediction = reply.headers["lathe-prediction-id"] + "-3"
    for _ in range(50):
        way = requests.get(f"{server.url}/api/v1/lineage", params={"of": prediction}, timeout=10)
        if way.status_code == 200:
            break
        time.sleep(0.1)
    kinds = {node["id"] for node in way.json()["nodes"]}
    assert {"graph/score", "model version/scale/1", "model version/line/1", "model version/rescale/1"} <= kinds, kinds


def test_ensembles_answer_as_the_same_is_computed_in_python(server):
    values, _ = infer(server.url, "mean")
    members = [FOREST.predict(ROWS), SMALL.predict(ROWS[["b", "a"]])]
    assert np.allclose(values, np.average(members, axis=0, weights=[3, 1]), rtol=0, atol=1e-12)

    values, _ = infer(server.url, "soft")
    probabilities = [LOGISTIC.predict_proba(ROWS), BAYES.predict_proba(ROWS)]
    assert values.shape == (24, 3) and np.allclose(values, np.mean(probabilities, axis=0), rtol=0, atol=1e-12)

    values, _ = infer(server.url, "vote")
    ballots = np.array([model.predict(ROWS) for model in (LOGISTIC, TREE, BAYES)]).T.tolist()
    # The greatest count, and of several the label that comes first in the row's ballots.
    expected = [max(ballot, key=ballot.count) for ballot in ballots]
    assert [word.decode() for word in values] == expected
    assert any(len(set(ballot)) == 2 for ballot in ballots), "nobody disagrees: the vote shows nothing"
    # One row is answered as it is among others.
    alone = [infer(server.url, "mean", ROWS.iloc[[row]])[0][0] for row in range(4)]
    assert alone == infer(server.url, "mean")[0][:4].tolist()


def test_a_switch_chooses_by_row_and_payloads_tell_who_answered(server):
    region = ["north" if row % 3 else "south" for row in range(24)]
    far = np.array([word == "north" for word in region]) & (ROWS["a"] > 0).to_numpy()
    assert 0 < far.sum() < 24
    metadata = requests.get(f"{server.url}/v2/models/route", timeout=10).json()
    assert [tensor["name"] for tensor in metadata["inputs"]] == COLUMNS + ["region"]
    # The members answer in different forms, (n, 1) and (n,); the graph in the first's, whoever is asked.
    assert metadata["outputs"] == [{"name": "predictions", "datatype": "FP64", "shape": [-1, 1]}]
    values, told = infer(server.url, "route", region=region)
    expected = np.where(far, scored(ROWS), FOREST.predict(ROWS))
    assert values.shape == infer(server.url, "route", region=["south"] * 24)[0].shape == (24, 1)
    assert np.allclose(values.ravel(), expected, rtol=0, atol=1e-12)
    assert set(told["parameters"]["members"].split(", ")) == {"forest/1", "scale/1", "line/1", "rescale/1"}

    folder = server.folder / ".lathe/artifacts/payloads/route"
    deadline = time.time() + 20
    while not list(folder.rglob("*.parquet")):
        assert time.time() < deadline, (server.folder / "server.log").read_text()
        time.sleep(0.1)
    rows = ds.dataset(folder, format="parquet", partitioning="hive").to_table().to_pylist()
    by_id = {row["prediction_id"]: row for row in rows}
    for row in range(24):
        kept = by_id[f"{told['parameters']['prediction_id']}-{row}"]
        assert kept["members"] == ("scale/1, line/1, rescale/1" if far[row] else "forest/1")
        assert (kept["deployment"], kept["model"], kept["input.region"]) == ("route", "route", region[row])
        assert str(kept["version"]) == told["model_version"]


def test_what_a_member_cannot_take_is_each_protocols_own_error_with_its_name(server):
    rows = ROWS.head(3).copy()
    rows.loc[1, "b"] = np.nan
    told = "step 2, `models:/line/1`: column `b`, row 1"
    with pytest.raises(InferenceServerException, match=told):
        infer(server.url, "score", rows)
    tensor = triton_grpc.InferInput("rows", [3, 4], "FP64")
    tensor.set_data_from_numpy(rows.to_numpy())
    with pytest.raises(InferenceServerException, match=told) as failure:
        triton_grpc.InferenceServerClient(host(server)).infer("score", [tensor])
    assert failure.value.status() == "StatusCode.INVALID_ARGUMENT"
    csv = requests.post(
        f"{server.url}/deployments/score/invocations", data=rows.to_csv(index=False), headers={"content-type": "text/csv"}, timeout=10
    )
    assert csv.status_code == 400 and csv.json()["error_code"] == "BAD_REQUEST" and told in csv.json()["message"]
    # What the graph as a whole does not take is nobody's in particular.
    with pytest.raises(InferenceServerException, match="^\\[400\\] the model needs the column `d`; it takes a, b, c, d"):
        infer(server.url, "mean", ROWS[["a", "b", "c"]])


def test_members_are_counted_beside_the_graph(server):
    def metric(name):
        lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
        return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith(name)}

    before = metric("lathe_graph_member_rows_total")
    infer(server.url, "mean")
    grown = {key: value - before[key] for key, value in metric("lathe_graph_member_rows_total").items() if value != before[key]}
    assert sorted(grown.values()) == [24, 24]
    assert all('model="mean"' in key and 'member_version="1"' in key for key in grown), grown
    assert {key.split('member="')[1].split('"')[0] for key in grown} == {"forest", "small"}
    assert all(0 < value for key, value in metric("lathe_graph_member_compute_duration_us_total").items() if key.split("{")[1] in str(grown))
    stats = triton_http.InferenceServerClient(host(server)).get_inference_statistics("mean")["model_stats"]
    assert [entry["name"] for entry in stats] == ["mean", "mean/forest", "mean/small"]


@pytest.mark.parametrize("who", ["server", "every graph", "one graph"])
def test_an_alias_that_moves_swaps_its_member_without_a_failed_request(server, tmp_path, who):
    client = mlflow.MlflowClient(server.url)
    replica, url, name = None, server.url, "score"
    if who != "server":
        named = ["graph:/score", "--name", "mine"] if who == "one graph" else []
        replica = Replica(tmp_path, *named, "--server", server.url)
        url, name = replica.url, "mine" if named else "score"
    def ask(_):
        values, told = infer(url, name, ROWS.head(2))
        return told["parameters"]["members"], values.ravel()

    load = Load(ask, callers=3)
    try:
        for version in ["2", "1"]:
            client.set_registered_model_alias("scale", "champion", version)
            deadline = time.time() + 20
            while requests.get(f"{url}/v2/models/{name}", timeout=10).json()["properties"]["members"] != f"scale/{version}, line/1, rescale/1":
                assert time.time() < deadline, "the member was not swapped"
                time.sleep(0.05)
            time.sleep(0.2)
    finally:
        client.set_registered_model_alias("scale", "champion", "1")
        answers, faults = load.end()
        if replica:
            replica.stop()
    assert not faults, faults[:5]
    expected = {f"scale/{n}, line/1, rescale/1": scored(ROWS.head(2), scale) for n, scale in [(1, SCALE), (2, OTHER_SCALE)]}
    assert {members for members, _ in answers} == set(expected)
    assert all(np.allclose(values, expected[members], rtol=0, atol=1e-12) for members, values in answers)


def test_members_make_room_for_each_other(server, tmp_path):
    # Enough for the forest or the others, not for all.
    forest = requests.get(f"{server.url}/metrics", timeout=10).text
    [size] = [line.split(" ")[1] for line in forest.splitlines() if line.startswith('lathe_model_memory_bytes{model="mean"')]
    replica = Replica(tmp_path, "--server", server.url, "--models-memory", f"{(int(size) + 2048) / 1000}KB")
    try:
        for _ in range(3):
            assert np.allclose(infer(replica.url, "score")[0].ravel(), scored(ROWS), rtol=0, atol=1e-12)
            assert np.allclose(infer(replica.url, "mean")[0], infer(server.url, "mean")[0], rtol=0, atol=0)
        lines = requests.get(f"{replica.url}/metrics", timeout=10).text.splitlines()
        [unloads] = [int(line.split(" ")[1]) for line in lines if line.startswith("lathe_models_unloads_total")]
        assert 0 < unloads
    finally:
        replica.stop()


@pytest.mark.parametrize("where", ["server", "folder"])
def test_files_of_rows_are_answered_as_requests_are(server, tmp_path, where):
    # More than are answered at once.
    rows = pd.DataFrame(RANDOM.normal(size=(9_000, 4)), columns=COLUMNS)
    region = ["north" if row % 3 else "south" for row in range(len(rows))]
    folder, at = (tmp_path, ["--server", server.url]) if where == "server" else (server.folder, [])
    for name in ["score", "mean", "vote", "soft", "route"]:
        columns = {"region": region} if name == "route" else {}
        served = infer(server.url, name, rows, **columns)[0].reshape(len(rows), -1)
        rows.assign(**columns).to_csv(tmp_path / "rows.csv", index=False)
        rows.assign(**columns).to_parquet(tmp_path / "rows.parquet")
        for form in ["csv", "parquet"]:
            answers = tmp_path / f"{name}.{form}"
            told = lathe("predict", f"graph:/{name}", str(tmp_path / f"rows.{form}"), "-o", str(answers), "--json", *at, cwd=folder)
            assert json.loads(told.stdout)["rows"] == len(rows)
            ours = pd.read_csv(answers, float_precision="round_trip") if form == "csv" else pd.read_parquet(answers)
            expected = np.char.decode(served.astype(bytes)) if name == "vote" else served
            assert np.array_equal(ours.to_numpy(), expected), (name, form)
    (tmp_path / "rows.csv").write_text(rows.to_csv(index=False) + "1,2,,4\n")
    refused = lathe("predict", "graph:/score", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "never.csv"), *at, cwd=folder, code=1)
    assert "in the 809 rows after row 8192" in refused.stderr and "step 2, `models:/line/1`: column `c`, row 808" in refused.stderr, refused.stderr
    refused = lathe("predict", "graph:/nobody", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "never.csv"), *at, cwd=folder, code=1)
    assert "no graph is called `nobody`" in refused.stderr and not list(tmp_path.glob("never*"))


def test_a_killed_run_goes_on_while_the_versions_are_the_same(server, tmp_path):
    client = mlflow.MlflowClient(server.url)
    rows = pd.DataFrame(RANDOM.normal(size=(300_000, 4)), columns=COLUMNS)
    rows.assign(region="north").to_csv(tmp_path / "rows.csv", index=False)
    command = ["predict", "graph:/route", "rows.csv", "--json", "--server", server.url, "-o"]
    lathe(*command, "whole.csv", cwd=tmp_path)

    def killed():
        process = subprocess.Popen([LATHE, *command, "answers.csv", "--jobs", "1"], cwd=tmp_path, stdout=subprocess.DEVNULL)
        while not (tmp_path / "answers.csv.progress").exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        process.kill()
        process.wait()

    killed()
    told = json.loads(lathe(*command, "answers.csv", cwd=tmp_path).stdout)
    assert told["rows"] == len(rows) and 0 < told["resumed_rows"] < len(rows), told
    assert (tmp_path / "answers.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    killed()
    client.set_registered_model_alias("scale", "champion", "2")
    try:
        told = json.loads(lathe(*command, "answers.csv", cwd=tmp_path).stdout)
    finally:
        client.set_registered_model_alias("scale", "champion", "1")
    assert told["resumed_rows"] == 0, told
    ours = pd.read_csv(tmp_path / "answers.csv").to_numpy().ravel()
    expected = np.where(rows["a"] > 0, scored(rows, OTHER_SCALE), FOREST.predict(rows))
    assert np.allclose(ours, expected, rtol=0, atol=1e-12)


class Enrich(mlflow.pyfunc.PythonModel):
    """Answers with a frame whose columns are in an order of their own, one of them nobody's."""

    def predict(self, context, model_input, params=None):
        return model_input.assign(e=1.0)[["e", "d", "c", "b", "a"]]


class Say(mlflow.pyfunc.PythonModel):
    """Answers with words."""

    def predict(self, context, model_input, params=None):
        return ["much" if 0 < demand else "little" for demand in model_input["demand"]]


def declared(server, graphs):
    """Declares the graphs of another project."""
    spec = {"project": {"name": "q"}, "graph": graphs}
    return requests.put(f"{server.url}/api/v1/projects/q", json={"root": "/nowhere", "spec": spec}, timeout=10)


def test_models_that_python_answers_for_are_members_as_well(server, tmp_path):
    # The classes travel with the models: processes cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("graphs")
    with mlflow.start_run():
        for name, model, rows in [("enrich", Enrich(), X.head(2)), ("say", Say(), EXAMPLES[["demand"]])]:
            mlflow.pyfunc.log_model(
                name=name, python_model=model, registered_model_name=name, signature=infer_signature(rows), pip_requirements=[]
            )
    assert declared(server, {"mixed": {"sequence": ["models:/enrich/1", "models:/forest@champion", "models:/say/1"]}}).ok
    python = ["--allow-python", "--python-env", sys.executable, "--python-workers", "1"]
    replica = Replica(tmp_path, "graph:/mixed", "--name", "mixed", "--server", server.url, *python)
    try:
        words, told = infer(replica.url, "mixed")
        assert [word.decode() for word in words] == ["much" if 0 < demand else "little" for demand in FOREST.predict(ROWS)]
        assert told["parameters"]["members"] == "enrich/1, forest/1, say/1"
        # Where it is not permitted the graph says so, and nothing else is touched.
        index = requests.post(f"{server.url}/v2/repository/index", timeout=10).json()
        [mixed] = [entry for entry in index if entry["name"] == "mixed"]
        assert mixed["state"] == "UNAVAILABLE" and "step 1, `models:/enrich/1`" in mixed["reason"] and "`--allow-python`" in mixed["reason"]
        assert infer(server.url, "score")[0].shape == (24, 1)
    finally:
        replica.stop()
        assert declared(server, {}).ok


def chain(levels):
    """Graphs of which each is the one member of the one before."""
    graphs = {f"g{n}": {"sequence": [f"graph:/g{n + 1}"]} for n in range(levels - 1)}
    return graphs | {f"g{levels - 1}": {"sequence": ["models:/scale@champion"]}}


def test_graphs_that_cannot_be_are_refused_when_they_are_declared(server, tmp_path):
    for graphs, told in [
        ({"x": {"sequence": ["models:/nobody@champion"]}}, "names `models:/nobody@champion`, which is neither registered"),
        ({"x": {"sequence": ["models:/scale/9"]}}, "names `models:/scale/9`, which is not registered"),
        ({"x": {"sequence": ["graph:/y"]}, "y": {"sequence": ["graph:/x"]}}, "is a part of itself: x → y → x"),
        ({"score": {"sequence": ["models:/scale@champion"]}}, "the graph `score` belongs to the project `p`"),
        ({"x": {"ensemble": ["models:/scale@champion"]}}, 'combine = \\"mean\\"'),
        (chain(17), "has graphs within graphs more than 16 levels deep"),
    ]:
        reply = declared(server, graphs)
        assert reply.status_code in (400, 409) and told in reply.text, reply.text
    # What is as deep as it may be is read again whenever an alias moves.
    client = mlflow.MlflowClient(server.url)
    try:
        assert declared(server, chain(16)).ok
        for version in ["2", "1"]:
            client.set_registered_model_alias("scale", "challenger", version)
    finally:
        client.delete_registered_model_alias("scale", "challenger")
        assert declared(server, {}).ok
    (tmp_path / "lathe.toml").write_text('[project]\nname = "x"\n[graph.a]\nsequence = ["graph:/a"]\n')
    refused = lathe("server", "--port", "0", cwd=tmp_path, code=1)
    assert "`[graph.a]` is a part of itself: a → a" in refused.stderr, refused.stderr
    (tmp_path / "lathe.toml").unlink()
    refused = lathe("serve", "graph:/nobody", "--server", server.url, "--port", "0", cwd=tmp_path, code=1, LATHE_CACHE_DIR=str(tmp_path))
    assert "no graph is called `nobody`" in refused.stderr, refused.stderr
