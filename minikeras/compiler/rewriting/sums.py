"""Say what adds up the same with less work: rewrites of reductions, products and pools."""

import math
from typing import Any

from minikeras.compiler.rewriting.movement import axes_of, reshaped, shape_of
from minikeras.compiler.rewriting.pattern import P, Table, variables
from minikeras.core.basic import astype, numpy_dtype

x, y, z = variables("x y z")

REDUCING = (P.sum, P.mean, P.max, P.min, P.prod, P.any, P.all, P.logsumexp, P.moments)

# ---- reductions ----------------------------------------------------------------------------------


def _sum_of_one(x: Any, axis: tuple[int, ...], out: Any) -> Any:
    if any(x.plain_shape[a] != 1 for a in axis):
        return None
    return astype(reshaped(x, out), numpy_dtype(out))


def _as_sum(x: Any, shape: tuple[int, ...]) -> Any:
    extra = x.ndim - len(shape)
    ones = (i + extra for i, n in enumerate(shape) if n == 1 != x.plain_shape[i + extra])
    summed = P.sum(x, axis=(*range(extra), *ones), keepdims=not extra)
    return P.reshape(summed, shape=tuple(shape))


def _summed_once(inner: Any, x: Any, axis: tuple[int, ...], out: Any) -> Any:
    first = inner[0].node.params
    gone = () if first["keepdims"] else first["axis"]
    left = [a for a in range(x.ndim) if a not in gone]
    axes = {left[a] for a in axis} | {*first["axis"]}
    return reshaped(P.sum(x, axis=tuple(sorted(axes)), keepdims=False), out)


def _sum_below_reshape(inner: Any, x: Any, axis: tuple[int, ...], out: Any) -> Any:
    last = shape_of(inner[0])[len(axis) :]
    before = x.ndim - len(last)
    if axis != tuple(range(len(axis))) or before < 1 or shape_of(x)[before:] != last:
        return None
    return reshaped(P.sum(x, axis=tuple(range(before)), keepdims=False), out)


def _reduced_before_transpose(node: Any, inner: Any, x: Any, axis: tuple[int, ...]) -> Any:
    axes = axes_of(inner[0])
    rest = [a for i, a in enumerate(axes) if i not in axis and x.plain_shape[a] != 1]
    if rest != sorted(rest):
        return None
    results = node.op(x, axis=tuple(sorted(axes[i] for i in axis)), keepdims=False)
    results = results if isinstance(results, tuple) else (results,)
    return tuple(reshaped(y, out) for y, out in zip(results, node.outputs, strict=True))


REDUCTIONS: Table = [
    # sum over no axis, or axes of length 1 -> reshape: -0 stays, whose sum is 0
    (P.sum(x), _sum_of_one),
    (P.sum_to(x), _as_sum),  # sum_to(x) -> sum(x): in another order
    # sum(reshape(x)) -> sum(x) if what is left are x's last axes
    (P.sum(P.reshape(x)), _sum_below_reshape),
    # sum(transpose(x)) -> sum(x) if what is left has kept its order: in another order
    *((op(P.transpose(x)), _reduced_before_transpose) for op in REDUCING),
]
REDUCTIONS_ALONE: Table = [
    # sum(-x) -> -sum(x): a sum that is 0 changes its sign
    (P.sum(-x), lambda node, x: -P.sum(x, **node.params)),
    (P.sum(P.sum(x)), _summed_once),  # sum(sum(x)) -> sum(x) over both axes: in another order
]

# ---- products ------------------------------------------------------------------------------------


def _turns_matrices(axes: tuple[int, ...]) -> bool:
    rank = len(axes)
    return rank > 1 and axes == (*range(rank - 2), rank - 1, rank - 2)


def _matmul_turned(inner: Any, x: Any, y: Any) -> Any:
    axes = axes_of(inner[0])
    if axes != axes_of(inner[1]) or not _turns_matrices(axes):
        return None
    return P.transpose(P.matmul(y, x), axes=axes)


def _is_pointwise(window: Any, x: Any) -> bool:
    """Tell whether a convolution multiplies each pixel's channels by one matrix."""
    ones = {*window.kernel, *window.strides, window.groups} == {1}
    # float16 is convolved in float32, but not multiplied so.
    return ones and not any(map(any, window.padding)) and numpy_dtype(x).itemsize > 2


def _pixels(x: Any) -> Any:
    return P.reshape(x, shape=(math.prod(x.plain_shape[:-1]), x.plain_shape[-1]))


def _turned(x: Any) -> Any:
    return P.transpose(x, axes=(1, 0))


def _conv_as_matmul(x: Any, y: Any, window: Any, out: Any) -> Any:
    return reshaped(_pixels(x) @ _pixels(y), out) if _is_pointwise(window, x) else None


def _input_gradient_as_matmul(x: Any, y: Any, window: Any, out: Any) -> Any:
    return reshaped(_pixels(x) @ _turned(_pixels(y)), out) if _is_pointwise(window, x) else None


def _kernel_gradient_as_matmul(x: Any, y: Any, window: Any, out: Any) -> Any:
    return reshaped(_turned(_pixels(x)) @ _pixels(y), out) if _is_pointwise(window, x) else None


def _masked_before_put(inner: Any, x: Any, y: Any, z: Any, out: Any) -> Any:
    places, put = inner[:2]
    window, pool = put.node.params["window"], getattr(z, "node", None)
    apart = all(k <= s for k, s in zip(window.kernel, window.strides, strict=True))
    if not apart or pool is None or pool.op is not P.max_pool.primitive:
        return None
    if pool.params["window"] != window or pool.inputs[0].key != y.key:
        return None
    factor = P.cast(P.greater(z, 0), dtype=out._dtype)
    return P.put_position(x * factor, places, window=window)


# Where windows lie apart, relu's gradient is taken of the maxima alone: the rest of it is 0.
# put(g, first(y, max)) * (y > 0) -> put(g * (max > 0), first(y, max)): not where max is NaN
POOLS: Table = [
    (
        P.put_position(x, P.first_maximum(y, z)) * P.cast(P.greater(y, 0)),
        _masked_before_put,
    ),
]

PRODUCTS: Table = [
    # A convolution whose kernel is one pixel, without strides, padding or groups -> product
    (P.conv(x, y), _conv_as_matmul),
    (P.conv_input_gradient(x, y), _input_gradient_as_matmul),
    (P.conv_kernel_gradient(x, y), _kernel_gradient_as_matmul),
]
PRODUCTS_ALONE: Table = [
    (P.matmul(P.transpose(x), P.transpose(y)), _matmul_turned),  # x.T @ y.T -> (y @ x).T
]
