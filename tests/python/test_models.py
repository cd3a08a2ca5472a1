"""Many models of each kind, trained by the real libraries and answered by `lathe predict` without them."""

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import Comparison, lathe

warnings.filterwarnings("ignore")
SEED = np.random.default_rng(7)
N = 240
X = pd.DataFrame(SEED.normal(size=(N, 5)) * [1, 3, 0.5, 10, 1], columns=list("abcde"))
HOLES = X.mask(SEED.random(X.shape) < 0.15)
Y = X["a"] * 3 + np.sin(X["b"]) + X["c"] * X["e"] + SEED.normal(size=N) * 0.1
BINARY = np.where(Y > 0, "yes", "no")
THREE = pd.cut(Y, 3, labels=["low", "mid", "top"]).astype(str).to_numpy()
LEVELS = np.digitize(Y, [-2, 2]) * 10


def ask(folder, model, rows, extra=()):
    """What `lathe predict` answers, one value a row."""
    given, told = folder / "rows.csv", folder / "answers.jsonl"
    rows.to_csv(given, index=False)
    lathe("predict", str(model), str(given), "-o", str(told), *extra, cwd=folder)
    return [json.loads(line) for line in told.read_text().splitlines()]


def differ(ours, theirs, tolerance):
    """None, or what differs."""
    theirs = np.asarray(theirs)
    if theirs.ndim == 2 and theirs.shape[1] == 1 and not isinstance(ours[0], list):
        theirs = theirs.ravel()
    if theirs.dtype.kind in "OUSTb":
        wrong = [i for i, (a, b) in enumerate(zip(ours, theirs.tolist(), strict=True)) if a != b]
        return f"row {wrong[0]}: {ours[wrong[0]]} != {theirs[wrong[0]]}" if wrong else None
    mine = np.asarray([[np.nan if v is None else v for v in row] if isinstance(row, list) else (np.nan if row is None else row) for row in ours], dtype=float)
    if mine.shape != theirs.shape:
        return f"shape {mine.shape} != {theirs.shape}"
    theirs = theirs.astype(float)
    gap = np.abs(mine - theirs) / np.maximum(1, np.abs(theirs))
    gap[np.isnan(mine) & np.isnan(theirs)] = 0
    gap[mine == theirs] = 0
    return None if gap.max() <= tolerance else f"differs by {gap.max()}"


class Check(Comparison):
    ask = staticmethod(ask)

    def __call__(self, name, model, rows, theirs, tolerance=0.0):
        self.count += 1
        try:
            ours = self.ask(self.folder, model, rows)
            fault = differ(ours, theirs, tolerance)
            self.exact += differ(ours, theirs, 0) is None
            one = self.ask(self.folder, model, rows.iloc[[3]])
            if fault is None and one != ours[3:4]:
                fault = f"one row alone: {one} != {ours[3]}"
        except AssertionError as error:
            fault = str(error)
        if fault:
            self.faults.append(f"{name}: {fault}")


@pytest.fixture
def check(tmp_path):
    check = Check(tmp_path)
    yield check
    check.done()


def edges(rows, infinite=True):
    """Rows with what is rare: zeros, tiny and huge numbers, holes."""
    rows = rows.copy()
    rows.iloc[0] = 0.0
    rows.iloc[1] = -0.0
    rows.iloc[2] = np.nan
    rows.iloc[4] = 1e-36
    rows.iloc[5] = 1e30
    if infinite:
        rows.iloc[6] = np.inf
        rows.iloc[7] = -np.inf
    return rows


def test_lightgbm_text_models_answer_as_the_booster_does(check, tmp_path):
    import lightgbm as lgb

    quiet = {"verbose": -1, "seed": 1, "deterministic": True, "num_threads": 1, "min_data_in_leaf": 3}
    count = np.abs(Y).round()
    codes = pd.DataFrame({**X, "k": SEED.integers(0, 40, N), "s": SEED.integers(0, 4, N)})
    worth = Y + codes["k"] % 7 + codes["s"] ** 2
    cases = {
        "regression": ({}, X, Y),
        "holes": ({}, HOLES, Y),
        "zero as missing": ({"zero_as_missing": True}, HOLES.fillna(0), Y),
        "no missing": ({"use_missing": False}, HOLES, Y),
        "sqrt": ({"reg_sqrt": True}, X, np.abs(Y)),
        "l1": ({"objective": "l1"}, X, Y),
        "huber": ({"objective": "huber"}, X, Y),
        "fair": ({"objective": "fair"}, X, Y),
        "quantile": ({"objective": "quantile", "alpha": 0.3}, X, Y),
        "mape": ({"objective": "mape"}, X, np.abs(Y) + 1),
        "poisson": ({"objective": "poisson"}, X, count),
        "gamma": ({"objective": "gamma"}, X, np.abs(Y) + 0.1),
        "tweedie": ({"objective": "tweedie"}, X, np.abs(Y)),
        "binary": ({"objective": "binary"}, HOLES, BINARY == "yes"),
        "sigmoid": ({"objective": "binary", "sigmoid": 0.7}, X, BINARY == "yes"),
        "multiclass": ({"objective": "multiclass", "num_class": 3}, HOLES, LEVELS // 10),
        "ova": ({"objective": "multiclassova", "num_class": 3}, X, LEVELS // 10),
        "cross entropy": ({"objective": "cross_entropy"}, X, 1 / (1 + np.exp(-Y))),
        "cross entropy lambda": ({"objective": "cross_entropy_lambda"}, X, 1 / (1 + np.exp(-Y))),
        "forest": ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, X, Y),
        "dart": ({"boosting": "dart"}, X, Y),
        "goss": ({"data_sample_strategy": "goss"}, X, Y),
        "linear": ({"linear_tree": True}, X, Y),
        "linear holes": ({"linear_tree": True}, HOLES, Y),
        "categories": ({"cat_smooth": 1, "min_data_per_group": 2}, codes, worth),
        "one hot": ({"cat_smooth": 1, "max_cat_to_onehot": 50, "min_data_per_group": 2}, codes, worth),
        "constant": ({}, X, Y * 0 + 3),
    }
    for seed, (name, (params, rows, target)) in enumerate(cases.items()):
        categorical = ["k", "s"] if "k" in rows else "auto"
        data = lgb.Dataset(rows, target, categorical_feature=categorical)
        booster = lgb.train({**quiet, **params, "num_leaves": 7 + seed}, data, 20)
        booster.save_model(tmp_path / "model.txt")
        asked = edges(rows)
        if "k" in rows:
            asked.loc[8:20, "k"] = [999, -1, -5, 39.7, 2**31, 1e18, np.nan, 41, 40, 0.5, 31, 32, 33]
        check(name, tmp_path / "model.txt", asked, booster.predict(asked))
    ranked = lgb.train({**quiet, "objective": "lambdarank"}, lgb.Dataset(X, LEVELS // 10, group=[40] * 6), 10)
    ranked.save_model(tmp_path / "model.txt")
    check("rank", tmp_path / "model.txt", X, ranked.predict(X))
    # Categories that pandas named, and numbers that it numbered.
    named = X.assign(k=pd.Categorical(SEED.choice(["red", "green", "b l u e", "größer"], N)))
    named["n"] = pd.Categorical(SEED.choice([10, 20, 35], N))
    booster = lgb.train({**quiet, "min_data_per_group": 2}, lgb.Dataset(named, Y + named["k"].cat.codes * 3 + named["n"].cat.codes), 20)
    booster.save_model(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    assert "pandas_categorical:[[" in text
    check("pandas", tmp_path / "model.txt", named, booster.predict(named))


def test_xgboost_models_answer_as_the_booster_does(check, tmp_path):
    import xgboost as xgb

    base = {"seed": 1, "nthread": 1, "max_depth": 4}
    count = np.abs(Y).round()
    cases = {
        "squared": ({}, X, Y),
        "holes": ({}, HOLES, Y),
        "logistic": ({"objective": "binary:logistic"}, HOLES, BINARY == "yes"),
        "reg logistic": ({"objective": "reg:logistic", "base_score": 0.2}, X, 1 / (1 + np.exp(-Y))),
        "raw": ({"objective": "binary:logitraw"}, X, BINARY == "yes"),
        "hinge": ({"objective": "binary:hinge"}, X, BINARY == "yes"),
        "softmax": ({"objective": "multi:softmax", "num_class": 3}, HOLES, LEVELS // 10),
        "softprob": ({"objective": "multi:softprob", "num_class": 3}, HOLES, LEVELS // 10),
        "poisson": ({"objective": "count:poisson"}, X, count),
        "gamma": ({"objective": "reg:gamma"}, X, np.abs(Y) + 0.1),
        "tweedie": ({"objective": "reg:tweedie"}, X, np.abs(Y)),
        "absolute": ({"objective": "reg:absoluteerror"}, X, Y),
        "huber": ({"objective": "reg:pseudohubererror"}, X, Y),
        "quantile": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, X, Y),
        "log error": ({"objective": "reg:squaredlogerror"}, X, np.abs(Y)),
        "cox": ({"objective": "survival:cox"}, X, np.abs(Y) + 1),
        "dart": ({"booster": "dart", "rate_drop": 0.3}, HOLES, Y),
        "dart classes": ({"booster": "dart", "rate_drop": 0.3, "objective": "multi:softprob", "num_class": 3}, X, LEVELS // 10),
        "linear": ({"booster": "gblinear"}, HOLES, Y),
        "linear classes": ({"booster": "gblinear", "objective": "multi:softprob", "num_class": 3}, X, LEVELS // 10),
        "forest": ({"num_parallel_tree": 4, "subsample": 0.6}, X, Y),
        "base": ({"base_score": 0.5}, X, Y),
        "lossguide": ({"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}, X, Y),
        "targets": ({}, X, np.c_[Y, Y**2]),
        "vector leaves": ({"multi_strategy": "multi_output_tree", "tree_method": "hist"}, X, np.c_[Y, Y**2]),
    }
    for name, (params, rows, target) in cases.items():
        booster = xgb.train({**base, **params}, xgb.DMatrix(rows, target), 12)
        asked = edges(rows, infinite=False)
        expected = booster.predict(xgb.DMatrix(asked))
        for ending in ["json", "ubj"]:
            booster.save_model(tmp_path / f"model.{ending}")
            tolerance = 2e-6 if "linear" in name or "dart" in name else 0.0
            check(f"{name} {ending}", tmp_path / f"model.{ending}", asked, expected, tolerance)
    ranked = xgb.DMatrix(X, LEVELS // 10)
    ranked.set_group([40] * 6)
    booster = xgb.train({**base, "objective": "rank:ndcg"}, ranked, 8)
    booster.save_model(tmp_path / "model.ubj")
    check("rank", tmp_path / "model.ubj", X, booster.predict(xgb.DMatrix(X)))
    booster = xgb.train(base, xgb.DMatrix(X.to_numpy(), Y), 8)
    booster.save_model(tmp_path / "model.json")
    check("no names", tmp_path / "model.json", X.set_axis([f"f{i}" for i in range(5)], axis=1), booster.predict(xgb.DMatrix(X.to_numpy())))
    coded = X.assign(k=SEED.integers(0, 30, N))
    for onehot in [1, 100]:
        train = xgb.DMatrix(coded, Y + coded["k"] % 5, feature_types=["q"] * 5 + ["c"], enable_categorical=True)
        booster = xgb.train({**base, "tree_method": "hist", "max_cat_to_onehot": onehot}, train, 12)
        booster.save_model(tmp_path / "model.ubj")
        asked = coded.assign(k=coded["k"].astype(float))
        asked.loc[3:6, "k"] = [np.nan, 29, 12, 0]
        told = booster.predict(xgb.DMatrix(asked, feature_types=["q"] * 5 + ["c"], enable_categorical=True))
        check(f"categories {onehot}", tmp_path / "model.ubj", asked, told)
    named = X.assign(k=pd.Categorical(SEED.choice(["red", "green", "blue"], N)))
    booster = xgb.train(base, xgb.DMatrix(named, Y + named["k"].cat.codes * 3, enable_categorical=True), 12)
    booster.save_model(tmp_path / "model.json")
    check("pandas", tmp_path / "model.json", named, booster.predict(xgb.DMatrix(named, enable_categorical=True)))


MLMODEL = """
flavors:
  python_function: {{loader_module: mlflow.sklearn, predict_fn: {method}}}
  sklearn: {{pickled_model: {file}, serialization_format: {format}}}
"""


def save(model, folder, form, method="predict"):
    """An MLflow folder with a model, in one of the forms that MLflow or joblib write."""
    import cloudpickle
    import joblib
    import skops.io

    folder.mkdir(exist_ok=True)
    file = "model.skops" if form == "skops" else "model.pkl"
    path = folder / file
    if form == "skops":
        path.write_bytes(skops.io.dumps(model))
    elif form == "cloudpickle":
        path.write_bytes(cloudpickle.dumps(model))
    elif form == "joblib":
        joblib.dump(model, path)
    elif form == "zlib":
        joblib.dump(model, path, compress=3)
    elif form == "gzip":
        joblib.dump(model, path, compress=("gzip", 3))
    else:
        path.write_bytes(pickle.dumps(model, protocol=int(form)))
    (folder / "MLmodel").write_text(MLMODEL.format(method=method, file=file, format=form))
    return folder


FORMS = ["skops", "cloudpickle", "joblib", "zlib", "2", "gzip", "4", "0"]


def test_scikit_learn_models_answer_as_the_estimator_does(check, tmp_path):
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import KMeans
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.model_selection import GridSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.preprocessing import StandardScaler

    few = dict(n_estimators=7, random_state=3)
    near = 1e-6
    positive = X.abs().round()
    codes = (X.abs() * 2).round().clip(upper=6)
    regressors = [
        (linear_model.LinearRegression(), near), (linear_model.Ridge(), near), (linear_model.Lasso(0.01), near),
        (linear_model.ElasticNet(0.01), near), (linear_model.SGDRegressor(random_state=0), near),
        (linear_model.HuberRegressor(), near), (linear_model.BayesianRidge(), near), (svm.LinearSVR(), near),
        (tree.DecisionTreeRegressor(max_depth=6), 0), (tree.DecisionTreeRegressor(criterion="absolute_error", max_depth=5), 0),
        (ensemble.RandomForestRegressor(**few), 0), (ensemble.ExtraTreesRegressor(**few), 0),
        (ensemble.GradientBoostingRegressor(**few), 0), (ensemble.GradientBoostingRegressor(init="zero", **few), 0),
        (ensemble.GradientBoostingRegressor(init=linear_model.Ridge(), **few), near),
        (ensemble.GradientBoostingRegressor(loss="quantile", **few), 0),
        (ensemble.HistGradientBoostingRegressor(max_iter=8), 0),
        (ensemble.HistGradientBoostingRegressor(max_iter=8, loss="absolute_error"), 0),
        (svm.SVR(), near), (svm.NuSVR(kernel="poly", degree=2), near), (svm.SVR(kernel="linear"), near),
        (neighbors.KNeighborsRegressor(), near), (neighbors.KNeighborsRegressor(weights="distance", p=1), near),
        (neural_network.MLPRegressor(hidden_layer_sizes=(8, 5), max_iter=30, random_state=0), near),
        (ensemble.BaggingRegressor(**few), near), (ensemble.BaggingRegressor(max_features=3, **few), near),
        (ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))], weights=[1, 3]), near),
        (ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))], passthrough=True), near),
        (ensemble.AdaBoostRegressor(**few), 0),
        (TransformedTargetRegressor(linear_model.Ridge(), transformer=StandardScaler()), near),
        (GridSearchCV(tree.DecisionTreeRegressor(random_state=0), {"max_depth": [2, 4]}, cv=2), 0),
        (DummyRegressor(), 0),
    ]
    ones = [
        (ensemble.HistGradientBoostingRegressor(max_iter=8, loss="poisson"), np.abs(Y), near),
        (ensemble.HistGradientBoostingRegressor(max_iter=8, loss="gamma"), np.abs(Y) + 0.1, near),
        (linear_model.PoissonRegressor(), np.abs(Y), near), (linear_model.GammaRegressor(), np.abs(Y) + 1, near),
        (linear_model.TweedieRegressor(power=1.5), np.abs(Y), near), (linear_model.TweedieRegressor(power=0), Y, near),
        (TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1), np.abs(Y), near),
        (ensemble.RandomForestRegressor(**few), np.c_[Y, Y * 2], 0), (linear_model.Ridge(), np.c_[Y, Y * 2], near),
        (neighbors.KNeighborsRegressor(), np.c_[Y, Y * 2], near), (MultiOutputRegressor(linear_model.Ridge()), np.c_[Y, Y * 2], near),
        (neural_network.MLPRegressor(hidden_layer_sizes=(6,), max_iter=20, random_state=0), np.c_[Y, Y * 2], near),
    ]
    fits = [(model, X, Y, "predict", tolerance) for model, tolerance in regressors]
    fits += [(model, X, target, "predict", tolerance) for model, target, tolerance in ones]
    classifiers = [
        linear_model.LogisticRegression(), linear_model.SGDClassifier(random_state=0),
        linear_model.SGDClassifier(loss="log_loss", random_state=0), linear_model.SGDClassifier(loss="modified_huber", random_state=0),
        linear_model.RidgeClassifier(), linear_model.Perceptron(), svm.LinearSVC(), LinearDiscriminantAnalysis(),
        tree.DecisionTreeClassifier(max_depth=4), ensemble.RandomForestClassifier(max_depth=5, **few), ensemble.ExtraTreesClassifier(max_depth=5, **few),
        ensemble.GradientBoostingClassifier(**few), ensemble.HistGradientBoostingClassifier(max_iter=6),
        svm.SVC(), svm.NuSVC(nu=0.1), svm.SVC(kernel="sigmoid", decision_function_shape="ovo"), svm.SVC(probability=True, random_state=0),
        neighbors.KNeighborsClassifier(), neighbors.KNeighborsClassifier(weights="distance", metric="chebyshev"),
        naive_bayes.GaussianNB(), neural_network.MLPClassifier(hidden_layer_sizes=(7,), max_iter=30, random_state=0, activation="tanh"),
        ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=3), max_features=3, **few),
        ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))], voting="soft"),
        ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3)), ("c", naive_bayes.GaussianNB())]),
        ensemble.StackingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))]),
        ensemble.AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=2), **few),
        CalibratedClassifierCV(tree.DecisionTreeClassifier(max_depth=3), cv=2), CalibratedClassifierCV(svm.LinearSVC(), cv=2, method="isotonic"),
        DummyClassifier(), GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1]}, cv=2),
    ]
    for model in classifiers:
        for target in (BINARY, THREE, LEVELS):
            methods = ["predict", "predict_proba", "decision_function"][: 3 if target is not LEVELS else 1]
            fits += [(model, X, target, method, near) for method in methods if hasattr(model, method)]
    fits.append((OneVsRestClassifier(linear_model.LogisticRegression()), X, THREE, "predict_proba", near))
    fits.append((ensemble.GradientBoostingClassifier(loss="exponential", **few), X, BINARY, "predict_proba", near))
    for model, rows in [(naive_bayes.MultinomialNB(), positive), (naive_bayes.ComplementNB(), positive),
                        (naive_bayes.BernoulliNB(), X), (naive_bayes.CategoricalNB(min_categories=10), codes)]:
        fits += [(model, rows, THREE, "predict_proba", near), (model, rows, BINARY, "predict", near)]
    for model in [KMeans(4, n_init=1, random_state=0), ensemble.IsolationForest(**few), ensemble.IsolationForest(max_features=3, contamination=0.1, **few), svm.OneClassSVM()]:
        fits.append((model, X, None, "predict", near))
    fits.append((ensemble.IsolationForest(**few), X, None, "decision_function", near))
    for model in [ensemble.RandomForestRegressor(**few), tree.DecisionTreeRegressor(max_depth=6), ensemble.ExtraTreesRegressor(**few), ensemble.HistGradientBoostingRegressor(max_iter=8)]:
        fits.append((model, HOLES, Y, "predict", 0))
    named = X.assign(k=SEED.integers(0, 9, N).astype(float), w=SEED.choice(["red", "green", "blue"], N))
    named.loc[:9, "k"] = np.nan
    for model in [ensemble.HistGradientBoostingRegressor, ensemble.HistGradientBoostingClassifier]:
        by_name = model(max_iter=8, categorical_features=["k", "w"])
        target = Y + named["k"].fillna(0) if "Regressor" in model.__name__ else THREE
        fits += [(by_name, named, target, "predict", 0), (model(max_iter=8, categorical_features=[5]), named[list("abcdek")], target, "predict", 0)]
    for index, (model, rows, target, method, tolerance) in enumerate(fits):
        try:
            model.fit(rows, target)
        except ValueError as error:
            check.faults.append(f"{model} was not fitted: {error}")
            continue
        form = FORMS[index % len(FORMS)]
        theirs = getattr(model, method)(rows)
        if model.__class__.__name__ == "NuSVC" and method == "predict_proba":
            continue
        name = f"{model.__class__.__name__} {method} {form} {getattr(target, 'dtype', '')}"
        try:
            folder = save(model, tmp_path / f"m{index}", form, method)
        except Exception as error:
            check.faults.append(f"{name}: not saved: {error}")
            continue
        check(name, folder, rows, theirs, tolerance)


def test_transformers_answer_with_the_columns_that_they_make(check, tmp_path):
    from sklearn import decomposition, feature_selection, impute, preprocessing
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline, make_union

    words = X.assign(w=SEED.choice(["red", "green", "blue"], N))
    numbers = list("abcde")
    near = 1e-9
    cases = [
        (preprocessing.StandardScaler(), X, near), (preprocessing.MinMaxScaler((-1, 2)), X, near), (preprocessing.RobustScaler(), HOLES, near),
        (preprocessing.Normalizer(), X, near), (preprocessing.PowerTransformer(), X, 1e-6), (preprocessing.PolynomialFeatures(2), X, near),
        (preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), X, 0),
        (impute.SimpleImputer(strategy="median", add_indicator=True), HOLES, 0),
        (decomposition.PCA(3, random_state=0), X, 1e-6), (feature_selection.SelectKBest(k=2), X, 0),
        (preprocessing.OneHotEncoder(), words[["w"]], 0), (preprocessing.OrdinalEncoder(), words[["w"]], 0),
        (make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler(), decomposition.PCA(2, random_state=0)), HOLES, 1e-6),
        (make_union(preprocessing.StandardScaler(), preprocessing.MaxAbsScaler()), X, near),
        (ColumnTransformer([("n", preprocessing.StandardScaler(), numbers), ("w", preprocessing.OneHotEncoder(), ["w"])]), words, near),
        # Words among the columns: an array of objects.
        (ColumnTransformer([("n", "passthrough", ["a", "c"]), ("w", "passthrough", ["w"]), ("o", preprocessing.OneHotEncoder(), ["w"])]), words, 0),
    ]
    for index, (model, rows, tolerance) in enumerate(cases):
        theirs = model.fit(rows, LEVELS).transform(rows)
        theirs = theirs.toarray() if hasattr(theirs, "toarray") else theirs
        folder = save(model, tmp_path / f"m{index}", FORMS[index % 3], "transform")
        check(f"{model.__class__.__name__} {FORMS[index % 3]}", folder, rows, theirs, tolerance)
    given = tmp_path / "rows.csv"
    X.to_csv(given, index=False)
    for index, (model, told) in enumerate([
        (preprocessing.StandardScaler().set_output(transform="pandas"), "set_output"),
        (preprocessing.FunctionTransformer(np.log1p), "alone"),
    ]):
        folder = save(model.fit(X), tmp_path / f"refused{index}", "cloudpickle", "transform")
        refused = lathe("predict", str(folder), str(given), "-o", str(tmp_path / "out.jsonl"), cwd=tmp_path, code=1)
        assert told in refused.stderr, refused.stderr
