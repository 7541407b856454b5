"""Rows of `minikeras.ops.shaping`."""

import functools

import numpy as np

from minikeras import ops
from tests.rows import Row, like_numpy, numbers

X, W = numbers(3, 4), numbers(2, 3, 4, seed=2)

_same = functools.partial(like_numpy, inputs=(X,))

ROWS = [
    _same("reshape", (2, -1)),
    _same("reshape", (-1,), inputs=(W,)),
    _same("ravel"),
    _same("expand_dims", (0, -1)),
    _same("squeeze", inputs=(X[:1, :, None],)),
    _same("squeeze", -1, inputs=(X[:1, :, None],)),
    _same("broadcast_to", (2, 3, 4)),
    _same("transpose"),
    _same("transpose", (2, 0, 1), inputs=(W,)),
    _same("moveaxis", (0, 1), (-1, 0), inputs=(W,)),
    _same("swapaxes", 0, -1, inputs=(W,)),
    _same("flip"),
    _same("flip", (0, -1), inputs=(W,)),
    _same("fliplr"),
    _same("flipud"),
    *(_same("rot90", k, inputs=(W,), axes=(2, 0)) for k in range(-1, 4)),
    Row("rearrange", lambda x: ops.rearrange(x, "a (b d) c -> (d a) (b c)", d=1), (W,),
        lambda x: x.reshape(2, 12)),
    Row("rearrange", lambda x: ops.rearrange(x, "a b (c d) -> c b (d a)", c=2), (W,),
        lambda x: np.einsum("abcd->cbda", x.reshape(2, 3, 2, 2)).reshape(2, 3, 4)),
    Row("copy", ops.copy, (X,), np.array),
    Row("size", ops.size, (X,), lambda x: np.asarray(x.size), order=0),
]  # fmt: skip
