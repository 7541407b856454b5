"""Rows of `minikeras.ops.contraction`, `products`, `solving` and `linalg`."""

import numpy as np

from minikeras import ops
from minikeras.ops.linalg import l2_normalize
from minikeras.ops.solving import transposed
from tests.rows import Row, numbers

A, B = numbers(3, 4), numbers(4, 5, seed=1)
V, W = numbers(4, low=-1.7, seed=2), numbers(4, seed=3)
BATCH = numbers(2, 3, 4, seed=4)
OTHER = numbers(2, 4, 5, seed=5)
WIDE = numbers(2, 1, 4, 5, seed=6)
CUBE = numbers(3, 3, 3, seed=7)
SQUARE = numbers(3, 3, seed=8) + 2 * np.eye(3)
SQUARES = np.stack([SQUARE, SQUARE.T - 5 * np.eye(3)])
TALL = numbers(5, 3, seed=9)
POSITIVE = SQUARES @ np.swapaxes(SQUARES, -1, -2) + np.eye(3)
RIGHT = numbers(3, 2, seed=10)


def _matmul(a, b):
    return Row("matmul", ops.matmul, (a, b), np.matmul)


def _einsum(subscripts, *operands, covers=("contract",)):
    return Row(
        f"einsum {subscripts}",
        lambda *xs: ops.einsum(subscripts, *xs),
        operands,
        lambda *xs: np.einsum(subscripts, *xs),
        covers=covers,
    )


def _np(name, *inputs, covers=("contract",), **kwargs):
    """Name a function that NumPy has too."""
    ours, theirs = getattr(ops, name), getattr(np, name)
    return Row(
        name,
        lambda *xs: ours(*xs, **kwargs),
        inputs,
        lambda *xs: theirs(*xs, **kwargs),
        covers=covers,
    )


def _linalg(name, *inputs, order=2, **kwargs):
    ours, theirs = getattr(ops, name), getattr(np.linalg, name)
    return Row(
        name, lambda *xs: ours(*xs, **kwargs), inputs, lambda *xs: theirs(*xs, **kwargs), order
    )


def _norm(x, ord=None, axis=None, keepdims=False):
    return Row(
        f"norm {ord}",
        lambda x: ops.norm(x, ord, axis, keepdims),
        (x,),
        lambda x: np.linalg.norm(x, ord, axis, keepdims),
        covers=("singular_values",),
    )


def _symmetric(x):
    return (x + np.swapaxes(x, -1, -2)) / 2


def _ours_symmetric(x):
    return (x + transposed(x)) / 2


def _cholesky(x, upper):
    factor = np.linalg.cholesky(_symmetric(x))
    return np.swapaxes(factor, -1, -2) if upper else factor


def _lu_in_loops(x):
    lu, order = x.copy(), np.arange(len(x))
    for k in range(len(x)):
        pivot = max(range(k, len(x)), key=lambda i: abs(lu[i, k]))
        lu[[k, pivot]], order[[k, pivot]] = lu[[pivot, k]], order[[pivot, k]]
        for i in range(k + 1, len(x)):
            lu[i, k] /= lu[k, k]
            for j in range(k + 1, len(x)):
                lu[i, j] -= lu[i, k] * lu[k, j]
    return lu, np.array([list(order).index(i) for i in range(len(x))], "int32")


ROWS = [
    *(_matmul(a, b) for a, b in ((A, B), (V, W), (A, V), (V, B), (BATCH, B), (A, OTHER))),
    *(_matmul(a, b) for a, b in ((BATCH, OTHER), (BATCH, V), (V, OTHER), (BATCH, WIDE))),
    *(_matmul(a, b) for a, b in ((A[:0], B), (BATCH[:, :, :0], B[:0]), (A.T[::2], A[:, ::2]))),
    _einsum("ij,jk->ik", A, B),
    _einsum("ij,jk->ki", A, B),
    _einsum("ij,jk", A, B),
    _einsum("bij,jk->bik", BATCH, B),
    _einsum("bij,bjk->kbi", BATCH, OTHER),
    _einsum("bij,bij->b", BATCH, BATCH[::-1].copy()),
    _einsum("bij,bij->bij", BATCH, BATCH[::-1].copy()),
    _einsum("i,j->ij", V, W),
    _einsum("i,i->", V, W),
    _einsum("bij,k->ki", BATCH, V),
    _einsum("iij,kjj->ki", CUBE, CUBE[::-1].copy()),
    _einsum("iii,i->i", CUBE, CUBE[0, 0]),
    _einsum("...ij,...jk->...ik", BATCH, WIDE),
    _einsum("...ij,...jk->...ik", BATCH, B),
    _einsum("...i->i...", BATCH, covers=("rearrange",)),
    _einsum("ij,jk,kl,l->i", A, B, numbers(5, 2, seed=1), numbers(2, seed=2)),
    _einsum("i,j,k->kij", V, W, A[0]),
    _einsum("a,ab,abc->c", A[:2, 0], BATCH[:, 0], OTHER, covers=("contract", "rearrange")),
    _einsum("ii", SQUARE, covers=("rearrange",)),
    _einsum("ii->i", SQUARE, covers=("rearrange",)),
    _einsum("iij->j", CUBE, covers=("rearrange",)),
    _einsum("iii->i", CUBE, covers=("rearrange",)),
    _einsum("bij->jb", BATCH, covers=("rearrange",)),
    _einsum("ij->", A, covers=("rearrange",)),
    _einsum("ij,jk->ik", A[:0], B),
    _einsum("ij,jk->ik", A[:, :0], B[:0]),
    _np("tensordot", BATCH, numbers(3, 4, 2, seed=1)),
    _np("tensordot", BATCH, numbers(4, 2, 3, seed=1), axes=([1, -1], [2, 0])),
    _np("tensordot", V, W, axes=0),
    _np("dot", A, B, covers=("matmul",)),
    _np("dot", BATCH, OTHER),
    _np("dot", np.array(2.0), A, covers=("multiply",)),
    _np("inner", BATCH, A),
    _np("inner", V, W),
    _np("outer", A, V),
    _np("vdot", A, A[::-1].copy(), covers=("matmul",)),
    _np("kron", A, V),
    _np("kron", A[:2], numbers(2, 2, 2, seed=1)),
    _np("cross", CUBE[0], CUBE[1]),
    _np("cross", CUBE, CUBE[1].T.copy(), axisa=1, axisc=0),
    Row("cross", ops.cross, (RIGHT, RIGHT[::-1].copy()),
        lambda a, b: a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]),
    _linalg("inv", SQUARES),
    _linalg("det", SQUARES),
    _linalg("slogdet", SQUARES),
    Row("logdet", ops.logdet, (POSITIVE,), lambda x: np.log(np.linalg.det(x)), covers=("slogdet",)),
    _linalg("solve", SQUARES, RIGHT[None]),
    Row("solve", ops.solve, (SQUARES, RIGHT.T.copy()),
        lambda a, b: np.stack([np.linalg.solve(*pair) for pair in zip(a, b)])),
    *(
        Row("solve_triangular", lambda a, b, lower=lower: ops.solve_triangular(a, b, lower=lower),
            (SQUARES, RIGHT[None]), lambda a, b, tri=tri: np.linalg.solve(tri(a), b))
        for lower, tri in ((True, np.tril), (False, np.triu))
    ),
    *(
        Row("cholesky", lambda x, upper=upper: ops.cholesky(_ours_symmetric(x), upper), (POSITIVE,),
            lambda x, upper=upper: _cholesky(x, upper))
        for upper in (False, True)
    ),
    _linalg("pinv", TALL, order=1),
    _linalg("pinv", TALL.T.copy(), order=1),
    _linalg("pinv", np.outer(V, W), order=0),
    Row("lstsq", ops.lstsq, (TALL, TALL[:, 0] ** 2),
        lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], covers=("pinv",)),
    _linalg("qr", TALL),
    _linalg("qr", SQUARES, mode="complete"),
    _linalg("qr", TALL, mode="complete", order=0),
    _linalg("qr", TALL.T.copy(), order=0),
    Row("eigh", lambda x: ops.eigh(_ours_symmetric(x)), (SQUARES,),
        lambda x: tuple(np.linalg.eigh(_symmetric(x)))),
    Row("eigh", ops.eigh, (POSITIVE,), lambda x: tuple(np.linalg.eigh(x))),
    _linalg("svd", TALL, full_matrices=False),
    _linalg("svd", TALL.T.copy(), full_matrices=False),
    _linalg("svd", SQUARES),
    _linalg("svd", TALL, order=0),
    _linalg("svd", TALL, compute_uv=False),
    Row("matrix_rank", ops.matrix_rank, (np.stack([SQUARE, np.outer(V[:3], W[:3])]),),
        np.linalg.matrix_rank, order=0, covers=("singular_values",)),
    Row("lu_factor", ops.lu_factor, (SQUARE,), _lu_in_loops, order=0),
    *(_norm(A, ord) for ord in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    *(_norm(V, ord) for ord in (None, 1, 2, 3, -1, np.inf, -np.inf)),
    _norm(BATCH, axis=(2, 0), ord=1, keepdims=True),
    _norm(BATCH, axis=(2, 0), ord="nuc", keepdims=True),
    _norm(BATCH, axis=(0, 1), ord=np.inf),
    _norm(BATCH, axis=-1, ord=2.5),
    Row("l2_normalize", lambda x: l2_normalize(x, -1), (A,),
        lambda x: x / np.sqrt((x * x).sum(-1, keepdims=True))),
]  # fmt: skip
