"""Rows of `minikeras.ops.repeating`."""

import functools

import numpy as np

from minikeras import ops
from tests.rows import Row, like_numpy, numbers

X, V = numbers(3, 4), numbers(6)

_same = functools.partial(like_numpy, inputs=(X,))

ROWS = [
    _same("tile", 2),
    _same("tile", (2, 1, 3)),
    _same("repeat", 2),
    _same("repeat", 3, axis=-1),
    _same("repeat", [2, 0, 1], axis=0),
    _same("roll", -1),
    _same("roll", (5, 1), (0, 1)),
    Row("meshgrid", lambda x, y: ops.meshgrid(x, y[:2]), (V, V),
        lambda x, y: np.meshgrid(x, y[:2])),
    Row("meshgrid", lambda *x: ops.meshgrid(*x, indexing="ij"), (V[:2], V[:3], V[:4]),
        lambda *x: np.meshgrid(*x, indexing="ij")),
    _same("pad", ((1, 2), (0, 3))),
    _same("pad", 2, constant_values=1.5),
    _same("pad", ((1, 2), (0, 3)), "reflect"),
    _same("pad", (1, 2), "symmetric"),
    _same("pad", ((0, 0), (2, 1)), "edge"),
    _same("pad", 3, "wrap"),
]  # fmt: skip
