"""Every test of the project, one part after the other; ends with `N passed, M failed`.

A part that ends badly without saying how many tests failed counts as one failure, so nothing is lost in silence.
"""

import atexit
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from postgres import Cluster

ROOT = pathlib.Path(__file__).resolve().parent.parent
LATHE = ROOT / "target/debug/lathe"
PYTHON = ROOT / "target/py/bin/python"
DEMO = ROOT / "target/test-demo"
# Far above what any command needs, a cold build on two cores included: one that hangs is a failure, not an endless wait.
COMMAND_MINUTES_MAX = 40
# A first build is built once: what would make the next one faster only fills the disk.
if not LATHE.parent.exists():
    os.environ.setdefault("CARGO_INCREMENTAL", "0")

passed = failed = 0


def end_group(process):
    """Ends a command with everything it started and left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, *, cwd=ROOT, env=None):
    """Runs a command, showing what it prints; its exit code and its output."""
    print(f"$ {' '.join(map(str, command))}", flush=True)
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )

    def give_up():
        print(f"stopped after {COMMAND_MINUTES_MAX} minutes", flush=True)
        end_group(process)

    limit = threading.Timer(COMMAND_MINUTES_MAX * 60, give_up)
    limit.start()
    lines = []
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
        return process.wait(), "".join(lines)
    finally:
        limit.cancel()
        end_group(process)


def count(part, started, code, good, bad):
    """Adds a part's numbers; `good` and `bad` may be empty where it crashed."""
    global passed, failed
    good, bad = sum(map(int, good)), sum(map(int, bad))
    if code != 0 and bad == 0:
        bad = 1
    passed, failed = passed + good, failed + bad
    took, free = time.monotonic() - started, shutil.disk_usage(ROOT).free / 2**30
    print(f"-- {part}: {good} passed, {bad} failed, {took:.0f} s, {free:.1f} GiB of the disk free\n", flush=True)


def part(name):
    """Runs a function as a part; an exception is a failure of it."""

    def decorate(function):
        print(f"== {name}", flush=True)
        started = time.monotonic()
        try:
            code, good, bad = function()
        except Exception as error:  # noqa: BLE001: whatever went wrong, the other parts run
            print(f"{name} could not be run: {error}", flush=True)
            code, good, bad = 1, [], []
        count(name, started, code, good, bad)

    return decorate


def checks():
    """Things that pass or fail as a whole."""
    commands = [["cargo", "fmt", "--check"]]
    commands.append(["cargo", "xtask", "tidy"])
    commands.append(["cargo", "clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
    codes = [run(command)[0] for command in commands]
    return max(codes), [sum(code == 0 for code in codes)], [sum(code != 0 for code in codes)]


clusters = []


def postgres():
    """The PostgreSQL server of this test run, as the environment that tests read."""
    if not clusters:
        clusters.append(Cluster())
    return {"LATHE_TEST_POSTGRES": clusters[0].url}


@atexit.register
def _():
    for cluster in clusters:
        cluster.remove()


def rust(nextest, cargo, env=None):
    """The tests that these arguments pick, with either of the two."""
    if shutil.which("cargo-nextest"):
        command = ["cargo", "nextest", "run", "--workspace", *nextest, "--no-fail-fast", "--status-level", "fail"]
        code, said = run(command, env=env)
        summary = said[said.rfind("Summary [") :] if "Summary [" in said else ""
        return code, re.findall(r"(\d+) passed", summary), re.findall(r"(\d+) (?:failed|timed out)", summary)
    code, said = run(["cargo", "test", "--workspace", *cargo, "--no-fail-fast"], env=env)
    results = "\n".join(re.findall(r"^test result: .*", said, re.M))
    return code, re.findall(r"(\d+) passed", results), re.findall(r"(\d+) failed", results)


@part("rust")
def _():
    return rust([], [])


@part("rust on postgresql")
def _():
    # Whatever keeps records does so on either database.
    return rust(["-E", "rdeps(lathe-store) & kind(test)"], ["--test", "it"], postgres())


@part("binary")
def _():
    code, _ = run(["cargo", "build", "--bin", "lathe", "--example", "s3_server", "-p", "lathe", "-p", "lathe-blob"])
    return code, ["1"] if code == 0 else [], []


@part("checks")
def _():
    return checks()


@part("web page")
def _():
    code, _ = run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "ui")
    if code != 0:
        return code, [], []
    code, said = run(["npm", "test"], cwd=ROOT / "ui", env={"NO_COLOR": "1"})
    summary = "\n".join(re.findall(r"^\s*Tests\s.*", said, re.M))
    return code, re.findall(r"(\d+) passed", summary), re.findall(r"(\d+) failed", summary)


@part("python clients")
def _():
    if not PYTHON.exists():
        run([sys.executable, "-m", "venv", ROOT / "target/py"])
    uv = shutil.which("uv") or ROOT / "target/py/bin/uv"
    if not pathlib.Path(uv).exists():
        run([PYTHON, "-m", "pip", "install", "--quiet", "uv"])
    lock = ROOT / "tests/python/requirements.lock"
    code, _ = run([uv, "pip", "install", "--quiet", "--python", PYTHON, "-r", lock])
    if code != 0:
        return code, [], []
    pytest = [PYTHON, "-m", "pytest", "-v", "--durations=5", "--color=no", "tests/python"]
    code, said = run(pytest, env={"LATHE_BIN": str(LATHE), **postgres()})
    summary = said.strip().splitlines()[-1]
    return code, re.findall(r"(\d+) passed", summary), re.findall(r"(\d+) (?:failed|error)", summary)


@part("the whole loop")
def _():
    code, said = run([LATHE, "demo", "--into", DEMO], env={"DEMO_EXIT": "1"})
    good = "every step did what it should" in said
    return code, ["1"] if good else [], [] if good else ["1"]


def chromium():
    """The browser; installed from Debian's packages where that is possible."""
    wanted = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not wanted and shutil.which("apt-get") and os.geteuid() == 0:
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
        wanted = shutil.which("chromium")
    if not wanted:
        raise RuntimeError("no Chromium: install the package `chromium`, or name the browser with CHROMIUM=")
    return wanted


@part("browser")
def _():
    browser = chromium()
    code, _ = run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "tests/ui")
    if code != 0:
        return code, [], []
    with open(DEMO / "browser-server.log", "w") as log:
        server = subprocess.Popen(
            [LATHE, "server", "--port", "0"], cwd=DEMO, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        said = server.stdout.readline()
        url = re.search(r"http://\S+", said)
        if not url:
            raise RuntimeError(f"the server did not start, see {DEMO / 'browser-server.log'}")
        env = {"LATHE_URL": url[0], "LATHE_BIN": str(LATHE), "CHROMIUM": browser, "NO_COLOR": "1"}
        code, said = run(["node", "--test", "--test-reporter=tap"], cwd=ROOT / "tests/ui", env=env)
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            raise
    return code, re.findall(r"^# pass (\d+)", said, re.M), re.findall(r"^# fail (\d+)", said, re.M)


print(f"{passed} passed, {failed} failed", flush=True)
sys.exit(1 if failed else 0)
