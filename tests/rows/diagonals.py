"""Rows of `minikeras.ops.diagonals`."""

import functools

from tests.rows import like_numpy, numbers

X, V, W = numbers(3, 4), numbers(6), numbers(2, 3, 4, seed=2)

_same = functools.partial(like_numpy, inputs=(X,))

ROWS = [
    *(_same(name, k, inputs=(W,)) for name in ("tril", "triu") for k in (-1, 0, 2)),
    *(_same("diag", k, inputs=(x,)) for x in (X, V) for k in (-2, 0, 1, 9)),
    _same("diagonal", 1, 0, 2, inputs=(W,)),
    _same("diagonal", -1, inputs=(W,)),
    _same("diagflat", -1),
    _same("trace"),
    _same("trace", 1, 0, 2, inputs=(W,)),
]
