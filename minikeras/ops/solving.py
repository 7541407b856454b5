"""Invert matrices and solve linear equations. Leading axes are a batch."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.basic import floating, numpy_dtype
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, broadcast
from minikeras.core.tensor import Array, EagerTensor
from minikeras.ops.define import composite
from minikeras.ops.diagonals import tril, triu
from minikeras.ops.elementwise import where
from minikeras.ops.indexing import getitem
from minikeras.ops.shaping import expand_dims, squeeze, swapaxes

# ---- what the definitions share ------------------------------------------------------------------


def lapack(name: str, function: Callable[..., Any], wanted: str = "") -> Callable[..., Any]:
    """Make a forward: float16 is computed in float32, and failures say what was `wanted`."""

    def forward(*arrays: Array, **params: Any) -> Any:
        half = arrays[0].dtype == np.float16
        if half:
            arrays = tuple(x.astype(np.float32) for x in arrays)
        try:
            result = function(*arrays, **params)
        except np.linalg.LinAlgError as error:
            shapes = " and ".join(str(x.shape) for x in arrays)
            raise ValueError(f"{name}: expected {wanted}, got another, shape {shapes}.") from error
        return tree.map_structure(lambda x: x.astype(np.float16), result) if half else result

    return forward


def matrices(x: Spec, *, squares: bool = True) -> tuple[int, ...]:
    """Return the batch axes of matrices."""
    shape = tuple(x.shape)
    if len(shape) < 2:
        raise ValueError(f"expected matrices, with at least two axes, got shape {shape}.")
    if squares and shape[-1] != shape[-2]:
        raise ValueError(f"expected square matrices, got shape {shape}.")
    return shape[:-2]


def square_spec(x: Spec) -> Spec:
    """Return the spec of square matrices itself."""
    matrices(x)
    return x


def transposed(x: Any) -> Any:
    """Exchange the last two axes."""
    return swapaxes(x, -1, -2)


def _columns(x: Any) -> Any:
    """Give numbers, one for each matrix, two axes more."""
    return getitem(x, (..., None, None))


# ---- determinants and inverses -------------------------------------------------------------------

_INVERTIBLE = "an invertible matrix"

# d inv(x) = -inv(x) dx inv(x)
inv = Primitive(
    "inv",
    lapack("inv", np.linalg.inv, _INVERTIBLE),
    square_spec,
    vjps=(lambda g, y: -(transposed(y) @ g @ transposed(y)),),
    prepare=floating,
    doc="Invert square matrices; raise `ValueError` for singular ones.",
)
# d det(x) = det(x) trace(inv(x) dx)
det = Primitive(
    "det",
    lapack("det", np.linalg.det),
    lambda x: Spec(matrices(x), x.dtype),
    vjps=(lambda g, y, x: _columns(g * y) * transposed(inv(x)),),
    prepare=floating,
    doc="Compute determinants; the gradient needs invertible matrices.",
)
_slogdet = Primitive(
    "slogdet",
    lapack("slogdet", lambda x: tuple(np.linalg.slogdet(x))),
    lambda x: (Spec(matrices(x), x.dtype),) * 2,
    vjps=(lambda g, x: _columns(g[1]) * transposed(inv(x)),),
    prepare=floating,
    multiple=True,
)


def slogdet(x: Any) -> Any:
    """Return the signs and the logarithms of the absolute values of determinants."""
    return _slogdet(x)


def logdet(x: Any) -> Any:
    """Return the logarithm of the determinant of positive definite matrices; NaN if negative."""
    sign, logarithm = _slogdet(x)
    return where(sign > 0, logarithm, math.nan)


# ---- linear equations ----------------------------------------------------------------------------


def _solution_spec(a: Spec, b: Spec, **_: Any) -> Spec:
    batch = matrices(a)
    if b.shape[-2:-1] != a.shape[-1:]:
        raise ValueError(
            f"expected as many rows in b as in a, got shapes {tuple(a.shape)} and {tuple(b.shape)}."
        )
    return Spec((*broadcast(batch, tuple(b.shape[:-2])), *b.shape[-2:]), b.dtype)


_solve: Primitive = Primitive(
    "solve",
    lapack("solve", np.linalg.solve, _INVERTIBLE),
    _solution_spec,
    vjps=(
        lambda g, y, a: -(_solve(transposed(a), g) @ transposed(y)),
        lambda g, a: _solve(transposed(a), g),
    ),
    arguments=("a", "b"),
    prepare=floating,
)


def _triangular(a: Array, b: Array, lower: bool) -> Any:
    return np.linalg.solve(np.tril(a) if lower else np.triu(a), b)


def _triangular_vjp(g: Any, y: Any, a: Any, lower: bool) -> Any:
    whole = -(_solve_triangular(transposed(a), g, lower=not lower) @ transposed(y))
    return tril(whole) if lower else triu(whole)


_solve_triangular: Primitive = Primitive(
    "solve_triangular",
    lapack("solve_triangular", _triangular, "a diagonal without zeros"),
    _solution_spec,
    vjps=(
        _triangular_vjp,
        lambda g, a, lower: _solve_triangular(transposed(a), g, lower=not lower),
    ),
    arguments=("a", "b"),
    prepare=floating,
)


def _as_columns(a: Any, b: Any, op: Callable[[Any, Any], Any]) -> Any:
    """Solve for `b`, whose vectors, if it has one axis less than `a`, become columns."""
    if b.ndim == a.ndim - 1:
        return squeeze(op(a, expand_dims(b, -1)), -1)
    return op(a, b)


@composite
def solve(a: Any, b: Any) -> Any:
    """Return the `x` for which `a @ x = b`; `b` holds vectors if it has one axis less than `a`."""
    a, b = floating([a, b])
    return _as_columns(a, b, _solve)


@composite
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """Solve `a @ x = b` for `a` of which only the upper (or lower) triangle is read."""
    a, b = floating([a, b])
    return _as_columns(a, b, functools.partial(_solve_triangular, lower=bool(lower)))


# The Frechet derivative of the pseudoinverse p of x, for a rank that does not change (Golub and
# Pereyra 1973, eq. 4.12), transposed.
def _pinv_vjp(g: Any, y: Any, x: Any) -> Any:
    g, p = transposed(g), y
    rows, columns = (EagerTensor(np.eye(n, dtype=numpy_dtype(x))) for n in x.shape[-2:])
    inside = -(transposed(p) @ transposed(g) @ transposed(p))
    return (
        inside + (rows - x @ p) @ g @ p @ transposed(p) + transposed(p) @ p @ g @ (columns - p @ x)
    )


def tolerance(x: Any) -> float:
    """Return up to which part of the largest singular value others are but rounding errors."""
    return float(max(x.shape[-2:]) * np.finfo(numpy_dtype(x)).eps)


_pinv = Primitive(
    "pinv",
    lapack("pinv", np.linalg.pinv, "finite numbers"),
    lambda x, **_: Spec((*matrices(x, squares=False), x.shape[-1], x.shape[-2]), x.dtype),
    vjps=(_pinv_vjp,),
    prepare=floating,
)


@composite
def pinv(x: Any, rcond: float | None = None) -> Any:
    """Return the pseudoinverse; singular values up to `rcond` times the largest count as 0."""
    (x,) = floating([x])
    return _pinv(x, rcond=10 * tolerance(x) if rcond is None else float(rcond))


@composite
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """Return the shortest `x` that makes `a @ x - b` shortest, of one matrix `a`."""
    a, b = floating([a, b])
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ValueError(
            "lstsq: expected a matrix a and a vector or matrix b with as many rows, got shapes "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
    return _pinv(a, rcond=tolerance(a) if rcond is None else float(rcond)) @ b
