"""Rows of `minikeras.ops.sorting`."""

import numpy as np

from minikeras.ops import sorting as s
from tests.rows import Row, numbers

X = numbers(3, 4, 5)
TIES = np.array([[2, 1, 2, 1], [0, 3, 3, 3]])
EDGES = np.array([-1.0, 0.0, 0.0, 1.5])


def _top_k(x, k):
    rows = x.reshape(-1, x.shape[-1])
    order = [sorted(range(len(row)), key=lambda i: (-row[i], i))[:k] for row in rows]
    order = np.array(order, "int32").reshape(*x.shape[:-1], k)
    return np.take_along_axis(x, order, -1), order


def _in_top_k(targets, predictions, k):
    return np.array([
        0 <= t < len(row) and sum(p > row[t] for p in row) < k
        for t, row in zip(targets, predictions)
    ])  # fmt: skip


ROWS = [
    *(
        Row("sort", lambda x, axis=axis: s.sort(x, axis), (X,),
            lambda x, axis=axis: np.sort(x, axis))
        for axis in (-1, 0, None)
    ),
    Row("sort", s.sort, (TIES,), np.sort, order=0),
    Row("argsort", s.argsort, (TIES,), lambda x: np.argsort(x, kind="stable"), order=0),
    Row("argsort", lambda x: s.argsort(x, None), (X,), lambda x: np.argsort(x, None), order=0),
    *(
        Row("top_k", lambda x, k=k: s.top_k(x, k), (X,), lambda x, k=k: _top_k(x, k))
        for k in (0, 1, 3, 5)
    ),
    Row("top_k", lambda x: s.top_k(x, 3), (TIES,), lambda x: _top_k(x, 3), order=0),
    *(
        Row("in_top_k", lambda t, p, k=k: s.in_top_k(t, p, k), (np.array([0, 4, 9, -1]), X[0]),
            lambda t, p, k=k: _in_top_k(t, p, k), order=0)
        for k in (1, 3, 9)
    ),
    *(
        Row("searchsorted", lambda a, v, side=side: s.searchsorted(a, v, side), (EDGES, X),
            lambda a, v, side=side: np.searchsorted(a, v, side), order=0)
        for side in ("left", "right")
    ),
    Row("digitize", lambda x: s.digitize(x, EDGES), (X,), lambda x: np.digitize(x, EDGES), order=0,
        covers=("searchsorted",)),
    Row("isin", s.isin, (TIES, np.array([0, 1])), np.isin, order=0),
]  # fmt: skip
