"""Webhooks: receivers are told what happens in the registry, also after the server was killed."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest
import requests
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException

LOCAL = ("--webhook-schemes", "http,https", "--webhook-private-addresses")


class Receiver:
    """A server that keeps what it is sent and answers as it is told: first these statuses, then 200."""

    def __init__(self):
        self.got, self.answers = [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.got.append((self.path, dict(self.headers.items()), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def wait(self, count):
        for _ in range(200):
            if count <= len(self.got):
                break
            time.sleep(0.05)
        return [json.loads(body) for _, _, body in self.got]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def local(request, serve, tmp_path, monkeypatch):
    """A server that may call this machine, and its client."""
    import mlflow

    database = () if request.param == "sqlite" else ("--database", request.getfixturevalue("postgres")())
    server = serve(tmp_path, *database, *LOCAL)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    return server, mlflow.MlflowClient(server.url, server.url)


def deliveries(server, webhook):
    answer = requests.get(f"{server.url}/api/v1/webhooks/{webhook.webhook_id}/deliveries", timeout=20)
    return answer.json()["deliveries"]


EVENTS = [
    "registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
    "model_version_alias.created", "model_version_alias.deleted", "prompt.created", "prompt_version.created",
    "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set", "prompt_version_tag.deleted",
    "prompt_alias.created", "prompt_alias.deleted",
]  # fmt: skip


def test_every_change_of_the_registry_is_told_signed_and_in_order_of_its_kind(local, receiver):
    server, client = local
    hook = client.create_webhook("all", receiver.url, EVENTS, description="d", secret="s3cret")
    prompt = {"mlflow.prompt.is_prompt": "true"}
    for name, tags in [("m", {"a": "b"}), ("p", {**prompt, "c": "d"})]:
        source = "s3://b/x" if name == "m" else "prompt-template"
        more = {} if name == "m" else {**prompt, "mlflow.prompt.text": "Hi {{x}}"}
        # The client makes prompts by other functions, which tag them by themselves.
        registry = client._get_registry_client().store
        registry.create_registered_model(name, [RegisteredModelTag(*tag) for tag in tags.items()], "words")
        version_tags = [ModelVersionTag(*tag) for tag in {**more, "k": "v"}.items()]
        registry.create_model_version(name, source, tags=version_tags)
        registry.set_registered_model_tag(name, RegisteredModelTag("t", "1"))
        registry.delete_registered_model_tag(name, "t")
        registry.set_model_version_tag(name, "1", ModelVersionTag("t", "2"))
        registry.delete_model_version_tag(name, "1", "t")
        registry.set_registered_model_alias(name, "champion", "1")
        registry.delete_registered_model_alias(name, "champion")
    told = {f"{each['entity']}.{each['action']}": each["data"] for each in receiver.wait(len(EVENTS))}
    assert sorted(told) == sorted(EVENTS) and len(receiver.got) == len(EVENTS)
    assert told["registered_model.created"] == {"name": "m", "tags": {"a": "b"}, "description": "words"}
    assert told["model_version.created"] == {
        "name": "m", "version": "1", "source": "s3://b/x", "run_id": None, "tags": {"k": "v"}, "description": None
    }  # fmt: skip
    assert told["model_version_tag.set"] == {"name": "m", "version": "1", "key": "t", "value": "2"}
    assert told["model_version_alias.created"] == {"name": "m", "alias": "champion", "version": "1"}
    assert told["prompt.created"] == {"name": "p", "tags": {"c": "d"}, "description": "words"}
    assert told["prompt_version.created"]["template"] == "Hi {{x}}" and told["prompt_version.created"]["tags"] == {"k": "v"}
    assert told["prompt_tag.deleted"] == {"name": "p", "key": "t"}
    for _, headers, body in receiver.got:
        headers = {name.lower(): value for name, value in headers.items()}
        signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.{body}"
        digest = hmac.new(b"s3cret", signed.encode(), hashlib.sha256).digest()
        assert headers["x-mlflow-signature"] == "v1," + base64.b64encode(digest).decode()
        assert abs(int(headers["x-mlflow-timestamp"]) - time.time()) < 60
    assert {each["state"] for each in deliveries(server, hook)} == {"delivered"}
    answer = requests.get(f"{server.url}/api/2.0/mlflow/webhooks/{hook.webhook_id}", timeout=20)
    assert "s3cret" not in answer.text and "secret" not in answer.text


def test_webhooks_are_listed_changed_tried_silenced_and_deleted(local, receiver):
    _, client = local
    first = client.create_webhook("first", receiver.url, ["model_version.created"])
    client.create_webhook("second", receiver.url, ["prompt.created"], status=WebhookStatus.DISABLED)
    page = client.list_webhooks(max_results=1)
    rest = client.list_webhooks(max_results=1, page_token=page.token)
    assert {hook.name for hook in list(page) + list(rest)} == {"first", "second"} and not rest.token
    found = client.get_webhook(first.webhook_id)
    assert (found.url, [str(event) for event in found.events]) == (receiver.url, ["model_version.created"])
    result = client.test_webhook(first.webhook_id)
    assert (result.success, result.response_status, result.response_body) == (True, 200, "ok")
    client.test_webhook(first.webhook_id, WebhookEvent.from_str("model_version_tag.set"))
    assert [each["entity"] for each in receiver.wait(2)] == ["model_version", "model_version_tag"]
    receiver.answers = [302, 404]
    assert client.test_webhook(first.webhook_id).response_status == 302, "redirects are not followed"
    assert not client.test_webhook(first.webhook_id).success and len(receiver.got) == 4
    changed = client.update_webhook(first.webhook_id, name="other", events=["registered_model.created"], status="DISABLED")
    assert (changed.name, changed.status, str(changed.events[0])) == ("other", "DISABLED", "registered_model.created")
    client.create_registered_model("m")
    client.update_webhook(first.webhook_id, status="ACTIVE", description="")
    client.create_registered_model("n")
    assert [each["data"]["name"] for each in receiver.wait(5)[4:]] == ["n"]
    client.delete_webhook(first.webhook_id)
    with pytest.raises(MlflowException, match="not found") as error:
        client.get_webhook(first.webhook_id)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_busy_receiver_is_asked_again_and_a_killed_server_forgets_nothing(local, receiver):
    server, client = local
    hook = client.create_webhook("h", receiver.url, ["registered_model.created"])
    receiver.answers = [503, 200, 400]
    client.create_registered_model("one")
    assert [each["data"]["name"] for each in receiver.wait(2)] == ["one", "one"]
    ids = [{k.lower(): v for k, v in headers.items()}["x-mlflow-delivery-id"] for _, headers, _ in receiver.got]
    assert ids[0] == ids[1], "a repetition can be told from a new event"
    client.create_registered_model("refused")
    receiver.wait(3)
    port = receiver.server.server_address[1]
    receiver.close()
    client.create_registered_model("while it is away")
    for _ in range(100):
        if deliveries(server, hook)[0]["error"]:
            break
        time.sleep(0.05)
    server.kill()
    back = http.server.ThreadingHTTPServer(("127.0.0.1", port), receiver.server.RequestHandlerClass)
    threading.Thread(target=back.serve_forever, daemon=True).start()
    try:
        server.start()
        assert receiver.wait(4)[-1]["data"]["name"] == "while it is away"
        for _ in range(100):
            states = [(each["state"], each["attempts"]) for each in deliveries(server, hook)]
            if all(state != "queued" for state, _ in states):
                break
            time.sleep(0.05)
    finally:
        back.shutdown()
        back.server_close()
    assert [state for state, _ in states] == ["delivered", "failed", "delivered"] and states[2][1] == 2


def test_addresses_that_lead_inside_are_refused(client, server):
    create = f"{server.url}/api/2.0/mlflow/webhooks"
    event = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
    for url in (
        "http://8.8.8.8/x", "https://127.0.0.1/x", "https://localhost/x", "https://10.0.0.1", "https://169.254.169.254/x",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://127.1/", "https://0x7f000001/", "https://2130706433/",
        "https://0/", "https://user:pass@8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "", "https://", "nothing",
        "https://no-such-host.invalid/",
    ):  # fmt: skip
        answer = requests.post(create, json={"name": "h", "url": url, "events": event}, timeout=20)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), url
    public = client.create_webhook("h", "https://8.8.8.8/x", ["registered_model.created"])
    with pytest.raises(MlflowException, match="non-public"):
        client.update_webhook(public.webhook_id, url="https://127.0.0.1/")
    for change in (
        {"name": "a b"}, {"events": []}, {"events": [{"entity": "REGISTERED_MODEL", "action": "DELETED"}]},
        {"events": [["REGISTERED_MODEL", "CREATED"]]}, {"events": "x"}, {"status": "NOPE"}, {"name": 5},
    ):  # fmt: skip
        answer = requests.patch(f"{create}/{public.webhook_id}", json=change, timeout=20)
        assert answer.status_code == 400, change
    assert client.get_webhook(public.webhook_id).url == "https://8.8.8.8/x"


def test_a_webhook_that_came_to_lead_inside_is_not_called(serve, tmp_path, receiver):
    import mlflow

    server = serve(tmp_path, *LOCAL)
    client = mlflow.MlflowClient(server.url, server.url)
    hook = client.create_webhook("h", receiver.url, ["registered_model.created"])
    server.stop()
    server.args = ("--webhook-schemes", "http,https")
    server.start()
    client = mlflow.MlflowClient(server.url, server.url)
    result = client.test_webhook(hook.webhook_id)
    assert not result.success and "non-public" in result.error_message and receiver.got == []
