"""Answers for one MLflow model. Started by Lathe with a socket as descriptor 0; each frame, either way, is a JSON header
led by its length (32 bits) and raw bytes led by theirs (64 bits), little-endian. Ends when the socket does."""

import base64
import datetime
import json
import math
import os
import socket
import struct
import sys

KINDS = {"integer": "i4", "long": "i8", "float": "f4", "double": "f8", "boolean": "?"}


class Link:
    def __init__(self):
        self.socket = socket.socket(fileno=os.dup(0))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        # What a model prints is for the log.
        os.dup2(2, 1)

    def take(self, count):
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            got = self.socket.recv_into(view)
            if got == 0:
                os._exit(0)
            view = view[got:]
        return buffer

    def receive(self):
        (length,) = struct.unpack("<I", self.take(4))
        header = json.loads(bytes(self.take(length)))
        (length,) = struct.unpack("<Q", self.take(8))
        return header, self.take(length)

    def send(self, header, body=b""):
        text = json.dumps(header, allow_nan=False).encode()
        self.socket.sendall(struct.pack("<I", len(text)) + text + struct.pack("<Q", len(body)))
        self.socket.sendall(body)


def column(kind, numbers, words):
    """One column of a request as pandas holds it."""
    import numpy as np
    import pandas as pd

    if kind == "string":
        return pd.Series(words, dtype=object)
    if kind == "datetime":
        return pd.to_datetime(pd.Series(words, dtype=object))
    if kind == "binary":
        return pd.Series([None if word is None else base64.b64decode(word) for word in words], dtype=object)
    if kind != "double" and kind != "float" and np.isnan(numbers).any():
        return pd.Series(numbers)
    return pd.Series(numbers.astype(KINDS[kind]))


def given(header, body):
    """A request as the model takes it: a frame, a matrix, or a tensor of the signature's shape."""
    import numpy as np
    import pandas as pd

    names, kinds, words = header["names"], header["kinds"], header["words"]
    matrix = np.frombuffer(body, "<f8").reshape(header["rows"], len(names))
    tensors = header["tensors"]
    if tensors:
        made, start = {}, 0
        for tensor in tensors:
            width = math.prod(tensor["shape"])
            if all(kind in KINDS for kind in kinds[start : start + width]):
                part = matrix[:, start : start + width].astype(tensor["dtype"])
            else:
                part = np.array([words[str(at)] for at in range(start, start + width)], dtype=object).T
                part = part.astype(tensor["dtype"])
            made[tensor["name"]] = part.reshape(-1, *tensor["shape"])
            start += width
        return made[""] if list(made) == [""] else made
    if not header["named"] and not words:
        whole = all(kind in ("integer", "long") for kind in kinds) and not np.isnan(matrix).any()
        return matrix.astype("i8" if whole else "f8")
    if all(kind == "double" for kind in kinds):
        return pd.DataFrame(matrix.copy(), columns=names)
    columns = [column(kind, matrix[:, at], words.get(str(at))) for at, kind in enumerate(kinds)]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    frame.columns = names
    return frame


def sent(header, metadata):
    """A request as MLflow's scoring server reads it."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.proto_json_utils import dataframe_from_parsed_json, parse_tf_serving_input

    form, rows = header["form"], header["sent"]
    if says(metadata, "_is_signature_from_type_hint"):
        if form != "inputs":
            raise MlflowException.invalid_parameter_value("the model's type hints say what it takes: send `inputs`")
        return rows
    schema = metadata.get_input_schema()
    if form.startswith("dataframe_"):
        return dataframe_from_parsed_json(rows, form.removeprefix("dataframe_"), schema)
    return parse_tf_serving_input({form: rows}, schema)


def says(metadata, name):
    """A fact that older versions of MLflow do not tell."""
    return getattr(metadata, name, lambda: False)()


def takes_params(function):
    import inspect

    try:
        params = inspect.signature(function).parameters.get("params")
    except (TypeError, ValueError):
        return False
    return params is not None and params.kind is not inspect.Parameter.VAR_KEYWORD


def plain(value):
    """As JSON, whatever it is."""
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict(orient="records")]
    if isinstance(value, pd.Series):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return None if value is pd.NaT else value.isoformat()
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    return str(value)


class Answers:
    """Outputs as a header tells them, numbers behind it."""

    RAW = {"f4": "f4", "f8": "f8", "i4": "i4", "i8": "i8", "b1": "b1", "i1": "i4", "i2": "i4", "u1": "i4", "u2": "i4",
           "f2": "f4", "u4": "i8", "u8": "i8"}  # fmt: skip

    def __init__(self, result, rows):
        import numpy as np
        import pandas as pd

        self.outputs, self.body = [], bytearray()
        if isinstance(result, pd.Series):
            result = result.to_numpy()
        if isinstance(result, (list, tuple)) and result and all(
            isinstance(one, (int, float, bool, np.generic)) and not isinstance(one, np.str_) for one in result
        ):  # fmt: skip
            result = np.asarray(result)
        if isinstance(result, pd.DataFrame) and len(result) == rows and len(result.columns):
            for name in result.columns:
                self.add(str(name), result[name].to_numpy(), key=str(name) if len(result.columns) == 1 else None)
        elif isinstance(result, dict) and result and all(
            isinstance(one, np.ndarray) and one.ndim in (1, 2) and len(one) == rows for one in result.values()
        ):  # fmt: skip
            for name, array in result.items():
                self.add(str(name), array)
        elif isinstance(result, np.ndarray) and result.ndim and len(result) == rows:
            self.add("predictions", result)
        elif isinstance(result, (list, tuple)) and len(result) == rows:
            self.words("predictions", list(result), None)
        else:
            self.outputs.append({"name": "predictions", "kind": "whole", "json": plain(result)})

    def add(self, name, array, key=None):
        kind = self.RAW.get(array.dtype.str[1:])
        if kind is None or 2 < array.ndim:
            return self.words(name, list(array), key)
        width = array.shape[1] if array.ndim == 2 else 1 if key is not None else None
        raw = array.astype(f"<{kind}" if kind != "b1" else "?").tobytes()
        told = {"name": name, "kind": kind, "width": width, "bytes": len(raw)}
        self.outputs.append(told | ({"keys": [key]} if key is not None else {}))
        self.body += raw

    def words(self, name, values, key):
        kind = "text" if values and all(isinstance(value, str) for value in values) else "json"
        told = {"name": name, "kind": kind, "width": 1 if key is not None else None, "json": plain(values)}
        self.outputs.append(told | ({"keys": [key]} if key is not None else {}))


def told(error):
    return f"{type(error).__name__}: {error}"[:2000]


def blame(error):
    """Whose fault an error is: the caller's, where MLflow says so, else the model's."""
    code = getattr(error, "error_code", None)
    if code in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE"):
        return {"refused": told(error), "invalid": code == "INVALID_PARAMETER_VALUE"}
    return {"raised": told(error)}


def main():
    settings = json.loads(sys.argv[1])
    link = Link()
    try:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(settings["model"])
        inner = getattr(model, "_model_impl", None)
        # What was checked already is not checked again; models that look at params or types of their own do it all.
        direct = settings["checked"] and hasattr(inner, "predict") and model.metadata.get_params_schema() is None
        if getattr(getattr(inner, "python_model", None), "_uses_type_hints", None) or any(
            says(model.metadata, name) for name in ("_is_signature_from_type_hint", "_is_type_hint_from_example")
        ):
            direct = False
        checked = inner.predict if direct else model.predict
        with_params = {function: takes_params(function) for function in (checked, model.predict)}
    except BaseException as error:
        link.send({"failed": told(error)})
        raise
    link.send({"ready": True, "python": sys.version.split()[0]})
    while True:
        header, body = link.receive()
        try:
            if "sent" in header:
                predict, rows = model.predict, sent(header, model.metadata)
            else:
                predict, rows = checked, given(header, body)
            params = header.get("params")
            result = predict(rows) if params is None or not with_params[predict] else predict(rows, params=params)
            answers = Answers(result, header["rows"])
        except MemoryError:
            # What is left is too little to go on with.
            link.send({"failed": "the model used up the memory that it may take"})
            os._exit(1)
        except Exception as error:
            link.send(blame(error))
            continue
        link.send({"outputs": answers.outputs}, answers.body)


main()
