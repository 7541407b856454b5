"""Multiply tensors and sum over axes that they share: matmul, dot and their relatives."""

import math
import string
from typing import Any

import numpy as np

from minikeras.core.basic import astype, numpy_dtype, promoted, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, broadcast
from minikeras.core.tensor import Array
from minikeras.ops.contraction import contract, widened
from minikeras.ops.contraction import einsum as einsum
from minikeras.ops.define import composite, one_axis
from minikeras.ops.elementwise import multiply
from minikeras.ops.indexing import getitem
from minikeras.ops.repeating import pad
from minikeras.ops.shaping import expand_dims, moveaxis, ravel, squeeze, swapaxes

# ---- matmul --------------------------------------------------------------------------------------


def _matmul(x1: Array, x2: Array) -> Array:
    if x1.ndim > 2 and x2.ndim == 2 and x1.size:  # one large product instead of many small ones
        rows = x1.reshape(-1, x1.shape[-1]) @ x2
        return rows.reshape(*x1.shape[:-1], x2.shape[1])
    return np.matmul(x1, x2)  # type: ignore[no-any-return]


def _matmul_spec(x1: Spec, x2: Spec) -> Spec:
    shapes = f"shapes {tuple(x1.shape)} and {tuple(x2.shape)}"
    if not x1.shape or not x2.shape:
        raise ValueError(f"expected at least one axis each, got {shapes}. Use multiply.")
    if x1.shape[-1] != x2.shape[-2:][0]:
        which = "second to last" if len(x2.shape) > 1 else "only"
        raise ValueError(
            f"expected x1's last axis to be as long as x2's {which} one, got {shapes}."
        )
    batch = broadcast(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    columns = x2.shape[-1:] if len(x2.shape) > 1 else ()
    return Spec((*batch, *x1.shape[-2:-1], *columns), x1.dtype)


def _transposed(x: Any) -> Any:
    return swapaxes(x, -1, -2)


def _matmul_vjp1(g: Any, x1_spec: Any, x2: Any) -> Any:
    if x2.ndim == 1:
        return expand_dims(g, -1) * x2
    if x1_spec.ndim == 1:
        return squeeze(matmul(x2, expand_dims(g, -1)), -1)
    return matmul(g, _transposed(x2))


def _matmul_vjp2(g: Any, x1: Any, x2_spec: Any) -> Any:
    if x1.ndim == 1:
        return g * x1 if x2_spec.ndim == 1 else expand_dims(x1, -1) * expand_dims(g, -2)
    if x1.ndim == 2 or x2_spec.ndim > 2:
        return matmul(_transposed(x1), g)
    rows = math.prod(x1.shape[:-1])  # one product sums over the batch as well
    flat = _transposed(reshape(x1, shape=(rows, x1.shape[-1])))
    return matmul(flat, reshape(g, shape=(rows, *x2_spec.shape[1:])))


matmul = Primitive(
    "matmul",
    _matmul,
    _matmul_spec,
    vjps=(_matmul_vjp1, _matmul_vjp2),
    arguments=("x1", "x2"),
    prepare=widened,
    doc="Multiply matrices in the last two axes; axes before them broadcast, 1-d ones are vectors.",
)

# ---- sums over pairs of axes ---------------------------------------------------------------------


@composite
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Multiply and sum over pairs of axes.

    Args:
        axes: how many of the last axes of `x1` and the first of `x2` to sum over, or the axes of
            `x1` and those of `x2` that go with them.
    """
    x1, x2 = promoted([x1, x2])
    if isinstance(axes, (list, tuple)):
        first, second = ([a] if isinstance(a, int) else list(a) for a in axes)
    else:
        first, second = list(range(-axes, 0)), list(range(axes))
    try:
        first, second = (
            [one_axis(a, x1.ndim) for a in first],
            [one_axis(a, x2.ndim) for a in second],
        )
        fits = [x1.shape[a] for a in first] == [x2.shape[a] for a in second]
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"tensordot: expected pairs of axes of equal length, got axes={axes} for shapes "
            f"{tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    a = string.ascii_letters[: x1.ndim]
    free = iter(string.ascii_letters[x1.ndim :])
    b = "".join(a[first[second.index(i)]] if i in second else next(free) for i in range(x2.ndim))
    out = "".join(label for label in a + b if (label in a) != (label in b))
    return contract(x1, x2, subscripts=f"{a},{b}->{out}")


@composite
def dot(x1: Any, x2: Any) -> Any:
    """Sum over the last axis of `x1` and the second to last (or only) of `x2`; scalars scale."""
    x1, x2 = promoted([x1, x2])
    if not x1.ndim or not x2.ndim:
        return multiply(x1, x2)
    if x2.ndim > 2:
        return tensordot(x1, x2, [-1, -2])
    return astype(matmul(x1, x2), numpy_dtype(x1))


@composite
def inner(x1: Any, x2: Any) -> Any:
    """Sum over the last axes of both; scalars scale."""
    x1, x2 = promoted([x1, x2])
    return tensordot(x1, x2, [-1, -1]) if x1.ndim and x2.ndim else multiply(x1, x2)


@composite
def outer(x1: Any, x2: Any) -> Any:
    """Multiply every element of `x1` (rows) by every element of `x2` (columns)."""
    return contract(ravel(x1), ravel(x2), subscripts="a,b->ab")


@composite
def vdot(x1: Any, x2: Any) -> Any:
    """Multiply element by element, whatever the shapes, and sum over everything."""
    return dot(ravel(x1), ravel(x2))


@composite
def kron(x1: Any, x2: Any) -> Any:
    """Return the Kronecker product: a copy of `x2` for every element of `x1`, scaled by it."""
    x1, x2 = promoted([x1, x2])
    rank = max(x1.ndim, x2.ndim)
    x1, x2 = (reshape(x, shape=(1,) * (rank - x.ndim) + tuple(x.shape)) for x in (x1, x2))
    a, b = string.ascii_letters[:rank], string.ascii_letters[rank : 2 * rank]
    out = "".join(left + right for left, right in zip(a, b, strict=True))
    blocks = contract(x1, x2, subscripts=f"{a},{b}->{out}")
    return reshape(blocks, shape=tuple(m * n for m, n in zip(x1.shape, x2.shape, strict=True)))


@composite
def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """Return the cross product of vectors of 2 or 3 elements; of two plane ones the third element.

    Args:
        axisa, axisb, axisc: the axis of the vectors in `x1`, in `x2` and in the result.
        axis: all three of them.
    """
    x1, x2 = promoted([x1, x2])
    if axis is not None:
        axisa = axisb = axisc = axis
    x1, x2 = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    lengths = [x1.shape[-1], x2.shape[-1]]
    if not set(lengths) <= {2, 3}:
        raise ValueError(
            f"cross: expected vectors of 2 or 3 elements, got {lengths[0]} and {lengths[1]}."
        )
    x1, x2 = (
        pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)]) if x.shape[-1] == 2 else x for x in (x1, x2)
    )
    after, before = (..., [1, 2, 0]), (..., [2, 0, 1])
    product = getitem(x1, after) * getitem(x2, before) - getitem(x1, before) * getitem(x2, after)
    if lengths == [2, 2]:
        return getitem(product, (..., 2))
    return moveaxis(product, -1, axisc)
