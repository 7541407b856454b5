"""Evaluate an elementwise rule on arrays, block by block, in few passes over memory.

An update rule is a dozen elementwise ops. Done one after the other on arrays larger than the
cache, each of them reads and writes main memory. A `Plan` does all of them on one block, small
enough to stay in the cache, before it goes to the next: the rule is traced once, and its nodes
become calls of NumPy's ufuncs that write into reused scratch. The bits are the same.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import numpy_dtype
from minikeras.core.context import overridden
from minikeras.core.dispatch import Node
from minikeras.core.graph import collect
from minikeras.core.tensor import Array, EagerTensor, SymbolicTensor

# Elements in a block: the arrays of an Adam update then fit in a megabyte of cache, and the time
# that NumPy takes to start a call is small beside the time in it.
_BLOCK = 32768


class _Reads:
    """Take note whether a Variable is read: its value would be frozen into the plan."""

    live: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.any = False

    def read(self, variable: Any, value: Any) -> None:
        self.any = True


def plan(function: Callable[..., Sequence[Any]], inputs: Sequence[EagerTensor]) -> "Plan | None":
    """Return a plan that computes `function(*inputs)`, or None if it is not elementwise.

    `function` takes and returns tensors. Its result must depend on nothing but them; one that
    reads Variables, or branches on values, has no plan.
    """
    shape = max((x.array.shape for x in inputs), key=len)
    symbols = [SymbolicTensor(x.array.shape, x.array.dtype) for x in inputs]
    reads = _Reads()
    try:
        with overridden(recorders=(reads,), scope=None):
            results = function(*symbols)
    except Exception:  # noqa: BLE001 - it runs on tensors then, where a true error shows again
        return None
    nodes = collect(results, symbols)
    if reads.any or not nodes or not all(_elementwise(node, shape) for node in nodes):
        return None
    made = {node.outputs[0].key for node in nodes}
    if any(x.key not in made or tuple(x.shape) != shape for x in results):
        return None
    return Plan(nodes, symbols, results, shape)


def _ufunc(node: Node) -> Any:
    return getattr(node.op.forward, "__wrapped__", node.op.forward)


def _elementwise(node: Node, shape: tuple[int, ...]) -> bool:
    function = _ufunc(node)
    tensors = (*node.inputs, *node.outputs)
    return (
        isinstance(function, np.ufunc)
        and function.signature is None
        and not node.params
        and all(tuple(x.shape) in (shape, ()) for x in tensors)
        and all(type(x) is SymbolicTensor or x.array.ndim == 0 for x in node.inputs)
    )


class Plan:
    """Calls of ufuncs on numbered places: inputs, then constants, then the calls' results."""

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Sequence[SymbolicTensor],
        outputs: Sequence[SymbolicTensor],
        shape: tuple[int, ...],
    ) -> None:
        places = {x.key: i for i, x in enumerate(inputs)}
        self.shape = shape
        self.constants: list[Array] = []
        for node in nodes:
            for x in node.inputs:
                if type(x) is EagerTensor and x.key not in places:
                    places[x.key] = len(places)
                    self.constants.append(x.array)
        self.first = len(places)
        self.calls: list[tuple[Any, tuple[int, ...]]] = []
        for node in nodes:
            self.calls.append((_ufunc(node), tuple(places[x.key] for x in node.inputs)))
            places[node.outputs[0].key] = len(places)
        self.outputs = [places[x.key] for x in outputs]
        self.dtypes = [numpy_dtype(node.outputs[0]) for node in nodes]
        self.wide = [tuple(x.shape) == shape for x in inputs]
        self.wide += [False] * len(self.constants)
        self.wide += [tuple(node.outputs[0].shape) == shape for node in nodes]
        self.scratch, self.scratches = self._share_scratch()
        self.cut = [
            (2 if i in self.scratch else 1) if wide else 0 for i, wide in enumerate(self.wide)
        ]

    def _share_scratch(self) -> tuple[dict[int, int], list[Any]]:
        """Give each wide result that is no output a scratch array, free after its last reader."""
        last = {place: at for at, (_, read) in enumerate(self.calls) for place in read}
        numbers: dict[int, int] = {}
        dtypes: list[Any] = []
        free: list[int] = []
        for at, (_, read) in enumerate(self.calls):
            free += [numbers[i] for i in set(read) if i in numbers and last[i] == at]
            place, dtype = self.first + at, self.dtypes[at]
            if place in self.outputs or not self.wide[place]:
                continue
            number = next((n for n in free if dtypes[n] == dtype), None)
            if number is None:
                number = len(dtypes)
                dtypes.append(dtype)
            else:
                free.remove(number)
            numbers[place] = number
        return numbers, dtypes

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the arrays that the rule computes from the arrays `inputs`."""
        size = math.prod(self.shape)
        with np.errstate(all="ignore"):
            return self._at_once(inputs) if size <= _BLOCK else self._by_blocks(inputs, size)

    def _at_once(self, inputs: Sequence[Array]) -> list[Array]:
        values: list[Any] = [*inputs, *self.constants]
        for function, read in self.calls:
            values.append(function(*[values[i] for i in read]))
        return [np.asarray(values[i]) for i in self.outputs]

    def _by_blocks(self, inputs: Sequence[Array], size: int) -> list[Array]:
        values: list[Any] = [x.reshape(-1) if x.ndim else x for x in (*inputs, *self.constants)]
        scratch = [np.empty(_BLOCK, dtype) for dtype in self.scratches]
        wide = []
        for place, (function, read) in enumerate(self.calls, self.first):
            if not self.wide[place]:
                values.append(function(*[values[i] for i in read]))
                continue
            wide.append((function, read, place))
            number = self.scratch.get(place)
            dtype = self.dtypes[place - self.first]
            values.append(np.empty(size, dtype) if number is None else scratch[number])
        for start in range(0, size, _BLOCK):
            stop = min(start + _BLOCK, size)
            parts = (..., slice(start, stop), slice(0, stop - start))
            block = [x[parts[how]] for x, how in zip(values, self.cut, strict=True)]
            for function, read, place in wide:
                function(*[block[i] for i in read], out=block[place])
        return [values[place].reshape(self.shape) for place in self.outputs]
