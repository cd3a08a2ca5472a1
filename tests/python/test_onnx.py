"""ONNX models of scikit-learn's converters, of boosters and of networks, answered by `lathe predict` as onnxruntime does."""

import json
import warnings

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import Comparison, lathe, registered_parity
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
SEED = np.random.default_rng(11)
N = 120
X = (SEED.normal(size=(N, 5)) * [1, 3, 0.5, 10, 1]).astype(np.float32)
Y = X[:, 0] * 3 + np.sin(X[:, 1]) + X[:, 2] * X[:, 4]
BINARY = np.where(Y > 0, "yes", "no")
THREE = np.digitize(Y, [-2, 2])
WORDS = np.array(["low", "mid", "top"])[THREE]


def session(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def plain(value):
    """An output of onnxruntime as JSON has it."""
    if isinstance(value, list):
        return [{str(key): float(number) for key, number in row.items()} for row in value]
    if value.ndim > 2:
        value = value.reshape(len(value), -1)
    return value.tolist()


def far(ours, theirs, tolerance):
    """None, or what differs first."""
    if isinstance(theirs, dict):
        return far(list(ours.values()), list(theirs.values()), tolerance) if list(ours) == list(theirs) else f"{list(ours)} != {list(theirs)}"
    if isinstance(theirs, list):
        if len(ours) != len(theirs):
            return f"{len(ours)} values, not {len(theirs)}"
        return next((what for a, b in zip(ours, theirs) if (what := far(a, b, tolerance))), None)
    if isinstance(theirs, float):
        ours = np.nan if ours is None else ours
        same = ours == theirs or (np.isnan(ours) and not np.isfinite(theirs)) or abs(ours - theirs) <= tolerance * max(1, abs(theirs))
        return None if same else f"{ours} != {theirs}"
    return None if ours == theirs else f"{ours!r} != {theirs!r}"


class Check(Comparison):
    def __call__(self, name, model, rows, feeds, tolerance=1e-6):
        """`rows` is what `lathe predict` is asked, `feeds` what onnxruntime is."""
        self.count += 1
        theirs_session = session(model)
        names = [output.name for output in theirs_session.get_outputs()]
        theirs = [plain(output) for output in theirs_session.run(None, feeds)]
        path, given, told = self.folder / "model.onnx", self.folder / "rows.csv", self.folder / "answers.jsonl"
        onnx.save(model, path)
        rows.to_csv(given, index=False)
        try:
            lathe("predict", str(path), str(given), "-o", str(told), cwd=self.folder)
        except AssertionError as error:
            self.faults.append(f"{name}: {str(error)[-300:]}")
            return
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        exact = True
        for place, output in enumerate(names):
            ours = [line[output] if len(names) > 1 else line for line in lines]
            if fault := far(ours, theirs[place], tolerance):
                self.faults.append(f"{name}: {output}: {fault}")
            exact = exact and far(ours, theirs[place], 0) is None
        self.exact += exact


@pytest.fixture
def check(tmp_path):
    check = Check(tmp_path)
    yield check
    check.done()


def frame(rows, name="X"):
    return pd.DataFrame(rows, columns=[f"{name}_{i}" for i in range(rows.shape[1])])


def test_what_skl2onnx_makes_of_estimators_and_steps(check):
    from skl2onnx import to_onnx
    from sklearn import cluster, decomposition, ensemble, feature_selection, impute, linear_model, naive_bayes, neighbors, neural_network, preprocessing, svm, tree
    from sklearn.pipeline import make_pipeline

    few = dict(n_estimators=9, random_state=3)
    regressors = [
        linear_model.LinearRegression(), linear_model.Ridge(), linear_model.SGDRegressor(random_state=0), svm.SVR(), svm.SVR(kernel="poly", degree=2),
        svm.LinearSVR(), tree.DecisionTreeRegressor(max_depth=6), ensemble.RandomForestRegressor(**few), ensemble.ExtraTreesRegressor(**few),
        ensemble.GradientBoostingRegressor(**few), ensemble.AdaBoostRegressor(**few), ensemble.BaggingRegressor(**few),
        ensemble.HistGradientBoostingRegressor(max_iter=8),
        neural_network.MLPRegressor(hidden_layer_sizes=(8, 5), max_iter=30, random_state=0), linear_model.HuberRegressor(),
        linear_model.PoissonRegressor(), linear_model.TweedieRegressor(), linear_model.BayesianRidge(),
        ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]),
        neighbors.KNeighborsRegressor(),
    ]
    classifiers = [
        linear_model.LogisticRegression(), linear_model.SGDClassifier(random_state=0), linear_model.SGDClassifier(loss="modified_huber", random_state=0),
        linear_model.RidgeClassifier(), linear_model.Perceptron(), svm.SVC(), svm.SVC(probability=True, random_state=0), svm.LinearSVC(),
        tree.DecisionTreeClassifier(max_depth=4), ensemble.RandomForestClassifier(max_depth=5, **few), ensemble.ExtraTreesClassifier(max_depth=5, **few),
        ensemble.GradientBoostingClassifier(**few), ensemble.HistGradientBoostingClassifier(max_iter=6), ensemble.AdaBoostClassifier(**few),
        naive_bayes.GaussianNB(), naive_bayes.BernoulliNB(), neural_network.MLPClassifier(hidden_layer_sizes=(7,), max_iter=30, random_state=0, activation="tanh"),
        neural_network.MLPClassifier(hidden_layer_sizes=(7,), max_iter=30, random_state=0, activation="logistic"), neighbors.KNeighborsClassifier(),
        ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))], voting="soft"),
    ]
    steps = [
        preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), preprocessing.RobustScaler(), preprocessing.MaxAbsScaler(), preprocessing.Normalizer(),
        preprocessing.Binarizer(), preprocessing.PolynomialFeatures(2), preprocessing.KBinsDiscretizer(4, encode="ordinal"), decomposition.PCA(3),
        decomposition.TruncatedSVD(3), feature_selection.SelectKBest(k=3), preprocessing.PowerTransformer(), impute.SimpleImputer(),
        feature_selection.VarianceThreshold(), preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), cluster.KMeans(3, n_init=1, random_state=0),
    ]
    cdist = {"optim": "cdist"}
    fits = [(model, np.abs(Y) if "Poisson" in str(model) else Y, {}) for model in regressors]
    for model in classifiers:
        fits += [(model, target, options) for target, options in [(BINARY, {}), (THREE, {"zipmap": False}), (WORDS, {})]]
    fits += [(make_pipeline(step, linear_model.Ridge()) if index % 2 else step, Y, {}) for index, step in enumerate(steps)]
    fits.append((ensemble.IsolationForest(**few), None, {}))
    fits.append((ensemble.RandomForestRegressor(**few), np.c_[Y, Y * 2], {}))
    for model, target, options in fits:
        name = f"{model} {getattr(target, 'dtype', '')}"
        model.fit(X, target)
        if "Neighbors" in name:
            options = {**options, **cdist}
        try:
            made = to_onnx(model, X[:1], options={id(model): options} if options else None, target_opset={"": 18, "ai.onnx.ml": 3})
        except Exception as error:
            print(f"{name}: not converted: {str(error)[:80]}")
            continue
        made_rows = np.vstack([X, np.zeros((1, 5), np.float32), np.full((1, 5), 30, np.float32)])
        near = 2e-5 if any(word in name for word in ["MLP", "SV", "Isolation", "NB", "Perceptron", "Power", "KMeans", "Neighbors", "AdaBoost", "PCA", "Polynomial"]) else 2e-6
        # Sums of f32 that all but cancel out: their order shows.
        near = 3e-4 if "SGDClassifier" in name or "poly" in name else near
        check(name, made, frame(made_rows), {"X": made_rows}, near)
    assert check.count == 89, "the converter refuses a few, which are told above; all others must have been compared"


def test_boosters_columns_of_many_types_and_missing_numbers(check):
    from skl2onnx import to_onnx, update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "k": SEED.integers(0, 5, N), "w": SEED.choice(["red", "green", "größer"], N)})
    holes = table.assign(a=table["a"].mask(SEED.random(N) < 0.2))
    encoded = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"]), (OneHotEncoder(handle_unknown="ignore"), ["w"]), (OrdinalEncoder(), ["k"]))
    pipeline = make_pipeline(encoded, LogisticRegression()).fit(holes, WORDS)
    kinds = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1])), ("k", Int64TensorType([None, 1])), ("w", StringTensorType([None, 1]))]
    model = to_onnx(pipeline, initial_types=kinds, target_opset={"": 18, "ai.onnx.ml": 3})
    asked = holes.copy()
    asked.loc[5, "w"] = "unheard of"
    feeds = {"a": asked[["a"]].to_numpy(np.float32), "b": asked[["b"]].to_numpy(np.float32), "k": asked[["k"]].to_numpy(np.int64), "w": asked[["w"]].to_numpy(object)}
    check("columns", model, asked[["w", "k", "b", "a"]], feeds, 2e-6)

    import lightgbm as lgb
    import xgboost as xgb
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
    update_registered_converter(lgb.LGBMClassifier, "L", calculate_linear_classifier_output_shapes, convert_lightgbm, options=options)
    update_registered_converter(lgb.LGBMRegressor, "R", calculate_linear_regressor_output_shapes, convert_lightgbm, options={"split": None})
    update_registered_converter(xgb.XGBClassifier, "C", calculate_linear_classifier_output_shapes, convert_xgboost, options=options)
    update_registered_converter(xgb.XGBRegressor, "B", calculate_linear_regressor_output_shapes, convert_xgboost)
    rows = X.copy()
    rows[SEED.random(rows.shape) < 0.1] = np.nan
    small = dict(n_estimators=12, max_depth=4)
    for model, target in [
        (lgb.LGBMClassifier(verbose=-1, **small), BINARY), (lgb.LGBMClassifier(verbose=-1, **small), THREE), (lgb.LGBMRegressor(verbose=-1, **small), Y),
        (xgb.XGBClassifier(**small), THREE), (xgb.XGBClassifier(**small), (Y > 0).astype(int)), (xgb.XGBRegressor(**small), Y),
    ]:
        model.fit(rows, target)
        try:
            made = to_onnx(model, rows[:1], target_opset={"": 18, "ai.onnx.ml": 3})
        except Exception as error:
            print(f"{type(model).__name__}: not converted: {str(error)[:80]}")
            continue
        check(f"{type(model).__name__} {target.dtype}", made, frame(rows), {"X": rows}, 2e-6)
    assert check.count == 7


def graph(nodes, inputs, outputs, constants=(), opset=18, ml=3):
    """A model of these nodes; types by the letters of NumPy."""
    kinds = {"f": TensorProto.FLOAT, "d": TensorProto.DOUBLE, "i": TensorProto.INT64, "s": TensorProto.STRING, "b": TensorProto.BOOL}
    slot = lambda name, kind, shape: helper.make_tensor_value_info(name, kinds[kind], shape)  # noqa: E731
    made = helper.make_graph(nodes, "g", [slot(*i) for i in inputs], [slot(*o) for o in outputs], [numpy_helper.from_array(v, k) for k, v in dict(constants).items()])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 9
    return model


def test_plain_operators_one_by_one(check):
    node = helper.make_node
    rows = X.copy()
    rows[0], rows[1] = 0, -0.5
    long = lambda *values: np.array(values, np.int64)  # noqa: E731
    weights = SEED.normal(size=(5, 4)).astype(np.float32)
    row, positive = np.abs(X[0]) + 0.5, np.abs(X[1]) + 0.1
    one_input = {
        "Relu": {}, "Sigmoid": {}, "Tanh": {}, "Softplus": {}, "LeakyRelu": {"alpha": 0.3}, "Elu": {"alpha": 0.7}, "Selu": {}, "Erf": {}, "Abs": {}, "Neg": {},
        "Exp": {}, "Floor": {}, "Ceil": {}, "Round": {}, "Sign": {}, "Identity": {}, "Flatten": {}, "Softsign": {}, "HardSigmoid": {}, "Dropout": {},
        "Softmax": {}, "LogSoftmax": {"axis": 1}, "Reciprocal": {},
    }
    cases = {name: ([node(name, ["X"], ["y"], **attributes)], {}) for name, attributes in one_input.items()}
    joins = {"Add": row, "Sub": row, "Mul": row, "Div": row, "Min": row, "Max": row, "PRelu": row[:1], "Sum": row}
    cases |= {name: ([node(name, ["X", "c"], ["y"])], {"c": value}) for name, value in joins.items()}
    cases |= {
        "Pow": ([node("Abs", ["X"], ["a"]), node("Pow", ["a", "c"], ["y"])], {"c": np.float32(1.5)}),
        "Sqrt Log": ([node("Abs", ["X"], ["a"]), node("Add", ["a", "c"], ["p"]), node("Log", ["p"], ["l"]), node("Abs", ["l"], ["q"]), node("Sqrt", ["q"], ["y"])], {"c": np.float32(0.5)}),
        "MatMul": ([node("MatMul", ["X", "w"], ["y"])], {"w": weights}),
        "Gemm": ([node("Gemm", ["X", "w", "c"], ["y"], transB=1, alpha=0.5, beta=2.0)], {"w": weights.T.copy(), "c": weights[0]}),
        "BatchNormalization": ([node("BatchNormalization", ["X", "s", "c", "m", "v"], ["y"])], {"s": row, "c": X[2], "m": X[3], "v": positive}),
        "LayerNormalization": ([node("LayerNormalization", ["X", "s", "c"], ["y"])], {"s": row, "c": X[2]}),
        "Clip": ([node("Clip", ["X", "l", "h"], ["y"])], {"l": np.float32(-1), "h": np.float32(2)}),
        "Transpose twice": ([node("Transpose", ["X"], ["t"]), node("Transpose", ["t"], ["y"], perm=[1, 0])], {}),
        "Gather": ([node("Gather", ["X", "i"], ["y"], axis=1)], {"i": long(3, 0, -1)}),
        "Slice": ([node("Slice", ["X", "a", "b", "c", "d"], ["y"])], {"a": long(4), "b": long(0), "c": long(1), "d": long(-2)}),
        "Split Concat": ([node("Split", ["X", "s"], ["p", "q"], axis=1), node("Concat", ["q", "p"], ["y"], axis=1)], {"s": long(2, 3)}),
        "Unsqueeze Squeeze": ([node("Unsqueeze", ["X", "a"], ["u"]), node("Squeeze", ["u", "a"], ["y"])], {"a": long(1)}),
        "Tile": ([node("Tile", ["X", "r"], ["y"])], {"r": long(1, 2)}),
        "Where": ([node("Greater", ["X", "c"], ["g"]), node("Where", ["g", "X", "c"], ["y"])], {"c": row}),
        "Shape Reshape Expand": ([node("Shape", ["X"], ["s"]), node("Expand", ["c", "s"], ["e"]), node("Add", ["X", "e"], ["z"]), node("Reshape", ["z", "r"], ["y"])], {"c": np.float32(2), "r": long(0, -1)}),
        "ConstantOfShape": ([node("Shape", ["X"], ["s"]), node("ConstantOfShape", ["s"], ["e"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [3.0])), node("Mul", ["X", "e"], ["y"])], {}),
        "Logic": ([node("LessOrEqual", ["X", "c"], ["a"]), node("GreaterOrEqual", ["X", "d"], ["b"]), node("And", ["a", "b"], ["e"]), node("Not", ["e"], ["n"]), node("Or", ["n", "a"], ["o"]), node("Cast", ["o"], ["y"], to=TensorProto.FLOAT)], {"c": row, "d": X[2]}),
        "TopK": ([node("TopK", ["X", "k"], ["y", "i"])], {"k": long(3)}),
        "CDist": ([node("CDist", ["X", "c"], ["y"], metric="euclidean", domain="com.microsoft")], {"c": X[:7]}),
        "CumSum": ([node("CumSum", ["X", "a"], ["y"])], {"a": np.array(1, np.int64)}),
        "Words": ([node("Cast", ["X"], ["t"], to=TensorProto.INT64), node("Cast", ["t"], ["s"], to=TensorProto.STRING), node("Cast", ["s"], ["y"], to=TensorProto.FLOAT)], {}),
    }
    for name in ["Sum", "Mean", "Max", "Min", "L1", "L2", "Prod", "SumSquare"]:
        attributes, inputs = ({}, ["X", "a"]) if name == "Sum" else ({"axes": [1]}, ["X"])
        cases[f"Reduce{name}"] = ([node(f"Reduce{name}", inputs, ["y"], keepdims=1, **attributes)], {"a": long(1)} if name == "Sum" else {})
    for name, (nodes, constants) in cases.items():
        opset = 13 if name.startswith("Reduce") else 18
        model = graph(nodes, [("X", "f", [None, 5])], [("y", "f", None)], constants, opset=opset)
        # onnxruntime takes distances from products, which loses digits.
        check(name, model, frame(rows), {"X": rows}, 1e-4 if name == "CDist" else 5e-6)
    gelu = graph([node("Gelu", ["X"], ["y"])], [("X", "f", [None, 5])], [("y", "f", None)], opset=20)
    check("Gelu", gelu, frame(rows), {"X": rows}, 2e-6)
    old = graph([node("Softmax", ["X"], ["y"], axis=1), node("ArgMax", ["X"], ["z"], axis=1, keepdims=0)], [("X", "f", [None, 5])], [("y", "f", None), ("z", "i", None)], opset=11)
    check("old Softmax, ArgMax", old, frame(rows), {"X": rows}, 2e-6)
    labels = node("LabelEncoder", ["w"], ["y"], domain="ai.onnx.ml", keys_strings=["a", "b"], values_int64s=[7, 9], default_int64=-3)
    words = np.array([["a"], ["b"], ["c"]], object)
    check("LabelEncoder", graph([labels], [("w", "s", [None, 1])], [("y", "i", None)]), pd.DataFrame(words, columns=["w"]), {"w": words})
    double = graph([node("MatMul", ["X", "w"], ["m"]), node("Sigmoid", ["m"], ["y"])], [("X", "d", [None, 5])], [("y", "d", None)], {"w": weights.astype(float)})
    check("double", double, frame(rows.astype(float)), {"X": rows.astype(float)}, 1e-12)
    fixed = graph([node("Relu", ["X"], ["y"])], [("X", "f", [1, 5])], [("y", "f", [1, 5])])
    check("one row at a time", fixed, frame(rows[:1]), {"X": rows[:1]})


def test_trees_by_hand_ask_in_every_way(check):
    """All modes of nodes, sums and transforms, in both forms of trees."""
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    rows = np.round(X).astype(np.float32)
    rows[:6, 0] = np.nan

    def nodes(mode, tracks):
        return dict(
            nodes_treeids=[0] * 5 + [1] * 3, nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2], nodes_featureids=[0, 1, 0, 0, 0, 4, 0, 0],
            nodes_values=[0.0, 1.0, 0, 0, 0, -1.0, 0, 0], nodes_modes=[mode, "BRANCH_LEQ", "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"],
            nodes_truenodeids=[1, 3, 0, 0, 0, 1, 0, 0], nodes_falsenodeids=[2, 4, 0, 0, 0, 2, 0, 0], nodes_missing_value_tracks_true=[tracks] * 8,
        )

    leaves = dict(treeids=[0, 0, 0, 1, 1], nodeids=[2, 3, 4, 1, 2])
    for index, mode in enumerate(modes):
        for tracks in [0, 1]:
            for fold in ["SUM", "AVERAGE", "MIN", "MAX"]:
                weights = {f"target_{key}": value for key, value in leaves.items()}
                node = helper.make_node("TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", n_targets=1, aggregate_function=fold, base_values=[0.25], target_ids=[0] * 5, target_weights=[1.5, -2.0, 0.3, 4.0, -0.7], **nodes(mode, tracks), **weights)
                if fold == "SUM" or index == 0:
                    check(f"{mode} {tracks} {fold}", graph([node], [("X", "f", [None, 5])], [("y", "f", None)]), frame(rows), {"X": rows}, 0)
    positive, mixed = [0.4, 0.2, 0.3, 0.4, 0.1], [0.4, -0.2, 0.3, 0.4, -0.9]
    for transform in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]:
        for ids, weights, labels in [([0] * 5, positive, 2), ([1] * 5, positive, 2), ([0] * 5, mixed, 2), ([1] * 5, mixed, 2), ([0, 1, 0, 1, 1], mixed, 2), ([0, 1, 2, 0, 1], mixed, 3)]:
            for base in [[], [0.1] * labels]:
                chosen = {f"class_{key}": value for key, value in leaves.items()}
                extra = {"base_values": base} if base else {}
                node = helper.make_node("TreeEnsembleClassifier", ["X"], ["l", "p"], domain="ai.onnx.ml", post_transform=transform, class_ids=ids, class_weights=weights, classlabels_strings=["a", "b", "c"][:labels], **nodes("BRANCH_LEQ", 0), **chosen, **extra)
                check(f"classes {transform} {ids} {weights} {base}", graph([node], [("X", "f", [None, 5])], [("l", "s", None), ("p", "f", None)]), frame(rows), {"X": rows}, 0)
    tensor = lambda kind, values: helper.make_tensor("t", kind, [len(values)], values)  # noqa: E731
    for kind, letter, dtype in [(TensorProto.FLOAT, "f", np.float32), (TensorProto.DOUBLE, "d", np.float64)]:
        node = helper.make_node(
            "TreeEnsemble", ["X"], ["y"], domain="ai.onnx.ml", n_targets=2, aggregate_function=1, post_transform=0, tree_roots=[0, 2],
            nodes_featureids=[0, 1, 3], nodes_splits=tensor(kind, [0.5, 1.0, 2.0]), nodes_modes=tensor(TensorProto.UINT8, [0, 6, 2]),
            nodes_truenodeids=[1, 0, 2], nodes_trueleafs=[0, 1, 1], nodes_falsenodeids=[3, 1, 3], nodes_falseleafs=[1, 1, 1],
            membership_values=tensor(kind, [1.0, 2.0, 5.0, float("nan")]),
            leaf_targetids=[0, 1, 0, 1], leaf_weights=tensor(kind, [1.25, -3.5, 0.1, 7.0]),
        )
        check(f"version 5 {letter}", graph([node], [("X", letter, [None, 5])], [("y", letter, None)], ml=5), frame(rows), {"X": rows.astype(dtype)}, 0)


def test_mlflow_folders_and_what_is_refused(tmp_path):
    import mlflow
    from mlflow.models import infer_signature
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(7, random_state=0).fit(X, WORDS)
    model = to_onnx(forest, X[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    mlflow.onnx.save_model(model, tmp_path / "m", signature=infer_signature(X), input_example=X[:3])
    table = pd.DataFrame(X, columns=[f"c{i}" for i in range(5)])
    mlflow.onnx.save_model(model, tmp_path / "n", signature=infer_signature(table.astype(float)))
    for folder, rows in [("m", frame(X, "")), ("n", table)]:
        rows.columns = [name.lstrip("_") if folder == "n" else f"X{name}" for name in rows.columns]
        rows.to_csv(tmp_path / "rows.csv", index=False)
        lathe("predict", str(tmp_path / folder), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "told.jsonl"), cwd=tmp_path)
        told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
        assert [row["label"] for row in told] == forest.predict(X).tolist()
        assert np.abs(np.array([row["probabilities"] for row in told]) - forest.predict_proba(X)).max() < 1e-6

    big = SEED.normal(size=(5, 300)).astype(np.float32)
    beside = graph([helper.make_node("MatMul", ["X", "w"], ["y"])], [("X", "f", [None, 5])], [("y", "f", [None, 300])], {"w": big})
    path = tmp_path / "beside.onnx"
    onnx.save(beside, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    frame(X).to_csv(tmp_path / "rows.csv", index=False)
    lathe("predict", str(path), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "told.jsonl"), cwd=tmp_path)
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert np.allclose(np.array(told), X @ big, rtol=1e-4, atol=1e-4)

    def refused(model, *words):
        bytes_of = model if isinstance(model, bytes) else model.SerializeToString()
        (tmp_path / "bad.onnx").write_bytes(bytes_of)
        told = lathe("predict", str(tmp_path / "bad.onnx"), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "told.jsonl"), "--runtime", "native", cwd=tmp_path, code=1).stderr
        assert all(word in told for word in words), told

    outside = path.read_bytes().replace(b"weights.bin", b"../eights.b")
    refused(outside, "outside the model's folder")
    refused(graph([helper.make_node("LSTM", ["X"], ["y"], name="memory", hidden_size=3)], [("X", "f", [None, 5])], [("y", "f", None)]), "LSTM", "memory", "native engine")
    huge = graph([helper.make_node("ConstantOfShape", ["s"], ["e"]), helper.make_node("MatMul", ["X", "e"], ["y"])], [("X", "f", [None, 5])], [("y", "f", None)], {"s": np.array([5, 10**13], np.int64)})
    refused(huge, "too large")
    refused(graph([helper.make_node("Add", ["X", "z"], ["y"]), helper.make_node("Relu", ["y"], ["z"])], [("X", "f", [None, 5])], [("y", "f", None)]), "reads `z`")

    whole = graph([helper.make_node("Cast", ["X"], ["y"], to=TensorProto.FLOAT)], [("X", "i", [None, 1])], [("y", "f", None)])
    onnx.save(whole, tmp_path / "whole.onnx")
    for text, code, told in [("7", 0, "7.0"), ("1e20", 1, "is not a whole number that the graph's type holds"), ("", 1, "null")]:
        (tmp_path / "one.csv").write_text(f"X\n{text or chr(34) * 2}\n")
        done = lathe("predict", str(tmp_path / "whole.onnx"), str(tmp_path / "one.csv"), "-o", str(tmp_path / "one.jsonl"), cwd=tmp_path, code=code)
        assert told in (done.stderr if code else (tmp_path / "one.jsonl").read_text()), done.stderr


def test_a_pipeline_registers_an_onnx_model_whose_example_is_an_array(tmp_path):
    import mlflow
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    model = to_onnx(LogisticRegression().fit(X, BINARY), X[:1], options={"zipmap": False})
    mlflow.onnx.save_model(model, tmp_path / "made", input_example=X[:5])
    frame(X).to_csv(tmp_path / "rows.csv", index=False)
    parity = registered_parity(tmp_path)
    assert parity["rows"] == 5
    assert parity["max_abs_diff"] < 1e-6
