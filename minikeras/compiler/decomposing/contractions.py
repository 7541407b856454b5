"""Write sums over labelled axes as matrix products, elementwise products and sums."""

import math
from typing import Any

from minikeras.compiler.decomposing.reducing import over
from minikeras.core.basic import numpy_dtype, reshape
from minikeras.ops.contraction import _rearrange, _terms
from minikeras.ops.elementwise import multiply
from minikeras.ops.products import matmul
from minikeras.ops.reduction import _sum
from minikeras.ops.shaping import _transpose

_FLOATS = ("float32", "float64")


def _once(x: Any, labels: str, kept: str) -> tuple[Any, str]:
    """Take diagonals of repeated labels and sum over those that are not `kept`."""
    once = "".join(dict.fromkeys(labels))
    if once != labels:
        x, labels = _rearrange(x, subscripts=f"{labels}->{once}"), once
    gone = tuple(i for i, label in enumerate(labels) if label not in kept)
    if gone:
        x = over(_sum, x, gone, False)
    return x, "".join(label for label in labels if label in kept)


def _ordered(x: Any, labels: str, out: Any) -> Any:
    order = tuple(labels.index(label) for label in out)
    return x if order == tuple(range(len(order))) else _transpose(x, axes=order)


def _rearranged(x: Any, subscripts: str) -> Any:
    labels, out = _terms(subscripts)
    if set(labels) == set(out):
        return None  # a view
    if numpy_dtype(x).itemsize < 4:
        return None  # einsum keeps narrow integers, sums do not
    return _ordered(*_once(x, labels, out), out)


def _contracted(x1: Any, x2: Any, subscripts: str) -> Any:
    a, b, out = _terms(subscripts)
    dtype = numpy_dtype(x1)
    summed = set(a + b) - set(out)
    if summed and (dtype.itemsize < 4 or (set(a) & set(b) & summed and dtype.name not in _FLOATS)):
        return None
    return _product(x1, x2, a, b, out)


def _product(x1: Any, x2: Any, a: str, b: str, out: str) -> Any:
    x1, a = _once(x1, a, b + out)
    x2, b = _once(x2, b, a + out)
    for i, label in enumerate(a):
        j = b.find(label)
        if j >= 0 and x1.shape[i] != x2.shape[j]:  # an axis of length 1 broadcasts: do without it
            if x1.shape[i] == 1:
                x1, a = _without(x1, i), a[:i] + a[i + 1 :]
            else:
                x2, b = _without(x2, j), b[:j] + b[j + 1 :]
            return _product(x1, x2, a, b, out)
    inner = "".join(label for label in a if label in b and label not in out)
    batch = "".join(label for label in out if label in a and label in b)
    rows = "".join(label for label in out if label in a and label not in b)
    columns = "".join(label for label in out if label in b and label not in a)
    if not inner:
        return multiply(_aligned(x1, a, out), _aligned(x2, b, out))
    if not rows and not columns:  # many short dot products
        order = batch + inner
        products = multiply(_ordered(x1, a, order), _ordered(x2, b, order))
        return _ordered(
            over(_sum, products, tuple(range(len(batch), len(order))), False), batch, out
        )
    if rows and columns and out.index(columns[0]) < out.index(rows[0]):
        return _product(x2, x1, b, a, out)
    lengths = dict(zip(a + b, (*x1.shape, *x2.shape), strict=True))
    left, right = _matrices(x1, a, batch, rows, inner), _matrices(x2, b, batch, inner, columns)
    order = batch + rows + columns
    y = reshape(matmul(left, right), shape=tuple(lengths[label] for label in order))
    return _ordered(y, order, out)


def _without(x: Any, axis: int) -> Any:
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i != axis))


def _aligned(x: Any, labels: str, out: str) -> Any:
    """Transpose and expand `x` so that it broadcasts to the axes `out`."""
    lengths = dict(zip(labels, x.shape, strict=True))
    moved = _ordered(x, labels, [label for label in out if label in labels])
    return reshape(moved, shape=tuple(lengths.get(label, 1) for label in out))


def _matrices(x: Any, labels: str, batch: str, rows: str, columns: str) -> Any:
    """Transpose to batch, rows, columns, and merge the axes of the rows and of the columns."""
    moved = _ordered(x, labels, batch + rows + columns)
    start, end = len(batch), len(batch) + len(rows)
    shape = tuple(moved.shape)
    merged = (math.prod(shape[start:end]), math.prod(shape[end:]))
    return reshape(moved, shape=(*shape[:start], *merged))


def _with_vectors(x1: Any, x2: Any) -> Any:
    """Turn vectors into matrices of one row or one column."""
    if min(x1.ndim, x2.ndim) > 1 or numpy_dtype(x1).name not in _FLOATS:
        return None
    shape = (*x1.shape[:-1], *x2.shape[-1:]) if x2.ndim > 1 else tuple(x1.shape[:-1])
    if x1.ndim == 1:
        shape = (*x2.shape[:-2], *x2.shape[-1:]) if x2.ndim > 1 else ()
        x1 = reshape(x1, shape=(1, *x1.shape))
    if x2.ndim == 1:
        x2 = reshape(x2, shape=(*x2.shape, 1))
    return reshape(matmul(x1, x2), shape=shape)


RULES: dict[str, Any] = {
    "contract": _contracted,
    "rearrange": _rearranged,
    "matmul": _with_vectors,
}
