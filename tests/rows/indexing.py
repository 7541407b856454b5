"""Rows of `minikeras.ops.indexing`."""

import numpy as np

from minikeras.ops import indexing as ix
from tests.rows import Row, numbers

X = numbers(3, 4, 5)
I = np.array([2, 0, 2])


def _key(name, key, order=2, **kwargs):
    return Row(name, lambda x: ix.getitem(x, key), (X,), lambda x: x[key], order, **kwargs)


ROWS = [
    _key("slice", 1, covers=("slice", "place_slice")),
    _key("slice", (slice(None, None, -2), None, ..., -1)),
    _key("slice", (slice(1, None), slice(None), slice(0, 5, 2))),
    _key("slice", (slice(0, 0),)),
    _key("gather", I, covers=("gather", "scatter_add")),
    _key("gather", (I, slice(None), np.array([[1], [2]]))),
    _key("gather", X[:, 0, 0] > 0),
    _key("gather", [[0, 1], [2, 0]]),
    Row("stack_indices", lambda x, i: ix.getitem(x, (i, i)), (X, I), lambda x, i: x[i, i]),
]
