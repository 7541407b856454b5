"""Compute averages, variances and quantiles, also without NaN."""

import builtins
import math
from typing import Any

import numpy as np

from minikeras.core.basic import accumulator, astype, filled, floating, numpy_dtype, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, reduced
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.cumulative import as_rows
from minikeras.ops.define import INT32, all_axes, composite, named
from minikeras.ops.elementwise import ceil, equal, floor, isnan, logical_not, maximum, sqrt, where
from minikeras.ops.elementwise import round as round_
from minikeras.ops.indexing import getitem
from minikeras.ops.reduction import (
    all,
    amax,
    amin,
    argmax,
    argmin,
    average_of,
    count,
    count_nonzero,
    kept,
    mean,
    prod,
    sum,
)
from minikeras.ops.sorting import sort

# ---- mean and variance ---------------------------------------------------------------------------


@composite
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """Average over `axis`, with `weights` in the shape of `x` or a vector of them along `axis`."""
    if weights is None:
        return mean(x, axis)
    x, weights = floating([x, weights])
    axes = all_axes(axis, x.ndim, "average")
    if len(axes) == 1 and tuple(weights.shape) == (x.shape[axes[0]],):
        weights = beside(weights, x, axes)
    elif tuple(weights.shape) != tuple(x.shape):
        raise ValueError(
            f"average: expected weights of the shape {tuple(x.shape)}, or one axis and a vector of "
            f"its length, got axis {axis} and weights of shape {tuple(weights.shape)}."
        )
    return sum(x * weights, axis) / sum(weights * filled(x, 1), axis)


def beside(values: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Give `values`, which stand for `axes` of `x`, length 1 along all other axes."""
    return reshape(values, shape=tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))


def _mean_and_variance(x: Array, axis: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    wide = x.astype(accumulator(x.dtype), copy=False)
    center = average_of(wide, axis, True, wide.dtype)
    spread = average_of(np.square(wide - center), axis, keepdims, wide.dtype)
    center = center.reshape(spread.shape)
    return center.astype(x.dtype, copy=False), spread.astype(x.dtype, copy=False)


def _moments_vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...]) -> Any:
    n = builtins.max(count(x.shape, axis), 1)
    of_mean, of_variance, center = (kept(each, x, axis) for each in (*g, y[0]))
    return of_mean / n + (2 / n) * of_variance * (x - center)


_moments = Primitive(
    "moments",
    _mean_and_variance,
    lambda x, axis, keepdims: (Spec(reduced(x.shape, axis, keepdims), x.dtype),) * 2,
    vjps=(_moments_vjp,),
    prepare=floating,
    multiple=True,
)


def moments(
    x: Any,
    axes: Any,
    keepdims: bool = False,
    synchronized: bool = False,  # noqa: ARG001 - Keras' signature
) -> Any:
    """Return mean and variance over `axes`. There are no replicas to be `synchronized` with."""
    x = as_tensor(x)
    return _moments(x, axis=all_axes(axes, x.ndim, "moments"), keepdims=bool(keepdims))


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the variance over `axis`, the mean of squared deviations (no n - 1)."""
    x = as_tensor(x)
    return _moments(x, axis=all_axes(axis, x.ndim, "var"), keepdims=bool(keepdims))[1]


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the square root of `var`; its gradient at equal elements is NaN."""
    return sqrt(var(x, axis, keepdims))


# ---- quantiles -----------------------------------------------------------------------------------

_ROUNDED = {"lower": floor, "higher": ceil, "nearest": round_}
_METHODS = ("linear", "midpoint", *_ROUNDED)


def _quantile(
    who: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool = False
) -> Any:
    (x,) = floating([x])
    axes = all_axes(axis, x.ndim, who)
    q = np.asarray(q, np.float64)
    _check_quantile(who, x, q, axes, method)
    rows = as_rows(x, axes)
    missing = count_nonzero(isnan(rows), 1)
    last = rows.shape[1] - 1 - missing if skip_nan else rows.shape[1] - 1
    # In float64, for float32 counts exactly only to 2**24. A row of nothing but NaN gives one.
    place = maximum(as_tensor(q.reshape(-1, 1)) * last, 0)
    result = _interpolated(sort(rows, 1), place, method)
    if not skip_nan:
        result = where(missing > 0, math.nan, result)
    return reshape(result, shape=q.shape + reduced(x.shape, axes, keepdims))


def _check_quantile(who: str, x: Any, q: Array, axes: tuple[int, ...], method: str) -> None:
    if method not in _METHODS:
        raise ValueError(f"{who}: expected a method of {_METHODS}, got {method!r}.")
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError(f"{who}: expected q from 0 to 1 (percentiles: to 100), got {q}.")
    if not count(x.shape, axes):
        raise ValueError(f"{who}: expected at least one element, got shape {tuple(x.shape)}.")


def _interpolated(rows: Any, place: Any, method: str) -> Any:
    """Return what stands at `place`, shape (quantiles, rows or 1), of sorted rows."""
    every = np.arange(rows.shape[0])

    def at(position: Any) -> Any:
        return getitem(rows, (every, astype(position, INT32)))

    if method in _ROUNDED:
        return at(_ROUNDED[method](place))
    low, high = at(floor(place)), at(ceil(place))
    if method == "midpoint":
        return (low + high) * 0.5
    fraction = astype(place - floor(place), numpy_dtype(rows))
    return where(equal(fraction, 0), low, low * (1 - fraction) + high * fraction)  # not inf * 0


@composite
def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Find the numbers below which the parts `q`, from 0 to 1, of the elements over `axis` lie.

    Args:
        q: a number or an array of any shape; its axes come first in the result.
        method: how to choose between two elements: `"linear"`, `"lower"`, `"higher"`,
            `"midpoint"` or `"nearest"`.
    """
    return _quantile("quantile", x, q, axis, method, keepdims)


@composite
def percentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Find quantiles given in percent; see `quantile`."""
    return _quantile("percentile", x, np.asarray(q, np.float64) / 100, axis, method, keepdims)


@composite
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Find the middle element over `axis`, or the mean of the two in the middle."""
    return _quantile("median", x, 0.5, axis, "linear", keepdims)


@composite
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Find the median of the elements that are not NaN; none gives NaN."""
    return _quantile("nanmedian", x, 0.5, axis, "linear", keepdims, skip_nan=True)


# ---- without NaN ---------------------------------------------------------------------------------


def _without_nan(name: str, function: Any, value: float, doc: str, if_none: Any = None) -> Any:
    """Make a reduction that sees `value` in place of NaN, and gives `if_none` where all are NaN."""

    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = as_tensor(x)
        if not x.dtype.is_floating:
            return function(x, axis, keepdims)
        y = function(where(isnan(x), value, x), axis, keepdims)
        return y if if_none is None else where(all(isnan(x), axis, keepdims), if_none, y)

    return named(call, name, doc)


nansum = _without_nan("nansum", sum, 0, "Sum the elements that are not NaN.")
nanprod = _without_nan("nanprod", prod, 1, "Multiply the elements that are not NaN.")
nanmax = _without_nan(
    "nanmax", amax, -math.inf, "Find the largest element that is not NaN; none gives NaN.", math.nan
)
nanmin = _without_nan(
    "nanmin", amin, math.inf, "Find the smallest element that is not NaN; none gives NaN.", math.nan
)
nanargmax = _without_nan(
    "nanargmax", argmax, -math.inf, "Find the place of the largest that is not NaN, or -1.", -1
)
nanargmin = _without_nan(
    "nanargmin", argmin, math.inf, "Find the place of the smallest that is not NaN, or -1.", -1
)


def _present(x: Any, axis: Any, keepdims: bool) -> Any:
    """Count the elements that are not NaN, in the dtype of `x`."""
    return sum(astype(logical_not(isnan(x)), numpy_dtype(x)), axis, keepdims)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Average the elements that are not NaN; none gives NaN."""
    (x,) = floating([x])
    return nansum(x, axis, keepdims) / _present(x, axis, keepdims)


def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the variance of the elements that are not NaN; none gives NaN."""
    (x,) = floating([x])
    # Replaced before they are squared: the gradient of a NaN's square would be NaN for all.
    deviations = where(isnan(x), 0, x - nanmean(x, axis, keepdims=True))
    return sum(deviations * deviations, axis, keepdims) / _present(x, axis, keepdims)


def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the square root of `nanvar`."""
    return sqrt(nanvar(x, axis, keepdims))
