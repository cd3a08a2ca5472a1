"""Traces as the unmodified `mlflow` client and OpenTelemetry's own exporter send them."""

import gzip
import json
import time
import urllib.error
import urllib.request
import uuid

import pytest
from mlflow.entities import AssessmentSource, SpanStatusCode, SpanType, TraceState
from mlflow.exceptions import MlflowException

from conftest import on_both_databases

pytestmark = on_both_databases

EXPERIMENT = "tests"


@pytest.fixture
def traced(mlflow, monkeypatch):
    """The client, telling of each trace before it goes on."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow.tracing.reset()
    yield mlflow
    mlflow.tracing.reset()


def experiment_id(mlflow):
    return mlflow.get_experiment_by_name(EXPERIMENT).experiment_id


def answer(mlflow, question="what?", session=None, fail=False):
    """A trace of three spans; its id."""

    @mlflow.trace(name="retrieve", span_type=SpanType.RETRIEVER)
    def retrieve(question):
        return [{"page_content": "Zürich lies at a lake", "metadata": {"n": 1}}]

    @mlflow.trace(name="generate", span_type=SpanType.LLM, attributes={"model": "gpt-x", "temperature": 0.5})
    def generate(question, documents):
        mlflow.get_current_active_span().set_attribute(
            "mlflow.chat.tokenUsage", {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        )
        if fail:
            raise ValueError("no answer")
        return f"answer to {question}"

    @mlflow.trace(name="agent", span_type=SpanType.AGENT)
    def agent(question):
        if session:
            mlflow.update_current_trace(metadata={"mlflow.trace.session": session, "mlflow.trace.user": "ann"})
        mlflow.update_current_trace(tags={"team": "blue"}, client_request_id=f"req-{question}")
        return generate(question, retrieve(question))

    try:
        agent(question)
    except ValueError:
        pass
    return mlflow.get_last_active_trace_id()


def test_a_trace_comes_back_as_it_was_made(traced):
    mlflow = traced
    trace = mlflow.get_trace(answer(mlflow, session="s-1"))
    info = trace.info
    assert info.state == TraceState.OK and info.experiment_id == experiment_id(mlflow)
    assert info.client_request_id == "req-what?" and info.execution_duration >= 0
    assert info.tags["team"] == "blue" and info.tags["mlflow.traceName"] == "agent"
    assert info.trace_metadata["mlflow.trace.session"] == "s-1"
    assert info.token_usage == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    assert json.loads(info.request_preview) == {"question": "what?"} and "answer to" in info.response_preview
    spans = {span.name: span for span in trace.data.spans}
    assert [span.name for span in trace.data.spans][0] == "agent" and len(spans) == 3
    generate = spans["generate"]
    assert generate.parent_id == spans["agent"].span_id and spans["agent"].parent_id is None
    assert generate.span_type == SpanType.LLM and generate.status.status_code == SpanStatusCode.OK
    assert generate.inputs["documents"][0]["page_content"] == "Zürich lies at a lake"
    assert generate.outputs == "answer to what?" and generate.attributes["temperature"] == 0.5
    assert trace.search_spans(span_type=SpanType.RETRIEVER)[0].outputs[0]["metadata"] == {"n": 1}

    failed = mlflow.get_trace(answer(mlflow, fail=True))
    assert failed.info.state == TraceState.ERROR
    span = next(span for span in failed.data.spans if span.name == "generate")
    assert span.status.status_code == SpanStatusCode.ERROR and "no answer" in span.status.description
    assert span.events[0].attributes["exception.message"] == "no answer"

    # What the web page of MLflow asks for.
    url = f"{mlflow.get_tracking_uri()}/ajax-api/3.0/mlflow/get-trace-artifact?request_id={info.trace_id}"
    told = json.load(urllib.request.urlopen(url))["spans"]
    assert json.loads(told[0]["attributes"]["mlflow.spanInputs"]) == {"question": "what?"}
    assert told[0]["parent_span_id"] is None and told[0]["status"]["code"] == "STATUS_CODE_OK"


def test_traces_made_by_hand_and_in_the_background_arrive(mlflow):
    with mlflow.start_span(name="outer", span_type="CHAIN") as outer:
        outer.set_inputs({"x": 1})
        with mlflow.start_span(name="inner") as inner:
            inner.set_outputs([1, None, True, 2.5, {"deep": ["ü"]}])
        outer.set_outputs("done")
    client = mlflow.MlflowClient()
    root = client.start_trace("by hand", inputs={"a": 1}, tags={"k": "v"})
    child = client.start_span("step", trace_id=root.trace_id, parent_id=root.span_id)
    client.end_span(root.trace_id, child.span_id, outputs={"b": 2})
    client.end_trace(root.trace_id, outputs={"c": 3})
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(outer.trace_id)
    assert [span.name for span in trace.data.spans] == ["outer", "inner"]
    assert trace.data.spans[1].outputs == [1, None, True, 2.5, {"deep": ["ü"]}]
    by_hand = mlflow.get_trace(root.trace_id)
    assert by_hand.info.tags["k"] == "v" and by_hand.data.response == '{"c": 3}'
    found = mlflow.search_traces(locations=[experiment_id(mlflow)], return_type="list")
    assert {trace.info.trace_id for trace in found} == {outer.trace_id, root.trace_id}
    assert all(len(trace.data.spans) == 2 for trace in found)


def test_traces_are_searched_by_all_that_is_known_of_them(traced):
    mlflow = traced
    place = [experiment_id(mlflow)]
    with mlflow.start_run() as run:
        first = answer(mlflow, "one", session="s-1")
    second = answer(mlflow, "two", session="s-1")
    third = answer(mlflow, "three", fail=True)
    mlflow.set_trace_tag(third, "odd key/é", "x")
    mlflow.log_feedback(trace_id=first, name="score", value=0.9)
    mlflow.log_feedback(trace_id=second, name="good", value=True, source=AssessmentSource("HUMAN", "ann"))
    mlflow.log_expectation(trace_id=second, name="answer", value="forty-two")
    mlflow.log_feedback(trace_id=first, name="polite", value="yes", metadata={"mlflow.trace.session": "s-1"})
    other = mlflow.create_experiment("elsewhere")
    linked = mlflow.MlflowClient()
    linked.link_traces_to_run([third], run.info.run_id)

    def search(filter_string, **more):
        found = mlflow.search_traces(
            locations=place, filter_string=filter_string, return_type="list", include_spans=False, **more
        )
        return [trace.info.trace_id for trace in found]

    everything = [third, second, first]
    for filter_string, wanted in {
        "": everything,
        "status = 'OK'": [second, first],
        "attributes.status != 'OK'": [third],
        "trace.status IN ('ERROR', 'IN_PROGRESS')": [third],
        "name = 'agent' AND tag.team = 'blue'": everything,
        "tags.team LIKE 'BLU%'": [],
        "tags.team ILIKE 'BLU%'": everything,
        "tags.team RLIKE '^bl.e$'": everything,
        "tags.`odd key/é` = 'x'": [third],
        "tags.`odd key/é` IS NULL": [second, first],
        "metadata.`mlflow.trace.session` = 's-1'": [second, first],
        "metadata.`mlflow.trace.user` = 'ann' AND timestamp_ms > 0": [second, first],
        "execution_time_ms >= 0 AND end_time > 5": everything,
        f"request_id = '{first}'": [first],
        f"run_id = '{run.info.run_id}'": [third, first],
        "client_request_id = 'req-two'": [second],
        "span.name = 'generate' AND span.status = 'ERROR'": [third],
        "span.name = 'retrieve' AND span.status = 'ERROR'": [],
        "span.type = 'RETRIEVER' AND span.type != 'LLM'": everything,
        "span.attributes.model = 'gpt-x' AND span.attributes.temperature = '0.5'": everything,
        "span.attributes.model LIKE 'gpt%' AND span.name = 'retrieve'": [],
        "span.attributes.model RLIKE 'x$'": everything,
        "trace.text LIKE '%answer to one%'": [first],
        "span.content ILIKE '%zürich LIES%'": everything,
        "feedback.score > 0.5": [first],
        "feedback.score > 0.95": [],
        "feedback.good = 'true'": [second],
        "feedback.good IS NOT NULL": [second],
        "feedback.score IS NULL": [third, second],
        "expectation.answer LIKE 'forty%'": [second],
        # Said of the whole session.
        "feedback.polite = 'yes'": [second, first],
    }.items():
        assert search(filter_string) == wanted, filter_string
    assert search("", order_by=["timestamp ASC"]) == [first, second, third]
    assert search("", order_by=["attributes.execution_time DESC"], max_results=2) != []
    assert search("", order_by=["tag.`odd key/é` DESC", "request_id"]) [0] == third
    assert search("", run_id=run.info.run_id) == [third, first]
    for wrong in ["metrics.a > 1", "status = 'OK' OR status = 'x'", "tags.a RLIKE '('", "'; DROP TABLE traces"]:
        with pytest.raises(MlflowException) as error:
            search(wrong)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE", wrong
    with pytest.raises(MlflowException):
        mlflow.MlflowClient().search_traces(locations=place, max_results=501)

    # Pages go on where the last one ended.
    page = linked.search_traces(locations=place, max_results=2)
    rest = linked.search_traces(locations=place, max_results=2, page_token=page.token)
    assert [trace.info.trace_id for trace in [*page, *rest]] == everything and not rest.token
    assert linked.search_traces(locations=[other]) == []
    frame = mlflow.search_traces(locations=place)
    assert frame["trace_id"].tolist() == everything and len(frame["spans"].iloc[0]) == 3

    again = mlflow.tracking.MlflowClient()._tracing_client.calculate_trace_filter_correlation(
        place, "span.status = 'ERROR'", "status = 'ERROR'"
    )
    assert (again.filter1_count, again.joint_count, again.total_count) == (1, 1, 3) and again.npmi == 1.0


def test_tags_change_and_traces_go(traced):
    mlflow = traced
    client = mlflow.MlflowClient()
    ids = [answer(mlflow, str(n)) for n in range(4)]
    mlflow.set_trace_tag(ids[0], "k", "v" * 9000)
    assert mlflow.get_trace(ids[0]).info.tags["k"].startswith("vvv")
    mlflow.delete_trace_tag(ids[0], "k")
    assert "k" not in mlflow.get_trace(ids[0]).info.tags
    with pytest.raises(MlflowException) as error:
        mlflow.delete_trace_tag(ids[0], "k")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    place = experiment_id(mlflow)
    assert client.delete_traces(place, trace_ids=ids[:1]) == 1
    assert mlflow.get_trace(ids[0]) is None
    assert client.delete_traces(place, max_timestamp_millis=int(time.time() * 1000) + 1000, max_traces=2) == 2
    left = mlflow.search_traces(locations=[place], return_type="list")
    assert [trace.info.trace_id for trace in left] == ids[3:]
    for wrong in [{}, {"trace_ids": ids, "max_timestamp_millis": 5}]:
        with pytest.raises(MlflowException):
            client.delete_traces(place, **wrong)


def test_what_is_said_of_a_trace_is_kept_changed_and_replaced(traced):
    mlflow = traced
    trace_id = answer(mlflow)
    human = AssessmentSource("HUMAN", "ann@example.com")
    first = mlflow.log_feedback(
        trace_id=trace_id, name="quality", value={"helpful": 3, "kind": [True]}, source=human, rationale="because"
    )
    expected = mlflow.log_expectation(trace_id=trace_id, name="facts", value=["a", {"b": 1}], metadata={"m": "1"})
    failed = mlflow.log_feedback(trace_id=trace_id, name="judge", error=ValueError("out of tokens"))
    assert mlflow.get_assessment(trace_id, expected.assessment_id).value == ["a", {"b": 1}]
    assert mlflow.get_assessment(trace_id, failed.assessment_id).error.error_message == "out of tokens"
    changed = mlflow.update_assessment(
        trace_id, first.assessment_id, mlflow.entities.Feedback(name="quality", value=5, rationale="later", metadata={"x": "y"})
    )
    assert (changed.value, changed.rationale, changed.metadata["x"], changed.source.source_id) == (5, "later", "y", human.source_id)
    assert changed.last_update_time_ms >= changed.create_time_ms
    better = mlflow.override_feedback(trace_id=trace_id, assessment_id=first.assessment_id, value=1, source=human)
    known = {a.assessment_id: a for a in mlflow.get_trace(trace_id).info.assessments}
    assert len(known) == 4 and not known[first.assessment_id].valid and known[better.assessment_id].overrides == first.assessment_id
    mlflow.delete_assessment(trace_id, better.assessment_id)
    known = {a.assessment_id: a for a in mlflow.get_trace(trace_id).info.assessments}
    assert len(known) == 3 and known[first.assessment_id].valid
    with pytest.raises(MlflowException) as error:
        mlflow.update_assessment(trace_id, first.assessment_id, mlflow.entities.Expectation(name="quality", value=1))
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    for gone in [("tr-none", first.assessment_id), (trace_id, "a-none")]:
        with pytest.raises(MlflowException) as error:
            mlflow.get_assessment(*gone)
        assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def post(url, body, **headers):
    request = urllib.request.Request(url, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_any_exporter_of_opentelemetry_can_send_spans(traced):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import Compression, OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Status, StatusCode

    mlflow = traced
    place = experiment_id(mlflow)
    url = f"{mlflow.get_tracking_uri()}/v1/traces"
    ids = []
    for packing in [Compression.NoCompression, Compression.Gzip, Compression.Deflate]:
        exporter = OTLPSpanExporter(endpoint=url, headers={"x-mlflow-experiment-id": place}, compression=packing)
        provider = TracerProvider(resource=Resource.create({"service.name": "shop", "mlflow.x": "not ours"}))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("t")
        with tracer.start_as_current_span("request", attributes={"session.id": "s-9", "user.id": "bo"}) as root:
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "m-1",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 4,
                "gen_ai.input.messages": '[{"role": "user", "content": "hi"}]',
            }
            with tracer.start_as_current_span("chat", attributes=attributes) as chat:
                chat.add_event("token", {"n": 1})
                chat.set_status(Status(StatusCode.ERROR, "too long"))
        provider.shutdown()
        ids.append(f"tr-{root.get_span_context().trace_id:032x}")
    found = mlflow.search_traces(locations=[place], return_type="list", order_by=["timestamp ASC"])
    assert [trace.info.trace_id for trace in found] == ids
    for trace in found:
        assert trace.info.state == TraceState.OK and trace.info.tags["service.name"] == "shop"
        assert "mlflow.x" not in trace.info.tags and trace.info.trace_metadata["mlflow.trace.session"] == "s-9"
        assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
        chat = trace.data.spans[1]
        assert chat.span_type == "CHAT_MODEL" and chat.inputs == [{"role": "user", "content": "hi"}]
        assert chat.status.description == "too long" and chat.events[0].attributes == {"n": 1}

    span = {"traceId": uuid.uuid4().hex, "spanId": "00000000000000a1", "name": "json", "startTimeUnixNano": "1000000000",
            "endTimeUnixNano": 2000000000, "attributes": [{"key": "a", "value": {"kvlistValue": {"values": [
                {"key": "b", "value": {"intValue": "5"}}]}}}], "status": {"code": "STATUS_CODE_OK"}}
    body = lambda *spans: json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    headers = {"Content_Type": "application/json", "x_mlflow_experiment_id": place}
    assert post(url, body(span), **headers)[0] == 200
    trace = mlflow.get_trace("tr-" + span["traceId"])
    assert trace.data.spans[0].attributes["a"] == {"b": 5} and trace.info.execution_duration == 1000
    # All or nothing, and never a guess.
    good = {**span, "traceId": uuid.uuid4().hex}
    assert post(url, body(good, {**span, "spanId": "zz"}), **headers)[0] == 400
    assert post(url, body(good, {**span, "spanId": "00"}), **headers)[0] == 422
    assert mlflow.get_trace("tr-" + good["traceId"]) is None
    assert post(url, body(span), Content_Type="application/json")[0] == 422
    assert post(url, body(span), **{**headers, "x_mlflow_experiment_id": "987654"})[0] == 404
    assert post(url, body(span), **{**headers, "Content_Type": "text/plain"})[0] == 400
    assert post(url, b"\xff\xff\xff", **{**headers, "Content_Type": "application/x-protobuf"})[0] == 400
    assert post(url, gzip.compress(body(span))[:-9], Content_Encoding="gzip", **headers)[0] == 400
    bomb = gzip.compress(bytes(200 << 20))
    assert post(url, bomb, Content_Encoding="gzip", **headers)[0] == 413


def test_a_trace_of_many_spans_is_quick_to_keep_to_find_and_to_read(traced):
    mlflow = traced
    place = experiment_id(mlflow)
    url = f"{mlflow.get_tracking_uri()}/v1/traces"
    trace = uuid.uuid4().hex
    text = "x" * 300

    def span(n):
        at = 1_700_000_000_000_000_000 + n * 1000
        attributes = [
            {"key": "mlflow.spanType", "value": {"stringValue": "TOOL"}},
            {"key": "n", "value": {"intValue": n}},
            {"key": "mlflow.spanInputs", "value": {"stringValue": text}},
        ]
        parent = {} if n == 1 else {"parentSpanId": f"{n // 2:016x}"}
        return {"traceId": trace, "spanId": f"{n:016x}", "name": f"step {n % 10}", "startTimeUnixNano": at,
                "endTimeUnixNano": at + 500, "attributes": attributes, **parent}

    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span(n) for n in range(1, 32_001)]}]}]}).encode()
    started = time.monotonic()
    status, reply = post(url, body, Content_Type="application/json", x_mlflow_experiment_id=place)
    kept = time.monotonic() - started
    assert status == 200, reply
    started = time.monotonic()
    client = mlflow.MlflowClient()
    for filter_string in ["", "span.name = 'step 3'", "status = 'OK'"]:
        found = client.search_traces(locations=[place], filter_string=filter_string, include_spans=False)
        assert len(found) == 1
    searched = time.monotonic() - started
    started = time.monotonic()
    reply = urllib.request.urlopen(f"{mlflow.get_tracking_uri()}/api/3.0/mlflow/traces/get?trace_id=tr-{trace}").read()
    read = time.monotonic() - started
    assert len(json.loads(reply)["trace"]["spans"]) == 32_000
    print(f"32000 spans: kept in {kept:.2f} s, three searches {searched:.3f} s, read in {read:.2f} s")
    assert kept < 90 and searched < 5 and read < 20
