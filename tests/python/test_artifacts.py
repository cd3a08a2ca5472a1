"""Artifacts of `lathe server` in a folder and in a real S3 server, by the unmodified client and by hostile requests."""

import http.client
import os
import pathlib
import threading
import time
import urllib.parse

import pytest
import requests

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
# `make test-s3` says 2048.
LARGE_MIB = int(os.environ.get("LATHE_LARGE_MIB", "160"))


def raw(server, method, path, body=None, headers=None):
    """Sends a path as it is: what clients would tidy up first stays."""
    host = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def rss_mib(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def peak_while(server, work):
    """The most memory that the server held while `work` ran."""
    peak, done = [rss_mib(server)], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak.append(rss_mib(server))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(peak)


def stream_through(server):
    """Uploads and downloads a large file; the memory that took, above what the server held before."""
    block = os.urandom(1 << 20)
    url = f"{server.url}{ARTIFACTS}/0/large.bin"
    requests.put(f"{server.url}{ARTIFACTS}/0/first", data=b"x").raise_for_status()
    before = rss_mib(server)

    def work():
        requests.put(url, data=(block for _ in range(LARGE_MIB))).raise_for_status()
        with requests.get(url, stream=True) as answer:
            assert int(answer.headers["content-length"]) == LARGE_MIB << 20
            chunks = answer.iter_content(1 << 20)
            first = next(chunks)
            assert first == block[: len(first)]
            assert len(first) + sum(map(len, chunks)) == LARGE_MIB << 20

    return peak_while(server, work) - before


def test_a_file_is_sent_whole_in_part_or_not_again(server):
    url = f"{server.url}{ARTIFACTS}/0/a b/ü.html"
    assert requests.put(url, data=b"<script>0123456789</script>").json() == {}
    whole = requests.get(url)
    assert whole.content == b"<script>0123456789</script>"
    assert whole.headers["content-type"] == "text/plain"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"].startswith("attachment; filename=")
    etag = whole.headers["etag"]
    assert etag.startswith('"') and etag.endswith('"')
    part = requests.get(url, headers={"range": "bytes=8-17"})
    assert (part.status_code, part.content) == (206, b"0123456789")
    assert part.headers["content-range"] == "bytes 8-17/27" and part.headers["etag"] == etag
    assert requests.get(url, headers={"range": "bytes=99-"}).status_code == 416
    known = requests.get(url, headers={"if-none-match": f'W/"x", {etag}'})
    assert (known.status_code, known.content) == (304, b"")
    assert requests.get(url, headers={"range": "bytes=0-3", "if-range": etag}).status_code == 206
    assert requests.get(url, headers={"range": "bytes=0-3", "if-range": '"old"'}).status_code == 200
    head = requests.head(url)
    assert (head.headers["content-length"], head.content) == ("27", b"")
    partly = requests.put(url, data=b"x", headers={"content-range": "bytes 0-0/27"})
    assert partly.status_code == 400
    requests.put(url, data=b"new")
    assert requests.get(url, headers={"if-none-match": etag}).content == b"new"
    for _ in range(2):
        assert requests.delete(url).json() == {}
    assert requests.get(url).json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_nothing_leaves_the_root(server, tmp_path):
    root = tmp_path / ".lathe/artifacts"
    (tmp_path / "secret").write_text("secret")
    requests.put(f"{server.url}{ARTIFACTS}/0/a", data=b"a").raise_for_status()
    (root / "0/link").symlink_to(tmp_path / "secret")
    (root / "0/folder").symlink_to(tmp_path)
    (root / ".uploads/put-half").write_text("half")
    hostile = [
        "../secret",
        "0/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "%252e%252e%252fsecret",
        "0/%2e%2e/%2e%2e/secret",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "0\\..\\..\\secret",
        "0%5c..%5csecret",
        "C:%5cwindows",
        "C:/windows",
        "0/a%00.txt",
        "0/a%0d%0aX-Evil:1",
        "0/link",
        "0/folder/secret",
        ".uploads/put-half",
        "0/./a/",
        "%ff%fe",
        "a/" * 200 + "a",
        "a" * 300,
    ]
    for path in hostile:
        for method, body in [("GET", None), ("PUT", b"overwritten"), ("DELETE", None)]:
            if (method, path) in [("PUT", "0/link"), ("DELETE", "0/link")]:
                continue  # the link itself may be replaced
            status, said, _ = raw(server, method, f"{ARTIFACTS}/{path}", body)
            absent = method == "DELETE" and status == 200 and said == b"{}"
            assert absent or 400 <= status < 500, (method, path, status, said)
            assert b"secret" not in said.replace(b"/secret", b"").replace(b"\\secret", b"").replace(b"fsecret", b"")
        quoted = urllib.parse.quote(path, safe="%")
        status, said, _ = raw(server, "GET", f"{ARTIFACTS}?path={quoted}")
        assert status in (200, 400) and (status == 400 or b'"files":[]' in said.replace(b" ", b"")), (path, said)
        body = b'{"path": "x", "num_parts": 1}'
        json = {"Content-Type": "application/json"}
        status, said, _ = raw(server, "POST", f"/api/2.0/mlflow-artifacts/mpu/create/{path}", body, json)
        assert status in (200, 400, 404), (path, said)
    assert (tmp_path / "secret").read_text() == "secret"
    listed = requests.get(f"{server.url}{ARTIFACTS}", params={"path": "0"}).json()["files"]
    assert [file["path"] for file in listed] == ["a"]
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"secret", ".lathe", "server.log"}, outside


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000000")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 << 20))


def upload_and_compare(mlflow, folder, name="big.bin"):
    file = folder / name
    file.write_bytes(os.urandom((11 << 20) + 5))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "data")
    down = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/data/{name}", dst_path=folder / "down")
    assert pathlib.Path(down).read_bytes() == file.read_bytes()
    return run.info.run_id


def test_a_large_file_goes_up_in_parts(mlflow, server, in_parts, tmp_path):
    upload_and_compare(mlflow, tmp_path)
    taken = [path.name for path in (tmp_path / ".lathe/artifacts/.uploads").iterdir()]
    assert len(taken) == 1 and taken[0].startswith("parts-"), "the client used parts"
    # What broke off goes on with the parts that are missing, also after a crash.
    api = f"{server.url}/api/2.0/mlflow-artifacts/mpu"
    begun = requests.post(f"{api}/create/0", json={"path": "/home/me/x.bin", "num_parts": 2}).json()
    assert [part["part_number"] for part in begun["credentials"]] == [1, 2]
    first = requests.put(begun["credentials"][0]["url"], data=b"a" * 100)
    server.kill()
    server.start()
    api = f"{server.url}/api/2.0/mlflow-artifacts/mpu"
    there = requests.get(f"{api}/parts/{begun['upload_id']}").json()["parts"]
    assert [(part["part_number"], part["size"]) for part in there] == [(1, 100)]
    second = requests.put(f"{api}/parts/{begun['upload_id']}/2", data=b"b")
    parts = [{"part_number": n, "etag": put.headers["etag"]} for n, put in [(1, first), (2, second)]]
    finish = {"path": "x.bin", "upload_id": begun["upload_id"], "parts": parts}
    assert requests.get(f"{server.url}{ARTIFACTS}/0/x.bin").status_code == 404
    assert requests.post(f"{api}/complete/0", json={**finish, "parts": parts[:1] * 2}).status_code == 400
    assert requests.post(f"{api}/complete/0", json=finish).json() == {}
    assert requests.get(f"{server.url}{ARTIFACTS}/0/x.bin").content == b"a" * 100 + b"b"
    for bad in [0, -1, 10_001, 1 << 40]:
        assert requests.post(f"{api}/create/0", json={"path": "x", "num_parts": bad}).status_code == 400
    info = requests.get(f"{server.url}/api/3.0/mlflow/server-info").json()
    assert info["artifact_serving_enabled"] and not info["multipart_downloads_enabled"]
    unsigned = requests.get(f"{server.url}/api/2.0/mlflow-artifacts/presigned/0/x.bin")
    assert (unsigned.status_code, unsigned.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_a_large_file_does_not_fill_memory(server):
    assert stream_through(server) < 64


def test_a_killed_upload_leaves_the_old_file(server, tmp_path):
    url = f"{server.url}{ARTIFACTS}/0/model.bin"
    requests.put(url, data=b"old").raise_for_status()

    def slowly():
        for _ in range(100):
            yield b"n" * 100_000
            time.sleep(0.02)

    def upload():
        with pytest.raises(requests.exceptions.RequestException):
            requests.put(url, data=slowly())

    uploading = threading.Thread(target=upload)
    uploading.start()
    uploads = tmp_path / ".lathe/artifacts/.uploads"
    deadline = time.monotonic() + 10
    while not (halves := list(uploads.glob("put-*"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert halves
    server.kill()
    uploading.join()
    for half in uploads.glob("put-*"):
        os.utime(half, (1, 1))
    server.start()
    assert requests.get(f"{server.url}{ARTIFACTS}/0/model.bin").content == b"old"
    deadline = time.monotonic() + 10
    while list(uploads.glob("put-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(uploads.iterdir())


@pytest.fixture
def s3_server(serve, s3, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return serve(tmp_path, "--artifacts-destination", s3.url)


def test_the_server_keeps_artifacts_in_s3(s3_server, s3, on, in_parts, tmp_path, monkeypatch):
    mlflow = on(s3_server)
    run = upload_and_compare(mlflow, tmp_path)
    client = mlflow.MlflowClient()
    client.log_text(run, "hello", "data/notes/ü b.txt")
    assert [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run, "data")] == [
        ("data/big.bin", False, (11 << 20) + 5),
        ("data/notes", True, None),
    ]
    info = requests.get(f"{s3_server.url}/api/3.0/mlflow/server-info").json()
    assert info["multipart_uploads_enabled"] and info["multipart_downloads_enabled"]
    uri = client.get_run(run).info.artifact_uri
    assert uri.startswith("mlflow-artifacts:/")
    below = uri.removeprefix("mlflow-artifacts:/")
    assert s3.exists(f"{below}/data/notes/ü b.txt")
    url = f"{s3_server.url}{ARTIFACTS}/{below}/data/big.bin"
    whole = (tmp_path / "big.bin").read_bytes()
    part = requests.get(url, headers={"range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, whole[5:15])
    # Large downloads go past the server.
    signed = requests.get(url.replace("/artifacts/", "/presigned/", 1)).json()
    assert signed["url"].startswith(s3.environment["AWS_ENDPOINT_URL_S3"]) and signed["file_size"] == len(whole)
    assert requests.get(signed["url"], headers={"range": "bytes=0-9"}).content == whole[:10]
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(4 << 20))
    down = mlflow.artifacts.download_artifacts(f"runs:/{run}/data/big.bin", dst_path=tmp_path / "again")
    assert pathlib.Path(down).read_bytes() == whole
    requests.delete(f"{s3_server.url}{ARTIFACTS}/{below}/data").raise_for_status()
    assert client.list_artifacts(run) == []
    assert requests.get(url).json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_large_file_in_s3_does_not_fill_memory(s3_server):
    assert stream_through(s3_server) < 64


def test_clients_may_go_to_s3_themselves(serve, s3, on, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3.environment["AWS_ENDPOINT_URL_S3"])
    root = f"{s3.url}/direct"
    server = serve(tmp_path, "--default-artifact-root", root)
    mlflow = on(server)
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "a/hello.txt")
    assert run.info.artifact_uri.startswith(f"{root}/")
    assert s3.exists(f"direct/{run.info.experiment_id}/{run.info.run_id}/artifacts/a/hello.txt")
    # The page and `get-artifact` see the same.
    api = f"{server.url}/api/2.0/mlflow/artifacts"
    listed = requests.get(f"{api}/list", params={"run_id": run.info.run_id, "path": "a"}).json()
    assert [(file["path"], file["file_size"]) for file in listed["files"]] == [("a/hello.txt", 5)]
    seen = requests.get(f"{server.url}/get-artifact", params={"run_id": run.info.run_id, "path": "a/hello.txt"})
    assert seen.content == b"hello"
    ask = {"run_id": run.info.run_id, "path": "a/signed.txt", "expiration": 60}
    up = requests.post(f"{api}/presigned-upload-url", json=ask).json()
    requests.put(up["presigned_url"], data=b"signed", headers=up.get("headers")).raise_for_status()
    down = requests.post(f"{api}/presigned-download-url", json=ask).json()
    assert down["file_size"] == 6 and requests.get(down["presigned_url"]).content == b"signed"
    for bad in [{"expiration": 0}, {"expiration": 604_801}, {"path": "../x"}, {"run_id": None}, {"model_id": "m-1"}]:
        assert requests.post(f"{api}/presigned-download-url", json={**ask, **bad}).status_code == 400, bad
    # Elsewhere in the same bucket the server reads nothing in a stranger's name.
    other = mlflow.MlflowClient().create_experiment("elsewhere", artifact_location=f"{s3.url}/private")
    stray = mlflow.MlflowClient().create_run(other)
    refused = requests.get(f"{api}/list", params={"run_id": stray.info.run_id})
    assert (refused.status_code, refused.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_an_object_store_that_is_away_is_told_as_such(serve, s3, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    server = serve(tmp_path, "--artifacts-destination", s3.url)
    denied = requests.put(f"{server.url}{ARTIFACTS}/0/x", data=b"x")
    assert denied.status_code == 403 and s3.url in denied.json()["message"]
    assert "guessed" not in denied.text
