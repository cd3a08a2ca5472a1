"""The model registry, through the client."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList

from conftest import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def run(client, experiment):
    return client.create_run(experiment).info.run_id


def version(client, name, run, **more):
    return client.create_model_version(name, f"runs:/{run}/model", run_id=run, **more)


def test_a_model_is_described_tagged_renamed_and_deleted_with_all_it_has(client, run):
    client.create_registered_model("m", {"a": "b"}, "first")
    for wrong in ("m", "a/b", "a:b", " "):
        with pytest.raises(MlflowException):
            client.create_registered_model(wrong)
    with pytest.raises(MlflowException, match=r"Registered Model \(name=m\) already exists") as error:
        client.create_registered_model("m")
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert client.update_registered_model("m", "second").description == "second"
    client.set_registered_model_tag("m", "k", "v" * 100_000)
    client.delete_registered_model_tag("m", "a")
    version(client, "m", run, tags={"t": "1"})
    client.set_registered_model_alias("m", "champion", "1")
    client.rename_registered_model("m", "n")
    found = client.get_registered_model("n")
    assert (found.description, found.aliases, list(found.tags)) == ("second", {"champion": "1"}, ["k"])
    assert client.get_model_version("n", "1").tags == {"t": "1"}
    with pytest.raises(MlflowException, match="Registered Model with name=m not found"):
        client.get_registered_model("m")
    client.delete_registered_model("n")
    with pytest.raises(MlflowException, match=r"Model Version \(name=n, version=1\) not found"):
        client.get_model_version("n", "1")


def test_versions_count_up_and_say_where_they_come_from(client, run):
    client.create_registered_model("m")
    first = version(client, "m", run, tags={"a": "b"}, description="d", run_link="http://x")
    assert (first.version, first.status, first.current_stage, first.run_id) == ("1", "READY", "None", run)
    assert (first.source, first.tags, first.description) == (f"runs:/{run}/model", {"a": "b"}, "d")
    version(client, "m", run)
    client.delete_model_version("m", "2")
    assert version(client, "m", run).version == "3"
    assert client.update_model_version("m", "1", "other").description == "other"
    client.set_model_version_tag("m", "1", "k", "v")
    client.delete_model_version_tag("m", "1", "a")
    assert client.get_model_version("m", "1").tags == {"k": "v"}
    assert client.get_model_version_download_uri("m", "1") == f"runs:/{run}/model"
    for number in ("9", "x", "-1"):
        with pytest.raises(MlflowException):
            client.get_model_version("m", number)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_stage_is_taken_over_from_those_that_are_archived(client, run):
    client.create_registered_model("m")
    for _ in range(3):
        version(client, "m", run)
    client.transition_model_version_stage("m", "1", "Production")
    client.transition_model_version_stage("m", "2", "production", archive_existing_versions=True)
    client.transition_model_version_stage("m", "3", "Staging")
    assert client.get_model_version("m", "1").current_stage == "Archived"
    latest = {found.current_stage: found.version for found in client.get_latest_versions("m")}
    assert latest == {"Archived": "1", "Production": "2", "Staging": "3"}
    assert [found.version for found in client.get_latest_versions("m", ["Staging", "None"])] == ["3"]
    for stage, archive in (("Nope", False), ("Archived", True)):
        with pytest.raises(MlflowException) as error:
            client.transition_model_version_stage("m", "1", stage, archive)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_an_alias_moves_and_latest_is_always_the_newest(client, run):
    client.create_registered_model("m")
    version(client, "m", run), version(client, "m", run)
    client.set_registered_model_alias("m", "champion", "1")
    client.set_registered_model_alias("m", "champion", 2)
    assert client.get_model_version_by_alias("m", "champion").version == "2"
    assert client.get_model_version("m", "2").aliases == ["champion"]
    assert client.get_model_version_by_alias("m", "latest").version == "2"
    for alias in ("latest", "Latest", "v1", "V12", "a b", "a" * 256, ""):
        with pytest.raises(MlflowException) as error:
            client.set_registered_model_alias("m", alias, "1")
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    client.delete_registered_model_alias("m", "champion")
    client.delete_registered_model_alias("m", "champion")
    with pytest.raises(MlflowException, match="Registered model alias champion not found") as error:
        client.get_model_version_by_alias("m", "champion")
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    client.set_registered_model_alias("m", "gone", "2")
    client.delete_model_version("m", "2")
    assert client.get_registered_model("m").aliases == {}


def test_models_and_versions_are_found_by_every_kind_of_condition(client, run, call):
    for name, tags in [("Abc", {"a": "B"}), ("m", {"a": "b"}), ("n", None)]:
        client.create_registered_model(name, tags)
    prompt = {"name": "p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
    assert call("POST", "registered-models/create", json=prompt)[0] == 200
    for condition, found in [
        (None, "Abc m n"),
        ("name = 'm'", "m"),
        ("name LIKE '%c'", "Abc"),
        ("name ILIKE 'abc'", "Abc"),
        ("name != 'm' AND name IN ('m', 'n')", "n"),
        ("tags.a = 'b'", "m"),
        ("tags.a != 'b'", "Abc"),
        ("tags.`a` ILIKE 'b' and attribute.name = 'm'", "m"),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", "p"),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", "Abc m n"),
    ]:
        models = client.search_registered_models(condition)
        assert " ".join(model.name for model in models) == found, condition
    page = client.search_registered_models(max_results=2, order_by=["name DESC"])
    assert isinstance(page, PagedList) and [model.name for model in page] == ["n", "m"]
    rest = client.search_registered_models(max_results=2, order_by=["name DESC"], page_token=page.token)
    assert [model.name for model in rest] == ["Abc"] and not rest.token
    made = [version(client, name, run, tags=tags) for name, tags in [("m", {"t": "1"}), ("m", None), ("n", None)]]
    for condition, found in [
        ("name = 'm'", "m2 m1"),
        (f"run_id = '{run}'", "n1 m2 m1"),
        (f"run_id IN ('{run}', 'x') AND name = 'n'", "n1"),
        ("run_id IN ('x')", ""),
        ("version_number > 1", "m2"),
        ("version_number = '2'", "m2"),
        (f"source_path = '{made[0].source}' AND tags.t = '1'", "m1"),
        ("name ILIKE 'M' AND version_number <= 1", "m1"),
    ]:
        versions = client.search_model_versions(condition, order_by=["name DESC", "version_number DESC"])
        assert " ".join(f"{v.name}{v.version}" for v in versions) == found, condition
    assert [v.version for v in client.search_model_versions("name = 'm'", order_by=["version_number ASC"])] == ["1", "2"]
    for search in (client.search_registered_models, client.search_model_versions):
        for condition in ("name > 'a'", "stage = 'x'", "name = 'a' OR name = 'b'", "metrics.a = 1", "name"):
            with pytest.raises(MlflowException) as error:
                search(condition)
            assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_source_is_a_place_that_the_version_may_read(client, experiment, run, call):
    client.create_registered_model("m")
    other = client.create_run(experiment)
    root = client.get_run(run).info.artifact_uri

    def create(source, **more):
        return call("POST", "model-versions/create", json={"name": "m", "source": source, **more})

    for source in (f"{root}/model", f"runs:/{run}/model", "s3://bucket/model", "gs://b/x", "dbfs:/x", "models:/m/1"):
        assert create(source, run_id=run)[0] == 200, source
    for source in (
        f"{other.info.artifact_uri}/model",
        f"{root}/../{other.info.run_id}",
        f"{root}/%2e%2e/x",
        f"{root}/..%2fx",
        f"{root}/%252e%252e/x",
        f"{root}/x%00",
        f"runs:/{other.info.run_id}/model",
        "mlflow-artifacts:/models",
        "mlflow-artifacts://host:9000/models",
        "/etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file://localhost/etc",
        "relative/path",
        "s3://bucket/../x",
        "http://host/x/../y",
        "s3://bucket/x?y=z",
    ):
        status, code, message = create(source, run_id=run)
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE"), (source, message)
    assert "To use a local path as a model version" in create("/tmp")[2]
    assert "If supplying a source as an http, https," in create("https://host/x/../y")[2]
    assert create("s3://b/x", model_id="m-" + "1" * 32)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert create("models:/nobody/1")[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_copy_of_a_version_reads_the_same_files(mlflow, client):
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "model/weights.txt")
    client.create_registered_model("m")
    source = client.create_model_version("m", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    copy = client.copy_model_version(f"models:/m/{source.version}", "n")
    again = client.copy_model_version("models:/n/1", "n")
    assert (copy.name, copy.version, copy.source, again.version) == ("n", "1", "models:/m/1", "2")
    assert copy.run_id == run.info.run_id
    assert client.get_model_version_download_uri("n", "2") == f"{run.info.artifact_uri}/model"
