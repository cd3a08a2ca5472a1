"""The inference faces of `lathe serve` with the clients that teams already use: Triton's over HTTP and gRPC, plain HTTP."""

import json
import queue

import grpc
import lightgbm
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from conftest import serving
from tritonclient.utils import InferenceServerException

COLUMNS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def booster():
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(200, 3)), columns=COLUMNS)
    params = {"objective": "regression", "verbose": -1, "num_leaves": 7, "num_threads": 1}
    return lightgbm.train(params, lightgbm.Dataset(rows, rows["a"] * 2 - rows["b"] ** 2), 10)


@pytest.fixture(scope="module")
def url(booster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocols")
    booster.save_model(folder / "model.txt")
    with serving(folder, "model.txt", "--name", "m") as url:
        yield url


class Http:
    """Triton's HTTP client."""

    module = triton_http

    def __init__(self, url):
        self.client = triton_http.InferenceServerClient(url.removeprefix("http://"))

    def input(self, name, array, datatype):
        tensor = triton_http.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=True)
        return tensor

    def plain(self, answer):
        return answer


class Grpc:
    """Triton's gRPC client, on the same port."""

    module = triton_grpc

    def __init__(self, url):
        self.client = triton_grpc.InferenceServerClient(url.removeprefix("http://"))

    def input(self, name, array, datatype):
        tensor = triton_grpc.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        return tensor

    def plain(self, answer):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(answer, preserving_proto_field_name=True)


@pytest.fixture(params=[Http, Grpc])
def triton(request, url):
    return request.param(url)


ROWS = np.array([[0.5, -1.25, 2.0], [np.nan, 0.25, -3.5]])


def test_the_server_and_its_model_describe_themselves(triton):
    client = triton.client
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("m")
    assert client.is_model_ready("m", "1") and not client.is_model_ready("other")
    assert triton.plain(client.get_server_metadata())["name"] == "lathe"
    told = triton.plain(client.get_model_metadata("m"))
    assert [(i["name"], i["datatype"]) for i in told["inputs"]] == [(name, "FP64") for name in COLUMNS]
    assert (told["versions"], told["outputs"][0]["name"]) == (["1"], "predictions")
    config = triton.plain(client.get_model_config("m"))
    config = config.get("config", config)
    assert config["name"] == "m" and [i["data_type"] for i in config["input"]] == ["TYPE_FP64"] * 3
    with pytest.raises(InferenceServerException, match="no model is called `other`"):
        client.get_model_metadata("other")
    with pytest.raises(InferenceServerException, match="version 7 of `m` does not answer"):
        client.get_model_metadata("m", "7")


@pytest.mark.parametrize("datatype, kind", [("FP64", np.float64), ("FP32", np.float32), ("FP16", np.float16)])
def test_rows_are_answered_as_lightgbm_answers_them(triton, booster, datatype, kind):
    rows = ROWS.astype(kind)
    expected = booster.predict(rows.astype(np.float64))
    matrix = triton.client.infer("m", [triton.input("rows", rows, datatype)], request_id="my id")
    assert matrix.as_numpy("predictions").tolist() == expected.tolist()
    response = matrix.get_response()
    assert (response["id"] if isinstance(response, dict) else response.id) == "my id"
    columns = [triton.input(name, rows[:, [i]].copy(), datatype) for i, name in enumerate(COLUMNS)]
    wanted = [triton.module.InferRequestedOutput("predictions")]
    by_name = triton.client.infer("m", columns[::-1], model_version="1", outputs=wanted)
    assert by_name.as_numpy("predictions").tolist() == expected.tolist()


@pytest.mark.parametrize(
    "datatype, kind",
    [("INT8", np.int8), ("INT16", np.int16), ("INT32", np.int32), ("INT64", np.int64), ("UINT8", np.uint8),
     ("UINT16", np.uint16), ("UINT32", np.uint32), ("UINT64", np.uint64), ("BOOL", np.bool_)],
)  # fmt: skip
def test_whole_numbers_and_flags_are_taken(triton, booster, datatype, kind):
    rows = np.array([[1, 0, 1]]).astype(kind)
    answer = triton.client.infer("m", [triton.input("rows", rows, datatype)]).as_numpy("predictions")
    assert answer.tolist() == booster.predict(rows.astype(float)).tolist()


def test_json_tensors_nested_flat_and_typed_contents_give_the_same(url, booster):
    expected = booster.predict(ROWS[:1]).tolist()
    for data in [ROWS[0].tolist(), ROWS[:1].tolist()]:
        body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": data}]}
        answer = requests.post(f"{url}/v2/models/m/infer", json=body)
        assert answer.json()["outputs"][0]["data"] == expected, answer.text
    service = triton_grpc.service_pb2
    stub = triton_grpc.service_pb2_grpc.GRPCInferenceServiceStub(
        grpc.insecure_channel(url.removeprefix("http://"))
    )
    tensor = service.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[1, 3])
    tensor.contents.fp64_contents.extend(ROWS[0])
    answer = stub.ModelInfer(service.ModelInferRequest(model_name="m", inputs=[tensor]))
    assert list(answer.outputs[0].contents.fp64_contents) == expected
    assert answer.parameters["prediction_id"].string_param
    # A body without JSON is one tensor of 32-bit numbers.
    raw = ROWS[:1].astype(np.float32)
    answer = requests.post(
        f"{url}/v2/models/m/infer", data=raw.tobytes(), headers={"Inference-Header-Content-Length": "0"}
    )
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert np.frombuffer(answer.content[length:]).tolist() == booster.predict(raw.astype(float)).tolist()


def test_streams_answer_in_order_and_survive_a_wrong_request(url, booster):
    triton, answers = Grpc(url), queue.Queue()
    triton.client.start_stream(callback=lambda result, error: answers.put(error or result))
    for index in range(20):
        rows = np.full((1, 3), index / 7)
        triton.client.async_stream_infer("m", [triton.input("rows", rows, "FP64")], request_id=str(index))
    triton.client.async_stream_infer("m", [triton.input("rows", np.ones((1, 2)), "FP64")])
    triton.client.async_stream_infer("m", [triton.input("rows", np.ones((1, 3)), "FP64")])
    got = [answers.get(timeout=10) for _ in range(22)]
    triton.client.stop_stream()
    for index, answer in enumerate(got[:20]):
        expected = booster.predict(np.full((1, 3), index / 7)).tolist()
        assert (answer.get_response().id, answer.as_numpy("predictions").tolist()) == (str(index), expected)
    assert "has 2 columns" in str(got[20])
    assert got[21].as_numpy("predictions").tolist() == booster.predict(np.ones((1, 3))).tolist()


@pytest.mark.parametrize(
    "inputs, told",
    [
        ([("rows", np.ones((1, 2)), "FP64")], "has 2 columns; the model takes 3"),
        ([("a", np.ones((2, 1)), "FP64"), ("b", np.ones((1, 1)), "FP64"), ("c", np.ones((2, 1)), "FP64")], "b"),
        ([("a", np.ones(1), "FP64"), ("b", np.ones(1), "FP64")], "`c`"),
        ([("a", np.ones(1), "FP64"), ("a", np.ones(1), "FP64"), ("b", np.ones(1), "FP64")], "called `a`"),
        ([("a", np.array([b"x"], dtype=object), "BYTES"), ("b", np.ones(1), "FP64"), ("c", np.ones(1), "FP64")], "`a`"),
        ([("rows", np.ones((1, 3, 1)), "FP64")], "shape"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(triton, inputs, told):
    with pytest.raises(InferenceServerException) as error:
        triton.client.infer("m", [triton.input(*one) for one in inputs])
    assert told in str(error.value)
    assert error.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_and_answers(triton, booster, algorithm):
    options = {"compression_algorithm": algorithm}
    if isinstance(triton, Http):
        options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    rows = np.random.default_rng(1).normal(size=(3_000, 3))
    answer = triton.client.infer("m", [triton.input("rows", rows, "FP64")], **options)
    assert answer.as_numpy("predictions").tolist() == booster.predict(rows).tolist()


def test_a_deadline_that_has_passed_is_told_as_one(url):
    body = {"inputs": [{"name": "x", "shape": [200_000, 3], "datatype": "FP64", "data": [0.5] * 600_000}]}
    answer = requests.post(f"{url}/v2/models/m/infer", json=body, headers={"timeout": "1ms"})
    assert answer.status_code == 504 and "deadline" in answer.json()["error"]
    wrong = requests.post(f"{url}/v2/models/m/infer", json=body, headers={"timeout": "soon"})
    assert wrong.status_code == 400
    triton = Grpc(url)
    with pytest.raises(InferenceServerException) as error:
        triton.client.infer("m", [triton.input("rows", np.ones((200_000, 3)), "FP64")], timeout=1)
    assert "DEADLINE_EXCEEDED" in str(error.value.status())


def test_models_are_listed_unloaded_and_loaded(triton):
    client = triton.client
    index = triton.plain(client.get_model_repository_index())
    index = index if isinstance(index, list) else index["models"]
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [("m", "1", "READY")]
    client.unload_model("m")
    assert not client.is_model_ready("m")
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.infer("m", [triton.input("rows", ROWS, "FP64")])
    client.load_model("m")
    assert client.is_model_ready("m")
    assert client.infer("m", [triton.input("rows", ROWS, "FP64")]).as_numpy("predictions").shape == (2,)
    with pytest.raises(InferenceServerException, match="no model is called `other`"):
        client.load_model("other")
    with pytest.raises(InferenceServerException, match="parameters"):
        client.load_model("m", config="{}")


def test_statistics_count_requests_and_rows(triton):
    stats = lambda: triton.plain(triton.client.get_inference_statistics("m"))["model_stats"][0]  # noqa: E731
    before = stats()
    triton.client.infer("m", [triton.input("rows", np.ones((5, 3)), "FP64")])
    after = stats()
    assert int(after["inference_count"]) - int(before["inference_count"]) == 5
    success = [int(s["inference_stats"]["success"]["count"]) for s in (before, after)]
    assert success[1] - success[0] == 1


def test_health_is_told_to_grpc_probes(url):
    channel = grpc.insecure_channel(url.removeprefix("http://"))
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"") == b"\x08\x01"
    missing = channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")
    with pytest.raises(grpc.RpcError) as error:
        missing(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_kserves_first_protocol(url, booster):
    expected = booster.predict(ROWS[:1]).tolist()
    rows = {"instances": ROWS[:1].tolist()}
    answer = requests.post(f"{url}/v1/models/m:predict", json=rows)
    assert answer.json() == {"predictions": expected} and answer.headers["lathe-prediction-id"]
    records = {"instances": [dict(zip(COLUMNS, ROWS[0].tolist()))]}
    assert requests.post(f"{url}/v1/models/m:predict", json=records).json() == {"predictions": expected}
    columns = {"inputs": {name: [value] for name, value in zip(COLUMNS, ROWS[0].tolist())}}
    assert requests.post(f"{url}/v1/models/m/versions/1:predict", json=columns).json() == {"outputs": expected}
    assert requests.get(f"{url}/v1/models").json() == {"models": ["m"]}
    assert requests.get(f"{url}/v1/models/m").json() == {"name": "m", "ready": True}
    for path, body, status in [
        ("/v1/models/x:predict", rows, 404),
        ("/v1/models/m:explain", rows, 404),
        ("/v1/models/m/versions/9:predict", rows, 404),
        ("/v1/models/m:predict", {"rows": []}, 400),
        ("/v1/models/m:predict", {"instances": [[1]]}, 400),
    ]:
        refused = requests.post(f"{url}{path}", json=body)
        assert (refused.status_code, list(refused.json())) == (status, ["error"]), refused.text


@pytest.mark.parametrize(
    "body, length",
    [
        (b"{", None),
        (b"[]", None),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP9", "data": [1]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [-1], "datatype": "FP64", "data": [1]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "UINT8", "data": [1, 2, 300]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "INT32", "data": [1, 2, 0.5]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, "3"]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [99999999999, 3], "datatype": "FP64", "data": [1]}]}', None),
        (b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": ' + b"[" * 500 + b"}]}", None),
        (b"12345", 0),
        (b"{}", 9),
        (b"{}", "x"),
    ],
)
def test_broken_requests_are_refused_in_the_protocols_form(url, body, length):
    headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
    answer = requests.post(f"{url}/v2/models/m/infer", data=body, headers=headers)
    assert answer.status_code == 400 and list(answer.json()) == ["error"], answer.text


def test_a_bomb_is_not_unpacked(url):
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"[" * (1 << 20)) for _ in range(256)) + packer.flush()
    answer = requests.post(f"{url}/v2/models/m/infer", data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code in (400, 413), answer.status_code
    assert json.loads(answer.text)["error"]


def test_reflection_tells_the_services_as_tritons_client_has_them(url):
    from google.protobuf import message_factory
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    from tritonclient.grpc import model_config_pb2, service_pb2

    channel = grpc.insecure_channel(url.removeprefix("http://"))
    database = ProtoReflectionDescriptorDatabase(channel)
    services = {"inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert set(database.get_services()) == services
    pool = DescriptorPool(database)
    ours = pool.FindServiceByName("inference.GRPCInferenceService")
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]

    def same(mine, original):
        # Every field that is told has the name, number and type that Triton's has.
        for field in mine.fields:
            other = original.fields_by_name[field.name]
            told = (field.number, field.type, field.is_repeated, field.containing_oneof and field.containing_oneof.name)
            assert told == (other.number, other.type, other.is_repeated, other.containing_oneof and other.containing_oneof.name), field.full_name
            if field.message_type:
                assert field.message_type.full_name == other.message_type.full_name, field.full_name
                same(field.message_type, other.message_type)

    assert len(ours.methods) == 12
    for method in ours.methods:
        original = theirs.methods_by_name[method.name]
        assert (method.client_streaming, method.server_streaming) == (original.client_streaming, original.server_streaming)
        assert method.input_type.full_name == original.input_type.full_name
        same(method.input_type, original.input_type)
        same(method.output_type, original.output_type)
    kinds = pool.FindEnumTypeByName("inference.DataType").values
    assert all(model_config_pb2.DataType.Value(kind.name) == kind.number for kind in kinds)
    # A client that knows nothing but the address asks the model.
    infer = ours.methods_by_name["ModelInfer"]
    request = message_factory.GetMessageClass(infer.input_type)(model_name="m")
    for column in requests.get(f"{url}/v2/models/m").json()["inputs"]:
        tensor = request.inputs.add(name=column["name"], datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(0.5)
    reply = message_factory.GetMessageClass(infer.output_type)
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", type(request).SerializeToString, reply.FromString)
    answer = call(request)
    assert answer.outputs[0].name == "predictions" and len(answer.outputs[0].contents.fp64_contents) == 1
    # The newer version of reflection has the same messages; what is not known is told so.
    asked = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        for symbol in ["grpc.health.v1.Health.Check", "no.Such", ".inference.ModelInferRequest.InferInputTensor"]
    ]
    asked.append(reflection_pb2.ServerReflectionRequest(file_by_filename="inference.proto"))
    newer = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString, reflection_pb2.ServerReflectionResponse.FromString,
    )  # fmt: skip
    told = list(newer(iter(asked)))
    assert [one.WhichOneof("message_response") for one in told] == ["file_descriptor_response", "error_response", "file_descriptor_response", "file_descriptor_response"]
    assert told[1].error_response.error_code == 5 and "no.Such" in told[1].error_response.error_message
