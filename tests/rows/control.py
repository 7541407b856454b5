"""Rows of `minikeras.ops.control`: what a branch that is taken hands on."""

from minikeras.core.tensor import as_tensor
from minikeras.ops import control
from tests.rows import Row, numbers

ROWS = [
    Row("cond", lambda x: control._hold_back(x, as_tensor(True)), (numbers(3, 4),), lambda x: x),
]
