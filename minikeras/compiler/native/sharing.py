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
        self._until = 0.0
        """When to try all threads again."""
        self._patience = 1.0
        """How many times as long as a slow run to stay alone; more if every tenth run is slow."""

    def run(self) -> None:
        """Run the program."""
        begin, known = perf_counter(), self._alone < math.inf
        if begin < self._until or (self._best < _SHORT and not known):
            threads.run_alone(*self._program)
            took = perf_counter() - begin
            self._alone = self._alone + _WEIGHT * (took - self._alone) if known else took
            return
        threads.run(*self._program)
        end = perf_counter()
        took = end - begin
        if took > min(1.5 * config.get_num_threads() * self._best, 1.2 * self._alone) + _SLACK:
            self._until = end + self._patience * took
            self._patience = min(4 * self._patience, _PATIENCE)
        else:
            self._patience = max(0.9 * self._patience, 1)
        self._best = min(self._best, took)
