"""Follow ops that move no numbers: reshape, transpose, broadcast and slices are only strides."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.core.dispatch import Node
from minikeras.core.tensor import Array, SymbolicTensor


class View(NamedTuple):
    """Where the elements of a tensor lie: in those of `source`, which has memory of its own."""

    source: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""

    def on(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides by which this is read when it is broadcast to `shape`."""
        strides = (0,) * (len(shape) - len(self.shape)) + self.strides
        own = (1,) * (len(shape) - len(self.shape)) + self.shape
        pairs = zip(strides, own, shape, strict=True)
        return tuple(0 if length == 1 != wanted else stride for stride, length, wanted in pairs)

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie one after the other in C order."""
        return squeezed(self.shape, self.strides) == squeezed(self.shape, natural(self.shape))

    @property
    def whole(self) -> bool:
        """Whether this is all of its source, in order."""
        return self.offset == 0 and self.contiguous and size(self.shape) == size(self.source.shape)


def size(shape: Sequence[int]) -> int:
    """Return the number of elements."""
    total = 1
    for length in shape:
        total *= length
    return total


def natural(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of C order."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def squeezed(shape: Sequence[int], values: Sequence[int]) -> tuple[int, ...]:
    """Return the values that belong to axes longer than 1."""
    return tuple(value for length, value in zip(shape, values, strict=True) if length != 1)


def _as_fake(view: View) -> Array:
    """Return an array without memory, whose strides in bytes are the view's in elements."""
    return np.lib.stride_tricks.as_strided(np.empty((), np.int8), view.shape, view.strides)


def _moved(view: View, function: Callable[[Array], Array]) -> View:
    before = _as_fake(view)
    after = function(before)
    start = before.__array_interface__["data"][0]
    offset = after.__array_interface__["data"][0] - start if after.size else 0
    return View(view.source, view.offset + offset, after.shape, after.strides)


def _reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    try:
        return _moved(view, lambda x: np.reshape(x, shape, copy=False))
    except ValueError:
        return None


def _picked(view: View, key: Any) -> View:
    whole = key if Ellipsis in key else (*key, ...)  # never a scalar, which would be a copy
    return _moved(view, lambda x: x[whole])


def _cut(view: View, axis: int, sizes: Sequence[int]) -> tuple[View, ...]:
    ends = itertools.accumulate(sizes)
    keys = [
        (slice(None),) * axis + (slice(end - n, end),) for n, end in zip(sizes, ends, strict=True)
    ]
    return tuple(_picked(view, key) for key in keys)


def _relabelled(view: View, subscripts: str) -> View | None:
    """Follow an einsum of one operand that sums nothing: diagonals and transposes."""
    before, after = subscripts.split("->")
    if set(before) != set(after):
        return None
    axes = list(zip(before, view.shape, view.strides, strict=True))
    lengths = [max(n for label, n, _ in axes if label == wanted) for wanted in after]
    strides = [sum(s for label, n, s in axes if label == wanted and n > 1) for wanted in after]
    return view._replace(shape=tuple(lengths), strides=tuple(strides))


_MOVES: dict[str, Callable[..., View | tuple[View, ...] | None]] = {
    "reshape": _reshaped,
    "transpose": lambda view, axes: _moved(view, lambda x: x.transpose(axes)),
    "broadcast_to": lambda view, shape: _moved(view, lambda x: np.broadcast_to(x, shape)),
    "getitem": _picked,
    "split": _cut,
    "rearrange": _relabelled,
    "stop_gradient": lambda view: view,
    "identity": lambda view: view,
}


def full(tensor: Any) -> View:
    """Return the view of all of a tensor that has memory of its own."""
    shape = tuple(tensor.plain_shape)
    return View(tensor, 0, shape, natural(shape))


class Views:
    """Know where the elements of every tensor of a graph lie."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._views: dict[int, View] = {}
        self.free: set[int] = set()
        """`id` of each node that needs no code."""
        for node in nodes:
            move = _MOVES.get(node.op.name)
            found = None if move is None else move(self.of(node.inputs[0]), **_plain(node))
            if found is None:
                continue
            views = found if node.op.multiple else (found,)
            self._views |= {y.key: view for y, view in zip(node.outputs, views, strict=True)}
            self.free.add(id(node))

    def of(self, tensor: Any) -> View:
        """Return where the elements of `tensor` lie."""
        found = self._views.get(tensor.key)
        if found is None:
            found = self._views[tensor.key] = full(tensor)
        return found


def _plain(node: Node) -> dict[str, Any]:
    if node.op.name == "reshape":  # without -1
        output: SymbolicTensor = node.outputs[0]
        return {"shape": tuple(output.plain_shape)}
    return node.params
