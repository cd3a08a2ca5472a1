"""Parquet files as pandas, pyarrow and polars write them: `lathe predict` and `lathe reproduce` read them."""

import datetime
import decimal
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import LATHE, git, lathe

ROWS = 400_000
# Models that Python answers for are answered by the tests' own.
PYTHON = {"VIRTUAL_ENV": sys.prefix}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    folder = tmp_path_factory.mktemp("parquet")
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"a": rng.normal(size=ROWS), "k": rng.integers(0, 9, ROWS), "w": rng.choice(["x", "ÿ", "line\nend"], ROWS)})
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["w"]), remainder="passthrough"),
        # Large enough that a run takes seconds, and can be killed at a moment of choice.
        RandomForestRegressor(400, random_state=0, n_jobs=2),
    ).fit(rows[:3000], rows["a"][:3000] + (rows["w"][:3000] == "x"))
    mlflow.sklearn.save_model(model, folder / "model", input_example=rows.head(3), serialization_format="cloudpickle", pip_requirements=[])
    yield folder, rows, model
    for file in folder.glob("*.*"):
        file.unlink()


def predict(folder, *args):
    return json.loads(lathe("predict", "model", *args, "--json", cwd=folder).stdout)


def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_file(work):
    folder, rows, model = work
    rows.to_parquet(folder / "rows.parquet", row_group_size=90_000)
    assert predict(folder, "rows.parquet", "-o", "whole.parquet")["rows"] == ROWS
    answers = pq.read_table(folder / "whole.parquet")
    assert answers.column_names == ["predictions"] and answers.schema.types == [pa.float64()]
    assert np.allclose(answers["predictions"][:5000], model.predict(rows[:5000]), rtol=1e-12, atol=0)
    assert pq.ParquetFile(folder / "whole.parquet").num_row_groups == 4
    note, resumed = folder / "killed.parquet.progress", []
    command = [LATHE, "predict", "model", "rows.parquet", "-o", "killed.parquet", "--json", "--jobs", "1"]
    for again in range(2):
        before = note.read_bytes() if again else None
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        while not note.exists() or note.read_bytes() == before:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        time.sleep(0.3 * again)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "killed.parquet").exists()
        resumed.append(json.loads(note.read_text())["done"]["rows"])
    assert predict(folder, "rows.parquet", "-o", "killed.parquet")["resumed_rows"] == resumed[1]
    assert 0 < resumed[0] < resumed[1] < ROWS, resumed
    assert (folder / "killed.parquet").read_bytes() == (folder / "whole.parquet").read_bytes()
    assert not list(folder.glob("killed.parquet.*"))


def test_every_mix_of_formats_gives_the_same_answers(work):
    folder, rows, model = work
    few = rows.head(20_000)
    few.to_parquet(folder / "few.parquet")
    few.to_csv(folder / "few.csv", index=False)
    few.to_json(folder / "few.jsonl", orient="records", lines=True, double_precision=15)
    expected = None
    for source in ["few.parquet", "few.csv"]:
        for target in ["out.parquet", "out.csv", "out.jsonl"]:
            assert predict(folder, source, "-o", target)["rows"] == len(few)
            read = {
                "out.parquet": lambda: pd.read_parquet(folder / "out.parquet")["predictions"],
                "out.csv": lambda: pd.read_csv(folder / "out.csv", float_precision="round_trip")["predictions"],
                "out.jsonl": lambda: pd.Series([json.loads(line) for line in open(folder / "out.jsonl")]),
            }[target]().to_numpy()
            expected = read if expected is None else expected
            assert np.array_equal(read, expected), (source, target)
    assert np.allclose(expected, model.predict(few), rtol=1e-12, atol=0)
    (folder / "few.parquet").rename(folder / "few.data")
    predict(folder, "few.data", "--from", "parquet", "-o", "out.data", "--to", "parquet")
    assert np.array_equal(pd.read_parquet(folder / "out.data")["predictions"], expected)
    predict(folder, "few.jsonl", "-o", "out.parquet")
    assert np.allclose(pd.read_parquet(folder / "out.parquet")["predictions"], expected, rtol=1e-9)
    refused = lathe("predict", "model", "few.data", "-o", "out.csv", cwd=folder, code=1)
    assert "--from" in refused.stderr


def echo(folder, kinds):
    """A model that answers with how it sees the columns `kinds`."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    class Echo(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [" ".join(repr(value) for value in row) for row in model_input.itertuples(index=False)]

    schema = ModelSignature(inputs=Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()]))
    mlflow.pyfunc.save_model(folder / "echo", python_model=Echo(), signature=schema, pip_requirements=[])


COLUMNS = {
    "i8": ("integer", pa.array([1, -2, 3], pa.int8())),
    "u16": ("integer", pa.array([1, 65535, 3], pa.uint16())),
    "u32": ("long", pa.array([1, 2**32 - 1, 3], pa.uint32())),
    "i64": ("long", pa.array([1, -(2**53), 3], pa.int64())),
    "f16": ("float", pa.array(np.array([1.5, -2.25, np.nan], np.float16))),
    "f32": ("float", pa.array([0.1, None, 3.0], pa.float32())),
    "f64": ("double", pa.array([0.1, None, 1e300], pa.float64())),
    "flag": ("boolean", pa.array([True, False, True])),
    "text": ("string", pa.array(["NA", None, "ÿ \"q\""])),
    "large": ("string", pa.array(["", "b", None], pa.large_string())),
    "view": ("string", pa.array(["", "b", None], pa.string_view())),
    "category": ("string", pa.array(["x", None, "x"]).dictionary_encode()),
    "codes": ("long", pa.array([7, 8, 7]).dictionary_encode()),
    "money": ("double", pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-123456789012345678.25")], pa.decimal128(28, 2))),
    "cents": ("double", pa.array([decimal.Decimal("1.5"), decimal.Decimal("-0.1"), None], pa.decimal128(5, 1))),
    "day": ("datetime", pa.array([datetime.date(2024, 2, 29), None, datetime.date(1969, 1, 1)])),
    "at": ("datetime", pa.array([datetime.datetime(2024, 2, 29, 12, 0, 0, 250), None, datetime.datetime(1960, 1, 1)], pa.timestamp("us"))),
    "bytes": ("binary", pa.array([b"\x00\xff", None, b""])),
    "none": ("double", pa.nulls(3)),
}


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4"])
def test_columns_of_every_kind_are_what_the_same_rows_are_as_json(work, tmp_path, codec):
    echo(tmp_path, {name: kind for name, (kind, _) in COLUMNS.items()})
    table = pa.table({name: cells for name, (_, cells) in COLUMNS.items()})
    pq.write_table(table, tmp_path / "rows.parquet", compression=codec, data_page_version="2.0" if codec == "zstd" else "1.0", row_group_size=2)
    with open(tmp_path / "rows.jsonl", "w") as file:
        for row in table.to_pylist():
            row["bytes"] = None if row["bytes"] is None else __import__("base64").b64encode(row["bytes"]).decode()
            row["f16"] = None if np.isnan(row["f16"]) else float(row["f16"])
            row = {name: float(cell) if isinstance(cell, decimal.Decimal) else cell for name, cell in row.items()}
            times = {"day": "%Y-%m-%d", "at": "%Y-%m-%dT%H:%M:%S.%f"}
            row |= {name: row[name] and row[name].strftime(form) for name, form in times.items()}
            file.write(json.dumps(row) + "\n")
    seen = {}
    for source in ["rows.parquet", "rows.jsonl"]:
        lathe("predict", "echo", source, "-o", "out.jsonl", "--allow-python", cwd=tmp_path, **PYTHON)
        seen[source] = (tmp_path / "out.jsonl").read_text()
    assert seen["rows.parquet"] == seen["rows.jsonl"]
    first = json.loads(seen["rows.parquet"].splitlines()[0])
    assert "Timestamp('2024-02-29 12:00:00.000250')" in first and r"b'\x00\xff'" in first, first


@pytest.mark.parametrize(
    ("kind", "cells", "told"),
    [
        ("double", pa.array([[1.0], [], None]), "column `c` holds lists, maps or groups"),
        ("double", pa.array([{"x": 1}, None, None]), "column `c` holds lists, maps or groups"),
        ("double", COLUMNS["at"][1], "column `c` holds timestamp[us]; the model takes double there"),
        ("string", COLUMNS["day"][1], "column `c` holds date; the model takes string there"),
        ("double", pa.array([datetime.time(1), None, None]), "column `c` holds time of day"),
        ("string", COLUMNS["bytes"][1], "column `c` holds bytes; the model takes string there"),
        ("datetime", pa.array([1, 2, 3]), "column `c` holds int64; the model takes datetime there"),
        ("long", pa.array([1, None, 3]), "null is not a long"),
        ("double", pa.array(["1.5", "x", "3"]), "column `c`, row 1: \"x\" is not a double"),
    ],
)
def test_a_column_that_does_not_fit_is_named(tmp_path, kind, cells, told):
    echo(tmp_path, {"c": kind})
    pq.write_table(pa.table({"c": cells}), tmp_path / "rows.parquet")
    refused = lathe("predict", "echo", "rows.parquet", "-o", "out.parquet", "--allow-python", cwd=tmp_path, code=1, **PYTHON)
    assert told in refused.stderr, refused.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_damaged_file_is_told(work, tmp_path):
    folder, rows, _ = work
    rows.head(2000).to_parquet(tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    for name, content in [("cut", whole[:-20]), ("none", b"a,k,w\n1,2,x\n"), ("page", whole[:4] + b"\xff" * 40 + whole[44:])]:
        (tmp_path / f"{name}.parquet").write_bytes(content)
        refused = lathe("predict", str(folder / "model"), f"{name}.parquet", "-o", "out.csv", cwd=tmp_path, code=1)
        assert "damaged" in refused.stderr or "column `a` cannot be read" in refused.stderr, refused.stderr


def test_a_file_without_rows_is_answered_with_none(work, tmp_path):
    folder, rows, _ = work
    rows.head(0).to_parquet(tmp_path / "empty.parquet")
    lathe("predict", str(folder / "model"), "empty.parquet", "-o", "out.parquet", cwd=tmp_path)
    table = pq.read_table(tmp_path / "out.parquet")
    assert (table.column_names, table.num_rows) == (["predictions"], 0)


def test_the_index_of_a_frame_is_no_column(tmp_path):
    import mlflow

    class Width(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [",".join(model_input.columns)] * len(model_input)

    mlflow.pyfunc.save_model(tmp_path / "model", python_model=Width(), pip_requirements=[])
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 9]).to_parquet(tmp_path / "rows.parquet")
    lathe("predict", "model", "rows.parquet", "-o", "out.parquet", "--allow-python", cwd=tmp_path, **PYTHON)
    assert pd.read_parquet(tmp_path / "out.parquet")["predictions"].tolist() == ["a,b", "a,b"]


PIPELINE = """
stages:
  build:
    cmd: {python} build.py
    deps: [build.py]
    outs: [table.parquet]
"""

BUILD = """
import pathlib, pandas
seen = pathlib.Path({marker!r})
again = seen.exists()
seen.touch()
frame = pandas.DataFrame({{"x": [1.0, 2.0, 3.0], "w": ["a", "b", "c"], "when": pandas.to_datetime(["2024-01-01"] * 3)}})
if again:
    frame.loc[1, "x"] += 0.5
    frame.loc[2, "w"] = None
    frame["more"] = [[1], [2, 3], []]
frame.to_parquet("table.parquet")
"""


def test_reproduce_tells_what_two_parquet_files_differ_in(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    lathe("init", "--name", "p", cwd=folder)
    (folder / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable))
    (folder / "build.py").write_text(BUILD.format(marker=str(tmp_path / "seen")))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "state")
    run_id = json.loads(lathe("run", "--json", cwd=folder).stdout)["run_id"]
    report = json.loads(lathe("reproduce", run_id, "--json", cwd=folder, code=3).stdout)
    [file] = [file for stage in report["stages"] for out in stage["outs"] for file in out["files"]]
    told = {place["place"]: (place["expected"], place["found"]) for place in file["differences"]}
    assert file["format"] == "parquet"
    assert told == {
        "column `more.list.element`": ("absent", "int64"),
        "column `x`: 1 cells differ by at most 5.000000e-1; first in row 2": ("2", "2.5"),
        "column `w`: 1 cells differ; first in row 3": ("c", "missing"),
    }
