"""Let reading threads wait while native code of another thread writes over Variables' values.

Native code that changes a Variable writes over the array of its value if nobody else holds it, and
other Python threads go on meanwhile. So a run first enters `writers` and then counts who holds the
arrays; a reader first takes the value and then looks at `writers`. One of them sees the other: the
run leaves the array as it is, or the reader waits for its end.
"""

import time
from collections.abc import Sequence
from typing import Any

writers: set["Writer"] = set()
"""Those at work now."""

_PAUSE = 2e-5


class Writer:
    """What changes some Variables again and again, at one time in one thread.

    Args:
        variables: what it changes.
        lock: what it holds meanwhile; a thread may take it twice.
    """

    __slots__ = ("_lock", "keys", "runs")

    def __init__(self, variables: Sequence[Any], lock: Any) -> None:
        self.keys = {variable.key for variable in variables}
        self.runs = 0
        """How many runs are over."""
        self._lock = lock

    def wait(self) -> None:
        """Return when the run that goes on is over; at once if it is this thread's own.

        An interrupt may have left this among the writers; then nobody has the lock.
        """
        runs = self.runs
        while self in writers and self.runs == runs:
            if self._lock.acquire(blocking=False):
                self._lock.release()
                return
            time.sleep(_PAUSE)


def wait(variables: Sequence[Any]) -> None:
    """Return when no run that was going on writes over the values of `variables` any more."""
    for writer in tuple(writers):
        if any(variable.key in writer.keys for variable in variables):
            writer.wait()
