"""Time training and prediction against rivals, each run in a fresh process, and print a table.

usage: python benchmarks/training.py [--rival NAME=PYTHON ...] [--jobs mlp,cnn] [--rivals PATTERN]
       [--repeats 5] [--threads 2] [--quick]

A rival is `tensorflow`, `torch` or `jax` with an interpreter that has it, Keras too, for example
`--rival jax=/path/to/venv/bin/python`; hand-written NumPy is always one. All modes of a job begin
with the same weights, see the same batches and must report the same first loss; their losses must
fall; predictions must agree. Before every run of a rival there is one of ours: ratios are taken
within these pairs. Other work on the machine spoils the times of whatever runs on several threads,
tenfold for short steps, so the load at the start is printed. Compilation and first steps are left
out, but in the jobs `start_*` and `compile_*`.

mlp, mlp32: 784-128-10, Adam, an epoch of 59,904 or 60,000 images in batches of 128 or 32
cnn: the convnet of Keras' introduction, Adam, batch 128, 12,800 images
wide: 1024-4096-4096-10, Adam, batch 256, 10 steps
tutorial_mnist: a tape step on the model of TensorFlow's tutorial for Keras users, batch 128
predict_cnn: predict 10,000 images in batches of 32, and in the fastest of 64 to 512
one_mlp, one_cnn: call the model with one sample
scalar, scalar_loop: a step of the tutorial's linear regression, from Python and in a native loop
start_mlp: from the process' start to the end of the first step; cold is without compiled code
start_cnn: likewise, to the end of the first batch trained, evaluated and predicted
compile_cnn: how much longer the first of these three calls are than the second

`fit` and `predict` run with their defaults: shuffling, progress bar; accuracy is the metric. Loops
get batches that were cut beforehand, as tensors of their framework.
"""

import argparse
import collections
import datetime as dt
import fnmatch
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from frameworks.jobs import JOBS
from frameworks.modes import modes_of

JOB = Path(__file__).with_name("training_job.py")
LIMIT = 900  # seconds for one process
SCALES = {"s": 1, "ms": 1e3, "µs": 1e6}
THREAD_VARIABLES = """
    MINIKERAS_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NPROC
    TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS
""".split()


def environment(threads, cache, settings):
    """Return the environment of a process that runs a job."""
    own = {"MINIKERAS_CACHE_DIR": cache, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | own | settings


class Bench:
    """Start processes, and remember what they said of versions and what went wrong."""

    def __init__(self, pythons, *, threads=2, quick=False):
        self.pythons, self.threads, self.size = pythons, threads, "quick" if quick else "whole"
        self.versions, self.notes = {}, []

    def modes(self, name, patterns=("*",)):
        """Return the modes of a job that can run here: all of ours, rivals of these patterns."""
        return [
            mode
            for mode in modes_of(name).values()
            if mode.who in self.pythons
            and (mode.who == "minikeras" or any(fnmatch.fnmatch(mode.name, p) for p in patterns))
        ]

    def run(self, name, mode, cache, threads=None):
        """Return the result of one process; None, and a note, if there is none."""
        threads = threads or self.threads
        command = [self.pythons[mode.who], str(JOB), name, mode.name, self.size]
        try:
            done = subprocess.run(
                [*command, str(threads), str(time.time())],
                env=environment(threads, cache, mode.env), timeout=LIMIT,
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return self._note(name, mode, f"failed: took longer than {LIMIT} s")
        except subprocess.CalledProcessError as error:
            return self._note(name, mode, f"failed: {error.stderr.strip()[-300:]}")
        result = json.loads(done.stdout.splitlines()[-1])
        if "skipped" in result:
            return self._note(name, mode, f"skipped: {result['skipped']}")
        self.versions |= result["versions"]
        return result

    def _note(self, name, mode, what):
        self.notes.append(f"{name}, {mode.name} {what}")

    def measure(self, name, patterns, repeats, cache):
        """Return `{mode name: [(our seconds, its seconds), ...]}`, ours run before each rival."""
        base, *others = self.modes(name, patterns)
        pairs = collections.defaultdict(list)
        working = others if JOBS[name].timed == "steps" else self._warmed(name, base, others, cache)
        for _ in range(repeats):
            for mode in list(working) or [None]:
                ours = self._fresh(name, base, cache)
                if ours is None:
                    return pairs
                pairs[base.name].append((ours["seconds"], ours["seconds"]))
                theirs = mode and self._fresh(name, mode, cache)
                if theirs:
                    self._compare(name, mode, ours, theirs)
                    pairs[mode.name].append((ours["seconds"], theirs["seconds"]))
                elif mode:
                    working = [other for other in working if other is not mode]
        return pairs

    def _warmed(self, name, base, others, cache):
        """Run every mode once unseen, to fill the file system's caches and ours."""
        self.run(name, base, cache)
        return [mode for mode in others if self.run(name, mode, cache)]

    def _fresh(self, name, mode, cache):
        """Run a mode, with a cache of its own if it is to begin cold."""
        if not mode.cold:
            return self.run(name, mode, cache)
        with tempfile.TemporaryDirectory() as empty:
            return self.run(name, mode, empty)

    def _compare(self, name, mode, ours, theirs):
        """Note a first loss, or predictions, that differ from ours."""
        job = JOBS[name]
        a, b = (result["first" if job.trains else "last"] for result in (ours, theirs))
        if not math.isclose(a, b, rel_tol=job.tolerance):
            self._note(name, mode, f"failed: it computes {b:.6g}, ours {a:.6g}")


def rows(name, pairs):
    """Yield the lines of the table for a job."""
    job = JOBS[name]
    scale = SCALES[job.unit.split()[0]] / (1 if job.unit == "s" else job.steps)
    for mode, found in pairs.items():
        values = [scale * theirs for _, theirs in found]
        ratio = statistics.median(theirs / ours for ours, theirs in found)
        spread = f"{_digits(min(values))}..{_digits(max(values))}"
        middle = _digits(statistics.median(values))
        yield f"| {name} | {mode} | {middle} {job.unit} | {spread} | {ratio:.2f} | {len(values)} |"


def _digits(value):
    """Write a number with three digits that count."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"


def machine(threads, versions, load):
    """Return the lines that say where and when this was measured, and how busy others were."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    names = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores, {threads} threads, "
        f"load {load:.1f} at the start, {platform.system()}, Python {platform.python_version()}, "
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}\n{names}"
    )


def arguments(parser):
    """Add the options of all scripts with rivals."""
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see whether it runs")


def interpreters(rivals):
    """Return `{framework: interpreter}`."""
    own = dict.fromkeys(("minikeras", "numpy"), sys.executable)
    return own | dict(rival.split("=", 1) for rival in rivals)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments(parser)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", default=",".join(JOBS), help="names, with commas between them")
    parser.add_argument(
        "--rivals", default="*", help="which of their modes: 'torch: *,*Keras fit*'; '' for none"
    )
    args = parser.parse_args()
    bench = Bench(interpreters(args.rival), threads=args.threads, quick=args.quick)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    print("| job | mode | median | min..max | times ours | runs |\n|---|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as cache:
        for name in args.jobs.split(","):
            JOBS[name] = JOBS[name].sized(args.quick)
            pairs = bench.measure(name, args.rivals.split(","), args.repeats, cache)
            print(*rows(name, pairs), sep="\n", flush=True)
    print(f"\n{machine(args.threads, bench.versions, load)}")
    print(*bench.notes, sep="\n")
    sys.exit(any("failed" in note for note in bench.notes))


if __name__ == "__main__":
    main()
