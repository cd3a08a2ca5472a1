"""Pipelines of many stages, `dvc` and `lathe` side by side in one run, with the machine's own floor.

    python bench/pipeline/run.py [--lathe BINARY] [--dvc-stages N] [--sizes 500,1000,2000,5000]

The floor is what spawning the same shells costs. A full run of `dvc` takes minutes for 500 stages, because it parses and
writes the whole lock after each; `--dvc-stages` measures fewer, whose cost per stage is then a lower bound.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A chain every so many stages, so that there is something to wait for and something to do at once.
CHAINS = 20


def project(folder, stages):
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc = folder / ".dvc"
    (dvc / "tmp").mkdir(parents=True)
    (dvc / "config").write_text("[core]\n    analytics = false\n")
    (dvc / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (dvc / "tmp/btime").write_text("")
    (folder / "src.txt").write_text("source\n")
    lines = ["stages:"]
    for number in range(stages):
        dep = "src.txt" if number < CHAINS else f"out/{number - CHAINS}.txt"
        lines += [
            f"  stage-{number}:",
            f"    cmd: cat {dep} > out/{number}.txt && echo {number} >> out/{number}.txt",
            "    deps:",
            f"    - {dep}",
            "    params:",
            "    - seed",
            "    outs:",
            f"    - out/{number}.txt",
        ]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "out").mkdir()
    return folder


def timed(command, cwd):
    """Seconds and the most memory in MiB."""
    env = {**os.environ, "SHELL": "/bin/sh", "DVC_NO_ANALYTICS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command}: {complaint.decode()}"
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def best(times, command, cwd):
    return min(timed(command, cwd)[0] for _ in range(times))


def spawn(count, jobs):
    """Seconds to spawn so many shells with the same command, so many at once."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "src.txt").write_text("source\n")
        script = f"seq {count} | xargs -P {jobs} -I@ /bin/sh -c 'cat src.txt > @.txt && echo @ >> @.txt'"
        return timed(["/bin/sh", "-c", script], folder)[0]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lathe", default=str(ROOT / "target/release/lathe"))
    arguments.add_argument("--dvc-stages", type=int, default=60)
    arguments.add_argument("--sizes", default="500,1000,2000,5000")
    given = arguments.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    lathe, dvc = given.lathe, [sys.executable, "-m", "dvc"]
    work = pathlib.Path(tempfile.mkdtemp(prefix="bench-pipeline-"))
    try:
        print("| stages | full run -j 2 (s) | ms a stage | floor: same shells (s) | of floor | no-op (ms) | peak MiB |")
        print("|---|---|---|---|---|---|---|")
        for size in sizes:
            folder = project(work / f"lathe-{size}", size)
            full, memory = timed([lathe, "run", "-j", "2"], folder)
            idle = best(3, [lathe, "run"], folder)
            floor = spawn(size, 2)
            print(
                f"| {size} | {full:.2f} | {1000 * full / size:.2f} | {floor:.2f} | {full / floor:.2f} x"
                f" | {1000 * idle:.0f} | {memory:.0f} |",
                flush=True,
            )
        first = sizes[0]
        folder = work / f"lathe-{first}"
        theirs = timed([*dvc, "repro"], folder)[0]
        ours = best(5, [lathe, "run"], folder)
        print(f"\nno-op run of {first} stages: dvc {theirs:.2f} s, lathe {1000 * ours:.0f} ms: {theirs / ours:.0f} x")
        few = given.dvc_stages
        their_folder = project(work / "few-dvc", few)
        our_folder = project(work / "few-lathe", few)
        theirs, start = timed([*dvc, "repro"], their_folder)[0], timed([*dvc, "--version"], their_folder)[0]
        ours = timed([lathe, "run", "-j", "2"], our_folder)[0]
        assert (their_folder / "dvc.lock").read_bytes() == (our_folder / "dvc.lock").read_bytes()
        print(f"full run of {few} stages: dvc {theirs:.2f} s, lathe {ours:.2f} s: {theirs / ours:.0f} x, locks equal")
        full = timed([lathe, "run", "-j", "2", "--force", "--no-run-cache"], folder)[0]
        bound = (theirs - start) / few * first
        print(f"full run of {first} stages: lathe {full:.2f} s, dvc at least {bound:.0f} s by its cost a stage: {bound / full:.0f} x")
        small = project(work / "start", 1)
        timed([lathe, "run"], small)
        print(f"no-op start, one stage: {1000 * best(10, [lathe, 'status'], small):.1f} ms")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
