"""Run along an axis: cumulative sums and products, differences."""

import math
from typing import Any

import numpy as np

from minikeras.core.basic import accumulator, astype, filled, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, as_dtype
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.define import INT32, Vjp, along, one_axis
from minikeras.ops.elementwise import not_equal
from minikeras.ops.indexing import _place_slice
from minikeras.ops.joining import concatenate
from minikeras.ops.shaping import flip, ravel, transpose

# ---- rows ----------------------------------------------------------------------------------------


def as_rows(x: Any, axis: tuple[int, ...]) -> Any:
    """Return `x` as a matrix whose rows run along `axis`."""
    others = [i for i in range(x.ndim) if i not in axis]
    shape = (math.prod(x.shape[i] for i in part) for part in (others, axis))
    return reshape(transpose(x, [*others, *axis]), shape=tuple(shape))


def from_rows(rows: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Undo `as_rows(x, axis)`."""
    order = [*(i for i in range(x.ndim) if i not in axis), *axis]
    apart = reshape(rows, shape=tuple(x.shape[i] for i in order))
    return transpose(apart, [order.index(i) for i in range(x.ndim)])


def product_before(rows: Any) -> Any:
    """Return for each element of a row the product of those before it."""
    first = rows[:, :1]
    return cumprod(concatenate([filled(first, 1), rows[:, :-1]], 1), 1)


def _delayed(rows: Any, by: int) -> Any:
    """Move the elements of rows `by` places to the right, after zeros."""
    key = (slice(None), slice(by, None))
    return _place_slice(rows[:, :-by], key=key, shape=tuple(rows.shape))


def _linear_recurrence(a: Any, b: Any) -> Any:
    """Solve `s[k] = a[k] * s[k - 1] + b[k]` along rows, from `s[-1] = 0`.

    In log2(n) steps over whole arrays, each of which joins every window of elements with the one
    before it (Hillis and Steele, 1986).
    """
    width = 1
    while width < a.shape[1]:
        b = b + a * _delayed(b, width)
        a = a * _delayed(a, width)
        width *= 2
    return b


# ---- sums and products ---------------------------------------------------------------------------


def _cumulative(name: str, function: Any, vjp: Vjp) -> Primitive:
    def run(x: Array, axis: int) -> Array:
        y = function(x, axis=axis, dtype=accumulator(x.dtype))
        return y.astype(x.dtype, copy=False)  # type: ignore[no-any-return]

    return Primitive(name, run, lambda x, **_: Spec(x.shape, x.dtype), vjps=(vjp,))


def _cumprod_vjp(g: Any, x: Any, axis: int) -> Any:
    """Compute `sum over i >= k of g[i] * (product over j <= i, j != k of x[j])` without dividing.

    It is the product of the elements before k times `s[k] = g[k] + x[k + 1] * s[k + 1]`.
    """
    rows, g_rows = as_rows(x, (axis,)), as_rows(g, (axis,))
    after = flip(_linear_recurrence(_delayed(flip(rows, 1), 1), flip(g_rows, 1)), 1)
    return from_rows(product_before(rows) * after, x, (axis,))


_cumsum: Primitive = _cumulative(
    "cumsum", np.cumsum, lambda g, axis: flip(_cumsum(flip(g, axis), axis=axis), axis)
)
_cumprod = _cumulative("cumprod", np.cumprod, _cumprod_vjp)


def _run(op: Primitive, x: Any, axis: int | None, dtype: Any) -> Any:
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    if dtype is None and x.dtype.is_bool:
        dtype = INT32
    x = x if dtype is None else astype(x, as_dtype(dtype))
    return op(x, axis=one_axis(axis, x.ndim, op.name))


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Sum the elements up to each one along `axis`, or of the flattened tensor."""
    return _run(_cumsum, x, axis, dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Multiply the elements up to each one along `axis`, or of the flattened tensor."""
    return _run(_cumprod, x, axis, dtype)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Subtract from each element along `axis` the one before it, `n` times over."""
    a = as_tensor(a)
    if n < 0:
        raise ValueError(f"diff: expected n >= 0, got {n}.")
    axis = one_axis(axis, a.ndim, "diff")
    for _ in range(n):
        later, earlier = a[along(axis, slice(1, None))], a[along(axis, slice(None, -1))]
        a = not_equal(later, earlier) if a.dtype.is_bool else later - earlier
    return a
