"""The longer tests of artifacts in S3: with Ceph's gateway, which this starts in a folder of its own, or with the S3
server that `LATHE_TEST_S3_URL` names (MinIO, Amazon…; then `AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY` too).

Ceph comes from Debian's packages: `apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common`.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = ROOT / "target/py/bin/python"
KEY, SECRET, BUCKET = "lathe-tests", "not-a-secret", "lathe-tests"
TOOLS = ["ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def say(*command, **options):
    return subprocess.run(command, check=True, timeout=180, stdout=subprocess.DEVNULL, **options)


@contextlib.contextmanager
def ceph():
    """One monitor, one store on a file, one gateway; the environment by which clients find it."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        sys.exit(f"not found: {', '.join(missing)}; install Debian's ceph packages or set LATHE_TEST_S3_URL")
    with tempfile.TemporaryDirectory(prefix="lathe-ceph-") as name:
        folder = pathlib.Path(name)
        monitor, gateway, fsid = free_port(), free_port(), str(uuid.uuid4())
        for part in ["mon", "osd", "run"]:
            (folder / part).mkdir()
        config = folder / "ceph.conf"
        config.write_text(f"""
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}/0]
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/$name.log
pid file = {folder}/run/$name.pid
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 12884901888
bluestore fsck on mount = false
osd memory target = 939524096
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw thread pool size = 32
""")
        common = ["-c", str(config)]
        say("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}/0]", str(folder / "map"))
        say("ceph-mon", *common, "--mkfs", "-i", "a", "--monmap", str(folder / "map"))
        started = []

        def start(*command):
            log = open(folder / f"{command[0]}.out", "w")
            started.append(subprocess.Popen([*command, *common, "-f"], stdout=log, stderr=log))

        try:
            start("ceph-mon", "-i", "a")
            osd = str(uuid.uuid4())
            say("ceph", *common, "osd", "new", osd)
            say("ceph-osd", *common, "--mkfs", "-i", "0", "--osd-uuid", osd, stderr=subprocess.DEVNULL)
            start("ceph-osd", "-i", "0")
            admin = ["radosgw-admin", *common, "user", "create", "--uid=lathe", "--display-name=lathe"]
            say(*admin, f"--access-key={KEY}", f"--secret-key={SECRET}", stderr=subprocess.DEVNULL)
            start("radosgw", "-n", "client.gateway")
            endpoint = f"http://127.0.0.1:{gateway}"
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(endpoint, timeout=5)
                    break
                except OSError as error:
                    if deadline < time.monotonic():
                        said = [file.read_text()[-2000:] for file in folder.glob("radosgw.out")]
                        said += [file.read_text()[-2000:] for file in folder.glob("client.gateway*.log")]
                        raise RuntimeError("\n".join(["the gateway does not answer", *said])) from error
                    time.sleep(0.5)
            yield {
                "AWS_ENDPOINT_URL_S3": endpoint,
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_REGION": "us-east-1",
            }
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


def make_bucket(environment):
    code = (
        "import boto3, os; "
        "boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL_S3'], region_name='us-east-1')"
        f".create_bucket(Bucket='{BUCKET}')"
    )
    subprocess.run([PYTHON, "-c", code], check=True, env={**os.environ, **environment}, timeout=120)


def test(environment):
    env = {**os.environ, **environment, "LATHE_LARGE_MIB": os.environ.get("LATHE_LARGE_MIB", "2048")}
    subprocess.run(["cargo", "build", "--workspace", "--bin", "lathe", "--example", "s3_server"], cwd=ROOT, check=True)
    rust = subprocess.run(["cargo", "test", "-p", "lathe-blob", "--test", "it", "s3::"], cwd=ROOT, env=env)
    python = subprocess.run(
        [PYTHON, "-m", "pytest", "-v", "--color=no", "tests/python/test_artifacts.py"],
        cwd=ROOT,
        env={**env, "LATHE_BIN": str(ROOT / "target/debug/lathe"), "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    return max(rust.returncode, python.returncode)


if os.environ.get("LATHE_TEST_S3_URL"):
    sys.exit(test({}))
with ceph() as environment:
    make_bucket(environment)
    sys.exit(test({**environment, "LATHE_TEST_S3_URL": f"s3://{BUCKET}"}))
