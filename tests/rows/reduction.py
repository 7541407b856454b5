"""Rows of `minikeras.ops.reduction`."""

import numpy as np

from minikeras.ops import reduction as r
from tests.rows import Row, numbers, positive

X, Y = numbers(3, 4), numbers(3, 4, seed=1)
W, P = numbers(2, 3, 4, seed=2), positive(3, 4)
V = numbers(7, seed=3)
HOLES = np.where(Y > 1, np.nan, X)
ZEROS = X * (np.abs(X) > 0.7)  # rows with none, one and several zeros


def _same(name, *args, inputs=(X,), covers=(), order=2, **kwargs):
    """Make a row of a function that takes the same arguments as NumPy's."""
    return Row(
        name,
        lambda *xs: getattr(r, name)(*xs, *args, **kwargs),
        inputs,
        lambda *xs: getattr(np, name)(*xs, *args, **kwargs),
        order,
        covers=covers,
    )


def _everywhere(name, covers=(), order=2):
    """Make rows for every form of `axis`."""
    return [
        _same(name, covers=covers, order=order),
        _same(name, axis=1, order=order),
        _same(name, axis=(0, -1), inputs=(W,), keepdims=True, order=order),
        _same(name, axis=(), order=order if name != "std" else 0),
    ]


def _log_sum_exp(x, **how):
    return np.log(np.sum(np.exp(x), **how))


def _quantile(*args, **kwargs):
    return _same("quantile", *args, **kwargs, covers=("sorting",))


EXTREMES = ("max", "min", "amax", "amin")
WITHOUT_NAN = (
    "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian",
)  # fmt: skip

ROWS = [
    *(row for name in ("sum", "mean", "prod", *EXTREMES) for row in _everywhere(name)),
    *_everywhere("var", covers=("moments",)),
    *(_same("std", **how) for how in ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True})),
    *(_same(name, axis=1, inputs=(ZEROS,)) for name in ("prod", "cumprod")),
    _same("prod", axis=(0, 1), inputs=(ZEROS,)),
    _same("max", 1, initial=0.3),
    _same("min", 1, initial=-0.3, keepdims=True),
    _same("ptp", 1),
    Row("moments", lambda x: r.moments(x, (0, 2), keepdims=True), (W,),
        lambda x: (x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True))),
    *(Row("logsumexp", lambda x, how=how: r.logsumexp(x, **how), (W,),
          lambda x, how=how: _log_sum_exp(x, **how))
      for how in ({}, {"axis": -1}, {"axis": (0, 2), "keepdims": True}, {"axis": ()})),
    *(row for name in ("any", "all") for row in _everywhere(name, order=0)),
    *(_same(name, axis, order=0, keepdims=axis == 0)
      for name in ("argmax", "argmin") for axis in (None, 0, -1)),
    *(_same(name, axis) for name in ("cumsum", "cumprod") for axis in (None, 0, -1)),
    _same("cumprod", inputs=(V,)),
    _same("diff"),
    _same("diff", 2, axis=0),
    _same("trapezoid", axis=0),
    _same("trapezoid", inputs=(X, np.cumsum(P[0]))),
    _same("trace"),
    _same("trace", 1, 0, 2, inputs=(W,)),
    _same("count_nonzero", 1, inputs=(ZEROS,), order=0),
    _same("average"),
    Row("average", lambda x, w: r.average(x, 1, w), (X, P[0]),
        lambda x, w: np.average(x, 1, w)),
    Row("average", lambda x, w: r.average(x, weights=w), (X, P),
        lambda x, w: np.average(x, weights=w)),
    _same("allclose", inputs=(X, X + 1e-9), order=0),
    _same("median"),
    _same("median", axis=1, keepdims=True),
    *(_quantile(0.3, axis=1, method=method)
      for method in ("linear", "lower", "higher", "midpoint", "nearest")),
    _quantile(np.array([[0.0, 0.25, 1.0]]), axis=(0, 2), inputs=(W,), keepdims=True),
    _same("percentile", [10, 35], axis=0),
    *(_same(name, axis=1, inputs=(x,)) for name in WITHOUT_NAN for x in (X, HOLES)),
    *(_same(name, axis=0, inputs=(HOLES,), order=0) for name in ("nanargmax", "nanargmin")),
]  # fmt: skip
