"""Rows of `minikeras.ops.shaping`."""

import numpy as np

from minikeras.ops import shaping as s
from tests.rows import Row, numbers

X, Y = numbers(3, 4), numbers(3, 4, seed=1)
V, W = numbers(6), numbers(2, 3, 4, seed=2)


def _same(name, *args, inputs=(X,), **kwargs):
    """Make a row of a function that takes the same arguments as NumPy's."""
    return Row(
        name,
        lambda *xs: getattr(s, name)(*xs, *args, **kwargs),
        inputs,
        lambda *xs: getattr(np, name)(*xs, *args, **kwargs),
    )


def _joined(name, *args, inputs=(X, Y), **kwargs):
    """Make a row of a function that takes a list of tensors."""
    return Row(
        name,
        lambda *xs: getattr(s, name)(xs, *args, **kwargs),
        inputs,
        lambda *xs: getattr(np, name)(xs, *args, **kwargs),
    )


def _pad(widths, mode="constant", **kwargs):
    return Row(
        "pad",
        lambda x: s.pad(x, widths, mode, **kwargs),
        (X,),
        lambda x: np.pad(x, widths, mode, **kwargs),
    )


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
    Row("rearrange", lambda x: s.rearrange(x, "a (b d) c -> (d a) (b c)", d=1), (W,),
        lambda x: x.reshape(2, 12)),
    Row("rearrange", lambda x: s.rearrange(x, "a b (c d) -> c b (d a)", c=2), (W,),
        lambda x: np.einsum("abcd->cbda", x.reshape(2, 3, 2, 2)).reshape(2, 3, 4)),
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
    Row("unstack", s.unstack, (X,), list),
    Row("unstack", lambda x: s.unstack(x, 4, -1), (X,), lambda x: list(x.T)),
    _same("tile", 2),
    _same("tile", (2, 1, 3)),
    _same("repeat", 2),
    _same("repeat", 3, axis=-1),
    _same("repeat", [2, 0, 1], axis=0),
    _same("roll", -1),
    _same("roll", (5, 1), (0, 1)),
    Row("meshgrid", lambda x, y: s.meshgrid(x, y[:2]), (V, V), lambda x, y: np.meshgrid(x, y[:2])),
    Row("meshgrid", lambda *x: s.meshgrid(*x, indexing="ij"), (V[:2], V[:3], V[:4]),
        lambda *x: np.meshgrid(*x, indexing="ij")),
    _pad(((1, 2), (0, 3))),
    _pad(2, constant_values=1.5),
    _pad(((1, 2), (0, 3)), "reflect"),
    _pad((1, 2), "symmetric"),
    _pad(((0, 0), (2, 1)), "edge"),
    _pad(3, "wrap"),
    *(_same(name, k, inputs=(W,)) for name in ("tril", "triu") for k in (-1, 0, 2)),
    *(_same("diag", k, inputs=(x,)) for x in (X, V) for k in (-2, 0, 1, 9)),
    _same("diagonal", 1, 0, 2, inputs=(W,)),
    _same("diagonal", -1, inputs=(W,)),
    _same("diagflat", -1),
    Row("copy", s.copy, (X,), np.array),
    Row("size", s.size, (X,), lambda x: np.asarray(x.size), order=0),
]  # fmt: skip
