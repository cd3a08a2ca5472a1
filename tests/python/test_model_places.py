"""Models that lie in an object store: registered, loaded, served and asked for batches, wherever the server keeps them."""

import numpy as np
import pandas as pd
import pytest
import requests
from conftest import lathe, serving

ROWS = pd.DataFrame({"a": [0.0, 1.0, 3.0]})


def predictions(url):
    body = {"dataframe_split": ROWS.to_dict(orient="split", index=False)}
    return requests.post(f"{url}/invocations", json=body, timeout=10).json()["predictions"]


@pytest.fixture(params=["through the server", "by the client itself"])
def line(request, serve, s3, on, tmp_path, monkeypatch):
    """A server, and the key of a model in the object store that is version 1 of `line` there: y = 2 a."""
    from sklearn.linear_model import LinearRegression

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LATHE_CACHE_DIR", str(tmp_path / "cache"))
    root = "--artifacts-destination" if request.param == "through the server" else "--default-artifact-root"
    server = serve(tmp_path, root, s3.url)
    mlflow = on(server)
    model = LinearRegression().fit(ROWS, ROWS["a"] * 2)
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name="line", input_example=ROWS, pip_requirements=[]
        )
    mlflow.MlflowClient().set_registered_model_alias("line", "champion", "1")
    (key,) = [key for key in s3.objects("") if key.endswith("MLmodel")]
    return server, mlflow, key.removesuffix("/MLmodel")


def test_a_model_in_s3_is_loaded_served_and_asked_for_batches(line, s3, tmp_path):
    server, mlflow, key = line
    wanted = [0, 2, 6]
    assert np.allclose(mlflow.pyfunc.load_model("models:/line@champion").predict(ROWS), wanted)
    for uri in ["models:/line@champion", "models:/line/1"]:
        with serving(tmp_path, uri, "--server", server.url) as url:
            assert np.allclose(predictions(url), wanted), uri
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    for uri in ["models:/line@champion", f"{s3.url}/{key}"]:
        lathe("predict", uri, "rows.csv", "-o", "answers.csv", "--server", server.url, cwd=tmp_path)
        assert np.allclose(pd.read_csv(tmp_path / "answers.csv").iloc[:, 0], wanted), uri
    # Without any server: the folder, and a file of it alone.
    with serving(tmp_path, f"{s3.url}/{key}") as url:
        assert np.allclose(predictions(url), wanted)
    (file,) = [name for name in s3.objects(key) if name.endswith(("model.skops", "model.pkl"))]
    with serving(tmp_path, f"{s3.url}/{file}") as url:
        assert np.allclose(predictions(url), wanted)


def test_what_the_object_store_does_not_have_is_told(s3, tmp_path):
    for url, words in [
        (f"{s3.url}/nothing/here", "nothing/here"),
        ("ftp://somewhere/model", "ftp"),
    ]:
        failed = lathe("serve", url, "--port", "0", cwd=tmp_path, code=1, **s3.environment)
        assert words in failed.stderr, failed.stderr
