"""Prompts, evaluation datasets, scorers and `mlflow.genai.evaluate`, from the unmodified `mlflow` client."""

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases


def code(error):
    return error.value.error_code


def test_prompts_have_versions_aliases_and_tags_and_are_no_models(mlflow):
    genai = mlflow.genai
    first = genai.register_prompt("greet", "Hello {{name}}!", commit_message="first", tags={"lang": "en"})
    second = genai.register_prompt(
        "greet",
        [{"role": "system", "content": "Be kind to {{name}}"}],
        response_format={"type": "object", "properties": {"text": {"type": "string"}}},
    )
    assert (first.version, second.version) == (1, 2)
    assert genai.load_prompt("greet", version=1).format(name="Ann") == "Hello Ann!"
    assert genai.load_prompt("prompts:/greet/2").template == [{"role": "system", "content": "Be kind to {{name}}"}]
    assert genai.load_prompt("prompts:/greet/2").response_format["type"] == "object"
    assert genai.load_prompt("greet").version == 2
    genai.set_prompt_alias("greet", alias="production", version=1)
    loaded = genai.load_prompt("prompts:/greet@production")
    assert loaded.version == 1 and loaded.commit_message == "first" and loaded.tags["lang"] == "en"
    genai.set_prompt_alias("greet", alias="production", version=2)
    assert genai.load_prompt("prompts:/greet@production").version == 2
    genai.delete_prompt_alias("greet", alias="production")
    with pytest.raises(MlflowException):
        genai.load_prompt("prompts:/greet@production")
    assert genai.load_prompt("prompts:/none/1", allow_missing=True) is None
    genai.set_prompt_tag("greet", "team", "blue")
    assert genai.get_prompt_tags("greet")["team"] == "blue"
    genai.delete_prompt_tag("greet", "team")
    assert "team" not in genai.get_prompt_tags("greet")
    genai.set_prompt_version_tag("greet", 1, "reviewed", "yes")
    assert genai.load_prompt("greet", version=1).tags["reviewed"] == "yes"
    genai.delete_prompt_version_tag("greet", 1, "reviewed")
    genai.register_prompt("other", "x")
    assert {prompt.name for prompt in genai.search_prompts()} == {"greet", "other"}
    assert [prompt.name for prompt in genai.search_prompts("name = 'other'")] == ["other"]
    client = mlflow.MlflowClient()
    # Who looks for models finds no prompts, and no model is taken for one.
    client.create_registered_model("model")
    assert [model.name for model in client.search_registered_models()] == ["model"]
    with pytest.raises(MlflowException):
        genai.register_prompt("model", "x")
    with pytest.raises(MlflowException):
        genai.register_prompt("bad/name", "x")
    client.delete_prompt_version("other", "1")
    client.delete_prompt("other")
    assert [prompt.name for prompt in genai.search_prompts()] == ["greet"]


def test_a_prompt_is_linked_to_the_trace_that_used_it(mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow.tracing.reset()
    mlflow.genai.register_prompt("ask", "What is {{x}}?")

    @mlflow.trace
    def answer():
        return mlflow.genai.load_prompt("ask", version=1).format(x=1)

    answer()
    trace_id = mlflow.get_last_active_trace_id()
    mlflow.flush_trace_async_logging()
    mlflow.tracking.MlflowClient()._tracing_client.store.link_prompts_to_trace(
        trace_id, [mlflow.genai.load_prompt("ask", version=1)]
    )
    found = mlflow.search_traces(filter_string="prompt = 'ask/1'", return_type="list")
    assert [trace.info.trace_id for trace in found] == [trace_id]
    assert mlflow.search_traces(filter_string="prompt = 'ask/2'", return_type="list") == []
    mlflow.tracing.reset()


def test_evaluation_datasets_merge_records_by_their_inputs(mlflow):
    from mlflow.genai.datasets import (
        add_dataset_to_experiments, create_dataset, delete_dataset, delete_dataset_tag, get_dataset,
        remove_dataset_from_experiments, search_datasets, set_dataset_tags,
    )

    place = mlflow.get_experiment_by_name("tests").experiment_id
    other = mlflow.create_experiment("elsewhere")
    dataset = create_dataset(name="questions", experiment_id=[place], tags={"team": "a", "mlflow.user": "ann"})
    assert dataset.created_by == "ann" and dataset.experiment_ids == [place] and dataset.profile is None
    dataset.merge_records(
        [
            {"inputs": {"q": "one", "n": 1}, "expectations": {"answer": "1"}, "tags": {"k": "v"}},
            {"inputs": {"q": "two"}, "outputs": "2", "source": {"source_type": "HUMAN", "source_data": {"source_id": "bo"}}},
        ]
    )
    dataset.merge_records([{"inputs": {"n": 1, "q": "one"}, "expectations": {"more": True}}])
    again = get_dataset(dataset_id=dataset.dataset_id)
    records = {record.inputs["q"]: record for record in again._mlflow_dataset.records}
    assert len(records) == 2 and records["one"].expectations == {"answer": "1", "more": True}
    assert records["one"].tags["k"] == "v" and records["two"].outputs == "2" and records["two"].source_id == "bo"
    assert "num_records" in again.profile and "string" in again.schema
    assert again.to_df()["inputs"].tolist() == [{"q": "one", "n": 1}, {"q": "two"}]
    assert again.delete_records([records["two"].dataset_record_id]) == 1
    assert [record.inputs["q"] for record in get_dataset(dataset_id=dataset.dataset_id)._mlflow_dataset.records] == ["one"]

    second = create_dataset(name="second")
    assert [d.name for d in search_datasets(filter_string="name LIKE 'quest%'")] == ["questions"]
    assert {d.name for d in search_datasets(filter_string="tags.team = 'a' AND created_by = 'ann'")} == {"questions"}
    assert [d.name for d in search_datasets(experiment_ids=[place], order_by=["name ASC"])][0] == "questions"
    assert len(search_datasets(max_results=1)) == 1
    assert set(add_dataset_to_experiments(second.dataset_id, [place, other]).experiment_ids) >= {place, other}
    assert other not in remove_dataset_from_experiments(second.dataset_id, [other]).experiment_ids
    set_dataset_tags(dataset_id=second.dataset_id, tags={"a": "b", "c": "d"})
    delete_dataset_tag(dataset_id=second.dataset_id, key="a")
    tags = get_dataset(dataset_id=second.dataset_id).tags
    assert tags["c"] == "d" and "a" not in tags
    delete_dataset(dataset_id=second.dataset_id)
    with pytest.raises(MlflowException) as error:
        get_dataset(dataset_id=second.dataset_id)
    assert code(error) == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException):
        create_dataset(name="lost", experiment_id=["987654"])

    many = create_dataset(name="many", experiment_id=[place])
    many.merge_records([{"inputs": {"n": n}} for n in range(2500)])
    assert [record.inputs["n"] for record in get_dataset(dataset_id=many.dataset_id)._mlflow_dataset.records] == list(range(2500))


def test_scorers_are_kept_by_version(mlflow):
    from mlflow.genai.scorers import Guidelines, delete_scorer, get_scorer, list_scorers

    place = mlflow.get_experiment_by_name("tests").experiment_id
    kind = Guidelines(name="kind", guidelines=["be kind"], model="openai:/gpt-4o-mini")
    kind.register(experiment_id=place)
    Guidelines(name="kind", guidelines=["be very kind"], model="openai:/gpt-4o-mini").register(experiment_id=place)
    assert [scorer.name for scorer in list_scorers(experiment_id=place)] == ["kind"]
    assert get_scorer(name="kind", experiment_id=place).guidelines == ["be very kind"]
    assert get_scorer(name="kind", experiment_id=place, version=1).guidelines == ["be kind"]
    store = mlflow.tracking.MlflowClient()._tracing_client.store
    assert [found.scorer_version for found in store.list_scorer_versions(place, "kind")] == [1, 2]
    config = store.upsert_online_scoring_config(place, "kind", 0.5, "status = 'OK'")
    assert store.get_online_scoring_configs([config.scorer_id])[0].sample_rate == 0.5
    with pytest.raises(MlflowException):
        store.upsert_online_scoring_config(place, "kind", 1.5)
    delete_scorer(name="kind", experiment_id=place, version=1)
    with pytest.raises(MlflowException) as error:
        get_scorer(name="kind", experiment_id=place, version=1)
    assert code(error) == "RESOURCE_DOES_NOT_EXIST"
    delete_scorer(name="kind", experiment_id=place, version="all")
    assert list_scorers(experiment_id=place) == []
    with pytest.raises(MlflowException):
        store.register_scorer(place, "code", '{"call_source": "import os"}')


def test_answers_are_evaluated_end_to_end(mlflow, monkeypatch):
    from mlflow.genai.datasets import create_dataset
    from mlflow.genai.scorers import scorer

    monkeypatch.setenv("MLFLOW_GENAI_EVAL_SKIP_TRACE_VALIDATION", "true")
    place = mlflow.get_experiment_by_name("tests").experiment_id
    dataset = create_dataset(name="sums", experiment_id=[place])
    dataset.merge_records([{"inputs": {"a": n}, "expectations": {"expected_response": n + 1}} for n in range(4)])

    @scorer
    def right(outputs, expectations):
        return outputs == expectations["expected_response"]

    @scorer
    def size(outputs):
        return float(outputs)

    result = mlflow.genai.evaluate(
        data=dataset, predict_fn=lambda a: a + 1 if a != 2 else 0, scorers=[right, size]
    )
    assert result.metrics["right/mean"] == 0.75 and result.metrics["size/mean"] == (1 + 2 + 0 + 4) / 4
    run = mlflow.get_run(result.run_id)
    assert run.data.metrics["right/mean"] == 0.75
    # What was answered before is judged as well.
    given = pd.DataFrame({"inputs": [{"q": 1}], "outputs": [5], "expectations": [{"expected_response": 5}]})
    assert mlflow.genai.evaluate(data=given, scorers=[right]).metrics["right/mean"] == 1.0
