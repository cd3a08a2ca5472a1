"""The example project from commit to answer."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import requests
from conftest import git, lathe

COLUMNS = ["season", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed"]


def test_a_second_run_executes_nothing_and_dvc_agrees(bike):
    report = json.loads(lathe("run", "--json", cwd=bike).stdout)
    assert report["executed"] == 0
    assert [stage["reason"] for stage in report["stages"]] == ["up to date"] * 3
    status = subprocess.run([sys.executable, "-m", "dvc", "status"], cwd=bike, capture_output=True, text=True)
    assert "up to date" in status.stdout, status.stdout + status.stderr


def test_answers_equal_pythons_and_lead_back_to_the_commit(serve, bike):
    import mlflow

    rows = pd.read_csv(bike / "data/test.csv")[COLUMNS].astype(float)
    expected = mlflow.pyfunc.load_model(str(bike / "model")).predict(rows)
    server = serve(bike)
    body = {"dataframe_split": {"columns": COLUMNS, "data": rows.to_numpy().tolist()}}
    reply = requests.post(f"{server.url}/invocations", json=body).json()
    assert np.array_equal(reply["predictions"], expected)
    time.sleep(1)
    told = lathe("lineage", reply["prediction_ids"][0], "--json", "--server", server.url, cwd=bike)
    nodes = json.loads(told.stdout)["nodes"]
    kinds = {node["kind"] for node in nodes}
    assert {"prediction", "deployment", "model version", "run", "stage", "data", "environment", "commit"} <= kinds
    commit = next(node for node in nodes if node["kind"] == "commit")
    assert commit["details"]["commit"] == git(bike, "rev-list", "--max-parents=0", "HEAD").strip()


def test_a_version_that_was_not_judged_is_not_deployed(bike_run, tmp_path):
    folder = tmp_path / "unjudged"
    shutil.copytree(bike_run, folder)
    assert "has not been judged" in lathe("deploy", "bike-demand", cwd=folder, code=3).stdout


def test_a_failed_gate_ends_with_3_names_the_rule_and_stops_the_deployment(bike_run, tmp_path):
    folder = tmp_path / "strict"
    shutil.copytree(bike_run, folder)
    text = (folder / "lathe.toml").read_text().replace("rmse <= 130.0", "rmse <= 1.0")
    (folder / "lathe.toml").write_text(text)
    told = lathe("gate", "bike-demand", "--json", cwd=folder, code=3)
    verdict = json.loads(told.stdout)
    assert verdict["outcome"] == "fail"
    failed = [rule for rule in verdict["rules"] if rule["outcome"] == "fail"]
    assert [rule["rule"] for rule in failed] == ["accurate"]
    assert failed[0]["values"]["candidate.metrics.rmse"] > 1.0
    assert "did not pass its gate" in lathe("deploy", "bike-demand", cwd=folder, code=3).stdout


def test_a_rollout_without_a_server_is_refused_with_the_remedy(bike, tmp_path):
    folder = tmp_path / "alone"
    shutil.copytree(bike, folder)
    lathe("run", "-S", "train.trees=20", "-S", "train.depth=2", cwd=folder)
    done = lathe("deploy", "bike-demand", "--ungated", cwd=folder, code=1)
    assert "lathe server" in done.stderr and "--server" in done.stderr
