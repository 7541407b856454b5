"""Rows of `minikeras.ops.joining`."""

import functools

from minikeras import ops
from tests.rows import Row, like_numpy, numbers

X, Y = numbers(3, 4), numbers(3, 4, seed=1)
V, W = numbers(6), numbers(2, 3, 4, seed=2)

_same = functools.partial(like_numpy, inputs=(X,))
_joined = functools.partial(like_numpy, inputs=(X, Y), listed=True)

ROWS = [
    _joined("concatenate"),
    _joined("concatenate", -1, inputs=(X, X[:, :1], Y[:, :0])),
    _joined("stack"),
    _joined("stack", -1),
    _joined("hstack"),
    _joined("hstack", inputs=(V, V[:2])),
    _joined("vstack", inputs=(X, X[0])),
    _joined("dstack", inputs=(X, Y)),
    _joined("dstack", inputs=(V, V * 2)),
    _same("append", inputs=(X, V)),
    _same("append", inputs=(X, Y[:, :2]), axis=1),
    _same("split", 2, axis=1),
    _same("split", [0, 1, 1], axis=-1),
    _same("array_split", 3, axis=1),
    _same("array_split", [1, 3], inputs=(V,)),
    _same("hsplit", 2),
    _same("vsplit", 3),
    _same("dsplit", 2, inputs=(W,)),
    Row("unstack", ops.unstack, (X,), list),
    Row("unstack", lambda x: ops.unstack(x, 4, -1), (X,), lambda x: list(x.T)),
]  # fmt: skip
