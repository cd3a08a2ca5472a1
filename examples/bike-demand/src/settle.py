"""Lets a saved model depend on nothing but what was learned, so that rebuilding it gives the same bytes.

skops names objects, and the files of arrays, by where they lay in memory; the archive and `MLmodel` hold the time of
writing; `MLmodel` holds a random id.
"""

import hashlib
import json
import pathlib
import zipfile

from mlflow.models import Model

LONG_AGO = (1980, 1, 1, 0, 0, 0)


def settle(folder):
    folder = pathlib.Path(folder)
    archive = folder / "model.skops"
    settle_archive(archive)
    described = Model.load(str(folder))
    described.model_uuid = hashlib.md5(archive.read_bytes()).hexdigest()
    described.utc_time_created = "%d-%02d-%02d %02d:%02d:%02d" % LONG_AGO
    described.model_size_bytes = archive.stat().st_size
    described.save(str(folder / "MLmodel"))


def settle_archive(path):
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
        ids, files = {}, {}
        rename(schema, ids, files)
        arrays = [(new, archive.read(old)) for old, new in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in [*arrays, ("schema.json", json.dumps(schema, indent=2))]:
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), content)


def rename(node, ids, files):
    """Numbers objects and files by the order in which the schema names them."""
    if isinstance(node, list):
        for item in node:
            rename(item, ids, files)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "__id__":
                node[key] = ids.setdefault(value, len(ids))
            elif key == "file":
                node[key] = files.setdefault(value, f"{len(files)}{pathlib.Path(value).suffix}")
            else:
                rename(value, ids, files)
