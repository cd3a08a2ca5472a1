"""The manifests of `deploy/kubernetes` held against Kubernetes's published schemas, as `kubernetes-validate` bundles them.

KServe's own schema is not bundled there; what its runtime says beside containers is held against the fields that KServe's
Python SDK (0.21) has."""

import copy
import json

import jsonschema
import kubernetes_validate
import pytest
import yaml
from conftest import ROOT
from kubernetes_validate.utils import all_versions
from packaging.version import Version

FOLDER = ROOT / "deploy/kubernetes"
DESCRIPTION = ROOT / "crates/lathe-server/src/inference/openapi.json"
# A pause before the end (`preStop.sleep`) is on from 1.30.
VERSIONS = [version for version in all_versions() if Version("1.30") <= Version(version)]

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
MODEL_FORMAT = {
    "properties": {"name": TEXT, "version": TEXT, "autoSelect": FLAG, "priority": {"type": "integer", "minimum": 1}},
    "required": ["name"],
    "additionalProperties": False,
}
SERVING_RUNTIME = {
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1alpha1"},
        "kind": {"const": "ServingRuntime"},
        "metadata": {"required": ["name"]},
        "spec": {
            "properties": {
                "annotations": {"additionalProperties": TEXT},
                "containers": {"type": "array", "minItems": 1},
                "multiModel": FLAG,
                "protocolVersions": {"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
                "supportedModelFormats": {"type": "array", "items": MODEL_FORMAT, "uniqueItems": True},
            },
            "required": ["containers"],
            "additionalProperties": False,
        },
    },
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
}


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def pod_of(runtime):
    """The pod that KServe makes of a runtime's containers."""
    spec = {"containers": runtime["spec"]["containers"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def validate(document, version):
    """Strictly: no field but those that the schema knows."""
    kubernetes_validate.validate(document, version, strict=True)


def test_every_manifest_is_looked_at():
    assert VERSIONS
    assert sorted(path.name for path in FOLDER.glob("*.yaml")) == ["kserve-runtime.yaml", "serve.yaml"]


@pytest.mark.parametrize("version", VERSIONS)
def test_replicas_and_their_service_fit_the_schemas(version):
    documents_of_serve = documents("serve.yaml")
    assert [document["kind"] for document in documents_of_serve] == ["Deployment", "Service"]
    for document in documents_of_serve:
        validate(document, version)
    misspelt = copy.deepcopy(documents_of_serve[0])
    [container] = misspelt["spec"]["template"]["spec"]["containers"]
    container["readynessProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        validate(misspelt, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_containers_of_the_runtime_of_kserve_fit_the_schemas(version):
    [runtime] = documents("kserve-runtime.yaml")
    validate(pod_of(runtime), version)


def test_the_runtime_of_kserve_has_the_fields_that_kserve_knows():
    [runtime] = documents("kserve-runtime.yaml")
    jsonschema.Draft202012Validator(SERVING_RUNTIME).validate(runtime)
    formats = runtime["spec"]["supportedModelFormats"]
    # KServe refuses runtimes that give one format several priorities.
    for name in {known["name"] for known in formats}:
        assert len({known.get("priority") for known in formats if known["name"] == name}) == 1, name
    # KServe puts the model into the container of this name.
    assert [container["name"] for container in runtime["spec"]["containers"]] == ["kserve-container"]


def test_probes_ask_what_the_server_answers_where_it_listens():
    [deployment, service] = documents("serve.yaml")
    [runtime] = documents("kserve-runtime.yaml")
    pod = deployment["spec"]["template"]
    paths = json.loads(DESCRIPTION.read_text())["paths"]
    for container, annotations in [
        (pod["spec"]["containers"][0], pod["metadata"]["annotations"]),
        (runtime["spec"]["containers"][0], runtime["spec"]["annotations"]),
    ]:
        [port] = container["ports"]
        args = container["args"]
        assert args[args.index("--port") + 1] == str(port["containerPort"])
        for kind in ["readinessProbe", "livenessProbe", "startupProbe"]:
            if kind in container:
                asked = container[kind]["httpGet"]
                assert "get" in paths[asked["path"]] and asked["port"] in port.values(), kind
        told = {name.split("/")[1]: value for name, value in annotations.items()}
        assert told["path"] in paths and told["port"] == str(port["containerPort"])
    labels = pod["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= labels
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    [port] = service["spec"]["ports"]
    assert port["targetPort"] in [known["name"] for known in pod["spec"]["containers"][0]["ports"]]
