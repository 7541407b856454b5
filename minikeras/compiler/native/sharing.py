"""Share a program among threads as long as that is quicker.

Where other processes want the cores too, a thread may be without one for milliseconds, and at each
barrier the others wait for it: a step of many small kernels then takes a hundred times as long as
on one thread, which waits for nobody. Results are the same either way. So runs are timed; after a
slow one the program stays on one thread for as long as that run took, or some multiple.
"""

import math
from time import perf_counter

from minikeras import config
from minikeras.compiler.native import threads

_SLACK = 5e-4  # seconds by which any run may be late: interrupts, other Python threads
_PATIENCE = 64  # how many times as long as a slow run to stay alone, at most
_SHORT = 0.05  # seconds that may be spent on finding out what one thread takes
_WEIGHT = 0.2  # of the newest run in the mean of those on one thread


class Sharing:
    """Run a program again and again, given the addresses of its buffers and of its records."""

    def __init__(self, buffers: int, records: int) -> None:
        self._program = buffers, records
        self._best = math.inf
        """Seconds of the quickest run on all threads."""
        self._alone = math.inf
        """Seconds of a run on one thread, in the mean of the last ones."""
        self._limit = -math.inf
        """Seconds beyond which, but for `_SLACK`, a run on all threads is a slow one."""
        self._until = -math.inf
        """When to try all threads again."""
        self._patience = 1.0
        """How many times as long as a slow run to stay alone; more if every tenth run is slow."""

    def run(self, turns: int = 1) -> None:
        """Run the program, which does its work so many times; what is learnt is for one time."""
        begin = perf_counter()
        alone = begin < self._until
        run = threads.run_alone if alone else threads.run
        run(*self._program)
        now = perf_counter()
        took = (now - begin) / turns
        if alone:
            self._was_alone(took)
        elif took > self._limit + _SLACK / turns:
            self._was_slow(now, now - begin, took)
        elif took < self._best or self._patience > 1:
            self._patience = max(0.9 * self._patience, 1)
            self._learn(min(self._best, took), self._alone)

    def _was_alone(self, took: float) -> None:
        if self._alone == math.inf:
            self._until = -math.inf
            self._learn(self._best, took)
        else:
            self._learn(self._best, self._alone + _WEIGHT * (took - self._alone))

    def _was_slow(self, now: float, run: float, took: float) -> None:
        if self._best == math.inf:  # the first run of all; the next one is to tell what to expect
            self._until = math.inf if run < _SHORT else now
        else:
            self._until = now + self._patience * run
            self._patience = min(4 * self._patience, _PATIENCE)
        self._learn(min(self._best, took), self._alone)

    def _learn(self, best: float, alone: float) -> None:
        self._best, self._alone = best, alone
        self._limit = min(1.5 * config.get_num_threads() * best, 1.2 * alone)
