"""Remotes behind real servers: WebDAV, a mere HTTP server, SSH, S3."""

import hashlib
import json
import os
import pathlib
import shutil
import sys

import pytest
from conftest import lathe
from test_dvc_data import apart, both, dvc, files_of, state, twins, write  # noqa: F401  (fixtures too)


@pytest.fixture
def served(tmp_path):
    """A folder that WebDAV, an SSH server and a mere HTTP server show."""
    import asyncio
    import functools
    import http.server
    import threading

    import asyncssh
    from cheroot import wsgi
    from wsgidav.wsgidav_app import WsgiDAVApp

    folder = tmp_path / "served"
    (folder / "in").mkdir(parents=True)
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder)},
            "simple_dc": {"user_mapping": {"*": {"me": {"password": "secret"}}}},
            "http_authenticator": {"accept_digest": False, "default_to_digest": False},
            "logging": {"enable": False},
        }
    )
    dav = wsgi.Server(("127.0.0.1", 0), app)
    dav.prepare()
    threading.Thread(target=dav.serve, daemon=True).start()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_PUT(self):
            path = pathlib.Path(self.translate_path(self.path))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=plain.serve_forever, daemon=True).start()

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "authorized").write_bytes(key.export_public_key())
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def listen():
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(tmp_path / "authorized"),
            sftp_factory=True,
        )

    ssh = asyncio.run_coroutine_threadsafe(listen(), loop).result(timeout=20)
    # The user's own list of known machines is left alone.
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/ssh"
    program.write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F none -oUserKnownHostsFile={tmp_path}/known -oLogLevel=ERROR "$@"\n'
    )
    program.chmod(0o755)
    yield {
        "folder": folder,
        "webdav": f"webdav://127.0.0.1:{dav.bind_addr[1]}/in",
        "http": f"http://127.0.0.1:{plain.server_address[1]}/in",
        "ssh": f"ssh://127.0.0.1:{ssh.get_port()}{folder}/in",
        "key": str(tmp_path / "key"),
        "path": f"{tmp_path}/bin:{os.environ['PATH']}",
    }
    dav.stop()
    plain.shutdown()
    loop.call_soon_threadsafe(ssh.close)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the program `ssh` is not here")
def test_remotes_behind_servers_hold_the_same_files(twins, served):
    ours, theirs = twins
    write(twins, files_of(6) | {"model.bin": b"m" * 3_000_000})
    both(twins, "add", "data", "model.bin")
    for kind in ["webdav", "http", "ssh"]:
        lathe("remote", "add", "--force", "--default", kind, served[kind], cwd=ours)
    for option, value in {"user": "me", "password": "secret"}.items():
        lathe("remote", "modify", "--local", "webdav", option, value, cwd=ours)
    lathe("remote", "modify", "http", "method", "PUT", cwd=ours)
    lathe("remote", "modify", "--local", "ssh", "keyfile", served["key"], cwd=ours)
    store = served["folder"] / "in"
    cache = {name: content for name, (content, _) in state(ours / ".dvc/cache").items()}
    for kind in ["webdav", "http", "ssh"]:
        run = lambda *args, code=0: lathe(*args, "-r", kind, cwd=ours, code=code, PATH=served["path"])  # noqa: E731
        shutil.rmtree(store)
        store.mkdir()
        assert "model.bin" in json.loads(run("status", "--cloud", "--json").stdout)
        run("push")
        assert {name: content for name, (content, _) in state(store).items()} == cache, kind
        assert "up to date" in run("push").stdout
        assert json.loads(run("status", "--cloud", "--json").stdout) == {}
        shutil.rmtree(ours / ".dvc/cache")
        shutil.rmtree(ours / "data")
        run("pull")
        assert {name: content for name, (content, _) in state(ours / ".dvc/cache").items()} == cache, kind
        if kind != "http":
            (store / "files/md5/ab").mkdir(exist_ok=True)
            (store / "files/md5/ab" / ("c" * 30)).write_text("garbage")
            run("gc", "--workspace", "--cloud", "--force")
            assert {name: content for name, (content, _) in state(store).items()} == cache, kind
        damaged = next(path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 3_000_000)
        damaged.chmod(0o644)
        damaged.write_bytes(b"n" * 3_000_000)
        shutil.rmtree(ours / ".dvc/cache")
        assert "damaged" in run("fetch", code=1).stderr
        damaged.write_bytes(b"m" * 3_000_000)
        run("fetch")
    assert "status 401" in lathe("push", "-r", "webdav", cwd=ours, code=1, **wrong_password(ours)).stderr
    dvc(theirs, "remote", "add", "-d", "http", served["http"])
    shutil.rmtree(theirs / ".dvc/cache")
    dvc(theirs, "pull")
    assert (theirs / "model.bin").read_bytes() == b"m" * 3_000_000


def wrong_password(folder):
    lathe("remote", "modify", "--local", "webdav", "password", "wrong", cwd=folder)
    return {}


def test_a_remote_in_s3_holds_what_a_folder_would(twins, s3):
    """Settings as DVC names them. A list that is there stands for its files, so it goes last and only with all of them."""
    import boto3

    ours, theirs = twins
    write(twins, files_of(8, count=1_100) | {"model.bin": b"m" * 20_000_000})
    both(twins, "add", "data", "model.bin")
    bucket, _, prefix = s3.url.removeprefix("s3://").partition("/")
    own = {
        "endpointurl": s3.environment["AWS_ENDPOINT_URL_S3"],
        "access_key_id": s3.environment["AWS_ACCESS_KEY_ID"],
        "secret_access_key": s3.environment["AWS_SECRET_ACCESS_KEY"],
        "region": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=own["endpointurl"],
        aws_access_key_id=own["access_key_id"],
        aws_secret_access_key=own["secret_access_key"],
        region_name="us-east-1",
    )

    def stored():
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/")
        return {one["Key"].removeprefix(prefix + "/"): one["Size"] for page in pages for one in page.get("Contents", [])}

    lathe("remote", "add", "--default", "store", s3.url, cwd=ours)
    assert "no credentials" in lathe("push", cwd=ours, code=1, AWS_ENDPOINT_URL=own["endpointurl"]).stderr
    for key, value in own.items():
        lathe("remote", "modify", "--local", "store", key, value, cwd=ours)
    cache = {name: len(content) for name, (content, _) in state(ours / ".dvc/cache").items()}
    # A file that is not there any more keeps the list of its folder back.
    listing = next(name for name in cache if name.endswith(".dir"))
    victim = json.loads((ours / ".dvc/cache" / listing).read_bytes())[0]["md5"]
    victim = ours / ".dvc/cache/files/md5" / victim[:2] / victim[2:]
    victim.rename(ours / "aside")
    lathe("push", cwd=ours, code=1)
    assert listing not in stored() and len(stored()) == len(cache) - 2
    (ours / "aside").rename(victim)
    lathe("push", cwd=ours)
    assert stored() == cache
    assert "up to date" in lathe("push", cwd=ours).stdout
    assert json.loads(lathe("status", "--cloud", "--json", cwd=ours).stdout) == {}
    shutil.rmtree(ours / ".dvc/cache")
    shutil.rmtree(ours / "data")
    (ours / "model.bin").unlink()
    lathe("pull", cwd=ours)
    both_states = [state(ours / ".dvc/cache"), state(theirs / ".dvc/cache")]
    assert both_states[0] == both_states[1]
    assert "up to date" in dvc(ours, "status")
    client.put_object(Bucket=bucket, Key=f"{prefix}/files/md5/ab/{'c' * 30}", Body=b"garbage")
    lathe("gc", "--workspace", "--cloud", "--force", cwd=ours)
    assert stored() == cache
    # Two stores that tell each other apart by what the bytes are: what arrived wrong gets no name.
    key = next(name for name, size in cache.items() if size == 20_000_000)
    client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=b"n" * 20_000_000)
    shutil.rmtree(ours / ".dvc/cache")
    assert "damaged" in lathe("fetch", cwd=ours, code=1).stderr
    assert not (ours / ".dvc/cache" / key).exists()
    lathe("remote", "modify", "--local", "store", "secret_access_key", "wrong", cwd=ours)
    assert "denies access" in lathe("fetch", cwd=ours, code=1).stderr


def test_a_stage_reads_and_writes_in_s3(twins, s3):
    """As DVC writes it in dvc.lock: an ETag for a file, for a folder the md5 of the list of its files with their ETags."""
    import boto3

    ours, _ = twins
    bucket, _, prefix = s3.url.removeprefix("s3://").partition("/")
    endpoint = s3.environment["AWS_ENDPOINT_URL_S3"]
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=s3.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    etags = {}
    for name in ["one", "many/b", "many/a", "many/deep/c"]:
        told = client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=name.encode() * 3)
        etags[name] = told["ETag"].strip('"')
    script = (
        "import boto3, os\n"
        f"boto3.client('s3', endpoint_url={endpoint!r}, region_name='us-east-1').put_object("
        f"Bucket={bucket!r}, Key={prefix + '/report'!r}, Body=open('in', 'rb').read())\n"
    )
    write(
        [ours],
        {
            "in": "1\n",
            "send.py": script,
            "dvc.yaml": f"""stages:
  read:
    cmd: echo read >> ran.log
    deps: ['{s3.url}/one', '{s3.url}/many']
  write:
    cmd: {sys.executable} send.py && echo write >> ran.log
    deps: [in]
    outs:
    - {s3.url}/report:
        cache: false
  after:
    cmd: echo after >> ran.log
    deps: ['{s3.url}/report']
""",
        },
    )
    run = lambda code=0: lathe("run", cwd=ours, code=code, **s3.environment)  # noqa: E731
    ran = lambda: (ours / "ran.log").read_text().split()  # noqa: E731
    run()
    assert sorted(ran()) == ["after", "read", "write"] and ran().index("write") < ran().index("after")
    listed = [{"etag": etags[f"many/{name}"], "relpath": name} for name in ["a", "b", "deep/c"]]
    folder = hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    lock = (ours / "dvc.lock").read_text()
    assert f"    - path: {s3.url}/many\n      hash: md5\n      md5: {folder}.dir\n      size: 69\n      nfiles: 3\n" in lock
    assert f"    - path: {s3.url}/one\n      hash: md5\n      etag: {etags['one']}\n      size: 9\n" in lock
    assert lock.count(f"path: {s3.url}/report\n      hash: md5\n      etag: ") == 2
    run()
    assert len(ran()) == 3
    client.put_object(Bucket=bucket, Key=f"{prefix}/many/d", Body=b"d")
    run()
    assert ran()[3:] == ["read"]
    # What somebody else wrote there, or removed, is made again.
    client.put_object(Bucket=bucket, Key=f"{prefix}/report", Body=b"other")
    run()
    assert ran()[4:] == ["write"]
    client.delete_object(Bucket=bucket, Key=f"{prefix}/report")
    run()
    assert ran()[5:] == ["write"] and s3.exists("report")
    write([ours], {"send.py": "pass\n", "in": "2\n"})
    assert "did not write the output" in run(code=1).stderr
    assert not s3.exists("report")
    assert lathe("list-url", f"{s3.url}/many", cwd=ours, **s3.environment).stdout.split() == ["a", "b", "d", "deep"]
    sizes = json.loads(lathe("--json", "list-url", "-R", "--size", s3.url, cwd=ours, **s3.environment).stdout)
    assert {one["path"]: one["size"] for one in sizes} == {"one": 9, "many/a": 18, "many/b": 18, "many/d": 1, "many/deep/c": 33}


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the program `ssh` is not here")
def test_a_stage_reads_what_tells_no_etag_by_its_md5(twins, served):
    ours, _ = twins
    (served["folder"] / "in/f").write_text("f\n")
    lathe("remote", "add", "there", served["ssh"], cwd=ours)
    lathe("remote", "modify", "--local", "there", "keyfile", served["key"], cwd=ours)
    write([ours], {"dvc.yaml": "stages:\n  a:\n    cmd: echo a >> ran.log\n    deps: ['remote://there/f']\n"})
    for content, runs in [("f\n", 1), ("f\n", 1), ("g\n", 2)]:
        (served["folder"] / "in/f").write_text(content)
        lathe("run", cwd=ours, PATH=served["path"])
        assert len((ours / "ran.log").read_text().split()) == runs
    md5 = hashlib.md5(b"g\n").hexdigest()
    assert f"- path: remote://there/f\n      hash: md5\n      md5: {md5}\n      size: 2\n" in (ours / "dvc.lock").read_text()
    (served["folder"] / "in/f").unlink()
    assert "remote://there/f" in lathe("run", cwd=ours, code=1, PATH=served["path"]).stderr
