"""Run one job in one mode and print the result as JSON; `training.py` starts it.

arguments: JOB MODE SIZE THREADS STARTED, where SIZE is `quick` or `whole`, STARTED the time of the
start of the process in seconds since 1970.
"""

import importlib
import json
import os
import sys
import time


def main(name, mode_name, size, threads, started):
    if hasattr(os, "sched_setaffinity"):  # frameworks ask for it when they are imported
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    from frameworks import jobs, modes, timing

    job, mode = jobs.JOBS[name].sized(size == "quick"), modes.modes_of(name)[mode_name]
    try:
        run = importlib.import_module(f"frameworks.{mode.module}").prepare(job, mode)
        first, last, seconds = measured(timing, run, job, float(started))
    except timing.SkipError as reason:
        return {"skipped": str(reason)}
    timing.check(job, first, last)
    return {"first": first, "last": last, "seconds": seconds, "versions": versions()}


def measured(timing, run, job, started):
    """Return the first loss, the last one, and seconds."""
    if job.timed == "start":
        loss = run(1)
        return loss, loss, time.time() - started
    if job.timed == "first":
        slow, first = timing.seconds(run, 1)
        quick, last = timing.seconds(run, 1)
        return first, last, slow - quick
    return timing.median_seconds(run, job)


def versions():
    """Return the versions of what was imported."""
    names = "minikeras llvmlite numpy keras tensorflow torch jax".split()
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in names}
    return {name: version for name, version in found.items() if version}


if __name__ == "__main__":
    result = main(*sys.argv[1:])
    print("\n" + json.dumps(result))
