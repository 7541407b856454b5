"""Rows of `minikeras.ops.statistics`."""

import functools

import numpy as np

from minikeras import ops
from tests.rows import Row, like_numpy, numbers, positive
from tests.rows.reduction import everywhere

X, Y = numbers(3, 4), numbers(3, 4, seed=1)
W, P = numbers(2, 3, 4, seed=2), positive(3, 4)
HOLES = np.where(Y > 1, np.nan, X)
WITHOUT_NAN = (
    "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian",
)  # fmt: skip

_same = functools.partial(like_numpy, inputs=(X,))

ROWS = [
    *everywhere("var", covers=("moments",)),
    *(_same("std", **how) for how in ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True})),
    Row("moments", lambda x: ops.moments(x, (0, 2), keepdims=True), (W,),
        lambda x: (x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True))),
    _same("average"),
    Row("average", lambda x, w: ops.average(x, 1, w), (X, P[0]),
        lambda x, w: np.average(x, 1, w)),
    Row("average", lambda x, w: ops.average(x, weights=w), (X, P),
        lambda x, w: np.average(x, weights=w)),
    _same("median"),
    _same("median", axis=1, keepdims=True),
    *(_same("quantile", 0.3, axis=1, method=method)
      for method in ("linear", "lower", "higher", "midpoint", "nearest")),
    _same("quantile", np.array([[0.0, 0.25, 1.0]]), axis=(0, 2), inputs=(W,), keepdims=True),
    _same("percentile", [10, 35], axis=0),
    *(_same(name, axis=1, inputs=(x,)) for name in WITHOUT_NAN for x in (X, HOLES)),
    *(_same(name, axis=0, inputs=(HOLES,), order=0) for name in ("nanargmax", "nanargmin")),
]  # fmt: skip
