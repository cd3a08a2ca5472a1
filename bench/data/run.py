#!/usr/bin/env python3
"""Measures data commands side by side with `dvc` and with what the machine can do at best, in one run.

usage: bench/data/run.py [--lathe PATH] [--files 20000] [--big-mib 2048] [--no-dvc]

Each line: seconds of lathe, of dvc, of the floor; the ratio to each; the wanted ratios. Floors: `cp` of the same files by
as many processes as cores (for what writes them), md5 of the same bytes plus one copy (for the big file: MD5 goes through a
file from its beginning to its end, so one core computes it).
What goes into a cache or a remote is on the disk when lathe says so; `dvc` and `cp` leave that to the kernel. So a second
floor is the same `cp` and `sync`."""

import argparse
import hashlib
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORES = os.cpu_count() or 1


def timed(act):
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def run(*args, cwd):
    done = subprocess.run(args, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}"


def copy_part(part):
    for source, target in part:
        with open(source, "rb") as read, open(target, "wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)


def md5_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def copy_all(source, target):
    """`cp` on all cores."""
    pairs = []
    for at, _, files in os.walk(source):
        inside = pathlib.Path(target) / os.path.relpath(at, source)
        inside.mkdir(parents=True, exist_ok=True)
        pairs.extend((os.path.join(at, name), str(inside / name)) for name in files)
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        pool.map(copy_part, [pairs[i::CORES] for i in range(CORES)])


def fill(folder, count):
    for i in range(count):
        if i % 200 == 0:
            at = folder / f"{i // 200:04}"
            at.mkdir(parents=True)
        (at / f"{i:06}").write_bytes(i.to_bytes(4, "big") + os.urandom(4092))


class Bench:
    def __init__(self, args):
        self.lathe = args.lathe
        self.dvc = None if args.no_dvc else str(ROOT / "target/py/bin/dvc")

    def line(self, name, ours, theirs=None, floor=None, wanted=""):
        show = lambda value: f"{value:8.3f}" if value is not None else " " * 8  # noqa: E731
        ratio = f"{theirs / ours:7.1f} x dvc" if theirs else " " * 13
        floors = f"{ours / floor:6.2f} x floor" if floor else ""
        print(f"{name:34}{show(ours)} {show(theirs)} {show(floor)}  {ratio} {floors:16} {wanted}", flush=True)


def project(folder):
    folder.mkdir()
    run("git", "init", "-q", cwd=folder)
    run(str(ROOT / "target/py/bin/dvc"), "init", "-q", cwd=folder)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default=str(ROOT / "target/release/lathe"))
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--big-mib", type=int, default=2048)
    parser.add_argument("--no-dvc", action="store_true")
    parser.add_argument("--folder", help="where to work; a temporary folder if absent")
    args = parser.parse_args()
    bench = Bench(args)
    top = pathlib.Path(tempfile.mkdtemp(prefix="bench-data-", dir=args.folder))
    os.environ["DVC_SITE_CACHE_DIR"] = str(top / "site")
    try:
        measure(bench, top, args)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def measure(bench, top, args):
    source = top / "source"
    fill(source, args.files)
    tools = {"lathe": [bench.lathe]} | ({"dvc": [bench.dvc]} if bench.dvc else {})
    print(f"{'':34}{'lathe':>8} {'dvc':>8} {'floor':>8}   {args.files} files of 4 KiB, {CORES} cores")
    start = min(timed(lambda: run(bench.lathe, "remote", "list", cwd=top)) for _ in range(10))
    bench.line("start of a command that does nothing", start, wanted="< 0.010 s")
    places = {name: project(top / name) for name in tools}
    took = {}
    for name, tool in tools.items():
        at, store = places[name], top / f"store-{name}"
        shutil.copytree(source, at / "data")
        run(*tool, "remote", "add", "-d", "store", str(store), cwd=at)

        def step(what, *command, name=name, tool=tool, at=at):
            # What the step before left to the kernel is not this one's.
            os.sync()
            took.setdefault(what, {})[name] = timed(lambda: run(*tool, *command, cwd=at))

        step("add", "add", "data")
        step("add again", "add", "data")
        step("status", "status")
        step("status again", "status")
        one = at / "data/0001/000200"
        kept = one.read_bytes()
        one.write_bytes(b"changed")
        step("status, one changed", "status")
        one.write_bytes(kept)
        step("push", "push")
        step("push again", "push")
        # Moved away, not removed: a filesystem that has just removed many files makes new ones more slowly, and the
        # floor has not removed any.
        (at / "data").rename(top / f"gone-{name}-1")
        step("checkout", "checkout")
        (at / "data").rename(top / f"gone-{name}-2")
        (at / ".dvc/cache").rename(top / f"gone-{name}-3")
        step("pull", "pull")
    os.sync()
    floors = []
    for i in range(2):
        os.sync()
        copied = timed(lambda i=i: copy_all(source, top / f"floor{i}"))
        floors.append((copied, copied + timed(os.sync)))
    floor, forced = map(min, zip(*floors))
    reads, writes = "wanted 20 x dvc", "wanted 5 x dvc, 1.3 x floor"
    for what, both in took.items():
        is_write = what in ("add", "push", "checkout", "pull")
        # A pull writes the files twice: into the cache and into the workspace.
        at_best = floor * (2 if what == "pull" else 1) if is_write else None
        bench.line(what, both["lathe"], both.get("dvc"), at_best, writes if is_write else reads)
        if what in ("add", "push", "pull"):
            durable = forced + (floor if what == "pull" else 0)
            bench.line("  as durable as that", both["lathe"], None, durable)
    for path in [*top.glob("floor*"), *top.glob("gone-*")]:
        shutil.rmtree(path)
    for name in tools:
        shutil.rmtree(places[name] / "data")
        shutil.rmtree(places[name] / ".dvc/cache")
        shutil.rmtree(top / f"store-{name}")
    os.sync()
    if args.big_mib:
        big(bench, top, args.big_mib, tools, places)


def big(bench, top, mib, tools, places):
    block = os.urandom(1 << 20)
    original = top / "big"
    with open(original, "wb") as file:
        for i in range(mib):
            file.write(i.to_bytes(4, "big") + block[4:])
    took = {}
    for name, tool in tools.items():
        os.sync()
        os.rename(original, places[name] / "big")
        took[name] = timed(lambda: run(*tool, "add", "big", cwd=places[name]))  # noqa: B023
        os.rename(places[name] / "big", original) if name != list(tools)[-1] else None
        original = original if original.exists() else places[name] / "big"
    os.sync()
    copied = timed(lambda: shutil.copyfile(original, top / "copy"))
    synced = timed(os.sync)
    hashed = timed(lambda: md5_of(original))
    name = f"add one file of {mib} MiB"
    bench.line(name, took["lathe"], took.get("dvc"), copied + hashed, "wanted 1.2 x floor (md5 + copy)")
    bench.line("  as durable as that", took["lathe"], None, copied + hashed + synced)


if __name__ == "__main__":
    sys.exit(main())
