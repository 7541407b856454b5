"""Time a prepared job."""

import math
import statistics
import time


class SkipError(Exception):
    """This machine lacks what a mode needs; the message says what."""


def seconds(run, steps):
    """Return the seconds that so many steps take, and what they return."""
    start = time.perf_counter()
    value = run(steps)
    return time.perf_counter() - start, value


def median_seconds(run, job):
    """Return the first loss, the last one, and the median seconds of up to three runs of a job."""
    first = run(1)
    run(job.warm)
    times = []
    while len(times) < 3 and sum(times) < 5:
        elapsed, last = seconds(run, job.steps)
        times.append(elapsed)
    return first, last, statistics.median(times)


def fastest(runs, steps):
    """Return that of several ways to do a job which is the fastest."""
    for run in runs:
        run(steps)
    return min(runs, key=lambda run: min(seconds(run, steps)[0] for _ in range(2)))


def check(job, first, last):
    """Refuse to time what is broken: a loss that is no number, or does not fall."""
    trained = job.trains and job.timed == "steps"
    if not math.isfinite(last) or (trained and not last < first):
        raise ValueError(f"expected a finite loss that falls, got {first} first, {last} last.")
