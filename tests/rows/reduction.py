"""Rows of `minikeras.ops.reduction`."""

import functools

import numpy as np

from minikeras import ops
from tests.rows import Row, like_numpy, numbers, positive

X, Y = numbers(3, 4), numbers(3, 4, seed=1)
W, P = numbers(2, 3, 4, seed=2), positive(3, 4)
ZEROS = X * (np.abs(X) > 0.7)  # rows with none, one and several zeros
EXTREMES = ("max", "min", "amax", "amin")

_same = functools.partial(like_numpy, inputs=(X,))


def everywhere(name, covers=(), order=2):
    """Make rows for every form of `axis`."""
    return [
        _same(name, covers=covers, order=order),
        _same(name, axis=1, order=order),
        _same(name, axis=(0, -1), inputs=(W,), keepdims=True, order=order),
        _same(name, axis=(), order=order),
    ]


def _log_sum_exp(x, **how):
    return np.log(np.sum(np.exp(x), **how))


ROWS = [
    *(row for name in ("sum", "mean", "prod", *EXTREMES) for row in everywhere(name)),
    *(_same("prod", axis=axis, inputs=(ZEROS,)) for axis in (1, (0, 1))),
    _same("max", 1, initial=0.3),
    _same("min", 1, initial=-0.3, keepdims=True),
    _same("ptp", 1),
    *(Row("logsumexp", lambda x, how=how: ops.logsumexp(x, **how), (W,),
          lambda x, how=how: _log_sum_exp(x, **how))
      for how in ({}, {"axis": -1}, {"axis": (0, 2), "keepdims": True}, {"axis": ()})),
    *(row for name in ("any", "all") for row in everywhere(name, order=0)),
    *(_same(name, axis, order=0, keepdims=axis == 0)
      for name in ("argmax", "argmin") for axis in (None, 0, -1)),
    _same("trapezoid", axis=0),
    _same("trapezoid", inputs=(X, np.cumsum(P[0]))),
    _same("count_nonzero", 1, inputs=(ZEROS,), order=0),
    _same("allclose", inputs=(X, X + 1e-9), order=0),
]  # fmt: skip
