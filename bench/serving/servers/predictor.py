"""The model behind the peers that bring none of their own runtimes: rows in, predictions out, one thread a request."""


def load(kind, path):
    if kind == "lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=path)
        return lambda rows: booster.predict(rows, num_threads=1)
    if kind == "onnx":
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name, wanted = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
        return lambda rows: session.run(wanted, {name: rows.astype(np.float32)})[0]
    import pickle

    with open(path, "rb") as file:
        return pickle.load(file).predict
