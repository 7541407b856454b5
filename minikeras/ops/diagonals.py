"""Take the triangles and diagonals of matrices."""

import operator
from typing import Any

import numpy as np

from minikeras.core import basic
from minikeras.core.basic import numpy_dtype
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.ops.define import composite
from minikeras.ops.elementwise import where
from minikeras.ops.indexing import _place_slice, getitem
from minikeras.ops.reduction import sum
from minikeras.ops.shaping import moveaxis, ravel


def _triangle(who: str, x: Any, k: Any) -> tuple[Any, Any, Any]:
    """Return the mask of the lower triangle, `x`, and a zero of its dtype."""
    x = as_tensor(x)
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
    length = max(0, min(rows + min(k, 0), columns - max(k, 0)))
    start = k if k >= 0 else -k * columns
    return slice(start, start + length * (columns + 1), columns + 1)


@composite
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonals of the matrices in axes `axis1` and `axis2`, as the last axis."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"diagonal: expected at least two axes, got shape {tuple(x.shape)}.")
    moved = moveaxis(x, (axis1, axis2), (-2, -1))
    *others, rows, columns = moved.shape
    flat = basic.reshape(moved, shape=(*others, rows * columns))
    return getitem(flat, (..., _diagonal(rows, columns, operator.index(offset))))


@composite
def diag(x: Any, k: int = 0) -> Any:
    """Return the k-th diagonal of a matrix, or a matrix whose k-th diagonal is the vector `x`."""
    x = as_tensor(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag: expected one or two axes, got shape {tuple(x.shape)}.")
    return matrices(x, k)


@composite
def matrices(diagonal: Any, k: int = 0) -> Any:
    """Return matrices whose k-th diagonals are the vectors along the last axis."""
    *others, n = as_tensor(diagonal).shape
    n += abs(k)
    key = (..., _diagonal(n, n, k))
    flat = _place_slice(diagonal, key=key, shape=(*others, n * n))
    return basic.reshape(flat, shape=(*others, n, n))


def diagflat(x: Any, k: int = 0) -> Any:
    """Return a matrix whose k-th diagonal holds all elements of `x`."""
    return diag(ravel(x), k)


@composite
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Sum the diagonals of the matrices in axes `axis1` and `axis2`."""
    return sum(diagonal(x, offset, axis1, axis2), -1)
