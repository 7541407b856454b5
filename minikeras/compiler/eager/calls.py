"""Compile calls of layers that are made again and again, where nobody can tell but by the clock.

The third call of a layer with inputs of the same shape is traced and compiled, with all layers
inside. Only layers of this package are: they have no side effects that a trace would swallow. Any
attribute of a layer that is assigned later makes it look whether its trace still holds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.compiler.eager.halves import Halves, Recorded, seen
from minikeras.compiler.native import llvm
from minikeras.compiler.tracing.concrete import Concrete
from minikeras.compiler.tracing.function import Function, functions_run_eagerly
from minikeras.compiler.tracing.graph import Graph
from minikeras.compiler.tracing.trace import trace
from minikeras.core.context import state, store
from minikeras.core.graph import fill
from minikeras.core.tensor import Array, EagerTensor

MISS: Any = object()
"""What is returned for a call that is not compiled."""

_AFTER = 3  # calls of a kind; those before it run as they are written
_MOST_KINDS = 16  # of calls of one layer that are compiled
_MOST_COUNTED = 256
_MOST_BYTES = 1 << 28  # that the temporary arrays of a call may hold on to


class Calls:
    """The compiled calls of one function of tensors, by shapes and dtypes and `key`.

    Args:
        function: what is compiled; takes tensors.
        name: of the graphs.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._counts: dict[Any, int] = {}
        self._found: dict[Any, Call | None] = {}

    def __call__(self, key: Any, tensors: Sequence[EagerTensor], *options: Any) -> Any:
        """Return what the function does for tensors, or MISS. `key` tells all that matters."""
        found = self._found.get(key, MISS)
        if found is MISS:
            found = self._new(key, tensors, options)
        if found is None:
            return MISS
        if state.recorders:
            return found.recorded(tensors)
        return found.plain([x.array for x in tensors], False)

    def _new(self, key: Any, tensors: Sequence[EagerTensor], options: Any) -> "Call | None":
        """Count a call, and compile it if it is time."""
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count < _AFTER:
            if len(self._counts) > _MOST_COUNTED:
                self._counts.clear()
            return None
        del self._counts[key]
        found = None
        if len(self._found) < _MOST_KINDS and llvm.available():
            found = self._compiled(tensors, options)
        self._found[key] = found
        return found

    def _compiled(self, tensors: Sequence[EagerTensor], options: Any) -> "Call | None":
        try:
            call = Call(self._traced(tensors, options))
            call.prepare(tensors)
        except Exception:  # noqa: BLE001 - the call as it is written raises what there is to raise
            return None
        return call

    def _traced(self, tensors: Sequence[EagerTensor], options: Any) -> Graph:
        return trace(
            lambda *given: self._function(*given, *options),
            tensors,
            name=self._name,
            creates=False,
        )


class Call:
    """A compiled call for one kind of tensors.

    Raises:
        NotImplementedError: It is not worth it, or cannot be.
    """

    def __init__(self, graph: Graph) -> None:
        if not graph.replayable:
            raise NotImplementedError
        self._graph = graph
        self._op = Recorded(graph, list)
        self._halves: dict[tuple[int, ...], Halves] = {}
        self.plain: Callable[[list[Array], bool], Any] = self._first

    def prepare(self, tensors: Sequence[EagerTensor]) -> None:
        """Compile what this kind of call needs now."""
        if state.recorders:
            values = [v.stored for v in self._graph.variables]
            trainable = [v.trainable for v in self._graph.variables]
            _ = values, trainable, tensors
        else:
            self._build()

    def _build(self) -> None:
        concrete = Concrete(self._graph, list, Function)
        _expect_modest(concrete.execute)
        self.plain = concrete.run

    def _first(self, arrays: list[Array], foreign: bool) -> Any:
        self._build()
        return self.plain(arrays, foreign)

    def recorded(self, tensors: Sequence[EagerTensor]) -> Any:
        """Run where tapes record."""
        graph = self._graph
        unread = graph.unread
        values = [v._now() if v.key in unread else v.value for v in graph.variables]
        inputs = [*tensors, *values]
        live = tuple(i for i, x in enumerate(inputs) if any(x.key in r.live for r in state.recorders))
        if not live:
            return self.plain([x.array for x in tensors], False)
        halves = self._halves.get(live)
        if halves is None:
            halves = self._halves[live] = Halves(graph, live)
        arrays, kept = halves([x.array for x in inputs])
        outputs = [EagerTensor(array) for array in arrays]
        results = outputs[: graph.results]
        store(graph.assigned, outputs[graph.results :])
        self._op._record(inputs, {"kept": kept, "grads": halves.grads}, results)
        return fill(graph.structure, results)
