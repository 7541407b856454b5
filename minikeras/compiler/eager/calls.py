"""Compile calls that are made again and again, where nobody can tell but by the clock.

The third call with tensors of the same shapes and dtypes is traced and compiled; those before it
run as they are written. Where a tape records, the graph is cut in two: forward, which also returns
what gradients need, and backward.
"""

from collections.abc import Callable, Sequence
from typing import Any

from minikeras.compiler.eager.halves import Halves, Pull
from minikeras.compiler.native import llvm
from minikeras.compiler.planning.build import Native
from minikeras.compiler.tracing.concrete import Concrete, Recorded
from minikeras.compiler.tracing.function import Function, functions_run_eagerly
from minikeras.compiler.tracing.graph import Graph
from minikeras.compiler.tracing.trace import trace
from minikeras.core.context import VariableScope, overridden, state, store, unrecorded
from minikeras.core.tensor import EagerTensor

MISS: Any = object()
"""Stands for the result of a call that is not compiled."""

_MOST_KINDS = 16  # of calls of one function that are compiled
_MOST_COUNTED = 256
_MOST_BYTES = 1 << 28  # that a call may hold on to for its temporary arrays


class Calls:
    """The compiled calls of a function of tensors, whose Python runs while it is traced only.

    Args:
        function: takes tensors, then whatever options there are.
        name: of the graphs.
        after: which call of a kind is the first to be compiled.
    """

    def __init__(self, function: Callable[..., Any], name: str, after: int = 3) -> None:
        self._function = function
        self._name = name
        self._after = after
        self._counts: dict[Any, int] = {}
        self._found: dict[Any, _Call | None] = {}

    def __call__(self, key: Any, tensors: Sequence[EagerTensor], options: Any = ()) -> Any:
        """Return what the function does, or MISS.

        Args:
            key: tells calls apart: shapes and dtypes of the tensors, and options.
            tensors: the function's arguments.
            options: what else it takes.
        """
        if functions_run_eagerly():
            return MISS
        found = self._found.get(key, MISS)
        if found is MISS:
            found = self._counted(key, tensors, options)
        if found is None:
            return MISS
        try:
            if state.recorders:
                return found.recorded(tensors)
            return found.run([x.array for x in tensors], False)
        except Exception as error:  # noqa: BLE001 - as written it may raise a clearer one
            problem = error
        with unrecorded(), VariableScope():  # which keeps what is assigned to itself
            self._function(*tensors, *options)
        raise problem  # it came from a signal's handler

    def _counted(self, key: Any, tensors: Sequence[EagerTensor], options: Any) -> "_Call | None":
        """Count a call, and trace it if it is time."""
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count < self._after:
            if len(self._counts) > _MOST_COUNTED:
                self._counts.clear()
            return None
        del self._counts[key]
        found, before = None, vars(state).copy()
        try:
            if len(self._found) < _MOST_KINDS and llvm.available():
                found = self._traced(tensors, options)
        finally:  # an interrupt may have hit a `with` while it put these back
            vars(state).clear()
            vars(state).update(before)
        self._found[key] = found
        return found

    def _traced(self, tensors: Sequence[EagerTensor], options: Any) -> "_Call | None":
        def function(*given: Any) -> Any:
            return self._function(*given, *options)

        try:
            with overridden(recorders=()):
                graph = trace(function, tensors, name=self._name, creates=False)
                return None if graph.effects else _Call(graph.linked())  # they may raise
        except Exception:  # noqa: BLE001 - it cannot be traced, or raises as it does when run
            return None


class _Call:
    """A compiled call for one kind of tensors."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._op = Recorded(graph.name, Pull(graph))
        self._halves: dict[tuple[int, ...], Halves | None] = {}
        self.run: Callable[..., Any] = self._first

    def _first(self, arrays: list[Any], foreign: bool) -> Any:
        """Compile for calls that no tape sees, and run."""
        concrete = Concrete(self._graph, list, Function)
        self.run = concrete.run if _is_modest(concrete.execute) else _missed
        return self.run(arrays, foreign)

    def recorded(self, tensors: Sequence[EagerTensor]) -> Any:
        """Run where tapes record."""
        graph, unread = self._graph, self._graph.unread
        values = [v._now() if v.key in unread else v.value for v in graph.variables]
        inputs = [*tensors, *values]
        followed: set[int] = set().union(*(recorder.live for recorder in state.recorders))
        live = tuple([i for i, x in enumerate(inputs) if x.key in followed])
        if not live:
            return self.run([x.array for x in tensors], False)
        halves = self._halves.get(live, MISS)
        if halves is MISS:
            halves = self._halves[live] = self._cut(live)
        if halves is None:
            return MISS
        arrays, kept = halves([x.array for x in inputs])
        outputs = list(map(EagerTensor, arrays))
        results = outputs[: graph.results]
        store(graph.assigned, outputs[graph.results :])
        self._op._record(inputs, {"kept": kept, "grads": halves.grads}, results)
        return graph.packed(results)

    def _cut(self, live: Sequence[int]) -> Halves | None:
        if not self._graph.replayable:
            return None
        try:
            with overridden(recorders=()):
                halves = Halves(self._graph, live)
        except Exception:  # noqa: BLE001 - something has no gradient, which is said when it is asked for
            return None
        return halves if _is_modest(halves.forward) and _is_modest(halves.backward) else None


def _missed(*_: Any) -> Any:
    return MISS


def _is_modest(execute: Any) -> bool:
    """Tell whether something runs natively and does not hold on to much memory."""
    return isinstance(execute, Native) and execute.memory.arena_bytes <= _MOST_BYTES
