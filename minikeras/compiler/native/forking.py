"""Let a fork wait until no compiled call is halfway.

Only the thread that forks lives on in the child: a lock that another one had would stay taken
there for ever, and values that it was writing would stay half written.
"""

import itertools
import os
import threading
import weakref
from typing import Any

_made: weakref.WeakValueDictionary[tuple[bool, int], Any] = weakref.WeakValueDictionary()
_number = itertools.count().__next__
_held: list[Any] = []


def lock(*, inner: bool) -> Any:
    """Return a lock that a thread may take twice; who has an `inner` one takes no outer one."""
    new = threading.RLock()
    _made[inner, _number()] = new
    return new


def _before_fork() -> None:
    found = [(ref.key[0], each) for ref in _made.valuerefs() if (each := ref()) is not None]
    for _, each in sorted(found, key=lambda pair: (pair[0], id(pair[1]))):  # as who needs several
        each.acquire()
        _held.append(each)


def _after_fork() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
