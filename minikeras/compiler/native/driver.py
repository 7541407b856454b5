"""Compile what runs programs: on one thread, or on a team that meets at barriers."""

import ctypes
import functools
from typing import Any, NamedTuple

from minikeras.compiler.native import llvm, team
from minikeras.compiler.native.records import walk


class Driver(NamedTuple):
    """The native entries; addresses are Python numbers."""

    run: Any
    """`(buffers, records)`: run a program on the calling thread; releases the GIL."""
    run_small: Any
    """Likewise, but keep the GIL: cheaper, for programs that take no longer than a few µs."""
    lead: Any
    """`(team, buffers, records)`: run a program as thread 0 of a team, which is true, or return
    false if another thread has the team; releases the GIL."""
    stop: Any
    """`(team)`: tell the workers to return, for good, or return false if the team is at work."""
    spin: Any
    """`(count)`: spin idly, to measure how long that takes."""
    worker: int
    """The address of what a worker does, given its line of the team's memory."""


@functools.cache
def driver() -> Driver:
    """Return the driver, compiled at the first call."""
    (begin,) = llvm.addresses([text()])
    entries = (ctypes.c_int64 * 5)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(begin)(ctypes.addressof(entries))
    alone, lead, stop, spin, worker = entries
    word = ctypes.c_void_p  # twice as fast as c_int64
    return Driver(
        run=ctypes.CFUNCTYPE(None, word, word)(alone),
        run_small=ctypes.PYFUNCTYPE(None, word, word)(alone),
        lead=ctypes.CFUNCTYPE(ctypes.c_int, word, word, word)(lead),
        stop=ctypes.CFUNCTYPE(ctypes.c_int, word)(stop),
        spin=ctypes.CFUNCTYPE(None, word)(spin),
        worker=worker,
    )


def text() -> str:
    """Write the module; its `@KERNEL` stores the addresses of the entries."""
    alone = walk("alone", "ptr %buffers, ptr %records", "", _WHOLE, "  br label %next")
    return f"{alone}\n{team.text()}\n{_ENTRIES}"


_WHOLE = """
  %begin = add i64 0, 0
  %limit = add i64 %units, 0"""

_ENTRIES = """
define void @KERNEL(ptr %entries) {
  store ptr @alone, ptr %entries
  %lead_at = getelementptr ptr, ptr %entries, i64 1
  store ptr @lead, ptr %lead_at
  %stop_at = getelementptr ptr, ptr %entries, i64 2
  store ptr @stop, ptr %stop_at
  %spin_at = getelementptr ptr, ptr %entries, i64 3
  store ptr @spin, ptr %spin_at
  %worker_at = getelementptr ptr, ptr %entries, i64 4
  store ptr @worker, ptr %worker_at
  ret void
}
"""
