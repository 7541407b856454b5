"""Measure memory: the peak of training steps, growth over 100,000 steps, and what idle threads do.

usage: python benchmarks/memory.py [--rival torch=PYTHON] [--threads 2] [--quick]

The peak is what training adds to a process that has already trained a tiny model, so that imports
do not count: weights, Adam's moments, gradients and what is kept between forward and backward
pass. "First" includes compiling. Linux only: the figures are those of /proc/self.
"""

import argparse
import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from frameworks.jobs import JOBS
from frameworks.modes import modes_of
from training import arguments, environment, interpreters

PEAKS = ("minikeras: fit", "minikeras: @function loop", "minikeras: eager loop", "torch: eager")


def megabytes(field):
    """Return a field of the process' status: VmRSS, what is resident; VmHWM, its peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def restart_peak():
    """Let the peak begin anew at what is resident now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def prepared(job, name, mode_name):
    """Return the job's `run(steps)` in a mode."""
    mode = modes_of(name)[mode_name]
    return importlib.import_module(f"frameworks.{mode.module}").prepare(job, mode)


def peak(name, mode_name, _quick):
    """Return megabytes that the first step, and later ones, take at most."""
    prepared(JOBS["mlp"]._replace(batch=8, steps=1, real=False), "mlp", mode_name)(1)
    restart_peak()
    before = megabytes("VmRSS")
    run = prepared(JOBS[name]._replace(steps=3, real=False), name, mode_name)
    run(1)
    first = megabytes("VmHWM") - before
    restart_peak()
    run(3)
    return first, megabytes("VmHWM") - before


def growth(name, mode_name, quick):
    """Return megabytes before many steps of the scalar function, and after."""
    run = prepared(JOBS[name], name, mode_name)
    run(1000)
    before = megabytes("VmRSS")
    run(1000 if quick else 100_000)
    return before, megabytes("VmRSS")


def idle(name, mode_name, _quick):
    """Return the share of one core that the process uses while it waits after training."""
    run = prepared(JOBS[name]._replace(steps=20, real=False), name, mode_name)
    run(20)
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(1)
    return (time.process_time() - before,)


MEASURES = {"peak": peak, "growth": growth, "idle": idle}


def measure(python, threads, quick, *what):
    """Return what a measure gives in a fresh process."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [python, __file__, "--child", json.dumps([*what, quick])],
            env=environment(threads, cache, {}), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments(parser)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measured, *what = args.child
        print(f"\n{json.dumps(MEASURES[measured](*what))}")
        return
    pythons = interpreters(args.rival)
    print("| job | mode | peak of the first step, MB | of later steps, MB |\n|---|---|--:|--:|")
    for name in ("wide", "cnn"):
        for mode in PEAKS:
            python = pythons.get(mode.split(":")[0])
            if python:
                found = measure(python, args.threads, args.quick, "peak", name, mode)
                print(f"| {name} | {mode} | {found[0]:.0f} | {found[1]:.0f} |", flush=True)
    share = (sys.executable, args.threads, args.quick)
    before, after = measure(*share, "growth", "scalar", "minikeras: @function loop")
    steps = "1,000" if args.quick else "100,000"
    print(f"\n{steps} scalar steps: {before:.1f} MB resident before, {after:.1f} MB after")
    (used,) = measure(*share, "idle", "mlp", "minikeras: fit")
    print(f"idle after training: {1e3 * used:.1f} ms of CPU time in a second")


if __name__ == "__main__":
    main()
