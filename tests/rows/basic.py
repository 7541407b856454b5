"""Rows of `minikeras.core`: what promotion and the backward walk stand on."""

import numpy as np

from minikeras.core import basic, gradients
from tests.rows import Row, numbers

X, Y = numbers(3, 4), numbers(3, 4, seed=1)

ROWS = [
    Row("broadcast_to", lambda x: basic.broadcast_to(x, shape=(2, 3, 4)), (X[:, :1],),
        lambda x: np.broadcast_to(x, (2, 3, 4))),
    Row("sum_to", lambda x: basic.sum_to(x, shape=(3, 1)), (X,), lambda x: x.sum(1, keepdims=True)),
    Row("sum_to", lambda x: basic.sum_to(x, shape=()), (X,), np.sum),
    Row("reshape", lambda x: basic.reshape(x, shape=(2, -1)), (X,), lambda x: x.reshape(2, -1)),
    Row("stack", lambda x, y: basic.stack(x, y, axis=1), (X, Y), lambda x, y: np.stack([x, y], 1)),
    Row("identity", gradients.identity, (X,), lambda x: x),
    Row("stop_gradient", gradients.stop_gradient, (X,), lambda x: x, order=0),
]  # fmt: skip
