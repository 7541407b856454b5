"""Measure eager mode: what recording an op costs, and a custom loop against rivals.

usage: python benchmarks/eager.py [--rival NAME=PYTHON ...] [--repeats 7]

A rival is `tensorflow` or `torch` with an interpreter that has it, for example
`--rival tensorflow=/path/to/venv/bin/python`. The loop is the tutorial's linear regression: a
tape, an absolute error over eleven points, two gradients, two assignments. Runs of all candidates
are interleaved; ratios are taken run by run.
"""

import argparse
import statistics
import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np

from minikeras import tf

JOB = Path(__file__).with_name("linear_regression_job.py")


def overhead(repeats):
    """Print the time of recorded ops beyond that of the NumPy calls inside them."""
    print(f"{'op':10} {'recorded, µs':>13} {'NumPy, µs':>10} {'overhead, µs':>13}")
    x = tf.Variable(np.ones(11, np.float32))
    a = tf.constant(np.ones(11, np.float32))
    array, two = np.ones(11, np.float32), np.float32(2)
    cases = {
        "a + b": (lambda: a + a, lambda: np.add(array, array)),
        "a * b": (lambda: a * a, lambda: np.multiply(array, array)),
        "a * 2.0": (lambda: a * 2.0, lambda: np.multiply(array, two)),
        "x * a": (lambda: x * a, lambda: np.multiply(array, array)),
        "tanh(a)": (lambda: tf.tanh(a), lambda: np.tanh(array)),
        "sum(a)": (lambda: tf.reduce_sum(a), lambda: np.sum(array)),
    }
    for name, (ours, numpy) in cases.items():
        ours_us = [_recorded(ours, a) for _ in range(repeats)]
        numpy_us = [_microseconds(numpy) for _ in range(repeats)]
        a_us, b_us = statistics.median(ours_us), statistics.median(numpy_us)
        print(f"{name:10} {a_us:13.2f} {b_us:10.2f} {a_us - b_us:13.2f}")


def _recorded(function, watched, number=5000):
    with tf.GradientTape() as tape:
        tape.watch(watched)
        return _microseconds(function, number)


def _microseconds(function, number=5000):
    return timeit.timeit(function, number=number) / number * 1e6


def loops(rivals, repeats):
    """Print the time of one step of the loop for every candidate, and the ratios to ours."""
    times = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, python in rivals.items():
            run = subprocess.run(
                [python, str(JOB), name], capture_output=True, text=True, check=False
            )
            if run.returncode:
                sys.exit(f"{name}: the job failed.\n{run.stderr[-2000:]}")
            times[name].append(float(run.stdout.split()[-1]))
    print(f"\n{'linear regression':20} {'µs a step':>10} {'spread':>16} {'times ours':>11}")
    for name, values in times.items():
        ratio = statistics.median(
            v / ours for v, ours in zip(values, times["minikeras"], strict=True)
        )
        spread = f"{min(values):.0f}..{max(values):.0f}"
        print(f"{name:20} {statistics.median(values):10.1f} {spread:>16} {ratio:11.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    overhead(args.repeats)
    rivals = dict(rival.split("=", 1) for rival in args.rival)
    loops({"minikeras": sys.executable, **rivals}, args.repeats)


if __name__ == "__main__":
    main()
