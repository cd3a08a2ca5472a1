"""A PostgreSQL server for tests: in a folder of its own, on a free port of loopback, gone when the command is over.

    python3 scripts/postgres.py cargo nextest run -p lathe-store

runs the command with the server's URL in `LATHE_TEST_POSTGRES`. Where PostgreSQL is missing and this runs as root on
Debian, it is installed. Nothing of it is tuned: what is acknowledged is on disk.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

PASSWORD = "let me in: 1/2"
URL_PASSWORD = "let%20me%20in%3A%201%2F2"


def programs():
    """The folder of PostgreSQL's programs, the newest version's."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return pathlib.Path(initdb).resolve().parent if initdb else None


def installed():
    """The same, after installing them if that is possible."""
    folder = programs()
    if not folder and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        # No cluster of the package's own: it would listen where others might.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql-common"], check=True, env=quiet)
        config = pathlib.Path("/etc/postgresql-common/createcluster.conf")
        if config.exists() and "create_main_cluster = false" not in config.read_text():
            config.write_text(config.read_text() + "\ncreate_main_cluster = false\n")
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"], check=True, env=quiet)
        folder = programs()
    if not folder:
        raise RuntimeError("no PostgreSQL: install the package `postgresql`")
    return folder


class Cluster:
    """A server; `url` leads to an empty database of it."""

    def __init__(self):
        self.bin = installed()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lathe-postgres-", dir="/tmp"))
        self.data = self.folder / "data"
        # The server refuses to run as root.
        self.as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.as_other:
            shutil.chown(self.folder, "postgres", "postgres")
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o644)
        self.run("initdb", "--pgdata", self.data, "--username", "lathe", "--pwfile", password, "--encoding", "UTF8",
                 "--locale", "C.UTF-8", "--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-instructions")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(self.folder / "settings", "w") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nmax_connections = 300\n"
                           f"unix_socket_directories = '{self.folder}'\n")
        self.run("sh", "-c", f"cat {self.folder}/settings >> {self.data}/postgresql.conf", plain=True)
        self.url = f"postgresql://lathe:{URL_PASSWORD}@127.0.0.1:{self.port}/postgres"
        self.start()

    def run(self, program, *args, plain=False):
        command = [program if plain else self.bin / program, *args]
        done = subprocess.run([*self.as_other, *map(str, command)], cwd="/", stdin=subprocess.DEVNULL,
                              stdout=open(self.folder / "log", "a"), stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{(self.folder / 'log').read_text()[-2000:]}")

    def start(self):
        self.run("pg_ctl", "--pgdata", self.data, "--log", self.data / "server.log", "--wait", "start")

    def stop(self, mode="fast"):
        """`fast` cuts every connection; `immediate` is what a crash leaves."""
        self.run("pg_ctl", "--pgdata", self.data, "--wait", "--mode", mode, "stop")

    def remove(self):
        with contextlib.suppress(RuntimeError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def main(command):
    cluster = Cluster()
    try:
        return subprocess.run(command, env={**os.environ, "LATHE_TEST_POSTGRES": cluster.url}).returncode
    finally:
        cluster.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
