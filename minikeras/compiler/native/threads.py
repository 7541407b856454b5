"""Run programs: on the calling thread, or on a team with workers that wait for work.

Workers are made by the system's own `pthread_create`: they never touch Python, so they need
neither the GIL nor a place in `threading`, which would wait for them at exit before they could be
told to go. One program at a time has the team; whoever finds it taken runs alone. Native code
takes and releases it, so that no interrupt can come in between.
"""

import atexit
import collections
import contextlib
import ctypes
import functools
import itertools
import logging
import operator
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from minikeras import config
from minikeras.compiler.native import team
from minikeras.compiler.native.driver import driver

_SPIN_SECONDS = 80e-6  # between the steps of a training loop workers need not be woken up
_STACK = 2 << 20  # beyond what the system gives: kernels may keep scratch there
_OBJECT = 256  # bytes, more than any system's pthread_attr_t needs

_logger = logging.getLogger(__name__)
_hiring = threading.RLock()  # a signal handler may fork while its own thread starts workers
_team: "Team | None" = None
_over = False  # the interpreter is on its way out: start no more workers


def run(buffers: int, records: int) -> None:
    """Run a program on all threads, given the addresses of its buffers and of its records."""
    hired = _team if _team and _team.threads == config.get_num_threads() else _hired()
    if not hired or not hired.run(buffers, records):
        run_alone(buffers, records)


def run_alone(buffers: int, records: int) -> None:
    """Run a program on the calling thread."""
    driver().run(buffers, records)


class Team:
    """A number of threads: the one that calls `run`, and workers, which go with the last reference.

    An interrupt may come between any two lines, but not while `_joined` moves on.

    Raises:
        OSError: The system refuses so many threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._native = driver()
        size = team.COUNTERS + team.LINE * threads
        self._memory = ctypes.create_string_buffer(size + team.LINE)
        start = ctypes.addressof(self._memory)
        self.address = start + -start % team.LINE
        self._workers = [ctypes.c_void_p() for _ in range(1, threads)]
        started = filter(operator.attrgetter("value"), self._workers)
        self._joined = map(_system().pthread_join, started, itertools.repeat(None))
        self._prepare()
        with _stack() as attributes, _no_signals():
            for number, worker in enumerate(self._workers, 1):
                self._start(worker, number, attributes)

    def run(self, buffers: int, records: int) -> bool:
        """Run a program on all threads, or return False if one is running."""
        return bool(self._native.lead(self.address, buffers, records))

    def stop(self) -> bool:
        """Let the workers return, and wait until they have; return False if they are at work."""
        if not self._native.stop(self.address):
            return False
        collections.deque(self._joined, maxlen=0)
        return True

    __del__ = stop

    def _prepare(self) -> None:
        system = _system()
        words = {
            team.THREADS: self.threads,
            team.SPINS: _spins(),
            team.LOCK: _address(system.pthread_mutex_lock),
            team.UNLOCK: _address(system.pthread_mutex_unlock),
            team.SLEEP: _address(system.pthread_cond_wait),
            team.WAKE: _address(system.pthread_cond_broadcast),
        }
        for place, word in words.items():
            self._set(place, word)
        _check(system.pthread_mutex_init(ctypes.c_void_p(self.address + team.MUTEX), None))
        _check(system.pthread_cond_init(ctypes.c_void_p(self.address + team.CONDITION), None))

    def _start(self, worker: ctypes.c_void_p, number: int, attributes: Any) -> None:
        line = team.COUNTERS + team.LINE * number
        self._set(line + team.NUMBER, number)
        self._set(line + team.TEAM, self.address)
        function = ctypes.c_void_p(self._native.worker)
        argument = ctypes.c_void_p(self.address + line)
        create = _system().pthread_create
        error = create(ctypes.byref(worker), attributes, function, argument)
        if error:
            worker.value = None
        _check(error)

    def _set(self, place: int, word: int) -> None:
        ctypes.c_int64.from_address(self.address + place).value = word


def _hired() -> Team | None:
    """Return a team of the size that is asked for now; None if there is no more than one thread."""
    global _team
    threads = config.get_num_threads()
    with _hiring:
        if _team and _team.threads == threads:
            return _team
        if not _dismissed() or threads == 1 or os.name != "posix" or _over:
            return None
        try:
            _team = Team(threads)
        except OSError as error:
            _logger.warning("minikeras: cannot start %d more threads: %s", threads - 1, error)
            config.set_num_threads(1)
        return _team


def _dismissed() -> bool:
    """Stop the workers, unless they are at work; return whether there are none now."""
    global _team
    if _team and _team.stop():
        _team = None
    return _team is None


@atexit.register
def _leave() -> None:
    """Stop the workers while there still is code for them to run."""
    global _over
    _over = True
    with _hiring:
        while not _dismissed():  # a daemon thread's program
            time.sleep(0.001)


def _before_fork() -> None:
    """Stop the workers, as Python warns of forks with threads; a later program starts new ones."""
    with _hiring:
        _dismissed()


def _after_fork() -> None:
    """Forget a team that was at work: only the thread that forked lives on in the child."""
    global _team, _hiring
    _team, _hiring = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


@functools.cache
def _system() -> Any:
    return ctypes.CDLL(None)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))


@functools.cache
def _spins() -> int:
    """Return how many turns of a spin loop take `_SPIN_SECONDS`; processors differ twentyfold."""
    spin, turns, best = driver().spin, 200, float("inf")
    for _ in range(3):
        start = time.perf_counter()
        spin(turns)
        best = min(best, time.perf_counter() - start)
    return max(1, int(turns * _SPIN_SECONDS / best))


@contextlib.contextmanager
def _stack() -> Iterator[Any]:
    """Yield attributes for threads with more stack than the system would give."""
    system, size = _system(), ctypes.c_size_t()
    attributes = ctypes.create_string_buffer(_OBJECT)
    _check(system.pthread_attr_init(attributes))
    try:
        _check(system.pthread_attr_getstacksize(attributes, ctypes.byref(size)))
        _check(system.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size.value + _STACK)))
        yield attributes
    finally:
        system.pthread_attr_destroy(attributes)


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    """Let new threads inherit that Python's signals are not for them, but for its main thread."""
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)  # may raise
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
