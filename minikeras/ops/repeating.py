"""Repeat the elements of tensors, move them round, and put others before and after them."""

from typing import Any

import numpy as np

from minikeras.core import basic
from minikeras.core.basic import astype, numpy_dtype
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.ops.define import along, composite, one_axis, whole_numbers
from minikeras.ops.elementwise import where
from minikeras.ops.indexing import _place_slice, getitem
from minikeras.ops.joining import concatenate, split
from minikeras.ops.shaping import ravel

# ---- repeat --------------------------------------------------------------------------------------


@composite
def tile(x: Any, repeats: Any) -> Any:
    """Repeat the whole of `x`, `repeats[i]` times along axis i."""
    x = as_tensor(x)
    counts = whole_numbers(repeats)
    rank = max(x.ndim, len(counts))
    counts = [1] * (rank - len(counts)) + counts
    shape = [1] * (rank - x.ndim) + list(x.shape)
    apart = basic.reshape(x, shape=tuple(n for length in shape for n in (1, length)))
    pairs = list(zip(counts, shape, strict=True))
    tiles = basic.broadcast_to(apart, shape=tuple(n for pair in pairs for n in pair))
    return basic.reshape(tiles, shape=tuple(count * length for count, length in pairs))


@composite
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each slice along `axis` (each element if None), `repeats` or `repeats[i]` times."""
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis(axis, x.ndim, "repeat")
    counts, length = whole_numbers(repeats), x.shape[axis]
    if len(counts) not in (1, length):
        raise ValueError(
            f"repeat: expected one count or {length}, the length of axis {axis}, got {len(counts)}."
        )
    if len(counts) > 1:
        return getitem(x, along(axis, np.repeat(np.arange(length), counts)))
    shape, (count,) = tuple(x.shape), counts
    apart = basic.reshape(x, shape=(*shape[: axis + 1], 1, *shape[axis + 1 :]))
    apart = basic.broadcast_to(apart, shape=(*shape[: axis + 1], count, *shape[axis + 1 :]))
    return basic.reshape(apart, shape=(*shape[:axis], length * count, *shape[axis + 1 :]))


@composite
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Move elements `shift` places along `axis`; what leaves at one end comes in at the other."""
    x = as_tensor(x)
    if axis is None:
        return basic.reshape(roll(ravel(x), shift, 0), shape=tuple(x.shape))
    shifts, axes = np.broadcast_arrays(whole_numbers(shift), whole_numbers(axis))
    for places, number in zip(shifts, axes, strict=True):
        here = one_axis(number, x.ndim, "roll")
        if x.shape[here]:
            front, back = split(x, [-int(places) % x.shape[here]], here)
            x = concatenate([back, front], here)
    return x


@composite
def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """Return the coordinates of a grid's points, one tensor for each given axis of the grid.

    With `"xy"` the first two axes of the results are swapped, as for images and plots.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing 'xy' or 'ij', got {indexing!r}.")
    axes = [ravel(each) for each in x]
    order = list(range(len(axes)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    shape = tuple(axes[i].shape[0] for i in order)
    grids = []
    for i, values in enumerate(axes):
        alone = [-1 if i == j else 1 for j in order]
        grids.append(basic.broadcast_to(basic.reshape(values, shape=tuple(alone)), shape=shape))
    return grids


# ---- pad -----------------------------------------------------------------------------------------

_BY_INDEX = ("reflect", "symmetric", "edge", "wrap")


@composite
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """Put elements before and after those of each axis.

    Args:
        pad_width: `((before, after), ...)`, one pair for each axis or one for all, or one number.
        mode: `"constant"`; `"reflect"` and `"symmetric"`, which mirror without and with the edge;
            `"edge"` or `"wrap"`, which repeat the edge or begin again at the other end.
        constant_values: the number to pad with, 0 if None; for mode `"constant"` only.
    """
    x = as_tensor(x)
    widths = _widths(pad_width, tuple(x.shape))
    if mode == "constant":
        return _pad_constant(x, widths, constant_values)
    if constant_values is not None or mode not in _BY_INDEX:
        raise ValueError(
            f"pad: expected one of the modes 'constant', {', '.join(map(repr, _BY_INDEX))}, and "
            f"constant_values only with 'constant', got mode={mode!r} and {constant_values}."
        )
    for axis, width in enumerate(widths):
        if width != (0, 0):
            positions = np.pad(np.arange(x.shape[axis]), width, mode)  # type: ignore[call-overload]
            x = getitem(x, along(axis, positions))
    return x


def _widths(pad_width: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    try:
        pairs = [(int(a), int(b)) for a, b in np.broadcast_to(pad_width, (len(shape), 2))]
    except ValueError:
        pairs = [(-1, -1)]
    if any(n < 0 for pair in pairs for n in pair):
        raise ValueError(
            f"pad: expected pad_width to be a number >= 0, a pair of them, or {len(shape)} pairs "
            f"for shape {shape}, got {pad_width}."
        )
    return pairs


def _pad_constant(x: Any, widths: list[tuple[int, int]], value: Any) -> Any:
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    padded = _place_slice(x, key=inside, shape=shape)
    if value is None:
        return padded
    mask = np.zeros(shape, bool)
    mask[inside] = True
    return where(EagerTensor(mask), padded, astype(as_tensor(value), numpy_dtype(x)))
