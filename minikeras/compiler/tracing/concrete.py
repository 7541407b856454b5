"""Run one traced graph: hand Variables in and out, and let tapes outside see the call."""

import functools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from minikeras.compiler.native import forking
from minikeras.compiler.planning.build import build
from minikeras.compiler.tracing.graph import Graph, packer, replayed
from minikeras.compiler.tracing.scope import AgainScope
from minikeras.core.basic import numpy_dtype
from minikeras.core.context import state, store
from minikeras.core.dispatch import Node, Primitive
from minikeras.core.overwriting import Writer, wait, writers
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import Array, EagerTensor, IndexedSlices, SymbolicTensor
from minikeras.core.variable import Variable

Run = Callable[[list[Array], bool], Any]
Again = Callable[[Sequence[Any]], list[Any]]


class Concrete:
    """A traced function for one kind of arguments, ready to run.

    Args:
        graph: what was traced.
        again: runs the function again on other tensors, for graphs that cannot be replayed.
        compiled: turns a Python function into one that is traced: `function` itself.
    """

    def __init__(self, graph: Graph, again: Again, compiled: Callable[..., Any]) -> None:
        self.graph = graph
        pairs = _donated(graph)
        self.execute = build(graph, pairs)
        owned = {number for number, _ in getattr(self.execute, "donated", pairs)}
        self._owned = [graph.arguments + i in owned for i in range(len(graph.variables))]
        self._lock = _lock_of(graph.assigned)
        self._op = Recorded(graph.name, Pullback(graph, again, compiled))
        self.run: Run = (
            _assigning(graph, self.execute, self._owned, self._lock)
            if graph.assigned
            else _reading(graph, self.execute)
        )
        """Takes the arguments' arrays, and whether the caller may change some of them later."""
        self.has_turns = bool(
            graph.assigned and not graph.effects and getattr(self.execute, "has_turns", False)
        )
        """Whether `several` can be called."""

    @functools.cached_property
    def several(self) -> Run:
        """Take stacked arguments, a row for each call; return as `Function.several` does."""
        execute = self.execute.several  # type: ignore[attr-defined]
        return _assigning(self.graph, execute, self._owned, self._lock, counts=True)

    def values(self) -> list[Any]:
        """Return what the Variables are now, and tell tapes of those that are read."""
        unread = self.graph.unread
        return [v._now() if v.key in unread else v.value for v in self.graph.variables]

    def run_open(self, tensors: Sequence[EagerTensor], values: Sequence[EagerTensor]) -> Any:
        """Run where tapes record or a scope keeps assignments.

        Args:
            tensors: the arguments.
            values: those of the Variables.
        """
        graph = self.graph
        given = [tensor.array for tensor in tensors]
        given += [
            value.array.copy() if owned else value.array
            for value, owned in zip(values, self._owned, strict=True)
        ]
        with self._lock:
            outputs = [EagerTensor(array) for array in self.execute(given)]
            results, after = outputs[: graph.results], outputs[graph.results :]
            if state.scope is None:
                store(graph.assigned, after)
            else:
                for variable, value in zip(graph.assigned, after, strict=True):
                    state.scope.assign(variable, value)
        if state.recorders:
            self._op._record([*tensors, *values], {}, results)
        return graph.packed(results)


def _donated(graph: Graph) -> list[tuple[int, int]]:
    """Return which inputs' arrays may be written over by which outputs.

    Those of Variables that are assigned, unless another output is the very value before.
    """
    keys = [output.key for output in graph.outputs]
    pairs = []
    for i in range(len(graph.assigned)):
        number, output = graph.arguments + i, graph.results + i
        made = getattr(graph.outputs[output], "node", None) is not None
        if made and graph.inputs[number].key not in keys:
            pairs.append((number, output))
    return pairs


# ---- locks ---------------------------------------------------------------------------------------

# Functions that assign the same Variables must not run at the same time: both would take the same
# values in, and one update would be lost. Locks live as long as the functions that use them.
_locks: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_making = threading.Lock()


class _Several:
    """Several locks, always taken in the same order."""

    def __init__(self, locks: Sequence[Any]) -> None:
        self._locks = sorted(locks, key=id)

    def acquire(self, blocking: bool = True) -> bool:
        for number, lock in enumerate(self._locks):
            if not lock.acquire(blocking):
                for taken in self._locks[:number]:
                    taken.release()
                return False
        return True

    def release(self) -> None:
        for lock in self._locks:
            lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _lock_of(variables: Sequence[Variable]) -> Any:
    """Return what to hold while these Variables are changed."""
    with _making:
        found = {id(lock): lock for v in variables if (lock := _locks.get(v.key)) is not None}
        new = forking.lock(inner=False)
        for variable in variables:
            if _locks.setdefault(variable.key, new) is new:
                found[id(new)] = new
    locks = list(found.values())
    return locks[0] if len(locks) == 1 else _Several(locks)


# ---- the usual call ------------------------------------------------------------------------------


def _reading(graph: Graph, execute: Callable[..., Any]) -> Run:
    variables, pack, count = graph.variables, packer(graph), graph.arguments
    execute = getattr(execute, "brief", execute)

    def run(arrays: list[Array], foreign: bool) -> Any:
        for variable in variables:
            arrays.append(variable.stored.array)  # noqa: PERF401 - quicker for a few
        if writers:
            wait(variables)
        outputs = execute(arrays)
        return pack(_apart(outputs, arrays[:count]) if foreign else outputs)

    return run


def _references(variable: Any) -> tuple[int, int]:
    """Count references as `run` below does, to a value that only its Variable holds."""
    stored = variable.stored
    array = stored.array
    return sys.getrefcount(stored), sys.getrefcount(array)


_TENSOR, _ARRAY = _references(SimpleNamespace(stored=EagerTensor(np.zeros(()))))


def _assigning(  # noqa: C901, PLR0915 - written out: a call for each Variable would cost a third more
    graph: Graph,
    execute: Callable[..., Any],
    owned: Sequence[bool],
    lock: Any,
    counts: bool = False,
) -> Run:
    """Return what runs a graph that assigns Variables, over their own arrays where it may.

    If `execute` counts, there is a number behind the results, and it is returned before them.
    """
    assigned, rest = graph.assigned, graph.variables[len(graph.assigned) :]
    count, results, pack = graph.arguments, graph.results + counts, packer(graph)
    if counts:
        packed = pack
        pack = lambda outputs: (int(outputs[-1]), packed(outputs[:-1]))
    references = sys.getrefcount
    known = [-1] * len(assigned)
    careful = any(owned)
    writer = Writer(assigned, lock)
    parts: Any = execute if getattr(execute, "late", None) else None
    execute = getattr(execute, "brief", execute)  # what was assigned in place is known

    def put(arrays: list[Array], outputs: list[Array]) -> None:
        pairs = zip(assigned, arrays[count:], outputs[results:], strict=False)
        changed = [(variable, after) for variable, before, after in pairs if after is not before]
        store([v for v, _ in changed], [EagerTensor(after) for _, after in changed])

    def finish(arrays: list[Array], outputs: list[Array] | None) -> None:
        """Make of a run that an interrupt cut off a whole one, if it has changed a Variable."""
        left = parts and parts.finish(arrays)
        put(arrays, _apart(outputs or left or [], arrays[:count]))

    def own(number: int) -> Array:
        """Return the array of a Variable's value, one that nobody else holds if it is owned."""
        variable = assigned[number]
        if owned[number]:
            array, key = _own(variable)
            known[number] = key
            return array
        return variable.stored.array  # type: ignore[no-any-return]

    def run(arrays: list[Array], foreign: bool) -> Any:
        outputs = None
        with lock:
            held = []
            for variable in rest:
                held.append(variable.stored.array)  # noqa: PERF401 - quicker for a few
            if writers:
                wait(rest)
            if careful:
                writers.add(writer)
                number = 0
                for variable in assigned:
                    stored = variable.stored
                    array = stored.array
                    if (
                        stored.key != known[number]
                        or references(stored) != _TENSOR
                        or references(array) != _ARRAY
                    ):
                        del stored, array
                        array = own(number)
                    arrays.append(array)
                    number += 1  # noqa: SIM113 - enumerate would hold the number in a tuple
            else:
                arrays += [variable.stored.array for variable in assigned]
            arrays += held
            try:
                outputs = execute(arrays)
                if foreign:
                    outputs = _apart(outputs, arrays[:count])
                if len(outputs) > results:  # else all has been assigned in place
                    put(arrays, outputs)
                if parts:
                    parts.forget()
            except BaseException:
                finish(arrays, outputs)
                raise
            finally:
                writer.runs += 1
                writers.discard(writer)
        return pack(outputs)

    return run


def _own(variable: Variable) -> tuple[Array, int]:
    """Return the array of a Variable's value and the value's key, after copying if need be."""
    tensor, array = _references(variable)
    stored = variable.stored
    flags = stored.array.flags
    alone = tensor == _TENSOR and array == _ARRAY and stored.array.base is None
    if not (alone and flags.writeable and flags.c_contiguous):
        stored = variable.stored = EagerTensor(np.array(stored.array, order="C"))
    return stored.array, stored.key


def _apart(outputs: Sequence[Array], arguments: Sequence[Array]) -> list[Array]:
    """Copy results that are, or show, arrays which the caller may change later."""
    copied = []
    for array in outputs:
        if array.base is None:
            for argument in arguments:
                if array is argument:
                    break
            else:
                copied.append(array)
                continue
        copied.append(array.copy())
    return copied


# ---- gradients from outside ----------------------------------------------------------------------


class Recorded(Primitive):
    """What a tape records of a call: all of it as one node, whose rule is `pull`."""

    def __init__(self, name: str, pull: Callable[..., list[Any]]) -> None:
        super().__init__(name, _unused, _unused, variadic=True, multiple=True)
        self.rules = [pull]
        self._keeps = {0}


def _unused(*_: Any, **__: Any) -> Any:
    raise AssertionError("a recorded call is only ever differentiated")


class Pullback:
    """Compute the gradients of a call: run it again under a tape, as a function of its own."""

    def __init__(self, graph: Graph, again: Again, compiled: Callable[..., Any]) -> None:
        self._graph = graph
        self._again = again
        self._inputs = floating(graph.inputs)
        self._results = floating(graph.outputs[: graph.results])
        self._compiled = compiled
        self._function: Any = None

    def __call__(self, node: Node, g: Sequence[Any], y: Any) -> list[Any]:
        """Return a gradient for each input, None where there is none."""
        if self._function is None:
            self._function = self._compiled(self._pull, name=f"gradient_of_{self._graph.name}")
        factors = [g[i].dense() if isinstance(g[i], IndexedSlices) else g[i] for i in self._results]
        found = self._function(*node.inputs, *factors)
        grads: list[Any] = [None] * len(node.inputs)
        for i, grad in zip(self._inputs, found, strict=True):
            grads[i] = grad
        return grads

    def _pull(self, *tensors: Any) -> tuple[Any, ...]:
        graph = self._graph
        inputs, factors = tensors[: len(graph.inputs)], tensors[len(graph.inputs) :]
        own = inputs[: graph.arguments]
        read = inputs if graph.replayable else (*own, *graph.variables)
        sources = [read[i] for i in self._inputs]
        values = list(zip(graph.variables, inputs[graph.arguments :], strict=True))
        with GradientTape(watch_accessed_variables=False) as tape, AgainScope(values):
            tape.watch(sources)
            if graph.replayable:
                outputs = replayed(graph, inputs, graph.outputs[: graph.results])
            else:
                outputs = self._again(own)
        targets = [outputs[i] for i in self._results if i < len(outputs)]  # not those of effects
        factors = factors[: len(targets)]
        return tuple(tape.gradient(targets, sources, output_gradients=list(factors)))


def floating(tensors: Sequence[Any]) -> list[int]:
    """Return the numbers of the tensors that have gradients."""
    return [i for i, x in enumerate(tensors) if numpy_dtype(x).kind == "f"]


def all_eager(values: Sequence[Any]) -> bool:
    """Tell whether no value is symbolic."""
    return not any(isinstance(value, SymbolicTensor) for value in values)
