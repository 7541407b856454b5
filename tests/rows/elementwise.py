"""Rows of `minikeras.ops.elementwise`."""

import numpy as np

from minikeras.ops import elementwise as e
from tests.rows import Row, numbers, positive

X, Y = numbers(3, 4), numbers(3, 4, low=-1.9, seed=1)
P, Q = positive(3, 4), positive(3, 4, seed=1)
UNIT = numbers(3, 4, low=-0.9, high=0.9)
MASK = X > Y


def _unary(name, inputs=X, oracle=None, order=2):
    op = getattr(e, name)
    return Row(name, op, (inputs,), oracle or getattr(np, name), order, elementwise=True)


def _binary(name, a=X, b=Y, oracle=None, order=2):
    op = getattr(e, name)
    return Row(name, op, (a, b), oracle or getattr(np, name), order, elementwise=True)


def _no_nan(x1, x2):
    return np.divide(x1, x2, out=np.zeros(np.broadcast(x1, x2).shape), where=x2 != 0)


ROWS = [
    *(_unary(name) for name in "negative absolute square exp exp2 expm1 sin cos sinh cosh".split()),
    *(_unary(name) for name in "tanh arctan arcsinh".split()),
    *(_unary(name, P) for name in "sqrt cbrt log log2 log10 log1p reciprocal".split()),
    _unary("rsqrt", P, lambda x: x**-0.5),
    _unary("tan", UNIT),
    *(_unary(name, UNIT) for name in "arcsin arccos arctanh".split()),
    _unary("arccosh", P + 1),
    *(_unary(name, order=0) for name in "floor ceil trunc round isnan isinf isfinite".split()),
    _unary("sign", order=2),
    _unary("logical_not", MASK, order=0),
    *(_binary(name) for name in "add subtract multiply maximum minimum logaddexp arctan2".split()),
    _binary("divide", X, P),
    _binary("power", P, Y),
    _binary("mod", X * 1.37, P),
    _binary("floor_divide", X, P, order=0),
    _binary("squared_difference", oracle=lambda a, b: (a - b) ** 2),
    _binary("divide_no_nan", X, P, _no_nan),
    *(_binary(name, order=0) for name in "equal not_equal less less_equal".split()),
    *(_binary(name, order=0) for name in "greater greater_equal isclose".split()),
    *(_binary(f"logical_{name}", MASK, X > 0, order=0) for name in ("and", "or", "xor")),
    Row("where", e.where, (MASK, X, Y), np.where, elementwise=True),
    Row("clip", lambda x: e.clip(x, -1.0, 1.0), (X,), lambda x: np.clip(x, -1, 1)),
    Row("cast", lambda x: e.cast(x, "float64"), (X,), lambda x: x),
    Row("nan_to_num", e.nan_to_num, (np.array([1, np.nan, np.inf, -np.inf]),), np.nan_to_num, 0),
]
ROWS += [
    Row("where", lambda c, x: e.where(c, x, 0.0), (MASK, X), lambda c, x: np.where(c, x, 0)),
    Row("where", lambda c, x: e.where(c, 0.0, x), (MASK, X), lambda c, x: np.where(c, 0, x)),
    Row("where", lambda c, x: e.where(c, x, -0.0), (MASK, X), lambda c, x: np.where(c, x, 0)),
]
ROWS += [
    *(_unary(name) for name in ("fabs", "deg2rad", "rad2deg")),
    _unary("sinc", P),
    *(_unary(name, order=0) for name in ("isposinf", "isneginf")),
    *(_binary(name) for name in ("fmax", "fmin", "hypot")),
    _binary("heaviside", order=0),
    Row("select", lambda x, y: e.select([x > 1, x < 0], [x, y], 7.0), (X, Y),
        lambda x, y: np.select([x > 1, x < 0], [x, y], 7.0), covers=("where",)),
]  # fmt: skip
