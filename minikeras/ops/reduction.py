"""Reduce tensors along axes: sums, products, extremes, questions, places."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core import basic, gradients
from minikeras.core.basic import accumulator, astype, floating, numpy_dtype, total
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, as_dtype, reduced
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.cumulative import as_rows, diff, from_rows, product_before
from minikeras.ops.define import BOOL, INT32, Vjp, all_axes, composite, named, one_axis
from minikeras.ops.elementwise import (
    divide_no_nan,
    equal,
    exp,
    isclose,
    isfinite,
    maximum,
    minimum,
    not_equal,
    where,
)
from minikeras.ops.shaping import flip, moveaxis

# ---- how a reduction is defined ------------------------------------------------------------------


def count(shape: Any, axis: tuple[int, ...]) -> int:
    """Return how many elements go into one of the result."""
    return math.prod(shape[a] for a in axis)


def reduction(
    name: str,
    forward: Callable[..., Any],
    vjp: Vjp | None = None,
    *,
    dtype: Callable[[np.dtype[Any]], np.dtype[Any]] = lambda dtype: dtype,
    prepare: Any = None,
    adds_up: bool = False,
    empty: bool = True,
) -> Primitive:
    """Make an op that reduces `axis`, a tuple of ascending axes, to length 1 or away.

    Args:
        forward: takes an array, `axis` and `keepdims`.
        dtype: the result's dtype by the input's.
        adds_up: whether `forward` takes a `dtype` too, to keep its intermediate results in.
        empty: whether no elements at all have a result.
    """

    def run(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
        result = dtype(x.dtype)
        if not adds_up:
            return forward(x, axis=axis, keepdims=keepdims)
        y = forward(x, axis=axis, keepdims=keepdims, dtype=accumulator(result))
        return y.astype(result, copy=False)

    def spec(x: Spec, axis: tuple[int, ...], keepdims: bool) -> Spec:
        if not (empty or count(x.shape, axis)):
            raise ValueError(
                f"expected at least one element along axis {axis}, got shape {tuple(x.shape)}."
            )
        return Spec(reduced(x.shape, axis, keepdims), dtype(x.dtype))

    return Primitive(name, run, spec, vjps=vjp and (vjp,), prepare=prepare)


def over_axes(primitive: Primitive, doc: str) -> Any:
    """Make the public function of a reduction, which takes any form of `axis`."""

    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = as_tensor(x)
        axes = all_axes(axis, x.ndim, primitive.name)
        return primitive(x, axis=axes, keepdims=bool(keepdims))

    return named(call, primitive.name, doc)


def kept(result: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Return the result of a reduction of `x` with its axes kept, as length 1."""
    return basic.reshape(result, shape=reduced(x.shape, axis, keepdims=True))


def _spread(g: Any, x_spec: Any, axis: tuple[int, ...]) -> Any:
    """Repeat the gradient of a reduction of `x` for every element of `x`."""
    return basic.broadcast_to(kept(g, x_spec, axis), shape=tuple(x_spec.shape))


# ---- sums and means ------------------------------------------------------------------------------


def _sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return int32 or uint32 for narrower integers, as Keras and JAX do."""
    if dtype.kind == "b" or (dtype.itemsize < 4 and dtype.kind != "f"):
        return np.dtype("uint32") if dtype.kind == "u" else INT32
    return dtype


def average_of(x: Array, axis: tuple[int, ...], keepdims: bool, dtype: np.dtype[Any]) -> Array:
    """Return the mean of an array, computed in `dtype`."""
    return np.divide(total(x, axis, keepdims, dtype), count(x.shape, axis), dtype=dtype)


_sum = reduction("sum", total, _spread, dtype=_sum_dtype, adds_up=True)
sum = over_axes(_sum, "Sum over `axis`; narrow integers and bool give int32 or uint32.")

_mean = reduction(
    "mean",
    average_of,
    lambda g, x_spec, axis: _spread(g / count(x_spec.shape, axis), x_spec, axis),
    prepare=floating,
    adds_up=True,
)
mean = over_axes(_mean, "Average over `axis`; integers give `floatx()`.")


def count_nonzero(x: Any, axis: Any = None) -> Any:
    """Count the elements other than 0 along `axis`, in int32."""
    return sum(astype(not_equal(x, 0), INT32), axis)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integrate `y` along `axis` by the trapezoidal rule, over points `x` or `dx` apart."""
    (y,) = floating([y])
    y = moveaxis(y, axis, -1)
    if x is not None:
        (x,) = floating([x])
        dx = diff(moveaxis(x, axis, -1) if x.ndim > 1 else x)
    return sum((y[..., 1:] + y[..., :-1]) * 0.5 * dx, -1)


# ---- products ------------------------------------------------------------------------------------


def _prod_vjp(g: Any, x: Any, axis: tuple[int, ...]) -> Any:
    rows = as_rows(x, axis)
    # The product of all others, as y / x would be were there no zeros.
    others = product_before(rows) * flip(product_before(flip(rows, 1)), 1)
    return kept(g, x, axis) * from_rows(others, x, axis)


_prod = reduction("prod", np.multiply.reduce, _prod_vjp, dtype=_sum_dtype, adds_up=True)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Multiply over `axis`; the gradient is right with zeros among the elements too."""
    x = as_tensor(x)
    x = x if dtype is None else astype(x, as_dtype(dtype))
    y = _prod(x, axis=all_axes(axis, x.ndim, "prod"), keepdims=bool(keepdims))
    return y if dtype is None else astype(y, as_dtype(dtype))


# ---- extremes ------------------------------------------------------------------------------------


def _tied(g: Any, y: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Share the gradient equally among the elements that are the extreme."""
    chosen = basic.cast(equal(x, kept(y, x, axis)), dtype=numpy_dtype(x))
    return chosen * (kept(g, x, axis) / _sum(chosen, axis=axis, keepdims=True))


_max = reduction("max", np.maximum.reduce, _tied, empty=False)
_min = reduction("min", np.minimum.reduce, _tied, empty=False)
amax = over_axes(_max, "Find the largest element over `axis`; ties share the gradient.")
amin = over_axes(_min, "Find the smallest element over `axis`; ties share the gradient.")


def _with_initial(
    extreme: Any, choose: Any, x: Any, axis: Any, keepdims: bool, initial: Any
) -> Any:
    x = as_tensor(x)
    axes = all_axes(axis, x.ndim, extreme.name)
    if initial is not None and not count(x.shape, axes):
        alone = astype(as_tensor(initial), numpy_dtype(x))
        return basic.broadcast_to(alone, shape=reduced(x.shape, axes, keepdims))
    y = extreme(x, axis=axes, keepdims=bool(keepdims))
    if initial is None:
        return y
    return choose(y, bool(initial) if y.dtype.is_bool else initial)


@composite
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Find the largest element over `axis`, or `initial` if it is larger.

    The gradient is shared equally among equal elements, and theirs rather than `initial`'s.
    """
    return _with_initial(_max, maximum, x, axis, keepdims, initial)


@composite
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Find the smallest element over `axis`, or `initial` if it is smaller; see `max`."""
    return _with_initial(_min, minimum, x, axis, keepdims, initial)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the distance from the smallest to the largest element over `axis`."""
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


def _log_sum(x: Array, axis: tuple[int, ...], keepdims: bool, dtype: np.dtype[Any]) -> Any:
    x = x.astype(dtype, copy=False)
    top = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    top = np.where(np.isfinite(top), top, 0)  # inf - inf would be NaN
    logarithm = np.log(total(np.exp(x - top), axis, True, dtype)) + top
    return logarithm.reshape(reduced(x.shape, axis, keepdims))


def _log_sum_vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...]) -> Any:
    # The softmax. Any finite number near y may stand for it: exact cancellation is left to the
    # division, for a large y has few digits; and where all is -inf the gradient is 0, not NaN.
    near = gradients.stop_gradient(where(isfinite(y), y, 0))
    shares = exp(x - kept(near, x, axis))
    return kept(g, x, axis) * divide_no_nan(shares, _sum(shares, axis=axis, keepdims=True))


_logsumexp = reduction("logsumexp", _log_sum, _log_sum_vjp, prepare=floating, adds_up=True)
logsumexp = over_axes(_logsumexp, "Compute `log(sum(exp(x)))` over `axis` without overflow.")

# ---- questions and places ------------------------------------------------------------------------

_any = reduction("any", np.any, dtype=lambda _: BOOL)
_all = reduction("all", np.all, dtype=lambda _: BOOL)
any = over_axes(_any, "Tell whether at least one element over `axis` is other than 0.")
all = over_axes(_all, "Tell whether no element over `axis` is 0.")


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Tell whether `isclose` holds everywhere."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


def _position(name: str, function: Callable[..., Any], doc: str) -> Any:
    """Make a function that finds the first place, along `axis` or among all, of an element."""

    def spec(x: Spec, axis: int | None, keepdims: bool) -> Spec:
        axes = tuple(range(len(x.shape))) if axis is None else (axis,)
        if not count(x.shape, axes):
            raise ValueError(f"expected at least one element, got shape {x.shape} and axis {axis}.")
        return Spec(reduced(x.shape, axes, keepdims), INT32)

    find = Primitive(
        name,
        lambda x, axis, keepdims: np.asarray(function(x, axis=axis, keepdims=keepdims), INT32),
        spec,
    )

    def call(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        x = as_tensor(x)
        axis = None if axis is None else one_axis(axis, x.ndim, name)
        return find(x, axis=axis, keepdims=bool(keepdims))

    return named(call, name, doc)


argmax = _position(
    "argmax",
    np.argmax,
    "Find the place of the first largest element (or NaN) along `axis`, or among all, in int32.",
)
argmin = _position(
    "argmin",
    np.argmin,
    "Find the place of the first smallest element (or NaN) along `axis`, or among all, in int32.",
)
