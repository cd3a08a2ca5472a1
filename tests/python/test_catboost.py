"""CatBoost models, trained by the library itself and answered by `lathe predict` and `lathe serve` without it.

The library takes 270 MB and two seconds to install, so it is among the tests' packages, and nothing here is skipped.
"""

import json
import warnings

import catboost as cb
import mlflow
import mlflow.catboost
import numpy as np
import pandas as pd
import pytest
import requests
from conftest import lathe, registered_parity, serving
from test_models import BINARY, HOLES, LEVELS, N, THREE, X, Y, Check, edges

warnings.filterwarnings("ignore")
SEED = np.random.default_rng(11)
QUIET = {"iterations": 12, "verbose": False, "allow_writing_files": False, "thread_count": 2}
# Of every length that the hash of categories treats in a way of its own.
WORDS = ["", "a", "né", "red", "blue", "b l u e", "größer als", "sixteen letters!", "seventeen letters", "w" * 32, "x" * 33, "yz" * 32, "ä" * 33, "long " * 40]
WORDED = X.assign(k=SEED.choice(WORDS, N), m=SEED.integers(-3, 20, N), f=SEED.random(N) < 0.4)
WORTH = Y + WORDED["m"] % 5 * 2 + WORDED["k"].str.len() % 7 + WORDED["f"] * 3
CLASSES = {"Logloss": BINARY, "CrossEntropy": 1 / (1 + np.exp(-Y)), "MultiClass": THREE, "MultiClassOneVsAll": LEVELS}


class Lines(Check):
    """Asks with lines of JSON: in CSV an empty word is a missing one, and a flag is a word."""

    @staticmethod
    def ask(folder, model, rows):
        given, told = folder / "rows.jsonl", folder / "answers.jsonl"
        given.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dict("records")))
        lathe("predict", str(model), str(given), "-o", str(told), cwd=folder)
        return [json.loads(line) for line in told.read_text().splitlines()]


@pytest.fixture
def check(tmp_path, request):
    check = getattr(request, "param", Check)(tmp_path)
    yield check
    check.done()


def saved(model, rows, folder, form="cbm"):
    """An MLflow folder whose signature is that of the rows."""
    signature = mlflow.models.infer_signature(rows)
    mlflow.catboost.save_model(model, folder, signature=signature, pip_requirements=[], format=form)
    return folder


def both(check, tmp_path, name, model, rows, exact=True):
    """Asks both forms of a model as MLflow answers for the binary one: of its JSON, CatBoost reads numbers with an error
    in the last place, and sums of fractions without the fractions."""
    folder = saved(model, rows, tmp_path / f"{check.count} {name}".replace(" ", "_"))
    theirs = mlflow.pyfunc.load_model(str(folder)).predict(rows)
    check(f"{name} cbm", folder, rows, theirs, 0.0 if exact else 1e-12)
    check(f"{name} json", saved(model, rows, f"{folder}_json", "json"), rows, theirs, 0.0 if exact else 1e-12)


def test_regressors_answer_as_the_library_does(check, tmp_path):
    count = np.abs(Y).round()
    cases = {
        "rmse": ({}, X, Y),
        "holes": ({}, HOLES, Y),
        "holes first": ({"nan_mode": "Max"}, HOLES, Y),
        "no holes": ({"nan_mode": "Forbidden"}, X, Y),
        "mae": ({"loss_function": "MAE"}, X, Y),
        "quantile": ({"loss_function": "Quantile:alpha=0.3"}, X, Y),
        "huber": ({"loss_function": "Huber:delta=1"}, X, Y),
        "log linear": ({"loss_function": "LogLinQuantile"}, X, np.abs(Y) + 1),
        "poisson": ({"loss_function": "Poisson"}, X, count),
        "tweedie": ({"loss_function": "Tweedie:variance_power=1.5"}, X, np.abs(Y)),
        "uncertainty": ({"loss_function": "RMSEWithUncertainty"}, HOLES, Y),
        "targets": ({"loss_function": "MultiRMSE"}, HOLES, np.c_[Y, Y**2]),
        "quantiles": ({"loss_function": "MultiQuantile:alpha=0.1,0.5,0.9"}, X, Y),
        "depthwise": ({"grow_policy": "Depthwise"}, HOLES, Y),
        "depthwise targets": ({"grow_policy": "Depthwise", "loss_function": "RMSEWithUncertainty"}, X, Y),
        "lossguide": ({"grow_policy": "Lossguide", "max_leaves": 9}, HOLES, Y),
        "ordered": ({"boosting_type": "Ordered"}, X, Y),
        "many borders": ({"border_count": 1024, "iterations": 60}, X, Y),
        "constant": ({"allow_const_label": True, "bootstrap_type": "No"}, X, Y * 0 + 3),
        "shrunk": ({"model_shrink_rate": 0.2}, X, Y),
    }
    for depth, (name, (params, rows, target)) in enumerate(cases.items()):
        model = cb.CatBoostRegressor(**{**QUIET, "depth": depth % 8 + 1, "random_seed": depth, **params}).fit(rows, target)
        exact = name not in ("poisson", "tweedie", "uncertainty", "depthwise targets")
        both(check, tmp_path, name, model, edges(rows), exact)
    ranker = cb.CatBoostRanker(**QUIET).fit(X, LEVELS // 10, group_id=np.repeat(range(24), 10))
    both(check, tmp_path, "ranker", ranker, edges(X))
    base = cb.CatBoost({**QUIET, "loss_function": "Poisson"}).fit(X, count)
    both(check, tmp_path, "base", base, edges(X))
    scaled = cb.CatBoostRegressor(**QUIET).fit(X, Y)
    scaled.set_scale_and_bias(0.37, 11.1)
    both(check, tmp_path, "scaled", scaled, edges(X))
    summed = cb.sum_models([scaled, cb.CatBoostRegressor(**QUIET, depth=3).fit(X, -Y)], weights=[0.3, 0.7])
    both(check, tmp_path, "summed", summed, edges(X))
    numbers = cb.CatBoostRegressor(**QUIET).fit(X.to_numpy(), Y)
    numbered = X.set_axis([str(i) for i in range(5)], axis=1)
    both(check, tmp_path, "unnamed", numbers, edges(numbered))


def test_classifiers_answer_as_the_library_does(check, tmp_path):
    for seed, rows in enumerate([X, HOLES]):
        for depth, (loss, target) in enumerate(CLASSES.items()):
            for policy in ["SymmetricTree", "Lossguide"]:
                params = {**QUIET, "loss_function": loss, "depth": 2 + depth + seed, "random_seed": seed, "grow_policy": policy}
                model = cb.CatBoostClassifier(**params).fit(rows, target)
                both(check, tmp_path, f"{loss} {policy} {seed}", model, edges(rows))
    for name, target in {
        "flags": Y > 0, "whole": np.where(Y > 0, 7, 3), "fractions": np.where(Y > 0, 2.5, 1.0),
        "three fractions": np.digitize(Y, [-2, 2]) * 1.5, "numbers as words": np.where(Y > 0, "1", "0"),
    }.items():
        both(check, tmp_path, name, cb.CatBoostClassifier(**QUIET).fit(X, target), edges(X))
    named = cb.CatBoostClassifier(**QUIET, class_names=["top", "low", "mid"]).fit(X, THREE)
    both(check, tmp_path, "named", named, edges(X))
    unseen = cb.CatBoostClassifier(**QUIET, classes_count=5, loss_function="MultiClass").fit(X, LEVELS // 10 + 1)
    both(check, tmp_path, "unseen", unseen, edges(X))
    several = cb.CatBoostClassifier(**QUIET, loss_function="MultiLogloss").fit(X, np.c_[Y > 0, Y > 2, Y > -1].astype(int))
    both(check, tmp_path, "several", several, edges(X))
    strict = cb.CatBoostClassifier(**QUIET).fit(X, BINARY)
    strict.set_probability_threshold(0.8)
    both(check, tmp_path, "strict", strict, edges(X))
    weighted = cb.CatBoostClassifier(**QUIET, class_weights=[1, 7]).fit(X, BINARY)
    both(check, tmp_path, "weighted", weighted, edges(X))


@pytest.mark.parametrize("check", [Lines], indirect=True)
def test_categories_are_told_apart_as_the_library_does(check, tmp_path):
    ctrs = ["Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"]
    cases = {
        "one hot": {"one_hot_max_size": 40},
        "some one hot": {"one_hot_max_size": 3},
        "alone": {"max_ctr_complexity": 1},
        "together": {"max_ctr_complexity": 4, "one_hot_max_size": 2, "iterations": 60},
        "all kinds": {"simple_ctr": ctrs, "combinations_ctr": ctrs, "max_ctr_complexity": 3, "iterations": 60},
        "classes": {"simple_ctr": ["Borders:TargetBorderCount=3", "Buckets:TargetBorderCount=4"], "iterations": 40},
        "counters": {"counter_calc_method": "Full", "simple_ctr": ["Counter"], "combinations_ctr": ["Counter"]},
        "depthwise": {"grow_policy": "Depthwise", "one_hot_max_size": 3, "iterations": 30},
        "lossguide": {"grow_policy": "Lossguide", "max_leaves": 12, "iterations": 30},
    }
    asked = WORDED.copy()
    asked.loc[0:5, "k"] = ["never seen", "RED", "red ", "-", "0", "ß" * 70]
    asked.loc[4:8, "m"] = [999, -2**40, 20, 0, 2**53]
    for seed, (name, params) in enumerate(cases.items()):
        common = {**QUIET, "cat_features": ["k", "m", "f"], "random_seed": seed, "depth": seed % 5 + 3, **params}
        model = cb.CatBoostRegressor(**common).fit(WORDED, WORTH)
        both(check, tmp_path, name, model, asked)
        # Counts of several target classes follow from the target: a model of classes takes none of its own.
        if "classes" != name:
            labels = np.digitize(WORTH, [0, 5, 9])
            both(check, tmp_path, f"{name} many", cb.CatBoostClassifier(**common).fit(WORDED, labels), asked)
            both(check, tmp_path, f"{name} two", cb.CatBoostClassifier(**common).fit(WORDED, WORTH > 4), asked)
    only = cb.CatBoostRegressor(**QUIET, cat_features=[0]).fit(WORDED[["k"]], WORTH)
    both(check, tmp_path, "words alone", only, asked[["k"]])


def test_a_plain_file_answers_as_the_class_that_trained_it(check, tmp_path):
    for name, model, rows in [
        ("regressor", cb.CatBoostRegressor(**QUIET).fit(HOLES, Y), edges(HOLES)),
        ("classifier", cb.CatBoostClassifier(**QUIET).fit(X, BINARY), edges(X)),
        ("counts", cb.CatBoostRegressor(**QUIET, loss_function="Poisson").fit(X, np.abs(Y).round()), edges(X)),
        ("words", cb.CatBoostRegressor(**QUIET, cat_features=["k", "m"]).fit(WORDED[list("abkm")], WORTH), WORDED[WORDED["k"] != ""][list("abkm")]),
    ]:
        for form in ["cbm", "json"]:
            path = tmp_path / f"{name}.{form}"
            model.save_model(path, format=form)
            check(f"{name} {form}", path, rows, model.predict(rows), 1e-12)


def test_a_server_answers_and_refuses_what_is_no_category(tmp_path):
    rows = WORDED[list("abkmf")]
    model = cb.CatBoostClassifier(**QUIET, cat_features=["k", "m", "f"]).fit(rows, np.digitize(WORTH, [0, 6]))
    folder = saved(model, rows, tmp_path / "model")
    model.save_model(tmp_path / "model.cbm")
    with serving(tmp_path, folder) as url:
        asked = {"dataframe_split": json.loads(rows.head(9).to_json(orient="split"))}
        told = requests.post(f"{url}/invocations", json=asked)
        assert told.json()["predictions"] == model.predict(rows.head(9)).tolist()
        metadata = requests.get(f"{url}/v2/models/model").json()
        assert [output["shape"] for output in metadata["outputs"]] == [[-1, 1]]
        asked["dataframe_split"]["data"][1][2] = None
        told = requests.post(f"{url}/invocations", json=asked)
        assert told.status_code == 400, told.text
    with serving(tmp_path, "model.cbm") as url:
        columns = {"a": [1.0], "b": [2.0], "k": [None], "m": ["3"], "f": ["1"]}
        told = requests.post(f"{url}/v1/models/model:predict", json={"inputs": columns})
        assert told.status_code == 400 and "`k`, row 0: null is not a category" in told.text, told.text
        columns["k"] = ["red"]
        told = requests.post(f"{url}/v1/models/model:predict", json={"inputs": columns})
        assert told.status_code == 200, told.text


def test_models_of_texts_and_vectors_are_refused_by_name(tmp_path):
    texts = pd.DataFrame({"t": SEED.choice(["good and cheap", "bad service", "fine"], N), "a": X["a"]})
    model = cb.CatBoostClassifier(**QUIET, text_features=["t"]).fit(texts, BINARY)
    model.save_model(tmp_path / "texts.cbm")
    told = lathe("serve", "texts.cbm", "--port", "0", cwd=tmp_path, code=1).stderr
    assert "texts" in told and "numbers and categories" in told, told
    folder = tmp_path / "folder"
    mlflow.catboost.save_model(model, folder, pip_requirements=[])
    told = lathe("serve", "folder", "--port", "0", cwd=tmp_path, code=1).stderr
    assert "texts" in told and "--allow-python" in told, told


def test_a_pipeline_registers_a_model_that_equals_the_librarys(tmp_path):
    model = cb.CatBoostClassifier(**QUIET).fit(WORDED, BINARY, cat_features=["k", "m", "f"])
    mlflow.catboost.save_model(model, tmp_path / "made", input_example=WORDED[:5], pip_requirements=[])
    WORDED.to_csv(tmp_path / "rows.csv", index=False)
    parity = registered_parity(tmp_path)
    assert (parity["rows"], parity["max_abs_diff"]) == (5, 0)
