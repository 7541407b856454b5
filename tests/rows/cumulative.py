"""Rows of `minikeras.ops.cumulative`."""

import functools

import numpy as np

from tests.rows import like_numpy, numbers

X, V = numbers(3, 4), numbers(7, seed=3)
ZEROS = X * (np.abs(X) > 0.7)  # rows with none, one and several zeros

_same = functools.partial(like_numpy, inputs=(X,))

ROWS = [
    *(_same(name, axis) for name in ("cumsum", "cumprod") for axis in (None, 0, -1)),
    _same("cumprod", inputs=(V,)),
    _same("cumprod", axis=1, inputs=(ZEROS,)),
    _same("diff"),
    _same("diff", 2, axis=0),
]
