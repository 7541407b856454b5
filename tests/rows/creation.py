"""Rows of `minikeras.ops.creation`: those of its functions that take tensors."""

import numpy as np

from minikeras.ops import creation as c
from tests.rows import Row, numbers

X, Y = numbers(3, 4), numbers(3, 4, seed=1)

ROWS = [
    Row("zeros_like", c.zeros_like, (X,), np.zeros_like, order=0),
    Row("ones_like", lambda x: c.ones_like(x, "int32"), (X,), lambda x: np.ones_like(x, "int32"),
        order=0),
    Row("full_like", lambda x: c.full_like(x, 2.5), (X,), lambda x: np.full_like(x, 2.5), order=0),
    Row("full_like", c.full_like, (X, Y[0]), np.full_like),
    Row("full", lambda x: c.full((2, 3), x, "float64"), (X[0, :3],), lambda x: np.stack([x, x])),
    Row("linspace", lambda a, b: c.linspace(a, b, 5), (X, Y), lambda a, b: np.linspace(a, b, 5)),
    Row("linspace", lambda a, b: c.linspace(a, b, 4, endpoint=False, axis=-1, retstep=True),
        (X, Y[0]), lambda a, b: np.linspace(a, b, 4, endpoint=False, axis=-1, retstep=True)),
    Row("logspace", lambda a, b: c.logspace(a, b, 3, base=2), (X, Y),
        lambda a, b: np.logspace(a, b, 3, base=2)),
    Row("convert_to_tensor", lambda a, b: c.convert_to_tensor([[a, b], [b, a]]), (X, Y),
        lambda a, b: np.array([[a, b], [b, a]])),
]  # fmt: skip
