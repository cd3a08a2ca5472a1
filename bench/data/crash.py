#!/usr/bin/env python3
"""Kills data commands and pipelines at random moments, hundreds of times, and looks for what was lost.

usage: bench/data/crash.py [--lathe PATH] [--rounds 300] [--seed N]

After each kill: every object of the cache and of the remote is what its name says, no list of a folder on the remote
names what is not there, every file of the workspace is the old one or the new one, whole. Then the same command must
complete it, `dvc status` finds nothing to do, and the workspace holds exactly what it should."""

import argparse
import collections
import contextlib
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIPELINE = """\
stages:
  split:
    cmd: mkdir -p parts && for i in 1 2 3; do echo "$i ${n}" > parts/$i; sleep 0.01; done
    params: [n]
    outs: [parts]
  each:
    foreach: [1, 2, 3]
    do:
      cmd: sleep 0.02; cat parts/${item} parts/${item} > out${item}.txt; head -c 300000 /dev/zero | tr '\\0' ${item} >> out${item}.txt
      deps: [parts]
      outs: ["out${item}.txt"]
  sum:
    cmd: cat out1.txt out2.txt out3.txt > sum.txt; printf '{"lines":%s}' $(wc -l < sum.txt) > metrics.json
    deps: [out1.txt, out2.txt, out3.txt]
    outs: [sum.txt]
    metrics:
    - metrics.json:
        cache: false
"""


class Marathon:
    def __init__(self, folder, binary, seed):
        self.at, self.binary, self.pick = folder, binary, random.Random(seed)
        self.store = folder.parent / "store"
        self.took = collections.defaultdict(lambda: 0.05)
        self.kills = collections.Counter()
        self.versions = []
        folder.mkdir()
        self.git("init", "-q")
        self.dvc("init", "-q")
        self.lathe("remote", "add", "-d", "store", str(self.store))
        (folder / "dvc.yaml").write_text(PIPELINE)
        (folder / "params.yaml").write_text("n: 0\n")
        for number in range(200):
            self.write(f"data/{number % 7}/{number:03}", self.pick.randbytes(self.pick.choice([0, 300, 3000])))
        self.write("data/large", self.pick.randbytes(6_000_000))
        self.lathe("add", "data")
        self.lathe("run")
        self.remember()

    def git(self, *args):
        subprocess.run(["git", *args], cwd=self.at, check=True, capture_output=True)

    def dvc(self, *args):
        from dvc.cli import main

        out, before = io.StringIO(), os.getcwd()
        os.chdir(self.at)
        try:
            with contextlib.redirect_stdout(out):
                ended = main(list(args))
        finally:
            os.chdir(before)
        assert ended == 0, f"dvc {args}: {ended}\n{out.getvalue()}"
        return out.getvalue()

    def lathe(self, *args):
        started = time.perf_counter()
        done = subprocess.run([self.binary, *args], cwd=self.at, capture_output=True, text=True)
        assert done.returncode == 0, f"lathe {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        # The middle of what was measured so far, so that one slow time does not spread the kills too thin.
        self.took[args[0]] = 0.7 * self.took[args[0]] + 0.3 * (time.perf_counter() - started)
        return done.stdout

    def killed(self, *args):
        process = subprocess.Popen(
            [self.binary, *args], cwd=self.at, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(self.pick.random() * self.took[args[0]] * 1.1)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            self.kills[args[0]] += 1

    def write(self, name, content):
        path = self.at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def files(self):
        top = self.at / "data"
        paths = [path for path in top.rglob("*") if path.is_file()] if top.exists() else []
        return {str(path.relative_to(top)): path.read_bytes() for path in paths}

    def remember(self):
        """A version of the data, to be checked out again."""
        self.versions = [*self.versions[-4:], ((self.at / "data.dvc").read_text(), self.files())]

    def all_whole(self):
        for top in [self.at / ".dvc/cache/files/md5", self.store / "files/md5"]:
            for path in top.rglob("*") if top.exists() else []:
                if path.is_file():
                    content, name = path.read_bytes(), path.parent.name + path.name
                    assert hashlib.md5(content).hexdigest() == name.removesuffix(".dir"), path
                    assert path.stat().st_mode & 0o777 == 0o444, path
                    if name.endswith(".dir") and self.store in path.parents:
                        for entry in json.loads(content):
                            assert (top / entry["md5"][:2] / entry["md5"][2:]).exists(), (path, entry)

    def in_order(self, want):
        """After the command was completed."""
        assert self.files() == want
        self.all_whole()
        assert "up to date" in self.dvc("status"), self.dvc("status")
        left = [*self.at.rglob(".lathe-staging-*"), *self.store.rglob(".lathe-staging-*")]
        assert not left, left

    def add(self):
        files = self.files()
        for name in self.pick.sample(sorted(files), 20):
            what = self.pick.random()
            if what < 0.2 and name != "large":
                (self.at / "data" / name).unlink()
            else:
                self.write(f"data/{name}", self.pick.randbytes(6_000_000 if name == "large" else 2000))
        self.write(f"data/new/{self.pick.randrange(10**6)}", self.pick.randbytes(500))
        want = self.files()
        self.killed("add", "data")
        assert self.files() == want
        self.all_whole()
        self.lathe("add", "data")
        self.in_order(want)
        self.remember()

    def push(self):
        for path in list(self.store.rglob("*.dir")):
            path.unlink()
        objects = [path for path in self.store.rglob("*") if path.is_file()]
        for path in self.pick.sample(objects, len(objects) // 2):
            path.unlink()
        self.killed("push")
        self.all_whole()
        self.lathe("push")
        assert "in sync" in self.dvc("status", "-c")
        self.in_order(self.files())

    def switch(self):
        """Both versions, file by file."""
        now = self.files()
        text, want = self.pick.choice(self.versions)
        (self.at / "data.dvc").write_text(text)
        return now, want

    def between(self, old, new):
        for name, content in self.files().items():
            assert content in (old.get(name), new.get(name)), name
        for name in old.keys() & new.keys():
            assert (self.at / "data" / name).exists(), name

    def checkout(self):
        now, want = self.switch()
        self.killed("checkout")
        self.between(now, want)
        self.all_whole()
        self.lathe("checkout")
        self.in_order(want)

    def pull(self):
        self.lathe("push")
        now, want = self.files(), self.files()
        shutil.rmtree(self.at / ".dvc/cache/files")
        if self.pick.random() < 0.5:
            shutil.rmtree(self.at / "data")
            now = {}
        self.killed("pull")
        self.between(now, want)
        self.all_whole()
        self.lathe("pull")
        self.in_order(want)
        # What the versions before had is gone with the cache.
        self.versions = []
        self.remember()

    def run(self):
        number = self.pick.randrange(6)
        (self.at / "params.yaml").write_text(f"n: {number}\n")
        jobs = ["-j", str(self.pick.choice([1, 2, 3]))]
        self.killed("run", *jobs)
        self.all_whole()
        self.lathe("run", *jobs)
        for part in "123":
            head = f"{part} {number}\n" * 2
            assert (self.at / f"out{part}.txt").read_text() == head + part * 300_000
        self.in_order(self.files())
        shown = self.lathe("status", "--json")
        assert json.loads(shown)["up_to_date"], shown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default=str(ROOT / "target/debug/lathe"))
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = parser.parse_args()
    top = pathlib.Path(tempfile.mkdtemp(prefix="crash-data-"))
    for name in ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"]:
        os.environ[name] = str(top / name.lower())
    os.environ |= {"DVC_NO_ANALYTICS": "1", "DVC_TEST": "1"}
    print(f"seed {args.seed}, in {top}", flush=True)
    marathon = Marathon(top / "project", args.lathe, args.seed)
    acts = [marathon.add, marathon.push, marathon.checkout, marathon.pull, marathon.run]
    for number in range(args.rounds):
        act = acts[number % len(acts)]
        try:
            act()
        except BaseException:
            print(f"round {number}: {act.__name__}; the project stays in {top}", flush=True)
            raise
        if number % 50 == 49:
            print(f"{number + 1} rounds, killed in time: {dict(marathon.kills)}", flush=True)
    print(f"{args.rounds} rounds, {marathon.kills.total()} killed before they ended: {dict(marathon.kills)}; nothing lost")
    shutil.rmtree(top)


if __name__ == "__main__":
    sys.exit(main())
