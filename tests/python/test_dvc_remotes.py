"""Remotes behind real servers: WebDAV, a mere HTTP server, SSH."""

import json
import os
import pathlib
import shutil

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
