"""Take the largest or the mean of sliding windows over one to three spatial axes.

Inside, images are `[batch, *spatial, channels]`. Both ops work one axis after the other, on slices
that hold one position of every window: a `k * k` window costs `2 * k` passes and no copies.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core.basic import floating
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array
from minikeras.ops.define import composite, named
from minikeras.ops.windows import Window, channels_last, expect_shape, padded, per_axis, sliding


def _reduced(ufunc: Any, x: Array, window: Window, padding: float) -> Array:
    """Combine the positions of every window by `ufunc`, which does not care in which order."""
    x = padded(x, window.padding, padding)
    for axis, (length, stride) in enumerate(zip(window.kernel, window.strides, strict=True)):
        stop = (window.outputs[axis] - 1) * stride + 1
        before = (slice(None),) * (axis + 1)
        parts = [x[(*before, slice(i, i + stop, stride))] for i in range(length)]
        x = functools.reduce(ufunc, parts)
    return x


# ---- the largest ---------------------------------------------------------------------------------
#
# `first_maximum` tells for every window which of its positions, counted in row-major order, is the
# first that holds the maximum; `take_position` and its transpose `put_position` read and write
# there. The gradient of a tie goes to that position alone, as in TensorFlow.


def _largest(x: Array, window: Window) -> Array:
    least: float = 0  # of bool and unsigned integers
    if x.dtype.kind in "fi":
        least = -np.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
    return _reduced(np.maximum, x, window, least)


def _first_maximum(x: Array, y: Array, window: Window) -> Array:
    """Count the positions before the first one that equals the maximum."""
    missed = np.ones(y.shape, bool)
    index = np.zeros(y.shape, _index_dtype(window))
    for part, where in list(window.overlaps())[:-1]:
        missed[where] &= x[part] != y[where]
        index += missed
    return index


def _index_dtype(window: Window) -> Any:
    return np.min_scalar_type(int(np.prod(window.kernel)))


def _put(values: Array, index: Array, window: Window) -> Array:
    out = np.zeros((len(values), *window.size, values.shape[-1]), values.dtype)
    keep = _keeping(values)
    apart = all(k <= s for k, s in zip(window.kernel, window.strides, strict=True))
    for position, (part, where) in enumerate(window.overlaps()):
        kept = keep(values[where], index[where] == position)
        if apart:
            out[part] = kept
        else:
            out[part] += kept
    return out


def _take(x: Array, index: Array, window: Window) -> Array:
    out = np.zeros(index.shape, x.dtype)
    keep = _keeping(x)
    for position, (part, where) in enumerate(window.overlaps()):
        out[where] += keep(x[part], index[where] == position)
    return out


def _keeping(values: Array) -> Any:
    """Return the function that keeps values where a mask holds and puts 0 elsewhere."""
    if np.isfinite(values).all():
        return np.multiply  # 8 times faster than `where`, but 0 * inf is NaN
    return lambda values, mask: np.where(mask, values, values.dtype.type())


def _result_spec(x: Spec, window: Window) -> Spec:
    batch, channels = x.shape[0], x.shape[-1]
    expect_shape("images", x.shape, (batch, *window.size, channels))
    return Spec((batch, *window.outputs, channels), x.dtype)


def _image_spec(values: Spec, window: Window) -> Spec:
    batch, channels = values.shape[0], values.shape[-1]
    expect_shape("values", values.shape, (batch, *window.outputs, channels))
    return Spec((batch, *window.size, channels), values.dtype)


def _find_spec(x: Spec, maximum: Spec, window: Window) -> Spec:
    result = _result_spec(x, window)
    expect_shape("maxima", maximum.shape, result.shape)
    return Spec(result.shape, _index_dtype(window))


def _take_spec(x: Spec, index: Spec, window: Window) -> Spec:
    result = _result_spec(x, window)
    expect_shape("positions", index.shape, result.shape)
    return result


def _put_spec(values: Spec, index: Spec, window: Window) -> Spec:
    images = _image_spec(values, window)
    expect_shape("positions", index.shape, values.shape)
    return images


_max_pool: Primitive = Primitive(
    "max_pool",
    _largest,
    _result_spec,
    vjps=(
        lambda g, x, y, window: _put_position(
            g, _find_first_maximum(x, y, window=window), window=window
        ),
    ),
)
_find_first_maximum: Primitive = Primitive(
    "first_maximum",
    _first_maximum,
    _find_spec,
    arguments=("x", "maximum"),
)
_put_position: Primitive = Primitive(
    "put_position",
    _put,
    _put_spec,
    vjps=(lambda g, index, window: _take_position(g, index, window=window), None),
    arguments=("values", "index"),
)
_take_position: Primitive = Primitive(
    "take_position",
    _take,
    _take_spec,
    vjps=(lambda g, index, window: _put_position(g, index, window=window), None),
    arguments=("x", "index"),
)

# ---- the mean ------------------------------------------------------------------------------------


def _shares(window: Window, dtype: Any) -> Array:
    """Return the reciprocal of each window's number of positions, those in the padding left out."""
    counts = np.ones((), np.int64)
    for axis, (length, outputs) in enumerate(zip(window.kernel, window.outputs, strict=True)):
        count = np.zeros(outputs, np.int64)
        for position in range(length):
            count[window.overlap(axis, position)[1]] += 1
        counts = np.multiply.outer(counts, count)
    return (1 / counts[..., None]).astype(dtype)


def _mean(x: Array, window: Window) -> Array:
    return _reduced(np.add, x, window, 0) * _shares(window, x.dtype)


def _spread(g: Array, window: Window) -> Array:
    """Add each window's share to all of its positions, the transpose of `_mean`."""
    g = g * _shares(window, g.dtype)
    for axis in reversed(range(len(window.size))):
        before = (slice(None),) * (axis + 1)
        out = np.zeros((*g.shape[: axis + 1], window.size[axis], *g.shape[axis + 2 :]), g.dtype)
        for position in range(window.kernel[axis]):
            part, where = window.overlap(axis, position)
            if window.kernel[axis] <= window.strides[axis]:
                out[(*before, part)] = g[(*before, where)]
            else:
                out[(*before, part)] += g[(*before, where)]
        g = out
    return g


_average_pool: Primitive = Primitive(
    "average_pool",
    _mean,
    _result_spec,
    vjps=(lambda g, window: _average_pool_gradient(g, window=window),),
)
_average_pool_gradient: Primitive = Primitive(
    "average_pool_gradient",
    _spread,
    _image_spec,
    vjps=(lambda g, window: _average_pool(g, window=window),),
    arguments=("values",),
)

# ---- public --------------------------------------------------------------------------------------


def _pool(name: str, op: Primitive, prepare: Callable[[Any], list[Any]], doc: str) -> Any:
    def call(
        inputs: Any,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
    ) -> Any:
        (x,) = prepare([inputs])
        x, back = channels_last(name, x, data_format)
        pool = per_axis(name, "pool_size", pool_size, len(x.shape) - 2)
        strides = pool if strides is None else strides
        window = sliding(name, tuple(x.shape[1:-1]), pool, strides, padding)
        return back(op(x, window=window))

    return composite(named(call, name, doc))


max_pool = _pool(
    "max_pool",
    _max_pool,
    as_tensors,
    """Take the largest value of each window; windows stand side by side unless `strides` is given.

    The gradient goes to the first position, in row-major order, that holds the largest value.
    """,
)
average_pool = _pool(
    "average_pool",
    _average_pool,
    floating,
    """Take the mean of each window; with padding `"same"` only of what lies inside the image.

    Integers are taken as `floatx()`.
    """,
)
