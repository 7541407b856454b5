"""Time `import minikeras` against `import numpy`, each in fresh interpreters.

The runs alternate, so that a slow spell of the machine hits both alike.
"""

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = ("import numpy", "import minikeras")


def seconds(statement):
    """Return how long a fresh interpreter takes to run `statement` and end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def measure(repeats):
    """Return `{statement: [milliseconds, ...]}` of interleaved runs, file caches warmed before."""
    for statement in STATEMENTS:
        seconds(statement)
    times = {statement: [] for statement in STATEMENTS}
    for _ in range(repeats):
        for statement in STATEMENTS:
            times[statement].append(1e3 * seconds(statement))
    return times


def main():
    """Print medians, spread, difference and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=21, help="runs of each statement, >= 15")
    repeats = parser.parse_args().repeats
    if repeats < 15:
        parser.error(f"--repeats: expected at least 15, got {repeats}.")
    times = measure(repeats)
    print(f"{'statement':<18}{'median':>10}{'quartiles':>20}{'min .. max':>20}   ({repeats} runs)")
    for statement, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        quartiles, ends = f"{low:.1f} .. {high:.1f}", f"{min(values):.1f} .. {max(values):.1f}"
        print(f"{statement:<18}{middle:>7.1f} ms{quartiles:>20}{ends:>20}")
    base, ours = (statistics.median(times[statement]) for statement in STATEMENTS)
    print(f"minikeras adds {ours - base:.1f} ms, {ours / base:.2f} times import numpy")


if __name__ == "__main__":
    main()
