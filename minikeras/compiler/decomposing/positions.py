"""Write ops of positions as the few that have kernels: keys, windows, broadcast indices."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.compiler.decomposing.reducing import summed_to
from minikeras.core.basic import astype, broadcast_to, numpy_dtype, reshape, stack
from minikeras.core.graph import Slot
from minikeras.core.spec import Spec
from minikeras.core.tensor import EagerTensor
from minikeras.ops.elementwise import (
    greater,
    greater_equal,
    less,
    logical_and,
    logical_or,
    maximum,
    minimum,
    where,
)
from minikeras.ops.gathering import _take, _take_along, add_along
from minikeras.ops.indexing import (
    _gather,
    _measured,
    _place_slice,
    _scatter_add,
    _slice,
    whole_key,
)
from minikeras.ops.reduction import _any
from minikeras.ops.shaping import _transpose

Doubts = list[Any]
"""Symbolic truth values: if one holds, the native plan must not be run."""
_INT64 = np.dtype("int64")


def _spec(tensor: Any) -> Spec:
    return Spec(tuple(tensor.shape), numpy_dtype(tensor))


# ---- keys with tensors ---------------------------------------------------------------------------


class _Key:
    """A key whose tensors stand anywhere, among numbers, slices and new axes.

    It is done in steps: a key without tensors, a transpose which brings the tensors' axes side by
    side, a key with tensors and whole axes only, and a reshape.
    """

    def __init__(self, key: Sequence[Any], shape: Sequence[int], index: Any) -> None:
        parts = whole_key(key, len(shape))
        chosen = [i for i, part in enumerate(parts) if isinstance(part, (int, Slot))]
        together = chosen == list(range(chosen[0], chosen[-1] + 1))
        # Integers count as tensors: NumPy puts the axes of all of them where the first one stood,
        # or in front of everything if something stands between them.
        before = sum(isinstance(part, slice) for part in parts[: chosen[0]]) if together else 0
        rest = [part for part in parts if part is not None]
        self.plain = tuple(slice(None) if isinstance(part, Slot) else part for part in rest)
        kept = [part for part in rest if not isinstance(part, int)]
        slots = [i for i, part in enumerate(kept) if isinstance(part, Slot)]
        others = [i for i, part in enumerate(kept) if not isinstance(part, Slot)]
        self.order = (*others[:before], *slots, *others[before:])
        self.back = tuple(self.order.index(i) for i in range(len(kept)))
        whole = (slice(None),) * before
        self.simple = (*whole, *(kept[i] for i in slots))
        self.shape = tuple(shape)
        fake = np.broadcast_to(np.zeros((), np.int8), self.shape)[(*self.plain, ...)]
        self.cut = fake.shape
        self.turned = tuple(self.cut[i] for i in self.order)
        self.taken = (*self.turned[:before], *index.shape[1:], *self.turned[before + len(slots) :])

    @property
    def easy(self) -> bool:
        """Whether nothing but the key with tensors and whole axes is needed."""
        plain = all(isinstance(p, slice) and p == slice(None) for p in self.plain)
        return plain and self.order == tuple(range(len(self.order)))


def _gathered(x: Any, index: Any, key: Any) -> Any:
    steps = _Key(key, x.shape, index)
    if steps.easy and None not in key:
        return None
    part = _transpose(_slice(x, key=steps.plain), axes=steps.order)
    taken = _gather(part, index, key=steps.simple)
    return reshape(taken, shape=_measured(_spec(x), key, _spec(index)).shape)


def _scattered(values: Any, index: Any, key: Any, shape: tuple[int, ...]) -> Any:
    steps = _Key(key, shape, index)
    if steps.easy and None not in key:
        return None
    values = reshape(values, shape=steps.taken)
    turned = _scatter_add(values, index, key=steps.simple, shape=steps.turned)
    return _place_slice(_transpose(turned, axes=steps.back), key=steps.plain, shape=tuple(shape))


# ---- indices that broadcast ----------------------------------------------------------------------


def _taken_along(x: Any, indices: Any, axis: int) -> Any:
    shapes = [tuple(t.shape[:axis]) + (1,) + tuple(t.shape[axis + 1 :]) for t in (x, indices)]
    if shapes[0] == shapes[1]:
        return None
    wide = np.broadcast_shapes(*shapes)
    both = (_widened(t, wide, axis) for t in (x, indices))
    return _take_along(*both, axis=axis)


def _widened(x: Any, shape: tuple[int, ...], axis: int) -> Any:
    return broadcast_to(x, shape=(*shape[:axis], x.shape[axis], *shape[axis + 1 :]))


def _added_along(values: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    wide = tuple(values.shape)
    own = (*wide[:axis], shape[axis], *wide[axis + 1 :])
    if tuple(indices.shape) == wide and own == tuple(shape):
        return None
    total = add_along(values, broadcast_to(indices, shape=wide), axis=axis, shape=own)
    return summed_to(total, tuple(shape))


def _stacked(*indices: Any) -> Any:
    shape = np.broadcast_shapes(*(tuple(index.shape) for index in indices))
    return stack(*(broadcast_to(astype(x, _INT64), shape=shape) for x in indices), axis=0)


def _flat_index(indices: Any, shape: tuple[int, ...], doubts: Doubts) -> Any:
    total: Any = None
    for i, length in enumerate(shape):
        column = astype(_slice(indices, key=(..., i)), _INT64)
        doubts.append(_holds(logical_or(less(column, -length), greater_equal(column, length))))
        column = where(less(column, 0), column + length, column)
        total = column if total is None else total * length + column
    return reshape(total, shape=(math.prod(total.shape),))


def _holds(x: Any) -> Any:
    """Tell whether any of some truth values holds."""
    return _any(x, axis=tuple(range(x.ndim)), keepdims=False) if x.ndim else x


# ---- windows that begin where a tensor says ------------------------------------------------------


def _starts(start: Any, lengths: Any, shape: Any, doubts: Doubts) -> dict[int, Any]:
    """Return where a window begins along each axis that it does not fill; doubt that it fits."""
    room = [size - n for n, size in zip(lengths, shape, strict=True)]
    outside = logical_or(less(start, 0), greater(start, np.array(room, numpy_dtype(start))))
    doubts.append(_holds(outside))
    return {i: _slice(start, key=(i,)) for i, more in enumerate(room) if more}


def _window(inputs: Any, start: Any, shape: tuple[int, ...], doubts: Doubts) -> Any:
    if isinstance(start, EagerTensor):
        return _known_window(inputs, start, shape)
    x = inputs
    for axis, begin in _starts(start, shape, inputs.shape, doubts).items():
        places = begin + np.arange(shape[axis], dtype=numpy_dtype(start))
        x = _take(x, _inside(places, inputs.shape[axis]), axis=axis)
    return x


def _inside(places: Any, length: int) -> Any:
    """Keep indices inside where the window does not fit: the doubt gives the plan up, not they."""
    return minimum(maximum(places, 0), length - 1)


def _known_window(x: Any, start: EagerTensor, shape: tuple[int, ...]) -> Any:
    begins = start.array.tolist()
    fits = all(0 <= b <= m - n for b, n, m in zip(begins, shape, x.shape, strict=True))
    key = tuple(slice(b, b + n) for b, n in zip(begins, shape, strict=True))
    return _slice(x, key=key) if fits else None


def _updated(inputs: Any, start: Any, updates: Any, doubts: Doubts) -> Any:
    if isinstance(start, EagerTensor):
        return None  # has a kernel
    shape, new, chosen = tuple(inputs.shape), updates, None
    for axis, begin in _starts(start, updates.shape, shape, doubts).items():
        length = updates.shape[axis]
        places = np.arange(shape[axis], dtype=numpy_dtype(start)) - begin
        new = _take(new, _inside(places, length), axis=axis)
        here = logical_and(greater_equal(places, 0), less(places, length))
        here = reshape(here, shape=(shape[axis],) + (1,) * (len(shape) - axis - 1))
        chosen = here if chosen is None else logical_and(chosen, here)
    return new if chosen is None else where(chosen, new, inputs)


RULES: dict[str, Any] = {
    "gather": _gathered,
    "scatter_add": _scattered,
    "take_along_axis": _taken_along,
    "add_along": _added_along,
    "stack_indices": _stacked,
    "flat_index": _flat_index,
    "slice": _window,
    "slice_update": _updated,
}
DOUBTFUL = {"flat_index", "slice", "slice_update"}
