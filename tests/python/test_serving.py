"""`lathe serve` and the real Triton client."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from conftest import LATHE
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
    process = subprocess.Popen(
        [LATHE, "serve", str(folder), "--name", "forest", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    told = ""
    for line in process.stdout:
        told += line
        if line == "}\n":
            break
    yield json.loads(told)["url"], model
    process.terminate()
    assert process.wait(timeout=10) == 0


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
        assert requests.post(f"{url}/invocations", json=body).json()["predictions"] == expected
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
