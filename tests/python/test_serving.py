"""`lathe serve` and the real Triton client."""

import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from conftest import lathe, serving
from tritonclient.utils import InferenceServerException

X = pd.DataFrame(np.random.default_rng(1).normal(size=(200, 4)), columns=list("abcd"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    import mlflow
    from sklearn.ensemble import RandomForestRegressor

    folder = tmp_path_factory.mktemp("model") / "model"
    model = RandomForestRegressor(20, random_state=0).fit(X, X["a"] * 3 + np.sin(X["b"]))
    mlflow.sklearn.save_model(
        model,
        folder,
        input_example=X.head(5),
        serialization_format="skops",
        skops_trusted_types=["sklearn.tree._tree.Tree"],
        pip_requirements=[],
    )
    with serving(folder.parent, folder, "--name", "forest") as url:
        yield url, model


@pytest.mark.parametrize("binary", [True, False])
def test_the_triton_client_gets_what_scikit_learn_answers(served, binary):
    url, model = served
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("forest")
    assert [column["name"] for column in client.get_model_metadata("forest")["inputs"]] == list("abcd")
    tensor = triton.InferInput("rows", [200, 4], "FP64")
    tensor.set_data_from_numpy(X.to_numpy(), binary_data=binary)
    output = triton.InferRequestedOutput("predictions", binary_data=binary)
    answer = client.infer("forest", [tensor], outputs=[output], request_id="mine")
    assert np.array_equal(answer.as_numpy("predictions"), model.predict(X))
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["parameters"]["prediction_id"]


def test_the_triton_client_understands_the_errors(served):
    client = triton.InferenceServerClient(served[0].removeprefix("http://"))
    tensor = triton.InferInput("a", [1], "FP64")
    tensor.set_data_from_numpy(np.zeros(1))
    with pytest.raises(InferenceServerException, match="needs the column `b`"):
        client.infer("forest", [tensor])
    with pytest.raises(InferenceServerException, match="no model is called `other`"):
        client.infer("other", [tensor])


def test_the_scoring_protocol_takes_every_form(served):
    url, model = served
    rows, expected = X.head(3), model.predict(X.head(3)).tolist()
    split = rows.to_dict(orient="split")
    bodies = [
        {"dataframe_split": {"columns": split["columns"], "data": split["data"]}},
        {"dataframe_records": rows.to_dict(orient="records")},
        {"instances": rows.to_numpy().tolist()},
        {"inputs": {name: rows[name].tolist() for name in rows}},
    ]
    for body in bodies:
        reply = requests.post(f"{url}/invocations", json=body)
        assert reply.json()["predictions"] == expected
        assert len(set(reply.json()["prediction_ids"])) == len(rows)
        assert len(reply.headers["lathe-prediction-id"]) == 32
    csv = requests.post(f"{url}/invocations", data=rows.to_csv(index=False), headers={"content-type": "text/csv"})
    assert csv.json()["predictions"] == pytest.approx(expected, abs=0)
    assert len(csv.headers["lathe-prediction-id"]) == 32


@pytest.mark.parametrize(
    "body, content_type, status",
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ('{"inputs": {"a": [1]}}', "application/json", 400),
        ("a,b\n1", "text/csv", 400),
        ("x", "image/png", 415),
    ],
)
def test_bad_requests_are_told_apart(served, body, content_type, status):
    reply = requests.post(f"{served[0]}/invocations", data=body, headers={"content-type": content_type})
    assert reply.status_code == status
    assert reply.json()["error_code"] in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE") and reply.json()["message"]


def infer(url, inputs, name="forest", **more):
    return requests.post(f"{url}/v2/models/{name}/infer", json={"inputs": inputs, **more})


def columns_of(rows):
    return [
        {"name": name, "datatype": "FP64", "shape": [len(rows)], "data": rows[name].tolist()} for name in rows.columns
    ]


def test_the_inference_protocol_answers_columns_with_an_id(served):
    url, model = served
    rows = X.head(7)
    reply = infer(url, columns_of(rows), id="mine")
    answer = reply.json()
    assert (answer["model_name"], answer["id"]) == ("forest", "mine")
    assert answer["outputs"][0] == {
        "name": "predictions", "datatype": "FP64", "shape": [7], "data": model.predict(rows).tolist(),
    }
    assert answer["parameters"]["prediction_id"] == reply.headers["lathe-prediction-id"]
    other = infer(url, columns_of(rows)).json()
    assert other["parameters"]["prediction_id"] != answer["parameters"]["prediction_id"]


def test_the_errors_of_the_inference_protocol_have_its_form(served):
    url, _ = served
    good = columns_of(X.head(2))
    for reply, status, told in [
        (infer(url, good, name="other"), 404, "other"),
        (infer(url, good[:3]), 400, "`d`"),
        (infer(url, [{**good[0], "name": "e"}, *good[1:]]), 400, "`a`"),
        (infer(url, [{**good[0], "shape": [3]}, *good[1:]]), 400, "a"),
        (infer(url, [{**good[0], "datatype": "BYTES", "data": ["x", "y"]}, *good[1:]]), 400, "a"),
        (infer(url, good, outputs=[{"name": "probability"}]), 400, "probability"),
        (requests.post(f"{url}/v2/models/forest/infer", data="{"), 400, "cannot be read"),
        (requests.post(f"{url}/v2/models/forest/infer", json={}), 400, "inputs"),
        (requests.get(f"{url}/v2/models/forest/versions/99"), 404, "99"),
    ]:
        assert reply.status_code == status, reply.text
        assert list(reply.json()) == ["error"] and told in reply.json()["error"], reply.text


def test_many_clients_at_once_each_get_their_own_answer(served):
    from concurrent.futures import ThreadPoolExecutor

    url, model = served
    expected = model.predict(X)

    def ask(row):
        reply = requests.post(f"{url}/invocations", json={"instances": X.iloc[[row]].to_numpy().tolist()}).json()
        return reply["predictions"][0], reply["prediction_ids"][0]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(200)))
    assert [value for value, _ in answers] == expected.tolist()
    assert len({told for _, told in answers}) == 200


LABELS = np.where(X["a"] > X["b"], "yes", "no")
LEVELS = (X["a"] * 2).round().astype(int)


@pytest.mark.parametrize(
    "name, target",
    [
        ("ExtraTreesRegressor", X["a"] * 3),
        ("DecisionTreeRegressor", X["a"] * 3),
        ("RandomForestClassifier", LABELS),
        ("ExtraTreesClassifier", LEVELS),
        ("DecisionTreeClassifier", LABELS),
    ],
)
def test_every_kind_of_ensemble_answers_what_scikit_learn_answers(tmp_path, name, target):
    import mlflow
    from sklearn import ensemble, tree

    kind = getattr(ensemble, name, None) or getattr(tree, name)
    model = kind(random_state=0, max_depth=5).fit(X, target)
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        input_example=X.head(5),
        serialization_format="skops",
        skops_trusted_types=["sklearn.tree._tree.Tree"],
        pip_requirements=[],
    )
    new = pd.DataFrame(np.random.default_rng(3).normal(size=(500, 4)) * 2, columns=list("abcd"))
    with serving(tmp_path, "model", "--name", "forest") as url:
        reply = requests.post(f"{url}/invocations", json={"instances": new.to_numpy().tolist()})
        assert reply.status_code == 200, reply.text
        assert reply.json()["predictions"] == model.predict(new).tolist()


def test_pickles_pipelines_and_words_are_answered_and_strange_models_refused_by_name(tmp_path):
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = X.assign(colour=np.random.default_rng(2).choice(["red", "green"], len(X)))
    columns = make_column_transformer((StandardScaler(), list("abcd")), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(columns, LogisticRegression()).fit(rows, LABELS)
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        input_example=rows.head(2),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[],
    )
    with serving(tmp_path, "model", "--name", "forest") as url:
        reply = requests.post(f"{url}/invocations", json={"dataframe_records": rows.to_dict(orient="records")})
        assert np.allclose(reply.json()["predictions"], model.predict_proba(rows), atol=1e-9, rtol=0)
        unknown = requests.post(f"{url}/invocations", json={"instances": [{**rows.iloc[0], "colour": "blue"}]})
        assert unknown.status_code == 400 and "does not know" in unknown.json()["message"]
        client = triton.InferenceServerClient(url.removeprefix("http://"))
        told = client.get_model_metadata("forest")
        assert told["outputs"] == [{"name": "predictions", "datatype": "FP64", "shape": [-1, 2]}]
        assert told["inputs"][-1] == {"name": "colour", "datatype": "BYTES", "shape": [-1]}
    strange = GaussianProcessRegressor().fit(X, X["a"])
    mlflow.sklearn.save_model(strange, tmp_path / "pickle", serialization_format="pickle", pip_requirements=[])
    assert "GaussianProcessRegressor" in lathe("serve", "pickle", "--port", "0", cwd=tmp_path, code=1).stderr


def test_a_model_of_the_records_is_served_by_each_of_its_names(tmp_path, serve):
    import mlflow
    import tritonclient.grpc as triton_grpc
    from sklearn.linear_model import LinearRegression

    server = serve(tmp_path)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("lines")
    model = LinearRegression().fit(X, X["a"] * 3 + X["b"])
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(model, name="line", registered_model_name="m", input_example=X.head(2), pip_requirements=[])
    mlflow.MlflowClient().set_registered_model_alias("m", "champion", 1)
    names = ["models:/m/1", "models:/m@champion", logged.model_uri, f"runs:/{run.info.run_id}/line"]
    assert logged.model_uri.startswith("models:/m-")
    expected = model.predict(X)
    for name in names:
        with serving(tmp_path, name, "--name", "forest", "--server", server.url) as url:
            client = triton_grpc.InferenceServerClient(url.removeprefix("http://"))
            rows = triton_grpc.InferInput("rows", [200, 4], "FP64")
            rows.set_data_from_numpy(X.to_numpy())
            assert np.allclose(client.infer("forest", [rows]).as_numpy("predictions"), expected, rtol=1e-12), name
    for name, words in [("models:/m", "names no version"), ("models:/m/9", "9"), ("models:/m@nobody", "nobody"), ("runs:/" + "0" * 32 + "/x", "0" * 32)]:
        refused = lathe("serve", name, "--server", server.url, "--port", "0", cwd=tmp_path, code=1)
        assert words in refused.stderr, refused.stderr


def test_grpc_may_have_a_port_of_its_own(tmp_path):
    import socket

    import lightgbm
    import tritonclient.grpc as triton_grpc

    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, X["a"]), 3)
    booster.save_model(tmp_path / "model.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(tmp_path, "model.txt", "--name", "forest", "--grpc-port", port) as url:
        for address in (f"127.0.0.1:{port}", url.removeprefix("http://")):
            assert triton_grpc.InferenceServerClient(address).is_model_ready("forest")


def test_a_folder_with_one_model_file_is_that_model_and_with_several_they_are_named(tmp_path):
    import lightgbm
    import xgboost

    rows = np.arange(60.0).reshape(30, 2)
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, rows[:, 0], feature_names=["a", "b"]), 3)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/requirements.txt").write_text("xgboost\n")
    booster.save_model(tmp_path / "model.ubj")
    # The name that KServe's own server looks for.
    (tmp_path / "model.ubj").rename(tmp_path / "models/model.bst")
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(tmp_path / "rows.csv", index=False)
    lathe("predict", "models", "rows.csv", "-o", "out.csv", cwd=tmp_path)
    answers = np.loadtxt(tmp_path / "out.csv", skiprows=1, delimiter=",", dtype=np.float32)
    assert np.array_equal(answers, booster.predict(xgboost.DMatrix(rows, feature_names=["a", "b"])))

    lightgbm.train({"verbose": -1}, lightgbm.Dataset(rows, rows[:, 0]), 1).save_model(tmp_path / "models/model.txt")
    said = lathe("predict", "models", "rows.csv", "-o", "out.csv", cwd=tmp_path, code=1).stderr
    assert "`model.bst`, `model.txt`" in said and "requirements" not in said
    (tmp_path / "empty").mkdir()
    assert "MLmodel" in lathe("predict", "empty", "rows.csv", "-o", "out.csv", cwd=tmp_path, code=1).stderr


def test_every_protocol_over_tls(served, tmp_path, certificate):
    import tritonclient.grpc as triton_grpc

    _, model = served
    folder = tmp_path / "model.pkl"
    import pickle

    folder.write_bytes(pickle.dumps(model))
    pems = ["--tls-cert", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem")]
    with serving(tmp_path, folder, "--name", "forest", *pems) as url:
        assert url.startswith("https://127.0.0.1:")
        reply = requests.post(f"{url}/invocations", json={"instances": X.head(3).to_numpy().tolist()}, verify=certificate / "ca.pem")
        assert reply.json()["predictions"] == model.predict(X.head(3)).tolist()
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{url}/v2/health/ready")
        client = triton_grpc.InferenceServerClient(
            url.removeprefix("https://"), ssl=True, root_certificates=str(certificate / "ca.pem")
        )
        rows = triton_grpc.InferInput("rows", [200, 4], "FP64")
        rows.set_data_from_numpy(X.to_numpy())
        assert np.array_equal(client.infer("forest", [rows]).as_numpy("predictions"), model.predict(X))
    refused = lathe("serve", str(folder), "--tls-cert", str(certificate / "key.pem"), "--tls-key", str(certificate / "key.pem"), cwd=tmp_path, code=1)
    assert "holds no certificate in PEM" in refused.stderr, refused.stderr
