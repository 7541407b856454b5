"""Put, add and reduce values where indices say: scatter, segments, counts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core.basic import astype, filled, numpy_dtype, reshape
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec, promote
from minikeras.core.tensor import Array, EagerTensor, as_tensor
from minikeras.ops.define import INT32, composite
from minikeras.ops.elementwise import equal, greater_equal, maximum, where
from minikeras.ops.gathering import _take, add_rows, as_rows, at, integers, refuse_sparse
from minikeras.ops.indexing import nonzero
from minikeras.ops.joining import concatenate

# ---- segments ------------------------------------------------------------------------------------


def _limits(dtype: np.dtype[Any]) -> Any:
    return np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)


# What segments begin with, and what changes none.
_START: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "segment_sum": lambda dtype: dtype.type(0),
    "segment_max": lambda dtype: _limits(dtype).min,
    "segment_min": lambda dtype: _limits(dtype).max,
    "segment_prod": lambda dtype: dtype.type(1),
}


def _fold(name: str, ufunc: Any, vjp: Any) -> Primitive:
    """Make an op that reduces the rows of `data` with one id."""

    def forward(data: Array, segment_ids: Array, total: int) -> Array:
        out = np.full((total, *data.shape[1:]), _START[name](data.dtype), data.dtype)
        return at(ufunc, out, segment_ids.astype(np.intp), data)

    return Primitive(
        name,
        forward,
        lambda data, *_, total: Spec((total, *data.shape[1:]), data.dtype),
        vjps=(vjp, None),
        arguments=("data", "segment_ids"),
    )


def _tied(g: Any, y: Any, data: Any, segment_ids: Any) -> Any:
    """Share the gradient equally among the rows that reach the extreme."""
    chosen = astype(equal(data, _take(y, segment_ids, axis=0)), numpy_dtype(g))
    count = add_rows(chosen, segment_ids, axis=0, shape=tuple(g.shape))
    return chosen * _take(g / maximum(count, 1), segment_ids, axis=0)


def _product_of_others(g: Any, data: Any, segment_ids: Any, total: int) -> Any:
    """Multiply by the product of all others with the same id, exactly if there are zeros.

    Second derivatives are exact only where there are none.
    """
    zero = equal(data, 0)
    without = where(zero, 1, data)
    product = _segment_prod(without, segment_ids, total=total)
    zeros = add_rows(astype(zero, numpy_dtype(g)), segment_ids, axis=0, shape=tuple(g.shape))
    if_zero, if_not = where(equal(zeros, 1), product, 0), where(equal(zeros, 0), product, 0)
    others = where(
        zero, _take(if_zero, segment_ids, axis=0), _take(if_not, segment_ids, axis=0) / without
    )
    return _take(g, segment_ids, axis=0) * others


_segment_max = _fold("segment_max", np.maximum, _tied)
_segment_min = _fold("segment_min", np.minimum, _tied)
_segment_prod = _fold("segment_prod", np.multiply, _product_of_others)


def _segments(
    who: str, data: Any, segment_ids: Any, num_segments: int | None
) -> tuple[Any, Any, int]:
    """Return data and ids without those of negative id, and how many segments there are.

    How many symbolic ids are negative is not known: there the rows stay, as what changes nothing.
    """
    data, ids = as_tensor(data), integers(who, segment_ids)
    if ids.ndim != 1 or tuple(data.shape[:1]) != tuple(ids.shape):
        raise ValueError(
            f"{who}: expected one id for each row of data, got ids of shape {tuple(ids.shape)} "
            f"and data of shape {tuple(data.shape)}."
        )
    if not isinstance(ids, EagerTensor):
        if num_segments is None:
            raise ValueError(
                f"{who}: expected num_segments with symbolic ids, got None: how long the result is "
                "depends on them. Pass it; in tf, to tf.math.unsorted_segment_sum."
            )
        kept = reshape(greater_equal(ids, 0), shape=(-1,) + (1,) * (data.ndim - 1))
        data = where(kept, data, _START[who](numpy_dtype(data)))
        return data, maximum(ids, 0), int(num_segments)
    largest = int(ids.array.max(initial=-1))
    total = largest + 1 if num_segments is None else int(num_segments)
    if largest >= total:
        raise IndexError(f"{who}: expected ids below num_segments={total}, got {largest}.")
    if ids.array.min(initial=0) < 0:
        (kept,) = nonzero(greater_equal(ids, 0))
        data, ids = _take(data, kept, axis=0), _take(ids, kept, axis=0)
    return data, ids, total


@composite
def segment_sum(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    sorted: bool = False,  # noqa: ARG001 - Keras' signature
) -> Any:
    """Add up the rows of `data` that have the same id; rows of negative id are left out.

    Args:
        segment_ids: one number for each row.
        num_segments: how many rows the result has; by default the largest id plus one.
        sorted: whether the ids ascend; it makes no difference here.
    """
    data, ids, total = _segments("segment_sum", data, segment_ids, num_segments)
    return add_rows(data, ids, axis=0, shape=(total, *data.shape[1:]))


@composite
def segment_max(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    sorted: bool = False,  # noqa: ARG001 - Keras' signature
) -> Any:
    """Find the largest of the rows with one id; without any, the lowest number of the dtype."""
    data, ids, total = _segments("segment_max", data, segment_ids, num_segments)
    return _segment_max(data, ids, total=total)


@composite
def segment_min(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    sorted: bool = False,  # noqa: ARG001 - Keras' signature
) -> Any:
    """Find the smallest of the rows with one id; without any, the highest number of the dtype."""
    data, ids, total = _segments("segment_min", data, segment_ids, num_segments)
    return _segment_min(data, ids, total=total)


@composite
def segment_prod(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    sorted: bool = False,  # noqa: ARG001 - Keras' signature
) -> Any:
    """Multiply the rows with one id; without any, 1."""
    data, ids, total = _segments("segment_prod", data, segment_ids, num_segments)
    return _segment_prod(data, ids, total=total)


_REDUCTIONS = {"add": segment_sum, "max": segment_max, "min": segment_min, "mul": segment_prod}

# ---- scatter -------------------------------------------------------------------------------------


def _updates(who: str, values: Any, indices: Any, rest: tuple[int, ...]) -> Any:
    """Return values as rows; raise `ValueError` unless there is one for every index."""
    wanted = (*np.shape(indices)[:-1], *rest)
    if tuple(values.shape) != wanted:
        raise ValueError(
            f"{who}: expected values of shape {wanted} for indices of shape {np.shape(indices)}, "
            f"got {tuple(values.shape)}."
        )
    return reshape(values, shape=(math.prod(wanted[: len(wanted) - len(rest)]), *rest))


@composite
def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Return zeros of `shape` with `values[i]` added at the position `indices[i]`."""
    shape = tuple(int(n) for n in shape)
    indices, values = as_tensors([indices, values])
    rows, total, rest = as_rows("scatter", indices, shape)
    values = _updates("scatter", values, indices, rest)
    return reshape(add_rows(values, rows, axis=0, shape=(total, *rest)), shape=shape)


def _with_rows(x: Array, rows: Array, indices: Array) -> Array:
    out = x.copy()
    out[indices] = rows
    return out


def _kept_rows(g: Any, rows_spec: Any, indices: Any) -> Any:
    """Give a gradient only to the last of those rows that went to one place."""
    order = EagerTensor(np.arange(rows_spec.shape[0]))
    places = EagerTensor(np.zeros(g.shape[0], np.int64))
    last = equal(_take(_set_rows(places, order, indices), indices, axis=0), order)
    last = reshape(last, shape=(-1,) + (1,) * (g.ndim - 1))
    return where(last, _take(g, indices, axis=0), 0)


_set_rows: Primitive = Primitive(
    "set_rows",
    _with_rows,
    lambda x, *_: x,
    vjps=(
        lambda g, rows_spec, indices: _set_rows(g, filled(rows_spec, 0), indices),
        _kept_rows,
        None,
    ),
    arguments=("x", "rows", "indices"),
)


@composite
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """Return `inputs` with `updates[i]` at the position `indices[i]`.

    Args:
        reduction: None replaces what was there (the last of several updates of one place stays);
            `"add"`, `"max"`, `"min"` and `"mul"` combine it with all updates.
    """
    x, indices, updates = as_tensors([inputs, indices, updates])
    if reduction is not None and reduction not in _REDUCTIONS:
        raise ValueError(
            f"scatter_update: expected reduction None, {', '.join(map(repr, _REDUCTIONS))}, got "
            f"{reduction!r}."
        )
    rows, total, rest = as_rows("scatter_update", indices, tuple(x.shape))
    values = _updates("scatter_update", astype(updates, numpy_dtype(x)), indices, rest)
    flat = reshape(x, shape=(total, *rest))
    if reduction is None:
        return reshape(_set_rows(flat, values, rows), shape=tuple(x.shape))
    everything = concatenate([flat, values])
    segments = concatenate([EagerTensor(np.arange(total)), rows])
    combined = _REDUCTIONS[reduction](everything, segments, num_segments=total)
    return reshape(combined, shape=tuple(x.shape))


# ---- counts --------------------------------------------------------------------------------------


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """Count how often each number from 0 on occurs, or add up the weights of its occurrences.

    Args:
        x: numbers >= 0 along one axis, or rows of them, which are counted each for itself.
        minlength: the least length of the result; else the largest number plus one.
    """
    refuse_sparse("bincount", sparse)
    x = as_tensor(x)
    x = x if x.dtype.is_integer else astype(x, INT32)
    if not isinstance(x, EagerTensor):
        raise TypeError(
            f"bincount: expected a tensor with numbers, got {x!r}: how long the result is depends "
            "on them. Use ops.segment_sum with num_segments."
        )
    if x.ndim not in (1, 2) or x.array.min(initial=0) < 0:
        raise ValueError(f"bincount: expected one or two axes and no negative numbers, got {x!r}.")
    length = max(int(x.array.max(initial=-1)) + 1, int(minlength))
    dtype = INT32
    if weights is not None:
        weights = as_tensor(weights)
        dtype = promote(numpy_dtype(x), numpy_dtype(weights))
    values = filled(x, 1) if weights is None else weights
    rows = np.atleast_2d(x.array).astype(np.int64)
    numbers = rows + length * np.arange(len(rows))[:, None]
    values = astype(reshape(values, shape=(numbers.size,)), dtype)
    counted = add_rows(values, numbers.reshape(-1), axis=0, shape=(len(rows) * length,))
    return reshape(counted, shape=(*x.shape[:-1], length))
