"""The real binary, started as a user would start it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import uuid

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
LATHE = os.environ.get("LATHE_BIN", str(ROOT / "target/debug/lathe"))
sys.path.insert(0, str(ROOT / "scripts"))

# Stands over tests (`pytestmark = on_both_databases`) whose `server` must behave the same on either.
on_both_databases = pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)


def pytest_addoption(parser):
    parser.addoption("--crash-rounds", type=int, default=3, help="how often a server is killed under load")


def lathe(*args, cwd, code=0, **env):
    """Runs `lathe ARGS`, which must end with `code`."""
    done = subprocess.run([LATHE, *args], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == code, f"lathe {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "panicked" not in done.stderr, done.stderr
    return done


def git(cwd, *args):
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    return subprocess.run(["git", *identity, *args], cwd=cwd, check=True, capture_output=True, text=True).stdout


def registered_parity(folder):
    """Makes a project whose only stage copies the model folder `made` and `rows.csv`, runs it, and returns how far the
    registered version's answers are from its library's."""
    (folder / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: cp -r made model && cp rows.csv reference.csv && echo '{}' > metrics.json\n"
        "    outs: [model, reference.csv]\n    metrics: [metrics.json]\n"
    )
    git(folder, "init", "--quiet")
    lathe("init", "--name", "p", cwd=folder)
    with open(folder / "lathe.toml", "a") as file:
        file.write('[model.p]\npath = "model"\nmetrics = "metrics.json"\nreference = "reference.csv"\n')
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    [registered] = json.loads(lathe("run", "--json", cwd=folder, PATH=path).stdout)["registered"]
    return registered["facts"]["parity"]


class Comparison:
    """Collects what differs between Lathe's answers and a library's, so that one run tells all."""

    def __init__(self, folder):
        self.folder, self.faults, self.exact, self.count = folder, [], 0, 0

    def done(self):
        assert not self.faults, f"{len(self.faults)} of {self.count} differ:\n" + "\n".join(self.faults)
        print(f"{self.count} models, {self.exact} bit for bit")


def told_url(process):
    """The address in the JSON that a server prints once it is ready."""
    told = ""
    for line in process.stdout:
        told += line
        if line == "}\n":
            break
    return json.loads(told)["url"]


def assert_confined(worker, server):
    """A process that answers for a model is cut off from the network, from what processes share, and from its server."""
    ways = {way: [os.readlink(f"/proc/{process}/ns/{way}") for process in (worker, server)] for way in ("net", "ipc")}
    assert all(own != of_server for own, of_server in ways.values()), ways
    proc = pathlib.Path(f"/proc/{worker}")
    interfaces = [line.split(":")[0].strip() for line in (proc / "net/dev").read_text().splitlines()[2:]]
    assert interfaces == ["lo"], interfaces
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    # Files may be read and written, whoever they belong to; nothing else that is root's.
    assert int(status["CapPrm"], 16) & ~0b110 == 0 and status["NoNewPrivs"].strip() == "1", status
    assert b"A_SECRET" not in (proc / "environ").read_bytes()


class Server:
    """`lathe server` on a free port, in a folder of its own."""

    def __init__(self, folder, *args):
        self.folder, self.args = folder, args
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [LATHE, "server", "--port", "0", "--json", *self.args],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=open(self.folder / "server.log", "a"),
            text=True,
        )
        self.url = told_url(self.process)

    def kill(self):
        """As a power cut would: nothing is flushed, nothing is said."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=10) == 0


@contextlib.contextmanager
def serving(folder, *args):
    """`lathe serve ARGS` on a free port, as its address; ends with the block."""
    log = folder / "serve.log"
    with open(log, "a") as errors:
        process = subprocess.Popen(
            [LATHE, "serve", *map(str, args), "--port", "0", "--json"],
            cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    try:
        try:
            url = told_url(process)
        except ValueError:
            raise AssertionError(log.read_text()) from None
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


class Load:
    """Callers that never stop asking, and what they were told."""

    def __init__(self, ask, callers):
        self.ask, self.ends, self.answers, self.faults = ask, False, [], []
        self.threads = [threading.Thread(target=self.call) for _ in range(callers)]
        for thread in self.threads:
            thread.start()

    def call(self):
        with requests.Session() as session:
            while not self.ends:
                try:
                    self.answers.append(self.ask(session))
                except Exception as fault:  # whatever it is, the caller was not answered
                    self.faults.append(repr(fault))

    def end(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        return self.answers, self.faults


@pytest.fixture
def serve():
    """Starts servers in folders, and stops them when the test is over."""
    started = []

    def start(folder, *args):
        started.append(Server(folder, *args))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def on(monkeypatch):
    """The client on a server that a test starts itself, in an experiment of its own."""
    import mlflow

    def use(server):
        monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        mlflow.set_tracking_uri(server.url)
        mlflow.set_experiment("one")
        return mlflow

    yield use
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; the function gives the URL of a place of its own on it for each call."""
    url, cluster = os.environ.get("LATHE_TEST_POSTGRES"), None
    if not url:
        from postgres import Cluster

        cluster = Cluster()
        url = cluster.url
    yield lambda: f"{url}?schema=t{uuid.uuid4().hex}"
    if cluster:
        cluster.remove()


class S3:
    """A place in a real S3 server: one of our own on a folder, or the one that `LATHE_TEST_S3_URL` names."""

    def __init__(self, url, environment):
        self.url, self.environment = url, environment

    def objects(self, key):
        """Names of what lies below this key, or at it, with what reads them."""
        import boto3

        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        client = boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{key}").get("Contents", [])
        read = lambda name: client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return {one["Key"].removeprefix(f"{prefix}/"): lambda name=one["Key"]: read(name) for one in found}

    def exists(self, key):
        return key in self.objects(key)


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory):
    """Bucket URL and environment of an S3 server that runs as long as the tests."""
    if url := os.environ.get("LATHE_TEST_S3_URL"):
        names = ["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        yield url, {name: os.environ[name] for name in names}
        return
    example = ROOT / "target/debug/examples/s3_server"
    folder = tmp_path_factory.mktemp("s3")
    process = subprocess.Popen([example, folder, "bucket"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    endpoint, key, secret = [process.stdout.readline().strip() for _ in range(3)]
    yield "s3://bucket", {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }
    process.stdin.close()
    process.wait(timeout=10)


@pytest.fixture
def s3(s3_endpoint, tmp_path):
    """A prefix of its own for each test."""
    url, environment = s3_endpoint
    return S3(f"{url}/{tmp_path.parent.name}-{tmp_path.name}", environment)


@pytest.fixture
def server(serve, tmp_path, request):
    """A server on SQLite, or on the database that `on_both_databases` names."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return serve(tmp_path)
    return serve(tmp_path, "--database", request.getfixturevalue("postgres")())


@pytest.fixture
def mlflow(server, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment("tests")
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A folder with a certificate for this machine, its key, and the authority that signed it."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in ("authority", "localhost")}
    names = {who: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)]) for who in keys}
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])

    def signed(who, serial, *extensions):
        builder = (
            x509.CertificateBuilder().subject_name(names[who]).issuer_name(names["authority"])
            .public_key(keys[who].public_key()).serial_number(serial)
            .not_valid_before(now - day).not_valid_after(now + day)
        )  # fmt: skip
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(keys["authority"], hashes.SHA256()).public_bytes(pem)

    (folder / "ca.pem").write_bytes(signed("authority", 6, x509.BasicConstraints(ca=True, path_length=None)))
    (folder / "cert.pem").write_bytes(signed("localhost", 7, hosts))
    (folder / "key.pem").write_bytes(
        keys["localhost"].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture(scope="session")
def bike_run(tmp_path_factory):
    """The example, run once from a clean repository."""
    folder = tmp_path_factory.mktemp("bike-run")
    tracked = git(ROOT, "ls-files", "examples/bike-demand").split()
    for name in tracked:
        target = folder / pathlib.Path(name).relative_to("examples/bike-demand")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "start")
    lathe("run", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def bike(bike_run, tmp_path_factory):
    """The example, run, gated and deployed."""
    folder = tmp_path_factory.mktemp("bike") / "project"
    shutil.copytree(bike_run, folder)
    lathe("gate", "bike-demand", cwd=folder)
    lathe("deploy", "bike-demand", cwd=folder)
    return folder
