"""Decompose matrices and measure lengths. Leading axes are a batch."""

import math
from typing import Any

import numpy as np

from minikeras.core.basic import astype, floating, numpy_dtype
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor
from minikeras.ops.define import INT32, composite, one_axis
from minikeras.ops.diagonals import tril
from minikeras.ops.elementwise import (
    absolute,
    divide_no_nan,
    maximum,
    not_equal,
    power,
    rsqrt,
    sqrt,
    square,
)
from minikeras.ops.indexing import getitem
from minikeras.ops.reduction import max as reduce_max
from minikeras.ops.reduction import min as reduce_min
from minikeras.ops.reduction import sum as reduce_sum
from minikeras.ops.shaping import expand_dims, moveaxis, squeeze
from minikeras.ops.solving import (
    _solve_triangular,
    lapack,
    matrices,
    square_spec,
    tolerance,
    transposed,
)

# ---- factors -------------------------------------------------------------------------------------


def _scaled(x: Any, factors: Any) -> Any:
    """Multiply the columns of matrices by factors."""
    return x * getitem(factors, (..., None, slice(None)))


def _half_diagonal(x: Any) -> Any:
    """Return the lower triangle with half the diagonal."""
    n = x.shape[-1]
    return x * EagerTensor((np.tri(n) - np.eye(n) / 2).astype(numpy_dtype(x)))


def _differences(x: Any) -> Any:
    """Return `1 / (x[j] - x[i])` for all pairs, 0 where they are equal."""
    apart = getitem(x, (..., None, slice(None))) - getitem(x, (..., slice(None), None))
    return divide_no_nan(1.0, apart)


def _no_gradient(name: str, why: str) -> LookupError:
    return LookupError(f"gradient registry has no entry for: {name} of {why}.")


# Murray 2016, arXiv:1602.07527, eq. 8, symmetric as in TensorFlow.
def _cholesky_vjp(g: Any, y: Any) -> Any:
    inner = _solve_triangular(transposed(y), _half_diagonal(transposed(y) @ g), lower=False)
    s = transposed(_solve_triangular(transposed(y), transposed(inner), lower=False))
    return (s + transposed(s)) / 2


_cholesky = Primitive(
    "cholesky",
    lapack("cholesky", np.linalg.cholesky, "positive definite matrices"),
    square_spec,
    vjps=(_cholesky_vjp,),
    prepare=floating,
)


def cholesky(x: Any, upper: bool = False) -> Any:
    """Return the lower triangular `l` with `l @ l.T = x`, or its transpose if `upper`.

    Reads the lower triangle of `x` only. Raises `ValueError` unless `x` is positive definite.
    """
    factor = _cholesky(x)
    return transposed(factor) if upper else factor


# Roberts and Roberts 2020, arXiv:2009.10071, eq. 8.
def _qr_vjp(g: Any, y: Any, x_spec: Any, mode: str) -> Any:
    q, r = y
    rows, columns = x_spec.shape[-2:]
    if rows < columns or (mode == "complete" and rows > columns):
        raise _no_gradient("qr", f"a {rows} x {columns} matrix with mode {mode!r}")
    m = r @ transposed(g[1]) - transposed(g[0]) @ q
    symmetric = tril(m) + transposed(tril(m, -1))
    return transposed(_solve_triangular(r, transposed(g[0] + q @ symmetric), lower=False))


def _qr_spec(x: Spec, mode: str) -> tuple[Spec, Spec]:
    batch = matrices(x, squares=False)
    rows, columns = x.shape[-2:]
    inner = rows if mode == "complete" else min(rows, columns)
    return Spec((*batch, rows, inner), x.dtype), Spec((*batch, inner, columns), x.dtype)


_qr = Primitive(
    "qr",
    lapack("qr", lambda x, mode: tuple(np.linalg.qr(x, mode))),
    _qr_spec,
    vjps=(_qr_vjp,),
    prepare=floating,
    multiple=True,
)


def qr(x: Any, mode: str = "reduced") -> Any:
    """Return `q` with orthonormal columns and upper triangular `r` with `q @ r = x`."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: expected mode 'reduced' or 'complete', got {mode!r}.")
    return _qr(x, mode=mode)


# Of a symmetric matrix of which only the lower triangle is read; Giles 2008, section 3.1.
def _eigh_vjp(g: Any, y: Any) -> Any:
    w, v = y
    inner = _differences(w) * (transposed(v) @ g[1])
    whole = (_scaled(v, g[0]) + v @ inner) @ transposed(v)
    return _half_diagonal(whole + transposed(whole))


eigh = Primitive(
    "eigh",
    lapack("eigh", lambda x: tuple(np.linalg.eigh(x)), "finite numbers"),
    lambda x: (Spec((*matrices(x), x.shape[-1]), x.dtype), x),
    vjps=(_eigh_vjp,),
    prepare=floating,
    multiple=True,
    doc="Return ascending eigenvalues and eigenvectors (columns) of symmetric matrices.",
)


def _svd_spec(x: Spec, full_matrices: bool) -> tuple[Spec, Spec, Spec]:
    batch = matrices(x, squares=False)
    rows, columns = x.shape[-2:]
    k = min(rows, columns)
    m, n = (rows, columns) if full_matrices else (k, k)
    shapes = (*batch, rows, m), (*batch, k), (*batch, n, columns)
    return tuple(Spec(shape, x.dtype) for shape in shapes)  # type: ignore[return-value]


# Townsend 2016, "Differentiating the singular value decomposition", eq. 28-30.
def _svd_vjp(g: Any, y: Any, full_matrices: bool) -> Any:
    (u, s, vh), (gu, gs, gvh) = y, g
    v, gv = transposed(vh), transposed(gvh)
    if full_matrices and u.shape[-1] != v.shape[-1]:
        sizes = f"a {u.shape[-1]} x {v.shape[-1]} matrix with full_matrices=True"
        raise _no_gradient("svd", f"{sizes}; use full_matrices=False")
    pairs = _differences(square(s))
    skew_u, skew_v = transposed(u) @ gu, transposed(v) @ gv
    inner = _scaled(pairs * (skew_u - transposed(skew_u)), s)
    inner = inner + transposed(_scaled(transposed(pairs * (skew_v - transposed(skew_v))), s))
    whole = (_scaled(u, gs) + u @ inner) @ vh
    over_s = divide_no_nan(1.0, s)
    if u.shape[-2] > u.shape[-1]:
        whole = whole + _scaled(gu - u @ skew_u, over_s) @ vh
    if v.shape[-2] > v.shape[-1]:
        whole = whole + _scaled(u, over_s) @ transposed(gv - v @ skew_v)
    return whole


_svd = Primitive(
    "svd",
    lapack(
        "svd", lambda x, full_matrices: tuple(np.linalg.svd(x, full_matrices)), "finite numbers"
    ),
    _svd_spec,
    vjps=(_svd_vjp,),
    prepare=floating,
    multiple=True,
)


def _singular_values_vjp(g: Any, x: Any) -> Any:
    u, _, vh = _svd(x, full_matrices=False)
    return _scaled(u, g) @ vh


_singular_values = Primitive(
    "singular_values",
    lapack("svd", lambda x: np.linalg.svd(x, compute_uv=False), "finite numbers"),
    lambda x: _svd_spec(x, full_matrices=False)[1],
    vjps=(_singular_values_vjp,),
    prepare=floating,
)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return `u`, descending singular values `s` and `vh` with `u @ diag(s) @ vh = x`, or only `s`.

    Gradients through `u` and `vh` need different singular values and `full_matrices=False`.
    """
    return _svd(x, full_matrices=bool(full_matrices)) if compute_uv else _singular_values(x)


@composite
def matrix_rank(x: Any, tol: float | None = None) -> Any:
    """Count the singular values above `tol`."""
    (x,) = floating([x])
    s = _singular_values(x)
    if tol is None:
        tol = tolerance(x) * reduce_max(s, axis=-1, keepdims=True)
    return reduce_sum(astype(s > tol, INT32), axis=-1)


def _lu_arrays(x: Array) -> tuple[Array, Array]:
    """Eliminate column by column, with the largest pivot."""
    lu = x.reshape(-1, *x.shape[-2:]).copy()
    count, n = lu.shape[:2]
    batch = np.arange(count)
    order = np.tile(np.arange(n, dtype=np.int32), (count, 1))
    for k in range(n):
        pivot = k + np.abs(lu[:, k:, k]).argmax(1)
        for each in (lu, order):
            each[batch, k], each[batch, pivot] = each[batch, pivot], each[batch, k].copy()
        lu[:, k + 1 :, k] /= lu[:, k, k, None]
        lu[:, k + 1 :, k + 1 :] -= lu[:, k + 1 :, k, None] * lu[:, k, None, k + 1 :]
    return lu.reshape(x.shape), order.argsort(1).astype(np.int32).reshape(x.shape[:-1])


_lu_factor = Primitive(
    "lu_factor",
    lapack("lu_factor", _lu_arrays),
    lambda x: (square_spec(x), Spec(tuple(x.shape[:-1]), INT32)),
    prepare=floating,
    multiple=True,
)


def lu_factor(x: Any) -> Any:
    """Return L and U in one matrix, and for each row of `x` the row of `L @ U` that it is."""
    return _lu_factor(x)


# ---- lengths -------------------------------------------------------------------------------------


@composite
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the norm of vectors (one axis) or matrices (two axes).

    Args:
        ord: None, a number, inf or -inf; for matrices None, 1, -1, 2, -2, inf, -inf, `"fro"` or
            `"nuc"`. None and `"fro"` take the root of the sum of squares; its gradient at 0 is NaN.
        axis: one axis, or those of the rows and the columns; None means all.
    """
    (x,) = floating([x])
    axes = _norm_axes(axis, x.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return sqrt(reduce_sum(square(x), axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(
            f"norm: expected one or two axes with ord={ord}, got axis={axis} for shape "
            f"{tuple(x.shape)}."
        )
    return _matrix_norm(x, ord, axes, keepdims)


def _norm_axes(axis: Any, rank: int) -> tuple[int, ...]:
    axes = range(rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    try:
        return tuple(one_axis(int(a), rank) for a in axes)
    except ValueError as error:
        raise ValueError(f"norm: {error}") from None


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"norm: expected a number as ord of vectors, got {ord!r}.")
    if ord == 0:
        return reduce_sum(astype(not_equal(x, 0), numpy_dtype(x)), axis=axes, keepdims=keepdims)
    x = absolute(x)
    if math.isinf(ord):
        return (reduce_max if ord > 0 else reduce_min)(x, axis=axes, keepdims=keepdims)
    if ord == 1:
        return reduce_sum(x, axis=axes, keepdims=keepdims)
    return power(reduce_sum(power(x, ord), axis=axes, keepdims=keepdims), 1 / ord)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    rows, columns = axes
    if ord in (1, -1, math.inf, -math.inf):
        summed, chosen = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = reduce_sum(absolute(x), axis=summed, keepdims=True)
        best = (reduce_max if ord > 0 else reduce_min)(sums, axis=chosen, keepdims=True)
    elif ord in (2, -2, "nuc"):
        s = _singular_values(moveaxis(x, axes, (-2, -1)))
        best = {2: reduce_max, -2: reduce_min, "nuc": reduce_sum}[ord](s, axis=-1)
        best = expand_dims(best, axes)
    else:
        raise ValueError(
            "norm: expected None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf as ord of matrices, "
            f"got {ord!r}."
        )
    return best if keepdims else squeeze(best, axes)


@composite
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    """Divide by the root of the sum of squares, or by that of `epsilon` if it is larger."""
    (x,) = floating([x])
    return x * rsqrt(maximum(reduce_sum(square(x), axis=axis, keepdims=True), epsilon))
