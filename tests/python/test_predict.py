"""`lathe predict` on large files: killed and started again, on several threads, with fields of every kind."""

import json
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from conftest import LATHE, lathe

ROWS = 100_000


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"a": rng.normal(size=ROWS), "k": rng.integers(0, 9, ROWS), "w": rng.choice(["x", 'y "z"', "line\nend"], ROWS)})
    target = rows["a"][:3000] + (rows["w"][:3000] == "x")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["w"]), remainder="passthrough"),
        RandomForestRegressor(300, random_state=0, n_jobs=2),
    ).fit(rows[:3000], target)
    mlflow.sklearn.save_model(model, folder / "model", input_example=rows.head(3), serialization_format="cloudpickle", pip_requirements=[])
    rows.to_csv(folder / "rows.csv", index=False)
    rows.to_json(folder / "rows.jsonl", orient="records", lines=True)
    yield folder, model.predict(rows[:5000])
    for file in folder.glob("*.*"):
        file.unlink()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_file(work, form):
    folder, expected = work
    whole = json.loads(lathe("predict", "model", f"rows.{form}", "-o", f"whole.{form}", "--json", cwd=folder).stdout)
    assert (whole["rows"], whole["resumed_rows"]) == (ROWS, 0)
    answers = [float(line) for line in (folder / f"whole.{form}").read_text().splitlines()[form == "csv" :]]
    assert len(answers) == ROWS and np.allclose(answers[:5000], expected, rtol=1e-12, atol=0)
    command = ["predict", "model", f"rows.{form}", "-o", f"killed.{form}", "--json"]
    process = subprocess.Popen([LATHE, *command, "--jobs", "1"], cwd=folder, stdout=subprocess.DEVNULL)
    note = folder / f"killed.{form}.progress"
    while not note.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    refused = lathe(*command, cwd=folder, code=1)
    assert "another process writes" in refused.stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / f"killed.{form}").exists()
    told = json.loads(lathe(*command, cwd=folder).stdout)
    assert told["rows"] == ROWS and 0 < told["resumed_rows"] < ROWS, told
    assert (folder / f"killed.{form}").read_bytes() == (folder / f"whole.{form}").read_bytes()
    assert not note.exists() and not (folder / f"killed.{form}.partial").exists()


def test_a_row_that_cannot_be_read_is_told_and_nothing_is_left(work):
    folder, _ = work
    text = (folder / "rows.csv").read_text()
    (folder / "wrong.csv").write_text(text + "not a number,1,x\n")
    refused = lathe("predict", "model", "wrong.csv", "-o", "never.csv", cwd=folder, code=1)
    assert "not a number" in refused.stderr and "rows after row" in refused.stderr, refused.stderr
    assert not list(folder.glob("never*"))
