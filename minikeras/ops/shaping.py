"""Rearrange the elements of tensors: reshape, transpose, join, split, repeat, pad, diagonals."""

import builtins
import itertools
import math
import operator
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core import basic, gradients
from minikeras.core.basic import numpy_dtype, promoted
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor, Tensor, as_tensor
from minikeras.ops.define import all_axes, composite, one_axis
from minikeras.ops.elementwise import where
from minikeras.ops.indexing import _place_slice, getitem

# ---- arguments -----------------------------------------------------------------------------------


def axis_for(who: str, axis: Any, rank: int) -> int:
    """Return `axis` counted from the front; the error names the op `who`."""
    try:
        return one_axis(operator.index(axis), rank)
    except ValueError as error:
        raise ValueError(f"{who}: {error}") from None


def axes_for(who: str, axis: Any, rank: int) -> tuple[int, ...]:
    """Return the axes meant by a Keras `axis` argument, ascending; the error names `who`."""
    try:
        return all_axes(axis, rank)
    except ValueError as error:
        raise ValueError(f"{who}: {error}") from None


def lengths(who: str, shape: Any) -> tuple[int, ...]:
    """Return a shape given as a number, a sequence of numbers or a tensor, as Python ints."""
    if isinstance(shape, (Tensor, np.ndarray)):
        shape = np.asarray(shape).reshape(-1)
    if not isinstance(shape, (Sequence, np.ndarray)):
        shape = (shape,)
    found = tuple(None if n is None else operator.index(n) for n in shape)
    if None in found:
        raise ValueError(
            f"{who}: expected a shape of known lengths, got {found}. Use -1 in reshape for one "
            "open axis, or a function such as zeros_like."
        )
    return found  # type: ignore[return-value]


def _ints(values: Any) -> list[int]:
    """Return one number or several, of any kind, as Python ints."""
    return [operator.index(n) for n in np.asarray(values).reshape(-1)]


def _key(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the index that takes `part` along `axis` and everything else."""
    return (slice(None),) * axis + (part,)


# ---- reshape -------------------------------------------------------------------------------------


def reshape(x: Any, newshape: Any) -> Any:
    """Give `x` another shape; one length may be -1, or None, and follows from the others."""
    if isinstance(newshape, (list, tuple)) and builtins.sum(n in (None, -1) for n in newshape) == 1:
        newshape = [-1 if n is None else n for n in newshape]
    return basic.reshape(x, shape=lengths("reshape", newshape))


def ravel(x: Any) -> Any:
    """Put all elements along one axis."""
    return basic.reshape(x, shape=(-1,))


@composite
def expand_dims(x: Any, axis: Any) -> Any:
    """Insert axes of length 1, so that they stand at `axis` in the result."""
    (x,) = as_tensors([x])
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    shape = list(x.shape)
    for place in sorted(axis_for("expand_dims", a, x.ndim + len(axes)) for a in axes):
        shape.insert(place, 1)
    return basic.reshape(x, shape=tuple(shape))


@composite
def squeeze(x: Any, axis: Any = None) -> Any:
    """Remove the axes of length 1, or only those in `axis`, which must have that length."""
    (x,) = as_tensors([x])
    shape = tuple(x.shape)
    ones = tuple(i for i, n in enumerate(shape) if n == 1)
    axes = ones if axis is None else axes_for("squeeze", axis, len(shape))
    if not set(axes) <= set(ones):
        raise ValueError(f"squeeze: expected axes of length 1, got axis {axis} of shape {shape}.")
    return basic.reshape(x, shape=tuple(n for i, n in enumerate(shape) if i not in axes))


def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeat `x` along new and length-1 axes until it has `shape`."""
    return basic.broadcast_to(x, shape=lengths("broadcast_to", shape))


@composite
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Reorder, split and merge axes as an einops pattern says.

    >>> rearrange(np.zeros((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
    (2, 3, 2, 3)
    """
    (tensor,) = as_tensors([tensor])
    before, after = _groups(pattern, tensor.ndim)
    known = dict(axes_lengths)
    for group, total in zip(before, tensor.shape, strict=True):
        unknown = [name for name in group if name not in known]
        if len(unknown) > 1:
            raise ValueError(f"rearrange: expected the length of all but one of {unknown}.")
        for name in unknown:
            known[name] = total // math.prod(known.get(n, 1) for n in group)
    names, wanted = [*itertools.chain(*before)], [*itertools.chain(*after)]
    apart = basic.reshape(tensor, shape=tuple(known[n] for n in names))
    moved = transpose(apart, [names.index(n) for n in wanted])
    return basic.reshape(moved, shape=tuple(math.prod(known[n] for n in group) for group in after))


def _groups(pattern: str, rank: int) -> list[list[list[str]]]:
    """Return the names of each group of axes on the two sides of an einops pattern."""
    sides = [
        [group.strip("()").split() for group in re.findall(r"\([^)]*\)|\w+", side)]
        for side in pattern.split("->")
    ]
    names = [sorted(itertools.chain(*side)) for side in sides]
    if len(sides[0]) != rank or names[1:] != names[:1] or len({*names[0]}) < len(names[0]):
        raise ValueError(
            f"rearrange: expected a pattern with {rank} axes on the left, as the tensor has, and "
            f"the same names on both sides, got {pattern!r}."
        )
    return sides


# ---- transpose -----------------------------------------------------------------------------------

_transpose: Primitive = Primitive(
    "transpose",
    lambda x, axes: x.transpose(axes),
    lambda x, axes: Spec(tuple(x.shape[a] for a in axes), x.dtype),
    vjps=(lambda g, axes: _transpose(g, axes=tuple(axes.index(a) for a in range(len(axes)))),),
)


def transpose(x: Any, axes: Any = None) -> Any:
    """Reorder axes: axis i of the result is axis `axes[i]` of `x`; by default reverse them."""
    (x,) = as_tensors([x])
    if not axes:
        return _transpose(x, axes=tuple(range(x.ndim))[::-1])
    order = tuple(axis_for("transpose", a, x.ndim) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(
            f"transpose: expected a permutation of the {x.ndim} axes of shape {tuple(x.shape)}, "
            f"got {tuple(axes)}."
        )
    return _transpose(x, axes=order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Move the axes `source` to the places `destination`; the others keep their order."""
    (x,) = as_tensors([x])
    sources = [axis_for("moveaxis", a, x.ndim) for a in _ints(source)]
    places = [axis_for("moveaxis", a, x.ndim) for a in _ints(destination)]
    if len(set(sources)) != len(sources) or len(set(places)) != len(sources):
        raise ValueError(
            "moveaxis: expected as many different axes in source as in destination, got "
            f"{source} and {destination}."
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _transpose(x, axes=tuple(order))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    (x,) = as_tensors([x])
    first, second = (axis_for("swapaxes", a, x.ndim) for a in (axis1, axis2))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    return _transpose(x, axes=tuple(order))


def flip(x: Any, axis: Any = None) -> Any:
    """Reverse the order of the elements along `axis`, by default along every axis."""
    (x,) = as_tensors([x])
    axes = axes_for("flip", axis, x.ndim)
    backwards = slice(None, None, -1)
    return getitem(x, tuple(backwards if i in axes else slice(None) for i in range(x.ndim)))


def fliplr(x: Any) -> Any:
    """Reverse the second axis."""
    return flip(x, 1)


def flipud(x: Any) -> Any:
    """Reverse the first axis."""
    return flip(x, 0)


def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turn the plane of two axes `k` times by 90 degrees, from the first towards the second."""
    (x,) = as_tensors([array])
    planes = [axis_for("rot90", a, x.ndim) for a in axes]
    if len(set(planes)) != 2:
        raise ValueError(f"rot90: expected two different axes, got {axes}.")
    if k % 4 == 2:
        return flip(x, planes)
    if k % 4 == 1:
        x = flip(x, planes[1])
    turned = swapaxes(x, *planes) if k % 2 else x
    return flip(turned, planes[1]) if k % 4 == 3 else turned


# ---- join and split ------------------------------------------------------------------------------
#
# Each is the other's derivative. `sizes` are the lengths of the parts along `axis`.


def _concatenate_spec(*xs: Spec, axis: int, sizes: tuple[int, ...]) -> Spec:
    shapes = [tuple(x.shape) for x in xs]
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1:
        raise ValueError(f"expected shapes that differ along axis {axis} only, got {shapes}.")
    shape = (*shapes[0][:axis], builtins.sum(sizes), *shapes[0][axis + 1 :])
    return Spec(shape, xs[0].dtype)


_concatenate = Primitive(
    "concatenate",
    lambda *xs, axis, **_: np.concatenate(xs, axis),
    _concatenate_spec,
    vjps=lambda g, axis, sizes: _split(g, axis=axis, sizes=sizes),
    arguments=("xs",),
    prepare=promoted,
    variadic=True,
)


def _parts(x: Array, axis: int, sizes: tuple[int, ...]) -> list[Array]:
    ends = np.cumsum((0, *sizes))
    return [
        x[_key(axis, slice(a, b))] for a, b in zip(ends.tolist(), ends[1:].tolist(), strict=False)
    ]


_split: Primitive = Primitive(
    "split",
    _parts,
    lambda x, axis, sizes: tuple(
        Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes
    ),
    vjps=(lambda g, axis, sizes: _concatenate(*g, axis=axis, sizes=sizes),),
    multiple=True,
)


@composite
def concatenate(xs: Any, axis: int = 0) -> Any:
    """Join tensors, whose shapes differ along `axis` at most, along that axis."""
    xs = as_tensors(list(xs))
    if len({x.ndim for x in xs}) != 1:
        shapes = [tuple(x.shape) for x in xs]
        raise ValueError(f"concatenate: expected tensors of one rank, got shapes {shapes}.")
    axis = axis_for("concatenate", axis, xs[0].ndim)
    return _concatenate(*xs, axis=axis, sizes=tuple(x.shape[axis] for x in xs))


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """Join two tensors along `axis`, by default after flattening both."""
    return concatenate([ravel(x1), ravel(x2)] if axis is None else [x1, x2], axis or 0)


def stack(x: Any, axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    xs = list(x)
    if not xs:
        raise ValueError("stack: expected at least one tensor, got none.")
    return basic.stack(*xs, axis=axis_for("stack", axis, len(np.shape(xs[0])) + 1))


def _at_least(x: Any, rank: int) -> Any:
    """Add axes of length 1 as NumPy's stacking functions do: in front, the third behind."""
    (x,) = as_tensors([x])
    if x.ndim < builtins.min(rank, 2):
        x = expand_dims(x, tuple(range(builtins.min(rank, 2) - x.ndim)))
    return expand_dims(x, -1) if x.ndim < rank else x


@composite
def hstack(xs: Any) -> Any:
    """Join along the second axis, vectors along their only one."""
    xs = [_at_least(x, 1) for x in xs]
    return concatenate(xs, builtins.min(1, xs[0].ndim - 1))


@composite
def vstack(xs: Any) -> Any:
    """Join along the first axis; vectors are rows."""
    return concatenate([_at_least(x, 2) for x in xs], 0)


@composite
def dstack(xs: Any) -> Any:
    """Join along the third axis; vectors are rows first."""
    return concatenate([_at_least(x, 3) for x in xs], 2)


@composite
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut `x` along `axis` into equal sections, or before the ascending indices."""
    (x,) = as_tensors([x])
    axis = axis_for("split", axis, x.ndim)
    length = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        count = operator.index(indices_or_sections)
        if count < 1 or length % count:
            raise ValueError(
                f"split: expected sections that divide axis {axis} of shape {tuple(x.shape)}, "
                f"got {count}. Use array_split for unequal ones."
            )
        return list(_split(x, axis=axis, sizes=(length // count,) * count))
    ends = [0, *_ints(indices_or_sections), length]
    if ends != sorted(ends):
        raise ValueError(
            f"split: expected ascending indices from 0 to {length}, the length of axis {axis}, "
            f"got {ends[1:-1]}."
        )
    return list(_split(x, axis=axis, sizes=tuple(np.diff(ends).tolist())))


@composite
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut `x` like `split`; sections that do not come out even differ by one."""
    (x,) = as_tensors([x])
    axis = axis_for("array_split", axis, x.ndim)
    if np.ndim(indices_or_sections):
        return split(x, indices_or_sections, axis)  # type: ignore[no-any-return]
    count = operator.index(indices_or_sections)
    if count < 1:
        raise ValueError(f"array_split: expected at least one section, got {count}.")
    short, longer = divmod(x.shape[axis], count)
    sizes = (short + 1,) * longer + (short,) * (count - longer)
    return list(_split(x, axis=axis, sizes=sizes))


def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut along the second axis, vectors along their only one."""
    (x,) = as_tensors([x])
    return split(x, indices_or_sections, axis=builtins.min(1, x.ndim - 1))  # type: ignore[no-any-return]


def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut along the first axis."""
    return split(x, indices_or_sections, axis=0)  # type: ignore[no-any-return]


def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut along the third axis."""
    return split(x, indices_or_sections, axis=2)  # type: ignore[no-any-return]


@composite
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """Return the slices of `x` along `axis`, without that axis; `num` is how many there must be."""
    (x,) = as_tensors([x])
    axis = axis_for("unstack", axis, x.ndim)
    shape = tuple(x.shape)
    if num not in (None, shape[axis]):
        raise ValueError(f"unstack: expected length {num} along axis {axis}, got shape {shape}.")
    parts = _split(x, axis=axis, sizes=(1,) * shape[axis])
    return [basic.reshape(part, shape=shape[:axis] + shape[axis + 1 :]) for part in parts]


# ---- repeat --------------------------------------------------------------------------------------


@composite
def tile(x: Any, repeats: Any) -> Any:
    """Repeat the whole of `x`, `repeats[i]` times along axis i."""
    (x,) = as_tensors([x])
    counts = _ints(list(repeats) if isinstance(repeats, (list, tuple)) else repeats)
    rank = builtins.max(x.ndim, len(counts))
    counts = [1] * (rank - len(counts)) + counts
    shape = [1] * (rank - x.ndim) + list(x.shape)
    apart = basic.reshape(x, shape=tuple(n for length in shape for n in (1, length)))
    pairs = list(zip(counts, shape, strict=True))
    tiles = basic.broadcast_to(apart, shape=tuple(n for pair in pairs for n in pair))
    return basic.reshape(tiles, shape=tuple(count * length for count, length in pairs))


@composite
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each slice along `axis` (each element if None), `repeats` or `repeats[i]` times."""
    (x,) = as_tensors([x])
    if axis is None:
        x, axis = ravel(x), 0
    axis = axis_for("repeat", axis, x.ndim)
    counts, length = _ints(repeats), x.shape[axis]
    if len(counts) not in (1, length):
        raise ValueError(
            f"repeat: expected one count or {length}, the length of axis {axis}, got {len(counts)}."
        )
    if len(counts) > 1:
        return getitem(x, _key(axis, np.repeat(np.arange(length), counts)))
    shape, (count,) = tuple(x.shape), counts
    apart = basic.reshape(x, shape=(*shape[: axis + 1], 1, *shape[axis + 1 :]))
    apart = basic.broadcast_to(apart, shape=(*shape[: axis + 1], count, *shape[axis + 1 :]))
    return basic.reshape(apart, shape=(*shape[:axis], length * count, *shape[axis + 1 :]))


@composite
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Move elements `shift` places along `axis`; what leaves at one end comes in at the other."""
    (x,) = as_tensors([x])
    if axis is None:
        return basic.reshape(roll(ravel(x), shift, 0), shape=tuple(x.shape))
    shifts, axes = np.broadcast_arrays(_ints(shift), _ints(axis))
    for places, number in zip(shifts, axes, strict=True):
        along = axis_for("roll", number, x.ndim)
        if x.shape[along]:
            front, back = split(x, [-int(places) % x.shape[along]], along)
            x = concatenate([back, front], along)
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
    (x,) = as_tensors([x])
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
            x = getitem(x, _key(axis, positions))
    return x


def _widths(pad_width: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    try:
        pairs = [(int(a), int(b)) for a, b in np.broadcast_to(pad_width, (len(shape), 2))]
    except ValueError:
        pairs = [(-1, -1)]
    if builtins.any(n < 0 for pair in pairs for n in pair):
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
    return where(EagerTensor(mask), padded, basic.astype(as_tensor(value), numpy_dtype(x)))


# ---- triangles and diagonals ---------------------------------------------------------------------


def _triangle(who: str, x: Any, k: Any) -> tuple[Any, Any, Any]:
    """Return the mask of the lower triangle, `x`, and a zero of its dtype."""
    (x,) = as_tensors([x])
    if x.ndim < 2:
        raise ValueError(f"{who}: expected at least two axes, got shape {tuple(x.shape)}.")
    rows, columns = x.shape[-2:]
    mask = np.tri(rows, columns, operator.index(k), dtype=bool)
    return EagerTensor(mask), x, as_tensor(0, numpy_dtype(x))


@composite
def tril(x: Any, k: int = 0) -> Any:
    """Set to 0 what is above the k-th diagonal of the last two axes."""
    return where(*_triangle("tril", x, k))


@composite
def triu(x: Any, k: int = 0) -> Any:
    """Set to 0 what is below the k-th diagonal of the last two axes."""
    mask, x, zero = _triangle("triu", x, k - 1)
    return where(mask, zero, x)


def _diagonal(rows: int, columns: int, k: int) -> slice:
    """Return where the k-th diagonal lies in a flattened matrix."""
    length = builtins.max(0, builtins.min(rows + builtins.min(k, 0), columns - builtins.max(k, 0)))
    start = k if k >= 0 else -k * columns
    return slice(start, start + length * (columns + 1), columns + 1)


@composite
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonals of the matrices in axes `axis1` and `axis2`, as the last axis."""
    (x,) = as_tensors([x])
    if x.ndim < 2:
        raise ValueError(f"diagonal: expected at least two axes, got shape {tuple(x.shape)}.")
    moved = moveaxis(x, (axis1, axis2), (-2, -1))
    *others, rows, columns = moved.shape
    flat = basic.reshape(moved, shape=(*others, rows * columns))
    return getitem(flat, (..., _diagonal(rows, columns, operator.index(offset))))


@composite
def diag(x: Any, k: int = 0) -> Any:
    """Return the k-th diagonal of a matrix, or a matrix whose k-th diagonal is the vector `x`."""
    (x,) = as_tensors([x])
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag: expected one or two axes, got shape {tuple(x.shape)}.")
    n = x.shape[0] + builtins.abs(k)
    flat = _place_slice(x, key=(_diagonal(n, n, k),), shape=(n * n,))
    return basic.reshape(flat, shape=(n, n))


def diagflat(x: Any, k: int = 0) -> Any:
    """Return a matrix whose k-th diagonal holds all elements of `x`."""
    return diag(ravel(x), k)


# ---- questions -----------------------------------------------------------------------------------


def shape(x: Any) -> tuple[int | None, ...]:
    """Return the lengths of the axes as a tuple, None where open."""
    return tuple(as_tensors([x])[0].shape)


@composite
def size(x: Any) -> Any:
    """Return the number of elements, as an int32 tensor."""
    return as_tensor(as_tensors([x])[0].size, "int32")


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return as_tensors([x])[0].ndim  # type: ignore[no-any-return]


def copy(x: Any) -> Any:
    """Return `x` as a tensor of its own for tapes; its numbers never change anyway."""
    return gradients.identity(x)
