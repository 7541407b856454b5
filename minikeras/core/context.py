"""Hold what is going on in this thread: recording tapes, redirected variables, name scopes."""

import collections
import contextlib
import contextvars
import itertools
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np


class _State(threading.local):
    def __init__(self) -> None:
        # inf and nan are results like any other here, as in IEEE 754; NumPy would warn of them.
        # Entering a context costs a third of what np.errstate does.
        quiet = contextvars.copy_context()
        quiet.run(np.seterr, all="ignore")
        self.quietly = quiet.run
        """Calls a function on arrays without NumPy's floating-point warnings."""

    recorders: tuple[Any, ...] = ()
    """Tapes and accumulators that record now, the outermost first."""
    scope: "VariableScope | None" = None
    """Where reads and assignments of Variables go instead of the Variables themselves."""
    trace: Any = None
    """The trace of a function that is going on, the innermost."""
    inline: bool = False
    """Whether layers called on symbolic tensors run their code, rather than become one node."""
    training: bool | None = None
    """The `training` argument of the layer call around the code that runs."""
    call: int = 0
    """The number of the outermost layer call that is going on, 0 if none is."""
    names: tuple[str, ...] = ()
    """Name scopes around the code that runs, the outermost first."""
    debug: bool = False
    """Whether nodes remember the line of user code that made them."""


state = _State()


class VariableScope:
    """Keep assignments to Variables aside while this scope is entered.

    Shape inference runs a layer's code without changing its weights this way; a trace gives
    Variables symbolic values and finds in `assigned` which ones a function changed.
    """

    detached: Any
    """Makes of a symbolic tensor one of its own; `core.gradients` hangs this on."""

    def __init__(self, values: list[tuple[Any, Any]] | None = None) -> None:
        self.assigned: dict[int, tuple[Any, Any]] = {}
        self._own: dict[int, Any] = {}
        for variable, value in values or []:
            self.assigned[variable.key] = (variable, value)
            self._own[variable.key] = value
        self._outer: VariableScope | None = None

    def read(self, variable: Any) -> Any:
        """Return the value that `variable` has inside this scope.

        What was assigned becomes a tensor of its own: state does not carry gradients.
        """
        key = variable.key
        if key not in self.assigned:
            return self._outer.read(variable) if self._outer is not None else variable.stored
        if key not in self._own:
            self._own[key] = self.detached(self.assigned[key][1])
            if state.trace is not None:
                state.trace.read_again(variable)
        return self._own[key]

    def assign(self, variable: Any, value: Any) -> None:
        """Give `variable` another value inside this scope only."""
        self.assigned[variable.key] = (variable, value)
        self._own.pop(variable.key, None)

    def __enter__(self) -> Self:
        self._outer, state.scope = state.scope, self
        return self

    def __exit__(self, *_: object) -> None:
        state.scope, self._outer = self._outer, None


def commit(scope: VariableScope) -> None:
    """Give Variables the values assigned in a scope that was left.

    Nothing can come in between: the loop runs in C, where no signal handler is called.
    """
    if state.scope is not None:
        for variable, value in scope.assigned.values():
            state.scope.assign(variable, value)
    elif scope.assigned:
        store(*zip(*scope.assigned.values(), strict=True))


def store(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Give several Variables their new values in one go."""
    collections.deque(map(setattr, variables, itertools.repeat("stored"), values), maxlen=0)


@contextlib.contextmanager
def overridden(**settings: Any) -> Iterator[None]:
    """Set attributes of this thread's state for the length of a `with` block."""
    before = {name: getattr(state, name) for name in settings}
    for name, value in settings.items():
        setattr(state, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(state, name, value)


def record_source_lines(enabled: bool = True) -> None:
    """Let nodes made in this thread remember the line of user code that made them, or not.

    Slower: a look at the stack for every op. `Node.source` is `file:line` then.
    """
    state.debug = bool(enabled)


def user_line() -> str | None:
    """Return `file:line` of the innermost frame outside this package and NumPy."""
    frame, ours = sys._getframe(1), ("minikeras", "numpy")
    while frame is not None and frame.f_globals.get("__name__", "").startswith(ours):
        frame = frame.f_back  # type: ignore[assignment]
    return frame and f"{frame.f_code.co_filename}:{frame.f_lineno}"


def eagerly() -> contextlib.AbstractContextManager[None]:
    """Compute with numbers for the length of a `with` block, even while a function is traced.

    Symbolic tensors from outside stay symbolic.
    """
    return overridden(scope=None, trace=None, inline=False, recorders=())


def unrecorded() -> contextlib.AbstractContextManager[None]:
    """Keep every tape of this thread from recording for the length of a `with` block."""
    return overridden(recorders=())


def name_scope(name: str) -> contextlib.AbstractContextManager[None]:
    """Prefix the paths of Variables made in the `with` block by `name`."""
    return overridden(names=(*state.names, name))


_counts: dict[str, int] = {}


def unique_name(prefix: str) -> str:
    """Return `prefix`, then `prefix_1`, `prefix_2`… as Keras numbers names."""
    seen = _counts.get(prefix, 0)
    _counts[prefix] = seen + 1
    return f"{prefix}_{seen}" if seen else prefix


def forget_names() -> None:
    """Begin numbering names anew, as `clear_session` does."""
    _counts.clear()
