"""Rows of `minikeras.ops.special`."""

import math

import numpy as np

from minikeras.ops import special
from tests.rows import Row, numbers

X = numbers(3, 4)
UNIT = numbers(3, 4, low=-0.9, high=0.9)


def _each(function):
    """Make an oracle of a function of one Python number."""
    return lambda x: np.array([function(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


def _bisected(y):
    """Find x with `erf(x) = y` without any formula for the inverse."""
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return (low + high) / 2


ROWS = [
    Row("erf", special.erf, (X,), _each(math.erf), elementwise=True),
    Row("erfc", special.erfc, (X,), _each(math.erfc), elementwise=True),
    Row("erfinv", special.erfinv, (UNIT,), _each(_bisected), elementwise=True),
]
