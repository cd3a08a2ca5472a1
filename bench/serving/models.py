"""The models of the comparison, the bodies that ask them, and what their libraries answer."""

import json
import pickle

FEATURES = 30


def build(folder):
    """The models of the comparison, as MLflow folders, as their libraries keep them, and as ONNX."""
    names = ["rf100", "mlp", "lgb100x31", "lgb500x63"]
    kinds = ["sklearn", "sklearn", "lightgbm", "lightgbm"]
    models = {
        name: {"name": name, "folder": folder / name, "kind": kind, "onnx": folder / f"{name}.onnx",
               "onnx_folder": folder / f"{name}-onnx",
               "file": folder / name / "model.pkl" if kind == "sklearn" else folder / f"{name}.txt"}
        for name, kind in zip(names, kinds, strict=True)
    }  # fmt: skip
    if (folder / "made").exists():
        return models
    import lightgbm
    import mlflow
    import numpy as np
    import onnx
    import onnxmltools
    import skl2onnx
    from mlflow.models import infer_signature
    from onnxmltools.convert.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    random = np.random.default_rng(0)
    rows = random.normal(size=(5_000, FEATURES))
    target = (rows[:, 0] * rows[:, 1] + rows[:, 2] + random.normal(size=5_000) > 0).astype(int)
    for name, model in [
        ("rf100", RandomForestClassifier(100, max_depth=8, random_state=0, n_jobs=1).fit(rows, target)),
        ("mlp", MLPClassifier((32,), max_iter=30, random_state=0).fit(rows, target)),
    ]:
        signature = infer_signature(rows[:2], model.predict(rows[:2]))
        mlflow.sklearn.save_model(
            model, models[name]["folder"], serialization_format="cloudpickle", signature=signature
        )
        single = np.asarray(rows[:1], dtype=np.float32)
        converted = skl2onnx.to_onnx(model, single, options={"zipmap": False}, target_opset=18)
        onnx.save(converted, models[name]["onnx"])
    for name, trees, leaves in [("lgb100x31", 100, 31), ("lgb500x63", 500, 63)]:
        params = {"objective": "binary", "num_leaves": leaves, "verbose": -1, "num_threads": 2, "min_data_in_leaf": 5}
        booster = lightgbm.train(params, lightgbm.Dataset(rows, target), trees)
        signature = infer_signature(rows[:2], booster.predict(rows[:2]))
        mlflow.lightgbm.save_model(booster, models[name]["folder"], signature=signature)
        booster.save_model(models[name]["file"])
        inputs = [("rows", FloatTensorType([None, FEATURES]))]
        converted = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=15)
        onnx.save(converted, models[name]["onnx"])
    for model in models.values():
        saved = onnx.load(model["onnx"])
        signature = infer_signature(rows[:2].astype(np.float32))
        mlflow.onnx.save_model(saved, model["onnx_folder"], signature=signature)
    row = rows[0].tolist()
    tensor = {"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": row}
    for name, body in [("oip.json", {"inputs": [tensor]}), ("instances.json", {"instances": [row]}),
                       ("inputs.json", {"inputs": [row]})]:  # fmt: skip
        (folder / name).write_text(json.dumps(body))
    (folder / "made").touch()
    return models


def answers(folder, model):
    """What the model's own library answers to the row that all are asked, by which output a server may tell of."""
    import lightgbm
    import numpy as np

    rows = np.array(json.loads((folder / "instances.json").read_text())["instances"])
    if model["kind"] == "lightgbm":
        probability = lightgbm.Booster(model_file=model["file"]).predict(rows)[0]
        return {"prediction": probability, "probability": probability}
    with open(model["file"], "rb") as file:
        loaded = pickle.load(file)
    return {"prediction": loaded.predict(rows)[0], "probability": loaded.predict_proba(rows)[0, 1]}
