"""Take slices and elements by tensors of indices; turn indices into one-hot vectors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import astype, reshape
from minikeras.core.context import state
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import DTYPES, Spec, as_dtype, broadcast
from minikeras.core.tensor import Array, IndexedSlices, as_tensor
from minikeras.ops.define import INT32, composite, one_axis
from minikeras.ops.elementwise import mod
from minikeras.ops.joining import concatenate
from minikeras.ops.reduction import any as reduce_any
from minikeras.ops.reduction import max as reduce_max

# ---- indices -------------------------------------------------------------------------------------


def integers(who: str, indices: Any) -> Any:
    """Return `indices` as an int32 or int64 tensor; raise `TypeError` if they are no integers."""
    tensor = as_tensor(indices)
    if not tensor.dtype.is_integer:
        if tensor.size != 0:
            raise TypeError(f"{who}: expected integer indices, got {tensor.dtype}. Use ops.cast.")
        return astype(tensor, INT32)
    small = tensor.dtype.name in ("int8", "int16", "uint8", "uint16", "int32")
    return astype(tensor, INT32 if small else np.dtype("int64"))


def inside(indices: Array, length: int, who: str) -> Array:
    """Count negative indices from the front; raise `IndexError` naming one that is outside."""
    outside = (indices < -length) | (indices >= length)
    if outside.any():
        raise IndexError(
            f"{who}: expected indices in [{-length}, {length}), got {indices[outside].flat[0]}."
        )
    return np.where(indices < 0, indices + length, indices)


# np.add.at is fast on single elements, not on rows; this many indices at a time keep it in cache.
_BLOCK = 1 << 20


def at(ufunc: Any, out: Array, rows: Array, values: Array) -> Array:
    """Combine each `values[i]` into `out[rows[i]]`, in order; `rows` are not negative."""
    width = math.prod(out.shape[1:])
    if not width or not rows.size:
        return out
    flat, values, within = out.reshape(-1), values.reshape(rows.size, width), np.arange(width)
    step = max(1, _BLOCK // width)
    for i in range(0, rows.size, step):
        places = rows[i : i + step, None] * width + within
        ufunc.at(flat, places.ravel(), values[i : i + step].ravel())
    return out


# ---- take ----------------------------------------------------------------------------------------
#
# `_take` and `add_rows` are each other's derivative.


def _taken(x: Array, indices: Array, axis: int) -> Array:
    try:
        return x.take(indices, axis)
    except IndexError:
        inside(indices, x.shape[axis], "take")
        raise


def _taken_spec(x: Spec, indices: Spec, axis: int) -> Spec:
    return Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def _take_vjp(g: Any, x_spec: Any, indices: Any, axis: int) -> Any:
    shape = tuple(x_spec.shape)
    # Dense if another tape records this: made dense later, perhaps after that tape has stopped, it
    # would be unknown to it and have no second derivative.
    if axis or state.recorders:
        return add_rows(g, indices, axis=axis, shape=shape)
    count = math.prod(indices.shape)
    rows = mod(reshape(indices, shape=(count,)), shape[0])
    return IndexedSlices(reshape(g, shape=(count, *shape[1:])), rows, shape)


def _added_rows(values: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    rows = inside(indices.ravel().astype(np.intp), shape[axis], "take")
    around = tuple(range(axis, axis + indices.ndim))
    values = np.moveaxis(values, around, tuple(range(indices.ndim)))
    out = at(np.add, np.zeros(moved, values.dtype), rows, values)
    return np.moveaxis(out, 0, axis)


_take = Primitive(
    "take",
    _taken,
    _taken_spec,
    vjps=(_take_vjp, None),
    arguments=("x", "indices"),
)
add_rows = Primitive(
    "add_rows",
    _added_rows,
    lambda values, *_, shape, **__: Spec(shape, values.dtype),
    vjps=(lambda g, indices, axis: _take(g, indices, axis=axis), None),
    arguments=("values", "indices"),
)


@composite
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Return the slices `indices` of `x` along `axis`, of the flattened `x` if `axis` is None.

    Negative indices count from the end. The gradient along axis 0 is an `IndexedSlices`. Raises
    `IndexError` for an index outside.
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, shape=(-1,)), 0
    try:
        axis = one_axis(axis, x.ndim)
    except ValueError as error:
        raise ValueError(f"take: {error}") from None
    return _take(x, integers("take", indices), axis=axis)


def dense(slices: IndexedSlices) -> Any:
    """Return the dense tensor that `slices` stand for, repeated rows summed."""
    return add_rows(slices.values, slices.indices, axis=0, shape=slices.dense_shape)


def joined(a: IndexedSlices, b: IndexedSlices) -> IndexedSlices:
    """Return the sum of two sparse gradients of one shape, itself sparse."""
    values = concatenate([a.values, b.values])
    return IndexedSlices(values, concatenate([a.indices, b.indices]), a.dense_shape)


# ---- along an axis -------------------------------------------------------------------------------


def _along_spec(x: Spec, indices: Spec, axis: int) -> Spec:
    shapes = [list(x.shape), list(indices.shape)]
    for shape in shapes:
        shape[axis] = 1
    shape = list(broadcast(*map(tuple, shapes)))
    shape[axis] = indices.shape[axis]
    return Spec(tuple(shape), x.dtype)


def _grid(indices: Array, axis: int, shape: Sequence[int], who: str) -> tuple[Array, ...]:
    """Return the index for each axis of `shape` that takes `indices` along `axis`."""
    rank = len(shape)
    grid = [
        np.arange(n).reshape([-1 if i == j else 1 for j in range(rank)])
        for i, n in enumerate(shape)
    ]
    grid[axis] = inside(indices, shape[axis], who)
    return tuple(grid)


def _added_along(values: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, values.dtype)
    if values.size:
        places = np.ravel_multi_index(_grid(indices, axis, shape, "take_along_axis"), shape)
        np.add.at(out.reshape(-1), np.broadcast_to(places, values.shape).ravel(), values.ravel())
    return out


_take_along = Primitive(
    "take_along_axis",
    lambda x, indices, axis: x[_grid(indices, axis, x.shape, "take_along_axis")],
    _along_spec,
    vjps=(
        lambda g, x_spec, indices, axis: add_along(
            g, indices, axis=axis, shape=tuple(x_spec.shape)
        ),
        None,
    ),
    arguments=("x", "indices"),
)
add_along: Primitive = Primitive(
    "add_along",
    _added_along,
    lambda values, *_, shape, **__: Spec(shape, values.dtype),
    vjps=(lambda g, indices, axis: _take_along(g, indices, axis=axis), None),
    arguments=("values", "indices"),
)


@composite
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Take along `axis` by indices of their own for all else, as `sort` does from `argsort`.

    `indices` broadcast with `x` except along `axis`; None flattens `x`.
    """
    x, indices = as_tensor(x), integers("take_along_axis", indices)
    if axis is None:
        if indices.ndim != 1:
            raise ValueError(
                "take_along_axis: expected one axis of indices with axis=None, got shape "
                f"{tuple(indices.shape)}."
            )
        x, axis = reshape(x, shape=(-1,)), 0
    if x.ndim != indices.ndim:
        raise ValueError(
            "take_along_axis: expected as many axes in indices as in x, got shapes "
            f"{tuple(indices.shape)} and {tuple(x.shape)}."
        )
    try:
        axis = one_axis(axis, x.ndim)
    except ValueError as error:
        raise ValueError(f"take_along_axis: {error}") from None
    return _take_along(x, indices, axis=axis)


# ---- by rows of indices, as TensorFlow's gather_nd and scatter_nd write them ---------------------


def _flattened(indices: Array, shape: tuple[int, ...]) -> Array:
    columns = [inside(indices[..., i], n, "scatter") for i, n in enumerate(shape)]
    return np.ravel_multi_index(columns, shape).astype(np.int64).reshape(-1)


_flat_index = Primitive(
    "flat_index",
    _flattened,
    lambda indices, **_: Spec((math.prod(indices.shape[:-1]),), np.dtype("int64")),
    arguments=("indices",),
)


def as_rows(who: str, indices: Any, shape: tuple[int, ...]) -> tuple[Any, int, tuple[int, ...]]:
    """Say which rows `indices` mean after the axes that they index are merged into one.

    Returns the numbers of the rows, how many there are in all, and the shape of one.
    """
    indices = integers(who, indices)
    depth = indices.shape[-1] if indices.ndim else 0
    if not 1 <= depth <= len(shape):
        raise ValueError(
            f"{who}: expected indices whose last axis has 1 to {len(shape)} elements, one for each "
            f"leading axis of shape {shape}, got shape {tuple(indices.shape)}."
        )
    rows = _flat_index(indices, shape=shape[:depth])
    return rows, math.prod(shape[:depth]), shape[depth:]


@composite
def gather_nd(params: Any, indices: Any) -> Any:
    """Return `params[indices[..., 0], indices[..., 1], ...]`."""
    x, indices = as_tensor(params), as_tensor(indices)
    rows, total, rest = as_rows("gather_nd", indices, tuple(x.shape))
    taken = _take(reshape(x, shape=(total, *rest)), rows, axis=0)
    return reshape(taken, shape=(*indices.shape[:-1], *rest))


# ---- one-hot -------------------------------------------------------------------------------------


def _hot(x: Array, num_classes: int, axis: int, dtype: np.dtype[Any]) -> Array:
    out = np.zeros((x.size, num_classes), dtype)
    classes = x.reshape(-1)
    rows = np.flatnonzero((classes >= 0) & (classes < num_classes))
    out[rows, classes[rows]] = 1
    return np.moveaxis(out.reshape(*x.shape, num_classes), -1, axis)


_one_hot = Primitive(
    "one_hot",
    _hot,
    lambda x, num_classes, axis, dtype: Spec(
        (*x.shape[:axis], num_classes, *x.shape[axis:]), dtype
    ),
)


@composite
def one_hot(
    x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Any:
    """Turn each class number into a vector along `axis` with a 1 at that place.

    Numbers that are no class give zeros.
    """
    refuse_sparse("one_hot", sparse)
    x = as_tensor(x)
    if not x.dtype.is_integer:
        x = astype(x, np.dtype("int64"))
    try:
        axis = one_axis(axis, x.ndim + 1)
    except ValueError as error:
        raise ValueError(f"one_hot: {error}") from None
    return _one_hot(x, num_classes=int(num_classes), axis=axis, dtype=as_dtype(dtype))


def refuse_sparse(who: str, sparse: bool) -> None:
    """Raise `ValueError` if a caller asks for a sparse tensor."""
    if sparse:
        raise ValueError(f"{who}: expected sparse=False, got True. There are no sparse tensors.")


@composite
def multi_hot(
    inputs: Any,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Any:
    """Turn each row of class numbers into one vector with a 1 at all of their places."""
    num_classes = kwargs.pop("num_tokens", num_classes)
    if num_classes is None:
        raise ValueError("multi_hot: expected num_classes, the length of the vectors, got None.")
    refuse_sparse("multi_hot", sparse)
    inputs = as_tensor(inputs)
    hot = one_hot(inputs, num_classes, axis, dtype)
    reduce = reduce_any if DTYPES[as_dtype(dtype)].is_bool else reduce_max
    return reduce(hot, axis=1 if inputs.ndim > 1 else 0)
