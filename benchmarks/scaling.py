"""Measure how the cost of `fit` grows with batch, parameters, threads and other load.

usage: python benchmarks/scaling.py [--threads 2] [--repeats 5] [--quick]
"""

import argparse
import contextlib
import gc
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from frameworks import keras_api
from frameworks.jobs import JOBS, Job, weights
from frameworks.modes import modes_of
from frameworks.timing import check, median_seconds
from training import Bench, interpreters

import minikeras as keras

FIT = modes_of("mlp")["minikeras: fit"]
BATCHES = (8, 32, 128, 512, 2048, 8192)
WIDTHS = (25, 94, 310, 990, 3_155, 9_990)  # of two layers, with about 10^3 to 10^8 parameters


def step_seconds(job):
    """Return the seconds of one step of `fit`."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        first, last, seconds = median_seconds(keras_api.prepare(job, FIT), job)
    check(job, first, last)
    gc.collect()
    return seconds / job.steps


def by_batch(*, quick):
    """Print the cost of a sample for growing batches."""
    print("| batch of the MLP | ms a step | µs a sample |\n|--:|--:|--:|")
    for batch in BATCHES[:3] if quick else BATCHES:
        steps = 4 if quick else max(8, 32_768 // batch)
        job = JOBS["mlp"]._replace(batch=batch, steps=steps, warm=steps, real=False)
        seconds = step_seconds(job)
        print(f"| {batch:,} | {1e3 * seconds:.3f} | {1e6 * seconds / batch:.3f} |", flush=True)


def by_parameters(*, quick):
    """Print the cost of a parameter for growing layers."""
    print("\n| parameters, batch 32 | ms a step | ns a parameter |\n|--:|--:|--:|")
    for width in WIDTHS[:3] if quick else WIDTHS:
        layers = (("dense", width), ("dense", 10))
        steps = 4 if quick else max(3, min(300, 10**7 // width**2))
        job = Job("s", steps, steps, layers, (width,), 32, learning_rate=0.01 / width)
        count = sum(array.size for array in weights(job))
        seconds = step_seconds(job)
        print(f"| {count:,} | {1e3 * seconds:.3f} | {1e9 * seconds / count:.3f} |", flush=True)


def by_threads(threads, repeats, *, quick):
    """Print how much faster the convnet trains on several threads than on one, in pairs of runs."""
    JOBS["cnn"] = JOBS["cnn"].sized(quick)
    bench, mode = Bench(interpreters([]), threads=threads, quick=quick), modes_of("cnn")[FIT.name]
    times = {1: [], threads: []}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(repeats):
            for count, values in times.items():
                result = bench.run("cnn", mode, cache, threads=count)
                if result is None:
                    sys.exit("\n".join(bench.notes))
                values.append(result["seconds"])
    print("\n| threads, convnet | s an epoch | times faster |\n|--:|--:|--:|")
    for count, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[1], values, strict=True))
        print(f"| {count} | {statistics.median(values):.3f} | {ratio:.2f} |")


@contextlib.contextmanager
def busy(count):
    """Let so many processes compete for the cores."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def by_load(threads, *, quick):
    """Print what a step takes where other processes want the cores too."""
    print(
        f"\n| busy processes beside the MLP | ms a step on 1 thread | on {threads} |\n|--:|--:|--:|"
    )
    job = JOBS["mlp"]._replace(real=False, steps=4 if quick else 2000, warm=4 if quick else 500)
    for count in (0, 1, 2, 4):
        seconds = []
        for number in (1, threads):
            keras.config.set_num_threads(number)
            with busy(count):
                seconds.append(step_seconds(job))
        print("|", count, *(f"| {1e3 * each:.3f}" for each in seconds), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see whether it runs")
    args = parser.parse_args()
    by_threads(args.threads, args.repeats, quick=args.quick)
    print()
    keras.config.set_num_threads(args.threads)
    by_batch(quick=args.quick)
    by_parameters(quick=args.quick)
    by_load(args.threads, quick=args.quick)


if __name__ == "__main__":
    main()
